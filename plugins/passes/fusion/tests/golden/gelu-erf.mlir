// passes: recognize-activations
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x16xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.mul"(%x, %0) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<1.4142135381698608> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.div"(%x, %2) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %4 = "mm.erf"(%3) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.add"(%4, %5) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %a = "mm.mul"(%1, %6) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %7 = "mm.constant"() {value = dense<0.7071067690849304> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.mul"(%x, %7) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %9 = "mm.erf"(%8) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %10 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %11 = "mm.add"(%10, %9) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %12 = "mm.mul"(%x, %11) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %13 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %b = "mm.mul"(%12, %13) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %14 = "mm.constant"() {value = dense<1.4142135381698608> : tensor<f32>} : () -> tensor<f32>
  %15 = "mm.div"(%x, %14) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %16 = "mm.erf"(%15) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %17 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %18 = "mm.add"(%17, %16) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %19 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %20 = "mm.mul"(%19, %18) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %c = "mm.mul"(%x, %20) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %21 = "mm.constant"() {value = dense<1.4142135381698608> : tensor<f32>} : () -> tensor<f32>
  %22 = "mm.div"(%x, %21) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %23 = "mm.erf"(%22) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %24 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %25 = "mm.add"(%23, %24) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %26 = "mm.mul"(%25, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %27 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %d = "mm.div"(%26, %27) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %28 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %29 = "mm.mul"(%x, %28) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %30 = "mm.constant"() {value = dense<1.5> : tensor<f32>} : () -> tensor<f32>
  %31 = "mm.div"(%x, %30) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %32 = "mm.erf"(%31) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %33 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %34 = "mm.add"(%32, %33) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %kept = "mm.mul"(%29, %34) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  "mm.yield"(%a, %b, %c, %d, %kept) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> ()
}) {name = "gelu_erf", inputs = ["x"], outputs = ["a", "b", "c", "d", "kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x16xf32, ["N"]>):
  %a = "mm.gelu"(%x) {approximate = "none"} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %b = "mm.gelu"(%x) {approximate = "none"} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %c = "mm.gelu"(%x) {approximate = "none"} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %d = "mm.gelu"(%x) {approximate = "none"} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.mul"(%x, %0) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<1.5> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.div"(%x, %2) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %4 = "mm.erf"(%3) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.add"(%4, %5) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %kept = "mm.mul"(%1, %6) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  "mm.yield"(%a, %b, %c, %d, %kept) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> ()
}) {name = "gelu_erf", inputs = ["x"], outputs = ["a", "b", "c", "d", "kept"]} : () -> ()
