// passes: recognize-activations
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x16xf32, ["N"]>):
  %0 = "mm.sigmoid"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %silu = "mm.mul"(%x, %0) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %1 = "mm.neg"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %2 = "mm.exp"(%1) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %4 = "mm.add"(%2, %3) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %silu2 = "mm.div"(%x, %4) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %5 = "mm.neg"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %6 = "mm.exp"(%5) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %7 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.add"(%7, %6) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %10 = "mm.div"(%9, %8) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %silu3 = "mm.mul"(%x, %10) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %11 = "mm.constant"() {value = dense<1.7020000219345093> : tensor<f32>} : () -> tensor<f32>
  %12 = "mm.mul"(%x, %11) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %13 = "mm.sigmoid"(%12) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %quick_gelu = "mm.mul"(%x, %13) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %14 = "mm.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %15 = "mm.add"(%x, %14) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %16 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %17 = "mm.constant"() {value = dense<6.0> : tensor<f32>} : () -> tensor<f32>
  %18 = "mm.clip"(%15, %16, %17) : (tensor<?x16xf32, ["N"]>, tensor<f32>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %19 = "mm.constant"() {value = dense<6.0> : tensor<f32>} : () -> tensor<f32>
  %20 = "mm.div"(%18, %19) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %hard_swish = "mm.mul"(%x, %20) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %21 = "mm.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %22 = "mm.add"(%x, %21) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %23 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %24 = "mm.constant"() {value = dense<6.0> : tensor<f32>} : () -> tensor<f32>
  %25 = "mm.clip"(%22, %23, %24) : (tensor<?x16xf32, ["N"]>, tensor<f32>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %26 = "mm.mul"(%25, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %27 = "mm.constant"() {value = dense<6.0> : tensor<f32>} : () -> tensor<f32>
  %hard_swish2 = "mm.div"(%26, %27) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %28 = "mm.hard_sigmoid"(%x) {alpha = 0.16666666666666666 : f64, beta = 0.5 : f64} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %hard_swish3 = "mm.mul"(%x, %28) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %29 = "mm.constant"() {value = dense<-1.0> : tensor<f32>} : () -> tensor<f32>
  %30 = "mm.maximum"(%x, %29) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %31 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %clip = "mm.minimum"(%30, %31) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %32 = "mm.relu"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %33 = "mm.constant"() {value = dense<6.0> : tensor<f32>} : () -> tensor<f32>
  %relu6 = "mm.minimum"(%32, %33) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %34 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %relu = "mm.maximum"(%34, %x) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %35 = "mm.softplus"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %36 = "mm.tanh"(%35) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %mish = "mm.mul"(%x, %36) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %37 = "mm.sigmoid"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %38 = "mm.mul"(%x, %37) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %silu_kept_for_other_use = "mm.add"(%38, %37) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  "mm.yield"(%silu, %silu2, %silu3, %quick_gelu, %hard_swish, %hard_swish2, %hard_swish3, %clip, %relu6, %relu, %mish, %silu_kept_for_other_use) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> ()
}) {name = "activations", inputs = ["x"], outputs = ["silu", "silu2", "silu3", "quick_gelu", "hard_swish", "hard_swish2", "hard_swish3", "clip", "relu6", "relu", "mish", "silu_kept_for_other_use"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x16xf32, ["N"]>):
  %silu = "mm.silu"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %silu2 = "mm.silu"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %silu3 = "mm.silu"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %quick_gelu = "mm.swish"(%x) {alpha = 1.7020000219345093 : f64} : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %hard_swish = "mm.hard_swish"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %hard_swish2 = "mm.hard_swish"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %hard_swish3 = "mm.hard_swish"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %0 = "mm.constant"() {value = dense<-1.0> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %clip = "mm.clip"(%x, %0, %1) : (tensor<?x16xf32, ["N"]>, tensor<f32>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.constant"() {value = dense<6.0> : tensor<f32>} : () -> tensor<f32>
  %relu6 = "mm.clip"(%x, %2, %3) : (tensor<?x16xf32, ["N"]>, tensor<f32>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %relu = "mm.relu"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %mish = "mm.mish"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %4 = "mm.sigmoid"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %5 = "mm.mul"(%x, %4) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %silu_kept_for_other_use = "mm.add"(%5, %4) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  "mm.yield"(%silu, %silu2, %silu3, %quick_gelu, %hard_swish, %hard_swish2, %hard_swish3, %clip, %relu6, %relu, %mish, %silu_kept_for_other_use) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> ()
}) {name = "activations", inputs = ["x"], outputs = ["silu", "silu2", "silu3", "quick_gelu", "hard_swish", "hard_swish2", "hard_swish3", "clip", "relu6", "relu", "mish", "silu_kept_for_other_use"]} : () -> ()
