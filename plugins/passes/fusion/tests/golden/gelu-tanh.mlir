// passes: recognize-activations
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x16xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.mul"(%0, %x) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.pow"(%x, %2) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %4 = "mm.constant"() {value = dense<0.044714998453855515> : tensor<f32>} : () -> tensor<f32>
  %5 = "mm.mul"(%4, %3) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %6 = "mm.add"(%x, %5) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %7 = "mm.constant"() {value = dense<0.7978845834732056> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.mul"(%7, %6) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %9 = "mm.tanh"(%8) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %10 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %11 = "mm.add"(%10, %9) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %a = "mm.mul"(%1, %11) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %12 = "mm.mul"(%x, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %13 = "mm.mul"(%12, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %14 = "mm.constant"() {value = dense<0.044714998453855515> : tensor<f32>} : () -> tensor<f32>
  %15 = "mm.mul"(%13, %14) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %16 = "mm.add"(%15, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %17 = "mm.constant"() {value = dense<0.7978845834732056> : tensor<f32>} : () -> tensor<f32>
  %18 = "mm.mul"(%16, %17) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %19 = "mm.tanh"(%18) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %20 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %21 = "mm.add"(%20, %19) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %22 = "mm.mul"(%21, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %23 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %b = "mm.mul"(%22, %23) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %24 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %25 = "mm.mul"(%24, %x) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %26 = "mm.constant"() {value = dense<0.7978845834732056> : tensor<f32>} : () -> tensor<f32>
  %27 = "mm.mul"(%x, %26) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %28 = "mm.constant"() {value = dense<0.044714998453855515> : tensor<f32>} : () -> tensor<f32>
  %29 = "mm.mul"(%28, %x) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %30 = "mm.mul"(%29, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %31 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %32 = "mm.add"(%31, %30) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %33 = "mm.mul"(%27, %32) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %34 = "mm.tanh"(%33) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %35 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %36 = "mm.add"(%35, %34) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %c = "mm.mul"(%25, %36) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  "mm.yield"(%a, %b, %c) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> ()
}) {name = "gelu_tanh", inputs = ["x"], outputs = ["a", "b", "c"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x16xf32, ["N"]>):
  %a = "mm.gelu"(%x) {approximate = "tanh"} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %b = "mm.gelu"(%x) {approximate = "tanh"} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %c = "mm.gelu"(%x) {approximate = "tanh"} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  "mm.yield"(%a, %b, %c) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> ()
}) {name = "gelu_tanh", inputs = ["x"], outputs = ["a", "b", "c"]} : () -> ()
