// passes: simplify,recognize-attention,simplify,eliminate-dead-code
// tolerance: 1e-05
// nan: no
"mm.network"() ({
^bb0(%q: tensor<?x2x5x4xf32, ["B"]>, %k: tensor<?x2x5x4xf32, ["B"]>, %v: tensor<?x2x5x4xf32, ["B"]>, %m: tensor<?x1x5x5xi1, ["B"]>):
  %0 = "mm.constant"() {value = dense<0.7071067690849304> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.mul"(%q, %0) : (tensor<?x2x5x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x5x4xf32, ["B"]>
  %2 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x4x5xf32, ["B"]>
  %3 = "mm.constant"() {value = dense<0.7071067690849304> : tensor<f32>} : () -> tensor<f32>
  %4 = "mm.mul"(%2, %3) : (tensor<?x2x4x5xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x5xf32, ["B"]>
  %5 = "mm.matmul"(%1, %4) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x4x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %6 = "mm.softmax"(%5) {axis = -1 : i64} : (tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %both_scaled = "mm.matmul"(%6, %v) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %7 = "mm.constant"() {value = dense<0.7071067690849304> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.mul"(%q, %7) : (tensor<?x2x5x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x5x4xf32, ["B"]>
  %9 = "mm.constant"() {value = dense<0.7071067690849304> : tensor<f32>} : () -> tensor<f32>
  %10 = "mm.mul"(%k, %9) : (tensor<?x2x5x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x5x4xf32, ["B"]>
  %11 = "mm.transpose"(%10) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x4x5xf32, ["B"]>
  %12 = "mm.matmul"(%8, %11) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x4x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %13 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %14 = "mm.constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
  %15 = "mm.select"(%m, %13, %14) : (tensor<?x1x5x5xi1, ["B"]>, tensor<f32>, tensor<f32>) -> tensor<?x1x5x5xf32, ["B"]>
  %16 = "mm.add"(%12, %15) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x1x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %17 = "mm.softmax"(%16) {axis = -1 : i64} : (tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %18 = "mm.is_nan"(%17) : (tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xi1, ["B"]>
  %19 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %20 = "mm.select"(%18, %19, %17) : (tensor<?x2x5x5xi1, ["B"]>, tensor<f32>, tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %guarded = "mm.matmul"(%20, %v) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %21 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x4x5xf32, ["B"]>
  %22 = "mm.matmul"(%q, %21) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x4x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %23 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %24 = "mm.mul"(%22, %23) : (tensor<?x2x5x5xf32, ["B"]>, tensor<f32>) -> tensor<?x2x5x5xf32, ["B"]>
  %25 = "mm.constant"() {value = dense<-1000000000.0> : tensor<f32>} : () -> tensor<f32>
  %26 = "mm.select"(%m, %24, %25) : (tensor<?x1x5x5xi1, ["B"]>, tensor<?x2x5x5xf32, ["B"]>, tensor<f32>) -> tensor<?x2x5x5xf32, ["B"]>
  %27 = "mm.softmax"(%26) {axis = -1 : i64} : (tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %selected = "mm.matmul"(%27, %v) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  "mm.yield"(%both_scaled, %guarded, %selected) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> ()
}) {name = "attention_sdpa", inputs = ["q", "k", "v", "m"], outputs = ["both_scaled", "guarded", "selected"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%q: tensor<?x2x5x4xf32, ["B"]>, %k: tensor<?x2x5x4xf32, ["B"]>, %v: tensor<?x2x5x4xf32, ["B"]>, %m: tensor<?x1x5x5xi1, ["B"]>):
  %both_scaled = "mm.attention"(%q, %k, %v) {scale = 0.4999999828857291 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %0 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
  %2 = "mm.select"(%m, %0, %1) : (tensor<?x1x5x5xi1, ["B"]>, tensor<f32>, tensor<f32>) -> tensor<?x1x5x5xf32, ["B"]>
  %guarded = "mm.attention"(%q, %k, %v, %2) {scale = 0.4999999828857291 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x1x5x5xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %3 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %4 = "mm.constant"() {value = dense<-1000000000.0> : tensor<f32>} : () -> tensor<f32>
  %5 = "mm.select"(%m, %3, %4) : (tensor<?x1x5x5xi1, ["B"]>, tensor<f32>, tensor<f32>) -> tensor<?x1x5x5xf32, ["B"]>
  %selected = "mm.attention"(%q, %k, %v, %5) {scale = 0.5 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x1x5x5xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  "mm.yield"(%both_scaled, %guarded, %selected) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> ()
}) {name = "attention_sdpa", inputs = ["q", "k", "v", "m"], outputs = ["both_scaled", "guarded", "selected"]} : () -> ()
