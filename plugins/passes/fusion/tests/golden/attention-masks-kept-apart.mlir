// passes: simplify,recognize-attention,simplify,eliminate-dead-code
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%q: tensor<?x2x4x4xf32, ["B"]>, %k: tensor<?x2x4x4xf32, ["B"]>, %v: tensor<?x2x4x4xf32, ["B"]>, %m: tensor<?x1x1x4xf32, ["B"]>, %c: tensor<?x1x4x4xi1, ["B"]>):
  %0 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %1 = "mm.matmul"(%q, %0) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %2 = "mm.constant"() {value = dense<-10000.0> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.select"(%c, %1, %2) : (tensor<?x1x4x4xi1, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x4xf32, ["B"]>
  %4 = "mm.softmax"(%3) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %refused = "mm.matmul"(%4, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %5 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %6 = "mm.matmul"(%q, %5) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %7 = "mm.constant"() {value = dense<[[[[true, false, false, false], [true, true, false, false], [true, true, true, false], [true, true, true, true]]]]> : tensor<1x1x4x4xi1>} : () -> tensor<1x1x4x4xi1>
  %8 = "mm.constant"() {value = dense<-10000.0> : tensor<f32>} : () -> tensor<f32>
  %9 = "mm.select"(%7, %6, %8) : (tensor<1x1x4x4xi1>, tensor<?x2x4x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x4xf32, ["B"]>
  %10 = "mm.softmax"(%9) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %causal = "mm.matmul"(%10, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %11 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %12 = "mm.matmul"(%q, %11) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %13 = "mm.constant"() {value = dense<[[[[true, false, false, false], [true, true, false, false], [true, true, true, false], [true, true, true, true]]]]> : tensor<1x1x4x4xi1>} : () -> tensor<1x1x4x4xi1>
  %14 = "mm.constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
  %15 = "mm.select"(%13, %12, %14) : (tensor<1x1x4x4xi1>, tensor<?x2x4x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x4xf32, ["B"]>
  %16 = "mm.add"(%15, %m) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x1x1x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %17 = "mm.softmax"(%16) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %causal_and_mask = "mm.matmul"(%17, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %18 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %19 = "mm.matmul"(%q, %18) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %20 = "mm.constant"() {value = dense<[[[1.0]], [[2.0]]]> : tensor<2x1x1xf32>} : () -> tensor<2x1x1xf32>
  %21 = "mm.mul"(%19, %20) : (tensor<?x2x4x4xf32, ["B"]>, tensor<2x1x1xf32>) -> tensor<?x2x4x4xf32, ["B"]>
  %22 = "mm.softmax"(%21) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %scale_refused = "mm.matmul"(%22, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %23 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %24 = "mm.matmul"(%q, %23) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %25 = "mm.softmax"(%24) {axis = 2 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %axis_refused = "mm.matmul"(%25, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %26 = "mm.shape"(%q) {start = 0 : i64, end = 1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<1xi64>
  %27 = "mm.constant"() {value = dense<[1, 4, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %28 = "mm.concat"(%26, %27) {axis = 0 : i64} : (tensor<1xi64>, tensor<3xi64>) -> tensor<4xi64>
  %29 = "mm.constant"() {value = dense<[[[[true], [true], [true], [true]]]]> : tensor<1x1x4x1xi1>} : () -> tensor<1x1x4x1xi1>
  %30 = "mm.expand"(%29, %28) : (tensor<1x1x4x1xi1>, tensor<4xi64>) -> tensor<?x1x4x4xi1, ["B"]>
  %31 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %32 = "mm.matmul"(%q, %31) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %33 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %34 = "mm.constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
  %35 = "mm.select"(%30, %33, %34) : (tensor<?x1x4x4xi1, ["B"]>, tensor<f32>, tensor<f32>) -> tensor<?x1x4x4xf32, ["B"]>
  %36 = "mm.add"(%32, %35) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x1x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %37 = "mm.softmax"(%36) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %mask_of_zeros = "mm.matmul"(%37, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  "mm.yield"(%refused, %causal, %causal_and_mask, %scale_refused, %axis_refused, %mask_of_zeros) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> ()
}) {name = "attention_masks_kept_apart", inputs = ["q", "k", "v", "m", "c"], outputs = ["refused", "causal", "causal_and_mask", "scale_refused", "axis_refused", "mask_of_zeros"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%q: tensor<?x2x4x4xf32, ["B"]>, %k: tensor<?x2x4x4xf32, ["B"]>, %v: tensor<?x2x4x4xf32, ["B"]>, %m: tensor<?x1x1x4xf32, ["B"]>, %c: tensor<?x1x4x4xi1, ["B"]>):
  %0 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %1 = "mm.matmul"(%q, %0) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %2 = "mm.constant"() {value = dense<-10000.0> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.select"(%c, %1, %2) : (tensor<?x1x4x4xi1, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<f32>) -> tensor<?x2x4x4xf32, ["B"]>
  %4 = "mm.softmax"(%3) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %refused = "mm.matmul"(%4, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %causal = "mm.attention"(%q, %k, %v) {scale = 1.0 : f64, causal = true, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %causal_and_mask = "mm.attention"(%q, %k, %v, %m) {scale = 1.0 : f64, causal = true, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x1x1x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %5 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %6 = "mm.matmul"(%q, %5) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %7 = "mm.constant"() {value = dense<[[[1.0]], [[2.0]]]> : tensor<2x1x1xf32>} : () -> tensor<2x1x1xf32>
  %8 = "mm.mul"(%6, %7) : (tensor<?x2x4x4xf32, ["B"]>, tensor<2x1x1xf32>) -> tensor<?x2x4x4xf32, ["B"]>
  %9 = "mm.softmax"(%8) {axis = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %scale_refused = "mm.matmul"(%9, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %10 = "mm.transpose"(%k) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %11 = "mm.matmul"(%q, %10) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %12 = "mm.softmax"(%11) {axis = 2 : i64} : (tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %axis_refused = "mm.matmul"(%12, %v) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  %mask_of_zeros = "mm.attention"(%q, %k, %v) {scale = 1.0 : f64, causal = false, alignment = "top_left", softcap = 0.0 : f64, left_window = -1 : i64, right_window = -1 : i64} : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> tensor<?x2x4x4xf32, ["B"]>
  "mm.yield"(%refused, %causal, %causal_and_mask, %scale_refused, %axis_refused, %mask_of_zeros) : (tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>, tensor<?x2x4x4xf32, ["B"]>) -> ()
}) {name = "attention_masks_kept_apart", inputs = ["q", "k", "v", "m", "c"], outputs = ["refused", "causal", "causal_and_mask", "scale_refused", "axis_refused", "mask_of_zeros"]} : () -> ()
