// passes: eliminate-common-subexpressions
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x12xf32, ["N"]>, %y: tensor<?x12xf32, ["N"]>):
  %0 = "mm.add"(%x, %y) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %1 = "mm.add"(%y, %x) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %a = "mm.mul"(%0, %1) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %2 = "mm.sub"(%x, %y) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %3 = "mm.sub"(%y, %x) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %b = "mm.sub"(%2, %3) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %4 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %5 = "mm.add"(%x, %4) : (tensor<?x12xf32, ["N"]>, tensor<f32>) -> tensor<?x12xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %7 = "mm.div"(%6, %5) : (tensor<f32>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<-0.0> : tensor<f32>} : () -> tensor<f32>
  %9 = "mm.add"(%x, %8) : (tensor<?x12xf32, ["N"]>, tensor<f32>) -> tensor<?x12xf32, ["N"]>
  %10 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %11 = "mm.div"(%10, %9) : (tensor<f32>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %zeros_kept = "mm.add"(%7, %11) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %12 = "mm.leaky_relu"(%x) {alpha = 0.5 : f64} : (tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %13 = "mm.leaky_relu"(%x) {alpha = 0.25 : f64} : (tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %attributes_kept = "mm.add"(%12, %13) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  "mm.yield"(%a, %b, %zeros_kept, %attributes_kept) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> ()
}) {name = "common_subexpressions", inputs = ["x", "y"], outputs = ["a", "b", "zeros_kept", "attributes_kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x12xf32, ["N"]>, %y: tensor<?x12xf32, ["N"]>):
  %0 = "mm.add"(%x, %y) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %a = "mm.mul"(%0, %0) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %1 = "mm.sub"(%x, %y) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %2 = "mm.sub"(%y, %x) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %b = "mm.sub"(%1, %2) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %4 = "mm.add"(%x, %3) : (tensor<?x12xf32, ["N"]>, tensor<f32>) -> tensor<?x12xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.div"(%5, %4) : (tensor<f32>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %7 = "mm.constant"() {value = dense<-0.0> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.add"(%x, %7) : (tensor<?x12xf32, ["N"]>, tensor<f32>) -> tensor<?x12xf32, ["N"]>
  %9 = "mm.div"(%5, %8) : (tensor<f32>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %zeros_kept = "mm.add"(%6, %9) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %10 = "mm.leaky_relu"(%x) {alpha = 0.5 : f64} : (tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %11 = "mm.leaky_relu"(%x) {alpha = 0.25 : f64} : (tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  %attributes_kept = "mm.add"(%10, %11) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> tensor<?x12xf32, ["N"]>
  "mm.yield"(%a, %b, %zeros_kept, %attributes_kept) : (tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>, tensor<?x12xf32, ["N"]>) -> ()
}) {name = "common_subexpressions", inputs = ["x", "y"], outputs = ["a", "b", "zeros_kept", "attributes_kept"]} : () -> ()
