// passes: fuse-normalization
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x3xf32, ["N"]>, %r: tensor<?x3xf32, ["N"]>, %c: tensor<?x1xf32, ["N"]>):
  %sum = "mm.add"(%x, %r) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %0 = "mm.constant"() {value = dense<[0.75, 0.25, 0.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %1 = "mm.constant"() {value = dense<[-0.5, -0.375, -1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %normal = "mm.layer_norm"(%sum, %0, %1) {axis = -1 : i64, epsilon = 1.0e-05 : f64} : (tensor<?x3xf32, ["N"]>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
  %2 = "mm.add"(%x, %r) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<[-0.875, -1.0, -0.75]> : tensor<3xf32>} : () -> tensor<3xf32>
  %4 = "mm.add"(%2, %3) : (tensor<?x3xf32, ["N"]>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.mul"(%4, %5) : (tensor<?x3xf32, ["N"]>, tensor<f32>) -> tensor<?x3xf32, ["N"]>
  %7 = "mm.constant"() {value = dense<[0.625, 0.375, 0.875]> : tensor<3xf32>} : () -> tensor<3xf32>
  %alone = "mm.rms_norm"(%6, %7) {axis = -1 : i64, epsilon = 1.0e-05 : f64} : (tensor<?x3xf32, ["N"]>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
  %8 = "mm.sub"(%x, %r) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %9 = "mm.add"(%8, %c) : (tensor<?x3xf32, ["N"]>, tensor<?x1xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %used = "mm.relu"(%9) : (tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %10 = "mm.constant"() {value = dense<[0.0, 0.25, 1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %11 = "mm.constant"() {value = dense<[0.5, 0.25, 0.125]> : tensor<3xf32>} : () -> tensor<3xf32>
  %read_between = "mm.layer_norm"(%8, %10, %11) {axis = -1 : i64, epsilon = 1.0e-05 : f64} : (tensor<?x3xf32, ["N"]>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
  %12 = "mm.add"(%x, %c) : (tensor<?x3xf32, ["N"]>, tensor<?x1xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %13 = "mm.constant"() {value = dense<[0.125, 0.875, -0.5]> : tensor<3xf32>} : () -> tensor<3xf32>
  %14 = "mm.constant"() {value = dense<[0.625, 0.375, -1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %a_number_for_each_row = "mm.layer_norm"(%12, %13, %14) {axis = -1 : i64, epsilon = 1.0e-05 : f64} : (tensor<?x3xf32, ["N"]>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
  "mm.yield"(%normal, %sum, %alone, %read_between, %used, %a_number_for_each_row) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> ()
}) {name = "rows", inputs = ["x", "r", "c"], outputs = ["normal", "sum", "alone", "read_between", "used", "a_number_for_each_row"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x3xf32, ["N"]>, %r: tensor<?x3xf32, ["N"]>, %c: tensor<?x1xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[0.75, 0.25, 0.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %1 = "mm.constant"() {value = dense<[-0.5, -0.375, -1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %normal:2 = "mm.fused"(%x, %r, %0, %1) ({
    ^bb0(%2: tensor<?x3xf32, ["N"]>, %3: tensor<?x3xf32, ["N"]>, %4: tensor<3xf32>, %5: tensor<3xf32>):
      %sum = "mm.add"(%2, %3) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
      %6 = "mm.layer_norm"(%sum, %4, %5) {axis = -1 : i64, epsilon = 1.0e-05 : f64} : (tensor<?x3xf32, ["N"]>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
      "mm.yield"(%6, %sum) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> ()
  }) {kind = "normalization"} : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<3xf32>, tensor<3xf32>) -> (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>)
  %7 = "mm.constant"() {value = dense<[-0.875, -1.0, -0.75]> : tensor<3xf32>} : () -> tensor<3xf32>
  %8 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %9 = "mm.constant"() {value = dense<[0.625, 0.375, 0.875]> : tensor<3xf32>} : () -> tensor<3xf32>
  %alone = "mm.fused"(%x, %r, %7, %8, %9) ({
    ^bb0(%10: tensor<?x3xf32, ["N"]>, %11: tensor<?x3xf32, ["N"]>, %12: tensor<3xf32>, %13: tensor<f32>, %14: tensor<3xf32>):
      %15 = "mm.add"(%10, %11) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
      %16 = "mm.add"(%15, %12) : (tensor<?x3xf32, ["N"]>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
      %17 = "mm.mul"(%16, %13) : (tensor<?x3xf32, ["N"]>, tensor<f32>) -> tensor<?x3xf32, ["N"]>
      %18 = "mm.rms_norm"(%17, %14) {axis = -1 : i64, epsilon = 1.0e-05 : f64} : (tensor<?x3xf32, ["N"]>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
      "mm.yield"(%18) : (tensor<?x3xf32, ["N"]>) -> ()
  }) {kind = "normalization"} : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<3xf32>, tensor<f32>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
  %19 = "mm.sub"(%x, %r) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %20 = "mm.add"(%19, %c) : (tensor<?x3xf32, ["N"]>, tensor<?x1xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %used = "mm.relu"(%20) : (tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %21 = "mm.constant"() {value = dense<[0.0, 0.25, 1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %22 = "mm.constant"() {value = dense<[0.5, 0.25, 0.125]> : tensor<3xf32>} : () -> tensor<3xf32>
  %read_between = "mm.layer_norm"(%19, %21, %22) {axis = -1 : i64, epsilon = 1.0e-05 : f64} : (tensor<?x3xf32, ["N"]>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
  %23 = "mm.add"(%x, %c) : (tensor<?x3xf32, ["N"]>, tensor<?x1xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %24 = "mm.constant"() {value = dense<[0.125, 0.875, -0.5]> : tensor<3xf32>} : () -> tensor<3xf32>
  %25 = "mm.constant"() {value = dense<[0.625, 0.375, -1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %a_number_for_each_row = "mm.layer_norm"(%23, %24, %25) {axis = -1 : i64, epsilon = 1.0e-05 : f64} : (tensor<?x3xf32, ["N"]>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32, ["N"]>
  "mm.yield"(%normal#0, %normal#1, %alone, %read_between, %used, %a_number_for_each_row) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> ()
}) {name = "rows", inputs = ["x", "r", "c"], outputs = ["normal", "sum", "alone", "read_between", "used", "a_number_for_each_row"]} : () -> ()
