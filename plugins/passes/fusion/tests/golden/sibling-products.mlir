// passes: merge-sibling-products,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x?x3xf32, ["N", "S"]>, %m: tensor<?x2xf32, ["T"]>):
  %0 = "mm.constant"() {value = dense<[[0.75, 0.25, 0.0, -0.5], [-0.375, -1.0, -0.875, -1.0], [-0.75, 0.625, 0.375, 0.875]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %1 = "mm.matmul"(%x, %0) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %2 = "mm.constant"() {value = dense<[0.0, 0.25, 1.0, 0.5]> : tensor<4xf32>} : () -> tensor<4xf32>
  %3 = "mm.add"(%1, %2) : (tensor<?x?x4xf32, ["N", "S"]>, tensor<4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %4 = "mm.constant"() {value = dense<[[0.25, 0.125, 0.125, 0.875], [-0.5, 0.625, 0.375, -1.0], [-0.25, 0.75, 0.125, -1.0]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %5 = "mm.matmul"(%x, %4) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %6 = "mm.constant"() {value = dense<[0.625, 0.5, 0.75, -0.75]> : tensor<4xf32>} : () -> tensor<4xf32>
  %7 = "mm.add"(%5, %6) : (tensor<?x?x4xf32, ["N", "S"]>, tensor<4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %8 = "mm.constant"() {value = dense<[[-0.875, 0.75, -1.0, 0.125], [-0.875, -0.375, 0.0, -0.125], [-0.25, -1.0, -1.0, -0.75]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %9 = "mm.matmul"(%x, %8) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %10 = "mm.constant"() {value = dense<[-1.0, 0.375, 0.0, 0.375]> : tensor<4xf32>} : () -> tensor<4xf32>
  %11 = "mm.add"(%9, %10) : (tensor<?x?x4xf32, ["N", "S"]>, tensor<4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %12 = "mm.unsqueeze"(%3) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %13 = "mm.transpose"(%12) {permutation = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (tensor<?x1x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %14 = "mm.unsqueeze"(%7) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %15 = "mm.transpose"(%14) {permutation = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (tensor<?x1x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %16 = "mm.unsqueeze"(%11) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %17 = "mm.transpose"(%16) {permutation = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (tensor<?x1x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %packed = "mm.attention"(%13, %15, %17) {causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %18 = "mm.constant"() {value = dense<[[-0.5, 0.25, 0.5, -0.25], [-0.125, 1.0, 0.625, 1.0], [-0.25, 0.375, 1.0, 0.375]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %19 = "mm.matmul"(%x, %18) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %20 = "mm.constant"() {value = dense<[[0.75, 0.375], [0.375, -0.25], [0.75, -0.75]]> : tensor<3x2xf32>} : () -> tensor<3x2xf32>
  %21 = "mm.matmul"(%x, %20) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x2xf32>) -> tensor<?x?x2xf32, ["N", "S"]>
  %22 = "mm.unsqueeze"(%19) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %23 = "mm.unsqueeze"(%21) {axes = [1 : i64]} : (tensor<?x?x2xf32, ["N", "S"]>) -> tensor<?x1x?x2xf32, ["N", "S"]>
  %24 = "mm.constant"() {value = dense<[[0.125, 0.5, 0.75, 0.0], [-0.25, -0.375, -0.125, 0.0], [0.5, 0.875, -0.875, 0.875]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %25 = "mm.matmul"(%x, %24) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %26 = "mm.relu"(%25) : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x?x4xf32, ["N", "S"]>
  %27 = "mm.unsqueeze"(%26) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %of_unequal_widths = "mm.attention"(%27, %22, %23) {causal = true, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x2xf32, ["N", "S"]>) -> tensor<?x1x?x2xf32, ["N", "S"]>
  %28 = "mm.constant"() {value = dense<[[0.125, -0.25], [0.375, 0.125]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %29 = "mm.matmul"(%m, %28) : (tensor<?x2xf32, ["T"]>, tensor<2x2xf32>) -> tensor<?x2xf32, ["T"]>
  %30 = "mm.constant"() {value = dense<[[-0.5, -0.375], [0.5, 0.25]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %31 = "mm.matmul"(%m, %30) : (tensor<?x2xf32, ["T"]>, tensor<2x2xf32>) -> tensor<?x2xf32, ["T"]>
  %left_alone = "mm.mul"(%29, %31) : (tensor<?x2xf32, ["T"]>, tensor<?x2xf32, ["T"]>) -> tensor<?x2xf32, ["T"]>
  "mm.yield"(%packed, %of_unequal_widths, %left_alone) : (tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x2xf32, ["N", "S"]>, tensor<?x2xf32, ["T"]>) -> ()
}) {name = "siblings", inputs = ["x", "m"], outputs = ["packed", "of_unequal_widths", "left_alone"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x?x3xf32, ["N", "S"]>, %m: tensor<?x2xf32, ["T"]>):
  %0 = "mm.constant"() {value = dense_resource<weight_0> : tensor<3x12xf32>} : () -> tensor<3x12xf32>
  %1 = "mm.matmul"(%x, %0) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x12xf32>) -> tensor<?x?x12xf32, ["N", "S"]>
  %2 = "mm.constant"() {value = dense<[0.0, 0.25, 1.0, 0.5, 0.625, 0.5, 0.75, -0.75, -1.0, 0.375, 0.0, 0.375]> : tensor<12xf32>} : () -> tensor<12xf32>
  %3 = "mm.add"(%1, %2) : (tensor<?x?x12xf32, ["N", "S"]>, tensor<12xf32>) -> tensor<?x?x12xf32, ["N", "S"]>
  %4 = "mm.constant"() {value = dense<[4, 4, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %5:3 = "mm.split"(%3, %4) {axis = -1 : i64} : (tensor<?x?x12xf32, ["N", "S"]>, tensor<3xi64>) -> (tensor<?x?x4xf32, ["N", "S"]>, tensor<?x?x4xf32, ["N", "S"]>, tensor<?x?x4xf32, ["N", "S"]>)
  %6 = "mm.unsqueeze"(%5#0) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %7 = "mm.transpose"(%6) {permutation = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (tensor<?x1x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %8 = "mm.unsqueeze"(%5#1) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %9 = "mm.transpose"(%8) {permutation = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (tensor<?x1x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %10 = "mm.unsqueeze"(%5#2) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %11 = "mm.transpose"(%10) {permutation = [0 : i64, 1 : i64, 2 : i64, 3 : i64]} : (tensor<?x1x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %packed = "mm.attention"(%7, %9, %11) {causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %12 = "mm.constant"() {value = dense_resource<weight_1> : tensor<3x6xf32>} : () -> tensor<3x6xf32>
  %13 = "mm.matmul"(%x, %12) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x6xf32>) -> tensor<?x?x6xf32, ["N", "S"]>
  %14 = "mm.constant"() {value = dense<[4, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
  %15:2 = "mm.split"(%13, %14) {axis = -1 : i64} : (tensor<?x?x6xf32, ["N", "S"]>, tensor<2xi64>) -> (tensor<?x?x4xf32, ["N", "S"]>, tensor<?x?x2xf32, ["N", "S"]>)
  %16 = "mm.unsqueeze"(%15#0) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %17 = "mm.unsqueeze"(%15#1) {axes = [1 : i64]} : (tensor<?x?x2xf32, ["N", "S"]>) -> tensor<?x1x?x2xf32, ["N", "S"]>
  %18 = "mm.constant"() {value = dense<[[0.125, 0.5, 0.75, 0.0], [-0.25, -0.375, -0.125, 0.0], [0.5, 0.875, -0.875, 0.875]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %19 = "mm.matmul"(%x, %18) : (tensor<?x?x3xf32, ["N", "S"]>, tensor<3x4xf32>) -> tensor<?x?x4xf32, ["N", "S"]>
  %20 = "mm.relu"(%19) : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x?x4xf32, ["N", "S"]>
  %21 = "mm.unsqueeze"(%20) {axes = [1 : i64]} : (tensor<?x?x4xf32, ["N", "S"]>) -> tensor<?x1x?x4xf32, ["N", "S"]>
  %of_unequal_widths = "mm.attention"(%21, %16, %17) {causal = true, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x2xf32, ["N", "S"]>) -> tensor<?x1x?x2xf32, ["N", "S"]>
  %22 = "mm.constant"() {value = dense<[[0.125, -0.25], [0.375, 0.125]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %23 = "mm.matmul"(%m, %22) : (tensor<?x2xf32, ["T"]>, tensor<2x2xf32>) -> tensor<?x2xf32, ["T"]>
  %24 = "mm.constant"() {value = dense<[[-0.5, -0.375], [0.5, 0.25]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %25 = "mm.matmul"(%m, %24) : (tensor<?x2xf32, ["T"]>, tensor<2x2xf32>) -> tensor<?x2xf32, ["T"]>
  %left_alone = "mm.mul"(%23, %25) : (tensor<?x2xf32, ["T"]>, tensor<?x2xf32, ["T"]>) -> tensor<?x2xf32, ["T"]>
  "mm.yield"(%packed, %of_unequal_widths, %left_alone) : (tensor<?x1x?x4xf32, ["N", "S"]>, tensor<?x1x?x2xf32, ["N", "S"]>, tensor<?x2xf32, ["T"]>) -> ()
}) {name = "siblings", inputs = ["x", "m"], outputs = ["packed", "of_unequal_widths", "left_alone"]} : () -> ()
