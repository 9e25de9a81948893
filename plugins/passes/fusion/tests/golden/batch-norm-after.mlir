// passes: fold-affine,fold-pad,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x2x5x5xf32, ["N"]>, %z: tensor<?x3xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[[[[0.0]], [[0.375]]], [[[0.5]], [[-0.25]]], [[[0.875]], [[-0.625]]], [[[-0.375]], [[0.5]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %1 = "mm.conv"(%x, %0) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[0.0, 1.0, 0.125, -0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %3 = "mm.constant"() {value = dense<[-0.25, -0.5, -0.625, 0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %4 = "mm.constant"() {value = dense<[0.25, 0.625, -0.375, 0.875]> : tensor<4xf32>} : () -> tensor<4xf32>
  %5 = "mm.constant"() {value = dense<[0.625, 1.25, 0.75, 0.875]> : tensor<4xf32>} : () -> tensor<4xf32>
  %conv = "mm.batch_norm"(%1, %2, %3, %4, %5) {epsilon = 1.0e-05 : f64} : (tensor<?x4x5x5xf32, ["N"]>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<[[[[0.125]]], [[[0.5]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
  %7 = "mm.constant"() {value = dense<[0.125, -0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %8 = "mm.conv"(%x, %6, %7) {strides = [2 : i64, 2 : i64], pads = [], dilations = [], auto_pad = "notset", group = 2 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<2x1x1x1xf32>, tensor<2xf32>) -> tensor<?x2x3x3xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<[-0.625, -0.75]> : tensor<2xf32>} : () -> tensor<2xf32>
  %10 = "mm.constant"() {value = dense<[0.25, 0.5]> : tensor<2xf32>} : () -> tensor<2xf32>
  %11 = "mm.constant"() {value = dense<[-0.125, -0.5]> : tensor<2xf32>} : () -> tensor<2xf32>
  %12 = "mm.constant"() {value = dense<[0.875, 1.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %grouped = "mm.batch_norm"(%8, %9, %10, %11, %12) {epsilon = 1.0e-05 : f64} : (tensor<?x2x3x3xf32, ["N"]>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x2x3x3xf32, ["N"]>
  %13 = "mm.constant"() {value = dense<[[[[-0.375]], [[0.25]]], [[[-1.125]], [[0.25]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
  %14 = "mm.constant"() {value = dense<[-0.25, 0.0, -0.0, 0.125]> : tensor<4xf32>} : () -> tensor<4xf32>
  %15 = "mm.conv_transpose"(%x, %13, %14) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 2 : i64, output_padding = [], output_shape = []} : (tensor<?x2x5x5xf32, ["N"]>, tensor<2x2x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %16 = "mm.constant"() {value = dense<[0.375, -0.375, 0.75, 0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %17 = "mm.constant"() {value = dense<[0.375, 0.625, 0.375, 0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %18 = "mm.constant"() {value = dense<[0.0, -0.75, -0.125, -0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %19 = "mm.constant"() {value = dense<[1.25, 0.625, 0.75, 1.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %transposed = "mm.batch_norm"(%15, %16, %17, %18, %19) {epsilon = 1.0e-05 : f64} : (tensor<?x4x5x5xf32, ["N"]>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %20 = "mm.constant"() {value = dense<[[-0.5, 0.125, 0.125, 0.625], [-0.0, 0.5, 0.75, 0.625], [-1.125, 0.625, 0.125, 0.25]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %21 = "mm.matmul"(%z, %20) : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>) -> tensor<?x4xf32, ["N"]>
  %22 = "mm.constant"() {value = dense<[0.125, 0.25, 0.125, -0.125]> : tensor<4xf32>} : () -> tensor<4xf32>
  %23 = "mm.constant"() {value = dense<[-1.0, -0.0, -0.375, 0.5]> : tensor<4xf32>} : () -> tensor<4xf32>
  %24 = "mm.constant"() {value = dense<[-0.125, 0.0, -0.375, -0.25]> : tensor<4xf32>} : () -> tensor<4xf32>
  %25 = "mm.constant"() {value = dense<[0.5, 1.25, 0.625, 0.5]> : tensor<4xf32>} : () -> tensor<4xf32>
  %product = "mm.batch_norm"(%21, %22, %23, %24, %25) {epsilon = 1.0e-05 : f64} : (tensor<?x4xf32, ["N"]>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
  %26 = "mm.constant"() {value = dense<[[-0.625, -1.25, 0.25, -0.125], [-0.25, -0.125, 0.875, -0.0], [0.0, -0.75, 0.875, 0.5]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %27 = "mm.matmul"(%z, %26) : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>) -> tensor<?x4xf32, ["N"]>
  %28 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %scaled_product = "mm.mul"(%27, %28) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
  %29 = "mm.constant"() {value = dense<[[[[0.5]], [[0.0]]], [[[0.5]], [[0.125]]], [[[0.25]], [[-0.125]]], [[[-0.75]], [[0.5]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %30 = "mm.constant"() {value = dense<[-1.0, -0.125, -0.125, -0.5]> : tensor<4xf32>} : () -> tensor<4xf32>
  %31 = "mm.conv"(%x, %29, %30) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %32 = "mm.constant"() {value = dense<[[[0.25]], [[-0.125]], [[-0.25]], [[0.25]]]> : tensor<4x1x1xf32>} : () -> tensor<4x1x1xf32>
  %33 = "mm.mul"(%31, %32) : (tensor<?x4x5x5xf32, ["N"]>, tensor<4x1x1xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %34 = "mm.constant"() {value = dense<[[[[-0.25]], [[0.75]], [[0.125]], [[-0.25]]]]> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
  %mul_add = "mm.add"(%33, %34) : (tensor<?x4x5x5xf32, ["N"]>, tensor<1x4x1x1xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %35 = "mm.constant"() {value = dense<[[[[-1.0]], [[-0.625]]], [[[0.5]], [[-0.0]]], [[[-0.125]], [[0.875]]], [[[-0.625]], [[-0.25]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %36 = "mm.conv"(%x, %35) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %37 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %38 = "mm.div"(%36, %37) : (tensor<?x4x5x5xf32, ["N"]>, tensor<f32>) -> tensor<?x4x5x5xf32, ["N"]>
  %39 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %sub_div = "mm.sub"(%39, %38) : (tensor<f32>, tensor<?x4x5x5xf32, ["N"]>) -> tensor<?x4x5x5xf32, ["N"]>
  %40 = "mm.constant"() {value = dense<[[[[-0.25]], [[0.25]]], [[[-0.375]], [[-0.25]]], [[[-0.75]], [[0.375]]], [[[0.375]], [[-0.25]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %41 = "mm.conv"(%x, %40) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %42 = "mm.constant"() {value = dense<[0.125, -0.625, -0.25, 0.75]> : tensor<4xf32>} : () -> tensor<4xf32>
  %43 = "mm.constant"() {value = dense<[0.125, 1.125, -0.375, 0.25]> : tensor<4xf32>} : () -> tensor<4xf32>
  %44 = "mm.constant"() {value = dense<[-0.125, 0.25, -0.0, -0.25]> : tensor<4xf32>} : () -> tensor<4xf32>
  %45 = "mm.constant"() {value = dense<[0.875, 2.0, 0.5, 1.5]> : tensor<4xf32>} : () -> tensor<4xf32>
  %46 = "mm.batch_norm"(%41, %42, %43, %44, %45) {epsilon = 1.0e-05 : f64} : (tensor<?x4x5x5xf32, ["N"]>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %kept = "mm.add"(%46, %41) : (tensor<?x4x5x5xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>) -> tensor<?x4x5x5xf32, ["N"]>
  "mm.yield"(%conv, %grouped, %transposed, %product, %scaled_product, %mul_add, %sub_div, %kept) : (tensor<?x4x5x5xf32, ["N"]>, tensor<?x2x3x3xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>) -> ()
}) {name = "batch_norm_after", inputs = ["x", "z"], outputs = ["conv", "grouped", "transposed", "product", "scaled_product", "mul_add", "sub_div", "kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x2x5x5xf32, ["N"]>, %z: tensor<?x3xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[[[[0.0]], [[0.0]]], [[[0.4472118020057678]], [[-0.2236059010028839]]], [[[0.12629452347755432]], [[-0.09021037817001343]]], [[[0.15033358335494995]], [[-0.2004447877407074]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %1 = "mm.constant"() {value = dense<[-0.25, -1.0590147972106934, -0.5708737969398499, 0.7257784008979797]> : tensor<4xf32>} : () -> tensor<4xf32>
  %conv = "mm.conv"(%x, %0, %1) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[[[[-0.08351866155862808]]], [[[-0.35355180501937866]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
  %3 = "mm.constant"() {value = dense<[0.08296267688274384, 0.32322409749031067]> : tensor<2xf32>} : () -> tensor<2xf32>
  %grouped = "mm.conv"(%x, %2, %3) {strides = [2 : i64, 2 : i64], pads = [], dilations = [], auto_pad = "notset", group = 2 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<2x1x1x1xf32>, tensor<2xf32>) -> tensor<?x2x3x3xf32, ["N"]>
  %4 = "mm.constant"() {value = dense<[[[[-0.12577831745147705]], [[-0.11858446151018143]]], [[[-0.9742720723152161]], [[0.0937495306134224]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
  %5 = "mm.constant"() {value = dense<[0.29114779829978943, 0.2692466080188751, 0.48325246572494507, 0.5624990463256836]> : tensor<4xf32>} : () -> tensor<4xf32>
  %transposed = "mm.conv_transpose"(%x, %4, %5) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 2 : i64, output_padding = [], output_shape = []} : (tensor<?x2x5x5xf32, ["N"]>, tensor<2x2x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<[[-0.08838746696710587, 0.02795073762536049, 0.01976407691836357, -0.11048433184623718], [-0.0, 0.11180295050144196, 0.11858446151018143, -0.11048433184623718], [-0.19887179136276245, 0.13975368440151215, 0.01976407691836357, -0.04419373348355293]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %7 = "mm.matmul"(%z, %6) : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>) -> tensor<?x4xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<[-0.9779031276702881, -0.0, -0.3157077729701996, 0.45580625534057617]> : tensor<4xf32>} : () -> tensor<4xf32>
  %product = "mm.add"(%7, %8) : (tensor<?x4xf32, ["N"]>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<[[-0.3125, -0.625, 0.125, -0.0625], [-0.125, -0.0625, 0.4375, -0.0], [0.0, -0.375, 0.4375, 0.25]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %scaled_product = "mm.matmul"(%z, %9) : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>) -> tensor<?x4xf32, ["N"]>
  %10 = "mm.constant"() {value = dense<[[[[0.125]], [[0.0]]], [[[-0.0625]], [[-0.015625]]], [[[-0.0625]], [[0.03125]]], [[[-0.1875]], [[0.125]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %11 = "mm.constant"() {value = dense<[-0.5, 0.765625, 0.15625, -0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %mul_add = "mm.conv"(%x, %10, %11) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %12 = "mm.constant"() {value = dense<[[[[0.5]], [[0.3125]]], [[[-0.25]], [[0.0]]], [[[0.0625]], [[-0.4375]]], [[[0.3125]], [[0.125]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %13 = "mm.constant"() {value = dense<[1.0, 1.0, 1.0, 1.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %sub_div = "mm.conv"(%x, %12, %13) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %14 = "mm.constant"() {value = dense<[[[[-0.25]], [[0.25]]], [[[-0.375]], [[-0.25]]], [[[-0.75]], [[0.375]]], [[[0.375]], [[-0.25]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %15 = "mm.conv"(%x, %14) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %16 = "mm.constant"() {value = dense<[0.125, -0.625, -0.25, 0.75]> : tensor<4xf32>} : () -> tensor<4xf32>
  %17 = "mm.constant"() {value = dense<[0.125, 1.125, -0.375, 0.25]> : tensor<4xf32>} : () -> tensor<4xf32>
  %18 = "mm.constant"() {value = dense<[-0.125, 0.25, -0.0, -0.25]> : tensor<4xf32>} : () -> tensor<4xf32>
  %19 = "mm.constant"() {value = dense<[0.875, 2.0, 0.5, 1.5]> : tensor<4xf32>} : () -> tensor<4xf32>
  %20 = "mm.batch_norm"(%15, %16, %17, %18, %19) {epsilon = 1.0e-05 : f64} : (tensor<?x4x5x5xf32, ["N"]>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %kept = "mm.add"(%20, %15) : (tensor<?x4x5x5xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>) -> tensor<?x4x5x5xf32, ["N"]>
  "mm.yield"(%conv, %grouped, %transposed, %product, %scaled_product, %mul_add, %sub_div, %kept) : (tensor<?x4x5x5xf32, ["N"]>, tensor<?x2x3x3xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>) -> ()
}) {name = "batch_norm_after", inputs = ["x", "z"], outputs = ["conv", "grouped", "transposed", "product", "scaled_product", "mul_add", "sub_div", "kept"]} : () -> ()
