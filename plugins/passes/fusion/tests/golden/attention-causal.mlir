// passes: simplify,recognize-attention,simplify,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%q: tensor<?x2x4x4xf32, ["B"]>, %k: tensor<?x2x4x4xf32, ["B"]>, %v: tensor<?x2x4x4xf32, ["B"]>, %m: tensor<?x1x1x4xf32, ["B"]>):
  %0 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %1 = "mm.matmul"(%q, %0) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %2 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.div"(%1, %2) : (tensor<?x2x4x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x4xf32, ["B"]>
  %4 = "mm.constant"() {value = dense<[[[[true, false, false, false], [true, true, false, false], [true, true, true, false], [true, true, true, true]]]]> : tensor<1x1x4x4xi1>} : () -> tensor<1x1x4x4xi1>
  %5 = "mm.constant"() {value = dense<-3.4028234663852886e+38> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.select"(%4, %3, %5) : (tensor<1x1x4x4xi1>, tensor<?x2x4x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x4xf32, ["B"]>
  %7 = "mm.add"(%6, %m) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x1x1x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %8 = "mm.softmax"(%7) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %gpt2 = "mm.matmul"(%8, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %9 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %10 = "mm.matmul"(%q, %9) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %11 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %12 = "mm.div"(%10, %11) : (tensor<?x2x4x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x4xf32, ["B"]>
  %13 = "mm.constant"() {value = dense<[[[[0.0, 0xFF800000, 0xFF800000, 0xFF800000], [0.0, 0.0, 0xFF800000, 0xFF800000], [0.0, 0.0, 0.0, 0xFF800000], [0.0, 0.0, 0.0, 0.0]]]]> : tensor<1x1x4x4xf32>} : () -> tensor<1x1x4x4xf32>
  %14 = "mm.add"(%12, %13) : (tensor<?x2x4x4xf32, ["B"]>, tensor<1x1x4x4xf32>) -> tensor<?x2x4x4xf32, ["B"]>
  %15 = "mm.softmax"(%14) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %added = "mm.matmul"(%15, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %16 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %17 = "mm.matmul"(%q, %16) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %18 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %19 = "mm.div"(%17, %18) : (tensor<?x2x4x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x4xf32, ["B"]>
  %20 = "mm.constant"() {value = dense<[[[[false, true, true, true], [false, false, true, true], [false, false, false, true], [false, false, false, false]]]]> : tensor<1x1x4x4xi1>} : () -> tensor<1x1x4x4xi1>
  %21 = "mm.constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
  %22 = "mm.select"(%20, %21, %19) : (tensor<1x1x4x4xi1>, tensor<f32>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %23 = "mm.softmax"(%22) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %hidden = "mm.matmul"(%23, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  "mm.yield"(%gpt2, %added, %hidden) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> ()
}) {name = "attention_causal", inputs = ["q", "k", "v", "m"], outputs = ["gpt2", "added", "hidden"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%q: tensor<?x2x4x4xf32, ["B"]>, %k: tensor<?x2x4x4xf32, ["B"]>, %v: tensor<?x2x4x4xf32, ["B"]>, %m: tensor<?x1x1x4xf32, ["B"]>):
  %0 = "mm.constant"() {value = dense<[[[[true, false, false, false], [true, true, false, false], [true, true, true, false], [true, true, true, true]]]]> : tensor<1x1x4x4xi1>} : () -> tensor<1x1x4x4xi1>
  %1 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %2 = "mm.constant"() {value = dense<-3.4028234663852886e+38> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.select"(%0, %1, %2) : (tensor<1x1x4x4xi1>, tensor<f32>, tensor<f32>) -> tensor<1x1x4x4xf32>
  %4 = "mm.add"(%m, %3) : (tensor<?x1x1x4xf32, ["B"]>, tensor<1x1x4x4xf32>) -> tensor<?x1x4x4xf32, ["B"]>
  %gpt2 = "mm.attention"(%q, %k, %v, %4) {scale = 0.5 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x1x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %added = "mm.attention"(%q, %k, %v) {scale = 0.5 : f64, causal = true, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %hidden = "mm.attention"(%q, %k, %v) {scale = 0.5 : f64, causal = true, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  "mm.yield"(%gpt2, %added, %hidden) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> ()
}) {name = "attention_causal", inputs = ["q", "k", "v", "m"], outputs = ["gpt2", "added", "hidden"]} : () -> ()
