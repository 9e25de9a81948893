// passes: fuse-dequantized-weights,fuse-epilogue
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>, %r: tensor<?x2xf32, ["N"]>, %c: tensor<?x4xui8, ["N"]>):
  %0 = "mm.constant"() {value = dense<[[8, 5, 12, 6], [5, 14, 4, 3]]> : tensor<2x4xui4>} : () -> tensor<2x4xui4>
  %1 = "mm.constant"() {value = dense<[[1.5, 1.25], [2.0, 1.875]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %2 = "mm.constant"() {value = dense<[[6, 13], [6, 12]]> : tensor<2x2xui4>} : () -> tensor<2x2xui4>
  %3 = "mm.dequantize"(%0, %1, %2) {axis = 1 : i64, block_size = 2 : i64} : (tensor<2x4xui4>, tensor<2x2xf32>, tensor<2x2xui4>) -> tensor<2x4xf32>
  %4 = "mm.transpose"(%3) {permutation = [1 : i64, 0 : i64]} : (tensor<2x4xf32>) -> tensor<4x2xf32>
  %5 = "mm.matmul"(%x, %4) : (tensor<?x4xf32, ["N"]>, tensor<4x2xf32>) -> tensor<?x2xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<[-0.375, -0.5]> : tensor<2xf32>} : () -> tensor<2xf32>
  %7 = "mm.add"(%5, %6) : (tensor<?x2xf32, ["N"]>, tensor<2xf32>) -> tensor<?x2xf32, ["N"]>
  %8 = "mm.add"(%7, %r) : (tensor<?x2xf32, ["N"]>, tensor<?x2xf32, ["N"]>) -> tensor<?x2xf32, ["N"]>
  %linear = "mm.relu"(%8) : (tensor<?x2xf32, ["N"]>) -> tensor<?x2xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<[[12, 14], [1, 0], [10, 5], [9, 2]]> : tensor<4x2xui4>} : () -> tensor<4x2xui4>
  %10 = "mm.constant"() {value = dense<[1.75, 1.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %11 = "mm.constant"() {value = dense<[14, 12]> : tensor<2xui4>} : () -> tensor<2xui4>
  %12 = "mm.dequantize"(%9, %10, %11) {axis = 1 : i64, block_size = 0 : i64} : (tensor<4x2xui4>, tensor<2xf32>, tensor<2xui4>) -> tensor<4x2xf32>
  %columns = "mm.matmul"(%x, %12) : (tensor<?x4xf32, ["N"]>, tensor<4x2xf32>) -> tensor<?x2xf32, ["N"]>
  %13 = "mm.constant"() {value = dense<[[11, 3, 12, 0], [9, 6, 15, 3], [15, 1, 9, 9], [14, 4, 14, 10]]> : tensor<4x4xui4>} : () -> tensor<4x4xui4>
  %14 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %15 = "mm.dequantize"(%13, %14) {axis = 1 : i64, block_size = 0 : i64} : (tensor<4x4xui4>, tensor<f32>) -> tensor<4x4xf32>
  %16 = "mm.matmul"(%x, %15) : (tensor<?x4xf32, ["N"]>, tensor<4x4xf32>) -> tensor<?x4xf32, ["N"]>
  %shared = "mm.matmul"(%16, %15) : (tensor<?x4xf32, ["N"]>, tensor<4x4xf32>) -> tensor<?x4xf32, ["N"]>
  %17 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %18 = "mm.dequantize"(%c, %17) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x4xui8, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
  %19 = "mm.constant"() {value = dense<[[14, 3], [12, 15], [0, 5], [10, 1]]> : tensor<4x2xui4>} : () -> tensor<4x2xui4>
  %20 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %21 = "mm.dequantize"(%19, %20) {axis = 1 : i64, block_size = 0 : i64} : (tensor<4x2xui4>, tensor<f32>) -> tensor<4x2xf32>
  %integers = "mm.matmul"(%18, %21) : (tensor<?x4xf32, ["N"]>, tensor<4x2xf32>) -> tensor<?x2xf32, ["N"]>
  "mm.yield"(%linear, %columns, %shared, %integers) : (tensor<?x2xf32, ["N"]>, tensor<?x2xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x2xf32, ["N"]>) -> ()
}) {name = "dequantized", inputs = ["x", "r", "c"], outputs = ["linear", "columns", "shared", "integers"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>, %r: tensor<?x2xf32, ["N"]>, %c: tensor<?x4xui8, ["N"]>):
  %0 = "mm.constant"() {value = dense<[[8, 5, 12, 6], [5, 14, 4, 3]]> : tensor<2x4xui4>} : () -> tensor<2x4xui4>
  %1 = "mm.constant"() {value = dense<[[1.5, 1.25], [2.0, 1.875]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %2 = "mm.constant"() {value = dense<[[6, 13], [6, 12]]> : tensor<2x2xui4>} : () -> tensor<2x2xui4>
  %3 = "mm.constant"() {value = dense<[-0.375, -0.5]> : tensor<2xf32>} : () -> tensor<2xf32>
  %linear = "mm.fused"(%0, %1, %2, %x, %3, %r) ({
    ^bb0(%4: tensor<2x4xui4>, %5: tensor<2x2xf32>, %6: tensor<2x2xui4>, %7: tensor<?x4xf32, ["N"]>, %8: tensor<2xf32>, %9: tensor<?x2xf32, ["N"]>):
      %10 = "mm.dequantize"(%4, %5, %6) {axis = 1 : i64, block_size = 2 : i64} : (tensor<2x4xui4>, tensor<2x2xf32>, tensor<2x2xui4>) -> tensor<2x4xf32>
      %11 = "mm.transpose"(%10) {permutation = [1 : i64, 0 : i64]} : (tensor<2x4xf32>) -> tensor<4x2xf32>
      %12 = "mm.matmul"(%7, %11) : (tensor<?x4xf32, ["N"]>, tensor<4x2xf32>) -> tensor<?x2xf32, ["N"]>
      %13 = "mm.add"(%12, %8) : (tensor<?x2xf32, ["N"]>, tensor<2xf32>) -> tensor<?x2xf32, ["N"]>
      %14 = "mm.add"(%13, %9) : (tensor<?x2xf32, ["N"]>, tensor<?x2xf32, ["N"]>) -> tensor<?x2xf32, ["N"]>
      %15 = "mm.relu"(%14) : (tensor<?x2xf32, ["N"]>) -> tensor<?x2xf32, ["N"]>
      "mm.yield"(%15) : (tensor<?x2xf32, ["N"]>) -> ()
  }) {kind = "dequantized_matmul"} : (tensor<2x4xui4>, tensor<2x2xf32>, tensor<2x2xui4>, tensor<?x4xf32, ["N"]>, tensor<2xf32>, tensor<?x2xf32, ["N"]>) -> tensor<?x2xf32, ["N"]>
  %16 = "mm.constant"() {value = dense<[[12, 14], [1, 0], [10, 5], [9, 2]]> : tensor<4x2xui4>} : () -> tensor<4x2xui4>
  %17 = "mm.constant"() {value = dense<[1.75, 1.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %18 = "mm.constant"() {value = dense<[14, 12]> : tensor<2xui4>} : () -> tensor<2xui4>
  %columns = "mm.fused"(%16, %17, %18, %x) ({
    ^bb0(%19: tensor<4x2xui4>, %20: tensor<2xf32>, %21: tensor<2xui4>, %22: tensor<?x4xf32, ["N"]>):
      %23 = "mm.dequantize"(%19, %20, %21) {axis = 1 : i64, block_size = 0 : i64} : (tensor<4x2xui4>, tensor<2xf32>, tensor<2xui4>) -> tensor<4x2xf32>
      %24 = "mm.matmul"(%22, %23) : (tensor<?x4xf32, ["N"]>, tensor<4x2xf32>) -> tensor<?x2xf32, ["N"]>
      "mm.yield"(%24) : (tensor<?x2xf32, ["N"]>) -> ()
  }) {kind = "dequantized_matmul"} : (tensor<4x2xui4>, tensor<2xf32>, tensor<2xui4>, tensor<?x4xf32, ["N"]>) -> tensor<?x2xf32, ["N"]>
  %25 = "mm.constant"() {value = dense<[[11, 3, 12, 0], [9, 6, 15, 3], [15, 1, 9, 9], [14, 4, 14, 10]]> : tensor<4x4xui4>} : () -> tensor<4x4xui4>
  %26 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %27 = "mm.dequantize"(%25, %26) {axis = 1 : i64, block_size = 0 : i64} : (tensor<4x4xui4>, tensor<f32>) -> tensor<4x4xf32>
  %28 = "mm.matmul"(%x, %27) : (tensor<?x4xf32, ["N"]>, tensor<4x4xf32>) -> tensor<?x4xf32, ["N"]>
  %shared = "mm.matmul"(%28, %27) : (tensor<?x4xf32, ["N"]>, tensor<4x4xf32>) -> tensor<?x4xf32, ["N"]>
  %29 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %30 = "mm.dequantize"(%c, %29) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x4xui8, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
  %31 = "mm.constant"() {value = dense<[[14, 3], [12, 15], [0, 5], [10, 1]]> : tensor<4x2xui4>} : () -> tensor<4x2xui4>
  %32 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %33 = "mm.dequantize"(%31, %32) {axis = 1 : i64, block_size = 0 : i64} : (tensor<4x2xui4>, tensor<f32>) -> tensor<4x2xf32>
  %integers = "mm.matmul"(%30, %33) : (tensor<?x4xf32, ["N"]>, tensor<4x2xf32>) -> tensor<?x2xf32, ["N"]>
  "mm.yield"(%linear, %columns, %shared, %integers) : (tensor<?x2xf32, ["N"]>, tensor<?x2xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x2xf32, ["N"]>) -> ()
}) {name = "dequantized", inputs = ["x", "r", "c"], outputs = ["linear", "columns", "shared", "integers"]} : () -> ()
