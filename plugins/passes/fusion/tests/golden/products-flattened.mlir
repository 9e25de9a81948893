// passes: unify-products,simplify,fuse-epilogue,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%t: tensor<?x3x4xf32, ["B"]>):
  %0 = "mm.constant"() {value = dense<[-1, 4]> : tensor<2xi64>} : () -> tensor<2xi64>
  %1 = "mm.reshape"(%t, %0) : (tensor<?x3x4xf32, ["B"]>, tensor<2xi64>) -> tensor<?x4xf32, ["3*B"]>
  %2 = "mm.constant"() {value = dense<[[0.125, -0.125], [0.375, 0.0], [-0.25, 0.125], [0.625, 0.5]]> : tensor<4x2xf32>} : () -> tensor<4x2xf32>
  %3 = "mm.constant"() {value = dense<[-0.375, -0.625]> : tensor<2xf32>} : () -> tensor<2xf32>
  %4 = "mm.gemm"(%1, %2, %3) {alpha = 1.0 : f64, beta = 1.0 : f64, trans_a = false, trans_b = false} : (tensor<?x4xf32, ["3*B"]>, tensor<4x2xf32>, tensor<2xf32>) -> tensor<?x2xf32, ["3*B"]>
  %5 = "mm.constant"() {value = dense<[-1, 3, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
  %6 = "mm.reshape"(%4, %5) : (tensor<?x2xf32, ["3*B"]>, tensor<3xi64>) -> tensor<?x3x2xf32, ["B"]>
  %7 = "mm.gelu"(%6) {approximate = "none"} : (tensor<?x3x2xf32, ["B"]>) -> tensor<?x3x2xf32, ["B"]>
  %8 = "mm.constant"() {value = dense<[-1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
  %9 = "mm.reshape"(%7, %8) : (tensor<?x3x2xf32, ["B"]>, tensor<2xi64>) -> tensor<?x2xf32, ["3*B"]>
  %10 = "mm.constant"() {value = dense<[[-0.25, 0.0, -1.125, -0.125], [-0.625, -0.375, -0.25, -0.125]]> : tensor<2x4xf32>} : () -> tensor<2x4xf32>
  %11 = "mm.constant"() {value = dense<[0.25, 0.5, -0.125, 0.625]> : tensor<4xf32>} : () -> tensor<4xf32>
  %12 = "mm.gemm"(%9, %10, %11) {alpha = 1.0 : f64, beta = 1.0 : f64, trans_a = false, trans_b = false} : (tensor<?x2xf32, ["3*B"]>, tensor<2x4xf32>, tensor<4xf32>) -> tensor<?x4xf32, ["3*B"]>
  %13 = "mm.constant"() {value = dense<[-1, 3, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %14 = "mm.reshape"(%12, %13) : (tensor<?x4xf32, ["3*B"]>, tensor<3xi64>) -> tensor<?x3x4xf32, ["B"]>
  %gpt2 = "mm.add"(%14, %t) : (tensor<?x3x4xf32, ["B"]>, tensor<?x3x4xf32, ["B"]>) -> tensor<?x3x4xf32, ["B"]>
  "mm.yield"(%gpt2) : (tensor<?x3x4xf32, ["B"]>) -> ()
}) {name = "products_flattened", inputs = ["t"], outputs = ["gpt2"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%t: tensor<?x3x4xf32, ["B"]>):
  %0 = "mm.constant"() {value = dense<[[0.125, -0.125], [0.375, 0.0], [-0.25, 0.125], [0.625, 0.5]]> : tensor<4x2xf32>} : () -> tensor<4x2xf32>
  %1 = "mm.constant"() {value = dense<[-0.375, -0.625]> : tensor<2xf32>} : () -> tensor<2xf32>
  %2 = "mm.fused"(%t, %0, %1) ({
    ^bb0(%3: tensor<?x3x4xf32, ["B"]>, %4: tensor<4x2xf32>, %5: tensor<2xf32>):
      %6 = "mm.matmul"(%3, %4) : (tensor<?x3x4xf32, ["B"]>, tensor<4x2xf32>) -> tensor<?x3x2xf32, ["B"]>
      %7 = "mm.add"(%6, %5) : (tensor<?x3x2xf32, ["B"]>, tensor<2xf32>) -> tensor<?x3x2xf32, ["B"]>
      %8 = "mm.gelu"(%7) {approximate = "none"} : (tensor<?x3x2xf32, ["B"]>) -> tensor<?x3x2xf32, ["B"]>
      "mm.yield"(%8) : (tensor<?x3x2xf32, ["B"]>) -> ()
  }) {kind = "matmul"} : (tensor<?x3x4xf32, ["B"]>, tensor<4x2xf32>, tensor<2xf32>) -> tensor<?x3x2xf32, ["B"]>
  %9 = "mm.constant"() {value = dense<[[-0.25, 0.0, -1.125, -0.125], [-0.625, -0.375, -0.25, -0.125]]> : tensor<2x4xf32>} : () -> tensor<2x4xf32>
  %10 = "mm.constant"() {value = dense<[0.25, 0.5, -0.125, 0.625]> : tensor<4xf32>} : () -> tensor<4xf32>
  %gpt2 = "mm.fused"(%2, %9, %10, %t) ({
    ^bb0(%11: tensor<?x3x2xf32, ["B"]>, %12: tensor<2x4xf32>, %13: tensor<4xf32>, %14: tensor<?x3x4xf32, ["B"]>):
      %15 = "mm.matmul"(%11, %12) : (tensor<?x3x2xf32, ["B"]>, tensor<2x4xf32>) -> tensor<?x3x4xf32, ["B"]>
      %16 = "mm.add"(%15, %13) : (tensor<?x3x4xf32, ["B"]>, tensor<4xf32>) -> tensor<?x3x4xf32, ["B"]>
      %17 = "mm.add"(%16, %14) : (tensor<?x3x4xf32, ["B"]>, tensor<?x3x4xf32, ["B"]>) -> tensor<?x3x4xf32, ["B"]>
      "mm.yield"(%17) : (tensor<?x3x4xf32, ["B"]>) -> ()
  }) {kind = "matmul"} : (tensor<?x3x2xf32, ["B"]>, tensor<2x4xf32>, tensor<4xf32>, tensor<?x3x4xf32, ["B"]>) -> tensor<?x3x4xf32, ["B"]>
  "mm.yield"(%gpt2) : (tensor<?x3x4xf32, ["B"]>) -> ()
}) {name = "products_flattened", inputs = ["t"], outputs = ["gpt2"]} : () -> ()
