// passes: fuse-epilogue
// tolerance: 1e-06
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x2x4x4xf32, ["N"]>, %r: tensor<?x2x4x4xf32, ["N"]>, %t: tensor<?x?x3xf32, ["N", "S"]>):
  %0 = "mm.constant"() {value = dense<[[[[0.25]], [[-0.25]]], [[[0.0]], [[-0.125]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32> loc("c"("onnx/Conv":0:0))
  %1 = "mm.constant"() {value = dense<[0.125, -0.75]> : tensor<2xf32>} : () -> tensor<2xf32> loc("c"("onnx/Conv":0:0))
  %2 = "mm.conv"(%x, %0, %1) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x2x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]> loc("c"("onnx/Conv":0:0))
  %3 = "mm.add"(%2, %r) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]> loc("a"("onnx/Add":0:0))
  %residual = "mm.relu"(%3) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]> loc("r"("onnx/Relu":0:0))
  %4 = "mm.constant"() {value = dense<[[[[0.375, -0.125], [0.125, -0.125]]], [[[0.125, -0.5], [0.625, -0.875]]]]> : tensor<2x1x2x2xf32>} : () -> tensor<2x1x2x2xf32>
  %5 = "mm.conv"(%x, %4) {strides = [], pads = [1 : i64, 0 : i64, 1 : i64, 0 : i64], dilations = [], auto_pad = "notset", group = 2 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x1x2x2xf32>) -> tensor<?x2x5x3xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %7 = "mm.constant"() {value = dense<6.0> : tensor<f32>} : () -> tensor<f32>
  %depthwise = "mm.clip"(%5, %6, %7) : (tensor<?x2x5x3xf32, ["N"]>, tensor<f32>, tensor<f32>) -> tensor<?x2x5x3xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<[[-0.5, 0.125, 0.75], [0.125, -0.125, -0.75], [-0.125, -0.0, 0.875]]> : tensor<3x3xf32>} : () -> tensor<3x3xf32>
  %9 = "mm.matmul"(%t, %8) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x3xf32>) -> tensor<?x?x3xf32, ["N", "S"]>
  %10 = "mm.constant"() {value = dense<[0.25, -0.75, 1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %11 = "mm.add"(%9, %10) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3xf32>) -> tensor<?x?x3xf32, ["N", "S"]>
  %12 = "mm.gelu"(%11) {approximate = "none"} : (tensor<?x?x3xf32, ["N", "S"]>) -> tensor<?x?x3xf32, ["N", "S"]>
  %transformer = "mm.add"(%12, %t) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<?x?x3xf32, ["N", "S"]>) -> tensor<?x?x3xf32, ["N", "S"]>
  %13 = "mm.constant"() {value = dense<[[[[-0.25]], [[-0.5]]], [[[0.75]], [[-0.0]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
  %14 = "mm.conv"(%x, %13) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x2x1x1xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %15 = "mm.relu"(%14) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %kept = "mm.add"(%15, %14) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %16 = "mm.constant"() {value = dense<[[[[-0.125]], [[0.125]]], [[[0.375]], [[0.5]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
  %17 = "mm.conv"(%x, %16) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x2x1x1xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %18 = "mm.constant"() {value = dense<[[-0.75, 1.0, 0.5, -0.25]]> : tensor<1x4xf32>} : () -> tensor<1x4xf32>
  %image_kept = "mm.add"(%17, %18) : (tensor<?x2x4x4xf32, ["N"]>, tensor<1x4xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  "mm.yield"(%residual, %depthwise, %transformer, %kept, %image_kept) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x5x3xf32, ["N"]>, tensor<?x?x3xf32, ["N", "S"]>, tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> ()
}) {name = "epilogue", inputs = ["x", "r", "t"], outputs = ["residual", "depthwise", "transformer", "kept", "image_kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x2x4x4xf32, ["N"]>, %r: tensor<?x2x4x4xf32, ["N"]>, %t: tensor<?x?x3xf32, ["N", "S"]>):
  %0 = "mm.constant"() {value = dense<[[[[0.25]], [[-0.25]]], [[[0.0]], [[-0.125]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32> loc("c"("onnx/Conv":0:0))
  %1 = "mm.constant"() {value = dense<[0.125, -0.75]> : tensor<2xf32>} : () -> tensor<2xf32> loc("c"("onnx/Conv":0:0))
  %residual = "mm.fused"(%x, %0, %1, %r) ({
    ^bb0(%2: tensor<?x2x4x4xf32, ["N"]>, %3: tensor<2x2x1x1xf32>, %4: tensor<2xf32>, %5: tensor<?x2x4x4xf32, ["N"]>):
      %6 = "mm.conv"(%2, %3, %4) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x2x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]> loc("c"("onnx/Conv":0:0))
      %7 = "mm.add"(%6, %5) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]> loc("a"("onnx/Add":0:0))
      %8 = "mm.relu"(%7) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]> loc("r"("onnx/Relu":0:0))
      "mm.yield"(%8) : (tensor<?x2x4x4xf32, ["N"]>) -> ()
  }) {kind = "conv"} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x2x1x1xf32>, tensor<2xf32>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]> loc(fused["a"("onnx/Add":0:0), "c"("onnx/Conv":0:0), "r"("onnx/Relu":0:0)])
  %9 = "mm.constant"() {value = dense<[[[[0.375, -0.125], [0.125, -0.125]]], [[[0.125, -0.5], [0.625, -0.875]]]]> : tensor<2x1x2x2xf32>} : () -> tensor<2x1x2x2xf32>
  %10 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %11 = "mm.constant"() {value = dense<6.0> : tensor<f32>} : () -> tensor<f32>
  %depthwise = "mm.fused"(%x, %9, %10, %11) ({
    ^bb0(%12: tensor<?x2x4x4xf32, ["N"]>, %13: tensor<2x1x2x2xf32>, %14: tensor<f32>, %15: tensor<f32>):
      %16 = "mm.conv"(%12, %13) {strides = [], pads = [1 : i64, 0 : i64, 1 : i64, 0 : i64], dilations = [], auto_pad = "notset", group = 2 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x1x2x2xf32>) -> tensor<?x2x5x3xf32, ["N"]>
      %17 = "mm.clip"(%16, %14, %15) : (tensor<?x2x5x3xf32, ["N"]>, tensor<f32>, tensor<f32>) -> tensor<?x2x5x3xf32, ["N"]>
      "mm.yield"(%17) : (tensor<?x2x5x3xf32, ["N"]>) -> ()
  }) {kind = "conv"} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x1x2x2xf32>, tensor<f32>, tensor<f32>) -> tensor<?x2x5x3xf32, ["N"]>
  %18 = "mm.constant"() {value = dense<[[-0.5, 0.125, 0.75], [0.125, -0.125, -0.75], [-0.125, -0.0, 0.875]]> : tensor<3x3xf32>} : () -> tensor<3x3xf32>
  %19 = "mm.constant"() {value = dense<[0.25, -0.75, 1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %transformer = "mm.fused"(%t, %18, %19) ({
    ^bb0(%20: tensor<?x?x3xf32, ["N", "S"]>, %21: tensor<3x3xf32>, %22: tensor<3xf32>):
      %23 = "mm.matmul"(%20, %21) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x3xf32>) -> tensor<?x?x3xf32, ["N", "S"]>
      %24 = "mm.add"(%23, %22) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3xf32>) -> tensor<?x?x3xf32, ["N", "S"]>
      %25 = "mm.gelu"(%24) {approximate = "none"} : (tensor<?x?x3xf32, ["N", "S"]>) -> tensor<?x?x3xf32, ["N", "S"]>
      %26 = "mm.add"(%25, %20) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<?x?x3xf32, ["N", "S"]>) -> tensor<?x?x3xf32, ["N", "S"]>
      "mm.yield"(%26) : (tensor<?x?x3xf32, ["N", "S"]>) -> ()
  }) {kind = "matmul"} : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x3xf32>, tensor<3xf32>) -> tensor<?x?x3xf32, ["N", "S"]>
  %27 = "mm.constant"() {value = dense<[[[[-0.25]], [[-0.5]]], [[[0.75]], [[-0.0]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
  %28 = "mm.conv"(%x, %27) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x2x1x1xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %29 = "mm.relu"(%28) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %kept = "mm.add"(%29, %28) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %30 = "mm.constant"() {value = dense<[[[[-0.125]], [[0.125]]], [[[0.375]], [[0.5]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
  %31 = "mm.conv"(%x, %30) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<2x2x1x1xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %32 = "mm.constant"() {value = dense<[[-0.75, 1.0, 0.5, -0.25]]> : tensor<1x4xf32>} : () -> tensor<1x4xf32>
  %image_kept = "mm.add"(%31, %32) : (tensor<?x2x4x4xf32, ["N"]>, tensor<1x4xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  "mm.yield"(%residual, %depthwise, %transformer, %kept, %image_kept) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x5x3xf32, ["N"]>, tensor<?x?x3xf32, ["N", "S"]>, tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> ()
}) {name = "epilogue", inputs = ["x", "r", "t"], outputs = ["residual", "depthwise", "transformer", "kept", "image_kept"]} : () -> ()
