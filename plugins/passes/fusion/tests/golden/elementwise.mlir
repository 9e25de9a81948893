// passes: fuse-elementwise
// tolerance: 1e-06
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x8xf32, ["N"]>, %y: tensor<?x8xf32, ["N"]>, %v: tensor<8xf32>):
  %0 = "mm.add"(%x, %y) : (tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %1 = "mm.mul"(%0, %v) : (tensor<?x8xf32, ["N"]>, tensor<8xf32>) -> tensor<?x8xf32, ["N"]>
  %2 = "mm.exp"(%1) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %3 = "mm.sub"(%2, %0) : (tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %4 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %5 = "mm.less"(%3, %4) : (tensor<?x8xf32, ["N"]>, tensor<f32>) -> tensor<?x8xi1, ["N"]>
  %one_group = "mm.select"(%5, %0, %3) : (tensor<?x8xi1, ["N"]>, tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %6 = "mm.neg"(%y) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %shared = "mm.tanh"(%6) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %7 = "mm.abs"(%shared) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %after = "mm.sqrt"(%7) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %8 = "mm.shape"(%x) {start = 0 : i64} : (tensor<?x8xf32, ["N"]>) -> tensor<2xi64>
  %9 = "mm.constant"() {value = dense<2> : tensor<i64>} : () -> tensor<i64>
  %10 = "mm.mul"(%8, %9) : (tensor<2xi64>, tensor<i64>) -> tensor<2xi64>
  %11 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
  %shape_kept = "mm.add"(%10, %11) : (tensor<2xi64>, tensor<i64>) -> tensor<2xi64>
  "mm.yield"(%one_group, %shared, %after, %shape_kept) : (tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>, tensor<2xi64>) -> ()
}) {name = "elementwise", inputs = ["x", "y", "v"], outputs = ["one_group", "shared", "after", "shape_kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x8xf32, ["N"]>, %y: tensor<?x8xf32, ["N"]>, %v: tensor<8xf32>):
  %0 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %one_group = "mm.fused"(%x, %y, %v, %0) ({
    ^bb0(%1: tensor<?x8xf32, ["N"]>, %2: tensor<?x8xf32, ["N"]>, %3: tensor<8xf32>, %4: tensor<f32>):
      %5 = "mm.add"(%1, %2) : (tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
      %6 = "mm.mul"(%5, %3) : (tensor<?x8xf32, ["N"]>, tensor<8xf32>) -> tensor<?x8xf32, ["N"]>
      %7 = "mm.exp"(%6) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
      %8 = "mm.sub"(%7, %5) : (tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
      %9 = "mm.less"(%8, %4) : (tensor<?x8xf32, ["N"]>, tensor<f32>) -> tensor<?x8xi1, ["N"]>
      %10 = "mm.select"(%9, %5, %8) : (tensor<?x8xi1, ["N"]>, tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
      "mm.yield"(%10) : (tensor<?x8xf32, ["N"]>) -> ()
  }) {kind = "elementwise"} : (tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>, tensor<8xf32>, tensor<f32>) -> tensor<?x8xf32, ["N"]>
  %shared = "mm.fused"(%y) ({
    ^bb0(%11: tensor<?x8xf32, ["N"]>):
      %12 = "mm.neg"(%11) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
      %13 = "mm.tanh"(%12) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
      "mm.yield"(%13) : (tensor<?x8xf32, ["N"]>) -> ()
  }) {kind = "elementwise"} : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %after = "mm.fused"(%shared) ({
    ^bb0(%14: tensor<?x8xf32, ["N"]>):
      %15 = "mm.abs"(%14) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
      %16 = "mm.sqrt"(%15) : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
      "mm.yield"(%16) : (tensor<?x8xf32, ["N"]>) -> ()
  }) {kind = "elementwise"} : (tensor<?x8xf32, ["N"]>) -> tensor<?x8xf32, ["N"]>
  %17 = "mm.shape"(%x) {start = 0 : i64} : (tensor<?x8xf32, ["N"]>) -> tensor<2xi64>
  %18 = "mm.constant"() {value = dense<2> : tensor<i64>} : () -> tensor<i64>
  %19 = "mm.mul"(%17, %18) : (tensor<2xi64>, tensor<i64>) -> tensor<2xi64>
  %20 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
  %shape_kept = "mm.add"(%19, %20) : (tensor<2xi64>, tensor<i64>) -> tensor<2xi64>
  "mm.yield"(%one_group, %shared, %after, %shape_kept) : (tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>, tensor<?x8xf32, ["N"]>, tensor<2xi64>) -> ()
}) {name = "elementwise", inputs = ["x", "y", "v"], outputs = ["one_group", "shared", "after", "shape_kept"]} : () -> ()
