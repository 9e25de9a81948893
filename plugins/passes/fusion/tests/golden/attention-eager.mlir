// passes: simplify,recognize-attention,simplify,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%q: tensor<?x5x8xf32, ["B"]>, %k: tensor<?x5x8xf32, ["B"]>, %v: tensor<?x5x8xf32, ["B"]>, %m: tensor<?x1x1x5xf32, ["B"]>):
  %0 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %1 = "mm.reshape"(%k, %0) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %2 = "mm.transpose"(%1) {permutation = [0 : i64, 2 : i64, 3 : i64, 1 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x4x5xf32, ["B"]>
  %3 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %4 = "mm.reshape"(%q, %3) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %5 = "mm.transpose"(%4) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %6 = "mm.matmul"(%5, %2) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x4x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %7 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.div"(%6, %7) : (tensor<?x2x5x5xf32, ["B"]>, tensor<f32>) -> tensor<?x2x5x5xf32, ["B"]>
  %9 = "mm.add"(%8, %m) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x1x1x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %10 = "mm.softmax"(%9) {axis = -1 : i64} : (tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %11 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %12 = "mm.reshape"(%v, %11) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %13 = "mm.transpose"(%12) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %14 = "mm.matmul"(%10, %13) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %15 = "mm.transpose"(%14) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x5x2x4xf32, ["B"]>
  %16 = "mm.constant"() {value = dense<[-1, 5, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
  %bert = "mm.reshape"(%15, %16) : (tensor<?x5x2x4xf32, ["B"]>, tensor<3xi64>) -> tensor<?x5x8xf32, ["B"]>
  %17 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %18 = "mm.reshape"(%q, %17) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %19 = "mm.transpose"(%18) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %20 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %21 = "mm.reshape"(%k, %20) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %22 = "mm.transpose"(%21) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %23 = "mm.transpose"(%22) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x4x5xf32, ["B"]>
  %24 = "mm.matmul"(%19, %23) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x4x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %25 = "mm.constant"() {value = dense<0.3499999940395355> : tensor<f32>} : () -> tensor<f32>
  %26 = "mm.mul"(%24, %25) : (tensor<?x2x5x5xf32, ["B"]>, tensor<f32>) -> tensor<?x2x5x5xf32, ["B"]>
  %27 = "mm.softmax"(%26) {axis = -1 : i64} : (tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %28 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %29 = "mm.reshape"(%v, %28) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %30 = "mm.transpose"(%29) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %vit = "mm.matmul"(%27, %30) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %31 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %32 = "mm.reshape"(%q, %31) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %33 = "mm.transpose"(%32) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %34 = "mm.matmul"(%33, %2) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x4x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %weights = "mm.softmax"(%34) {axis = -1 : i64} : (tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %35 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %36 = "mm.reshape"(%v, %35) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %37 = "mm.transpose"(%36) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %kept_for_weights = "mm.matmul"(%weights, %37) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  "mm.yield"(%bert, %vit, %kept_for_weights, %weights) : (tensor<?x5x8xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x5xf32, ["B"]>) -> ()
}) {name = "attention_eager", inputs = ["q", "k", "v", "m"], outputs = ["bert", "vit", "kept_for_weights", "weights"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%q: tensor<?x5x8xf32, ["B"]>, %k: tensor<?x5x8xf32, ["B"]>, %v: tensor<?x5x8xf32, ["B"]>, %m: tensor<?x1x1x5xf32, ["B"]>):
  %0 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %1 = "mm.reshape"(%k, %0) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %2 = "mm.transpose"(%1) {permutation = [0 : i64, 2 : i64, 3 : i64, 1 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x4x5xf32, ["B"]>
  %3 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %4 = "mm.reshape"(%q, %3) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %5 = "mm.transpose"(%4) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %6 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %7 = "mm.reshape"(%v, %6) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %8 = "mm.transpose"(%7) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %9 = "mm.transpose"(%1) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %10 = "mm.attention"(%5, %9, %8, %m) {scale = 0.5 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x1x1x5xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %11 = "mm.transpose"(%10) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x5x2x4xf32, ["B"]>
  %12 = "mm.constant"() {value = dense<[-1, 5, 8]> : tensor<3xi64>} : () -> tensor<3xi64>
  %bert = "mm.reshape"(%11, %12) : (tensor<?x5x2x4xf32, ["B"]>, tensor<3xi64>) -> tensor<?x5x8xf32, ["B"]>
  %13 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %14 = "mm.reshape"(%q, %13) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %15 = "mm.transpose"(%14) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %16 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %17 = "mm.reshape"(%k, %16) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %18 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %19 = "mm.reshape"(%v, %18) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %20 = "mm.transpose"(%19) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %21 = "mm.transpose"(%17) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %vit = "mm.attention"(%15, %21, %20) {scale = 0.3499999940395355 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %22 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %23 = "mm.reshape"(%q, %22) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %24 = "mm.transpose"(%23) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %25 = "mm.matmul"(%24, %2) : (tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x4x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %weights = "mm.softmax"(%25) {axis = -1 : i64} : (tensor<?x2x5x5xf32, ["B"]>) -> tensor<?x2x5x5xf32, ["B"]>
  %26 = "mm.constant"() {value = dense<[-1, 5, 2, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %27 = "mm.reshape"(%v, %26) : (tensor<?x5x8xf32, ["B"]>, tensor<4xi64>) -> tensor<?x5x2x4xf32, ["B"]>
  %28 = "mm.transpose"(%27) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x5x2x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  %kept_for_weights = "mm.matmul"(%weights, %28) : (tensor<?x2x5x5xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>) -> tensor<?x2x5x4xf32, ["B"]>
  "mm.yield"(%bert, %vit, %kept_for_weights, %weights) : (tensor<?x5x8xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x4xf32, ["B"]>, tensor<?x2x5x5xf32, ["B"]>) -> ()
}) {name = "attention_eager", inputs = ["q", "k", "v", "m"], outputs = ["bert", "vit", "kept_for_weights", "weights"]} : () -> ()
