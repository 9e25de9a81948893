// passes: fold-affine,fold-pad,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x2x5x5xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[-0.375, 0.375]> : tensor<2xf32>} : () -> tensor<2xf32>
  %1 = "mm.constant"() {value = dense<[-0.25, 0.625]> : tensor<2xf32>} : () -> tensor<2xf32>
  %2 = "mm.constant"() {value = dense<[0.5, -0.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %3 = "mm.constant"() {value = dense<[0.75, 1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %4 = "mm.batch_norm"(%x, %0, %1, %2, %3) {epsilon = 1.0e-05 : f64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x2x5x5xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<[[[[-0.375]], [[-0.75]]], [[[0.625]], [[0.75]]], [[[-0.625]], [[-0.625]]], [[[-0.875]], [[-0.5]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %6 = "mm.constant"() {value = dense<[-1.5, -0.625, 0.625, -0.125]> : tensor<4xf32>} : () -> tensor<4xf32>
  %conv = "mm.conv"(%4, %5, %6) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %7 = "mm.constant"() {value = dense<[0.375, -0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %8 = "mm.constant"() {value = dense<[0.875, 0.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %9 = "mm.constant"() {value = dense<[-0.25, 1.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %10 = "mm.constant"() {value = dense<[0.625, 1.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %11 = "mm.batch_norm"(%x, %7, %8, %9, %10) {epsilon = 1.0e-05 : f64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x2x5x5xf32, ["N"]>
  %12 = "mm.constant"() {value = dense<[[[[0.125]]], [[[-0.0]]], [[[0.5]]], [[[-0.5]]]]> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
  %grouped = "mm.conv"(%11, %12) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 2 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x1x1x1xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %13 = "mm.constant"() {value = dense<[0.375, 0.375]> : tensor<2xf32>} : () -> tensor<2xf32>
  %14 = "mm.constant"() {value = dense<[-0.375, 0.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %15 = "mm.constant"() {value = dense<[-0.375, 1.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %16 = "mm.constant"() {value = dense<[0.875, 0.75]> : tensor<2xf32>} : () -> tensor<2xf32>
  %17 = "mm.batch_norm"(%x, %13, %14, %15, %16) {epsilon = 1.0e-05 : f64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x2x5x5xf32, ["N"]>
  %18 = "mm.constant"() {value = dense<[[[[-0.5, -0.125], [-0.0, 0.375]], [[-0.25, -0.125], [-0.75, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %padding_kept = "mm.conv"(%17, %18) {strides = [], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x6x6xf32, ["N"]>
  "mm.yield"(%conv, %grouped, %padding_kept) : (tensor<?x4x5x5xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>, tensor<?x1x6x6xf32, ["N"]>) -> ()
}) {name = "batch_norm_before", inputs = ["x"], outputs = ["conv", "grouped", "padding_kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x2x5x5xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[[[[0.1623786836862564]], [[-0.2812485992908478]]], [[[-0.2706311345100403]], [[0.2812485992908478]]], [[[0.2706311345100403]], [[-0.23437382280826569]]], [[[0.37888360023498535]], [[-0.1874990612268448]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
  %1 = "mm.constant"() {value = dense<[-1.9913454055786133, -0.14202836155891418, 0.2260127067565918, -0.4316291809082031]> : tensor<4xf32>} : () -> tensor<4xf32>
  %conv = "mm.conv"(%x, %0, %1) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[[[[0.059292230755090714]]], [[[-0.0]]], [[[-0.11785060912370682]]], [[[0.11785060912370682]]]]> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
  %3 = "mm.constant"() {value = dense<[0.1241980567574501, 0.0, 0.20981325209140778, -0.20981325209140778]> : tensor<4xf32>} : () -> tensor<4xf32>
  %grouped = "mm.conv"(%x, %2, %3) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 2 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<4x1x1x1xf32>, tensor<4xf32>) -> tensor<?x4x5x5xf32, ["N"]>
  %4 = "mm.constant"() {value = dense<[0.375, 0.375]> : tensor<2xf32>} : () -> tensor<2xf32>
  %5 = "mm.constant"() {value = dense<[-0.375, 0.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %6 = "mm.constant"() {value = dense<[-0.375, 1.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %7 = "mm.constant"() {value = dense<[0.875, 0.75]> : tensor<2xf32>} : () -> tensor<2xf32>
  %8 = "mm.batch_norm"(%x, %4, %5, %6, %7) {epsilon = 1.0e-05 : f64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x2x5x5xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<[[[[-0.5, -0.125], [-0.0, 0.375]], [[-0.25, -0.125], [-0.75, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %padding_kept = "mm.conv"(%8, %9) {strides = [], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x5xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x6x6xf32, ["N"]>
  "mm.yield"(%conv, %grouped, %padding_kept) : (tensor<?x4x5x5xf32, ["N"]>, tensor<?x4x5x5xf32, ["N"]>, tensor<?x1x6x6xf32, ["N"]>) -> ()
}) {name = "batch_norm_before", inputs = ["x"], outputs = ["conv", "grouped", "padding_kept"]} : () -> ()
