// passes: unify-products,fuse-epilogue
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x3xf32, ["N"]>, %t: tensor<?x?x3xf32, ["N", "S"]>):
  %0 = "mm.constant"() {value = dense<[[-0.625, 0.75, 0.25], [-0.125, -0.125, -0.25], [-1.5, 0.0, -0.5], [-0.5, -0.375, 0.375]]> : tensor<4x3xf32>} : () -> tensor<4x3xf32>
  %1 = "mm.constant"() {value = dense<[-0.625, -0.75, 0.375, 0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %2 = "mm.gemm"(%x, %0, %1) {alpha = 1.0 : f64, beta = 1.0 : f64, trans_a = false, trans_b = true} : (tensor<?x3xf32, ["N"]>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
  %gemm = "mm.relu"(%2) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<[[-0.5, 0.25, -0.125, 0.125], [-0.625, 0.375, 0.625, 0.375], [0.25, -1.875, 0.125, -0.0]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %4 = "mm.constant"() {value = dense<[-0.125, -0.375, 0.0, 0.25]> : tensor<4xf32>} : () -> tensor<4xf32>
  %factors = "mm.gemm"(%x, %3, %4) {alpha = 2.0 : f64, beta = 0.5 : f64, trans_a = false, trans_b = false} : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<[[-0.125, -0.25, 0.625], [-0.5, 0.5, 0.125], [-0.375, -0.125, -0.5], [0.375, 0.125, -0.25]]> : tensor<4x3xf32>} : () -> tensor<4x3xf32>
  %6 = "mm.constant"() {value = dense<[-0.5, 0.125, 0.5, -0.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %7 = "mm.linear"(%t, %5, %6) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %linear = "mm.gelu"(%7) {approximate = "none"} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x?x4xf32, ["N", "S"]>
  "mm.yield"(%gemm, %factors, %linear) : (tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x?x4xf32, ["N", "S"]>) -> ()
}) {name = "products", inputs = ["x", "t"], outputs = ["gemm", "factors", "linear"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x3xf32, ["N"]>, %t: tensor<?x?x3xf32, ["N", "S"]>):
  %0 = "mm.constant"() {value = dense<[-0.625, -0.75, 0.375, 0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %1 = "mm.constant"() {value = dense<[[-0.625, -0.125, -1.5, -0.5], [0.75, -0.125, 0.0, -0.375], [0.25, -0.25, -0.5, 0.375]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %gemm = "mm.fused"(%x, %1, %0) ({
    ^bb0(%2: tensor<?x3xf32, ["N"]>, %3: tensor<3x4xf32>, %4: tensor<4xf32>):
      %5 = "mm.matmul"(%2, %3) : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>) -> tensor<?x4xf32, ["N"]>
      %6 = "mm.add"(%5, %4) : (tensor<?x4xf32, ["N"]>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
      %7 = "mm.relu"(%6) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%7) : (tensor<?x4xf32, ["N"]>) -> ()
  }) {kind = "matmul"} : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<[[-0.5, 0.25, -0.125, 0.125], [-0.625, 0.375, 0.625, 0.375], [0.25, -1.875, 0.125, -0.0]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %9 = "mm.constant"() {value = dense<[-0.125, -0.375, 0.0, 0.25]> : tensor<4xf32>} : () -> tensor<4xf32>
  %10 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %11 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %12 = "mm.mul"(%9, %11) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %factors = "mm.fused"(%x, %8, %10, %12) ({
    ^bb0(%13: tensor<?x3xf32, ["N"]>, %14: tensor<3x4xf32>, %15: tensor<f32>, %16: tensor<4xf32>):
      %17 = "mm.matmul"(%13, %14) : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>) -> tensor<?x4xf32, ["N"]>
      %18 = "mm.mul"(%17, %15) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
      %19 = "mm.add"(%18, %16) : (tensor<?x4xf32, ["N"]>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%19) : (tensor<?x4xf32, ["N"]>) -> ()
  }) {kind = "matmul"} : (tensor<?x3xf32, ["N"]>, tensor<3x4xf32>, tensor<f32>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
  %20 = "mm.constant"() {value = dense<[-0.5, 0.125, 0.5, -0.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %21 = "mm.constant"() {value = dense<[[-0.125, -0.5, -0.375, 0.375], [-0.25, 0.5, -0.125, 0.125], [0.625, 0.125, -0.5, -0.25]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %linear = "mm.fused"(%t, %21, %20) ({
    ^bb0(%22: tensor<?x?x3xf32, ["N", "S"]>, %23: tensor<3x4xf32>, %24: tensor<4xf32>):
      %25 = "mm.matmul"(%22, %23) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
      %26 = "mm.add"(%25, %24) : (tensor<?x?x4xf32, ["N", "S"]>, tensor<4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
      %27 = "mm.gelu"(%26) {approximate = "none"} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x?x4xf32, ["N", "S"]>
      "mm.yield"(%27) : (tensor<?x?x4xf32, ["N", "S"]>) -> ()
  }) {kind = "matmul"} : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x4xf32>, tensor<4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  "mm.yield"(%gemm, %factors, %linear) : (tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x?x4xf32, ["N", "S"]>) -> ()
}) {name = "products", inputs = ["x", "t"], outputs = ["gemm", "factors", "linear"]} : () -> ()
