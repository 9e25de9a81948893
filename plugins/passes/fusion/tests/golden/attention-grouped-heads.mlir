// passes: simplify,recognize-attention,simplify,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%q: tensor<?x6x5x4xf32, ["B"]>, %k: tensor<?x2x5x4xf32, ["B"]>, %v: tensor<?x2x5x3xf32, ["B"]>, %v3: tensor<?x3x5x3xf32, ["B"]>):
  %0 = "mm.unsqueeze"(%k) {axes = [2 : i64]} : (tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x1x5x4xf32, ["B"]>
  %1 = "mm.constant"() {value = dense<[1, 1, 3, 1, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
  %2 = "mm.expand"(%0, %1) : (tensor<?x2x1x5x4xf32, ["B"]>, tensor<5xi64>) -> tensor<?x2x3x5x4xf32, ["B"]>
  %3 = "mm.constant"() {value = dense<[-1, 6, 5, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %4 = "mm.reshape"(%2, %3) : (tensor<?x2x3x5x4xf32, ["B"]>, tensor<4xi64>) -> tensor<?x6x5x4xf32, ["B"]>
  %5 = "mm.transpose"(%4) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x6x5x4xf32, ["B"]>) -> tensor<?x6x4x5xf32, ["B"]>
  %6 = "mm.matmul"(%q, %5) : (tensor<?x6x5x4xf32, ["B"]>, tensor<?x6x4x5xf32, ["B"]>) -> tensor<?x6x5x5xf32, ["B"]>
  %7 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.mul"(%6, %7) : (tensor<?x6x5x5xf32, ["B"]>, tensor<f32>) -> tensor<?x6x5x5xf32, ["B"]>
  %9 = "mm.softmax"(%8) {axis = -1 : i64} : (tensor<?x6x5x5xf32, ["B"]>) -> tensor<?x6x5x5xf32, ["B"]>
  %10 = "mm.unsqueeze"(%v) {axes = [2 : i64]} : (tensor<?x2x5x3xf32, ["B"]>) -> tensor<?x2x1x5x3xf32, ["B"]>
  %11 = "mm.constant"() {value = dense<[1, 1, 3, 1, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
  %12 = "mm.expand"(%10, %11) : (tensor<?x2x1x5x3xf32, ["B"]>, tensor<5xi64>) -> tensor<?x2x3x5x3xf32, ["B"]>
  %13 = "mm.constant"() {value = dense<[-1, 6, 5, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
  %14 = "mm.reshape"(%12, %13) : (tensor<?x2x3x5x3xf32, ["B"]>, tensor<4xi64>) -> tensor<?x6x5x3xf32, ["B"]>
  %y = "mm.matmul"(%9, %14) : (tensor<?x6x5x5xf32, ["B"]>, tensor<?x6x5x3xf32, ["B"]>) -> tensor<?x6x5x3xf32, ["B"]>
  %15 = "mm.unsqueeze"(%v3) {axes = [2 : i64]} : (tensor<?x3x5x3xf32, ["B"]>) -> tensor<?x3x1x5x3xf32, ["B"]>
  %16 = "mm.constant"() {value = dense<[1, 1, 2, 1, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
  %17 = "mm.expand"(%15, %16) : (tensor<?x3x1x5x3xf32, ["B"]>, tensor<5xi64>) -> tensor<?x3x2x5x3xf32, ["B"]>
  %18 = "mm.constant"() {value = dense<[-1, 6, 5, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
  %19 = "mm.reshape"(%17, %18) : (tensor<?x3x2x5x3xf32, ["B"]>, tensor<4xi64>) -> tensor<?x6x5x3xf32, ["B"]>
  %20 = "mm.matmul"(%q, %5) : (tensor<?x6x5x4xf32, ["B"]>, tensor<?x6x4x5xf32, ["B"]>) -> tensor<?x6x5x5xf32, ["B"]>
  %21 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %22 = "mm.mul"(%20, %21) : (tensor<?x6x5x5xf32, ["B"]>, tensor<f32>) -> tensor<?x6x5x5xf32, ["B"]>
  %23 = "mm.softmax"(%22) {axis = -1 : i64} : (tensor<?x6x5x5xf32, ["B"]>) -> tensor<?x6x5x5xf32, ["B"]>
  %kept = "mm.matmul"(%23, %19) : (tensor<?x6x5x5xf32, ["B"]>, tensor<?x6x5x3xf32, ["B"]>) -> tensor<?x6x5x3xf32, ["B"]>
  "mm.yield"(%y, %kept) : (tensor<?x6x5x3xf32, ["B"]>, tensor<?x6x5x3xf32, ["B"]>) -> ()
}) {name = "attention_grouped_heads", inputs = ["q", "k", "v", "v3"], outputs = ["y", "kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%q: tensor<?x6x5x4xf32, ["B"]>, %k: tensor<?x2x5x4xf32, ["B"]>, %v: tensor<?x2x5x3xf32, ["B"]>, %v3: tensor<?x3x5x3xf32, ["B"]>):
  %0 = "mm.constant"() {value = dense<[-1, 2, 1, 5, 4]> : tensor<5xi64>} : () -> tensor<5xi64>
  %1 = "mm.reshape"(%k, %0) : (tensor<?x2x5x4xf32, ["B"]>, tensor<5xi64>) -> tensor<?x2x1x5x4xf32, ["B"]>
  %2 = "mm.constant"() {value = dense<[1, 1, 3, 1, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
  %3 = "mm.expand"(%1, %2) : (tensor<?x2x1x5x4xf32, ["B"]>, tensor<5xi64>) -> tensor<?x2x3x5x4xf32, ["B"]>
  %4 = "mm.constant"() {value = dense<[-1, 6, 5, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %5 = "mm.reshape"(%3, %4) : (tensor<?x2x3x5x4xf32, ["B"]>, tensor<4xi64>) -> tensor<?x6x5x4xf32, ["B"]>
  %y = "mm.attention"(%q, %k, %v) {scale = 0.5 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x6x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x3xf32, ["B"]>) -> tensor<?x6x5x3xf32, ["B"]>
  %6 = "mm.constant"() {value = dense<[-1, 3, 1, 5, 3]> : tensor<5xi64>} : () -> tensor<5xi64>
  %7 = "mm.reshape"(%v3, %6) : (tensor<?x3x5x3xf32, ["B"]>, tensor<5xi64>) -> tensor<?x3x1x5x3xf32, ["B"]>
  %8 = "mm.constant"() {value = dense<[1, 1, 2, 1, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
  %9 = "mm.expand"(%7, %8) : (tensor<?x3x1x5x3xf32, ["B"]>, tensor<5xi64>) -> tensor<?x3x2x5x3xf32, ["B"]>
  %10 = "mm.constant"() {value = dense<[-1, 6, 5, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
  %11 = "mm.reshape"(%9, %10) : (tensor<?x3x2x5x3xf32, ["B"]>, tensor<4xi64>) -> tensor<?x6x5x3xf32, ["B"]>
  %kept = "mm.attention"(%q, %5, %11) {scale = 0.25 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x6x5x4xf32, ["B"]>, tensor<?x6x5x4xf32, ["B"]>, tensor<?x6x5x3xf32, ["B"]>) -> tensor<?x6x5x3xf32, ["B"]>
  "mm.yield"(%y, %kept) : (tensor<?x6x5x3xf32, ["B"]>, tensor<?x6x5x3xf32, ["B"]>) -> ()
}) {name = "attention_grouped_heads", inputs = ["q", "k", "v", "v3"], outputs = ["y", "kept"]} : () -> ()
