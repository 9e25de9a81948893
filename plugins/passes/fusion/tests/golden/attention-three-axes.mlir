// passes: simplify,recognize-attention,simplify,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%q: tensor<?x5x4xf32, ["B"]>, %k: tensor<?x5x4xf32, ["B"]>, %v: tensor<?x5x4xf32, ["B"]>, %m: tensor<?x5x5xf32, ["B"]>):
  %0 = "mm.transpose"(%k) {permutation = [0 : i64, 2 : i64, 1 : i64]} : (tensor<?x5x4xf32, ["B"]>) -> tensor<?x4x5xf32, ["B"]>
  %1 = "mm.matmul"(%q, %0) : (tensor<?x5x4xf32, ["B"]>, tensor<?x4x5xf32, ["B"]>) -> tensor<?x5x5xf32, ["B"]>
  %2 = "mm.add"(%1, %m) : (tensor<?x5x5xf32, ["B"]>, tensor<?x5x5xf32, ["B"]>) -> tensor<?x5x5xf32, ["B"]>
  %3 = "mm.softmax"(%2) {axis = -1 : i64} : (tensor<?x5x5xf32, ["B"]>) -> tensor<?x5x5xf32, ["B"]>
  %y = "mm.matmul"(%3, %v) : (tensor<?x5x5xf32, ["B"]>, tensor<?x5x4xf32, ["B"]>) -> tensor<?x5x4xf32, ["B"]>
  "mm.yield"(%y) : (tensor<?x5x4xf32, ["B"]>) -> ()
}) {name = "attention_three_axes", inputs = ["q", "k", "v", "m"], outputs = ["y"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%q: tensor<?x5x4xf32, ["B"]>, %k: tensor<?x5x4xf32, ["B"]>, %v: tensor<?x5x4xf32, ["B"]>, %m: tensor<?x5x5xf32, ["B"]>):
  %0 = "mm.constant"() {value = dense<[-1, 1, 5, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %1 = "mm.reshape"(%q, %0) : (tensor<?x5x4xf32, ["B"]>, tensor<4xi64>) -> tensor<?x1x5x4xf32, ["B"]>
  %2 = "mm.constant"() {value = dense<[-1, 1, 5, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %3 = "mm.reshape"(%k, %2) : (tensor<?x5x4xf32, ["B"]>, tensor<4xi64>) -> tensor<?x1x5x4xf32, ["B"]>
  %4 = "mm.constant"() {value = dense<[-1, 1, 5, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %5 = "mm.reshape"(%v, %4) : (tensor<?x5x4xf32, ["B"]>, tensor<4xi64>) -> tensor<?x1x5x4xf32, ["B"]>
  %6 = "mm.constant"() {value = dense<[-1, 1, 5, 5]> : tensor<4xi64>} : () -> tensor<4xi64>
  %7 = "mm.reshape"(%m, %6) : (tensor<?x5x5xf32, ["B"]>, tensor<4xi64>) -> tensor<?x1x5x5xf32, ["B"]>
  %8 = "mm.attention"(%1, %3, %5, %7) {scale = 1.0 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x1x5x4xf32, ["B"]>, tensor<?x1x5x4xf32, ["B"]>, tensor<?x1x5x4xf32, ["B"]>, tensor<?x1x5x5xf32, ["B"]>) -> tensor<?x1x5x4xf32, ["B"]>
  %9 = "mm.constant"() {value = dense<[-1, 5, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %y = "mm.reshape"(%8, %9) : (tensor<?x1x5x4xf32, ["B"]>, tensor<3xi64>) -> tensor<?x5x4xf32, ["B"]>
  "mm.yield"(%y) : (tensor<?x5x4xf32, ["B"]>) -> ()
}) {name = "attention_three_axes", inputs = ["q", "k", "v", "m"], outputs = ["y"]} : () -> ()
