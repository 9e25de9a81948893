// passes: recognize-normalizations
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x?x8xf32, ["N", "S"]>):
  %0 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.pow"(%x, %0) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<f32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %2 = "mm.reduce_mean"(%1) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %3 = "mm.constant"() {value = dense<9.999999974752427e-07> : tensor<f32>} : () -> tensor<f32>
  %4 = "mm.add"(%2, %3) : (tensor<?x?x1xf32, ["N", "S"]>, tensor<f32>) -> tensor<?x?x1xf32, ["N", "S"]>
  %5 = "mm.rsqrt"(%4) : (tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %6 = "mm.mul"(%x, %5) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %7 = "mm.constant"() {value = dense<[0.875, -0.25, 0.125, -0.125, 0.75, 0.625, 0.375, -1.125]> : tensor<8xf32>} : () -> tensor<8xf32>
  %llama = "mm.mul"(%7, %6) : (tensor<8xf32>, tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %8 = "mm.mul"(%x, %x) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %9 = "mm.reduce_mean"(%8) {axes = [2 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %10 = "mm.constant"() {value = dense<9.999999974752427e-07> : tensor<f32>} : () -> tensor<f32>
  %11 = "mm.add"(%9, %10) : (tensor<?x?x1xf32, ["N", "S"]>, tensor<f32>) -> tensor<?x?x1xf32, ["N", "S"]>
  %12 = "mm.sqrt"(%11) : (tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %plain = "mm.div"(%x, %12) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %13 = "mm.reduce_max"(%x) {axes = [1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x1x8xf32, ["N"]>
  %14 = "mm.sub"(%x, %13) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x1x8xf32, ["N"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %15 = "mm.exp"(%14) : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %16 = "mm.reduce_sum"(%15) {axes = [1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x1x8xf32, ["N"]>
  %softmax = "mm.div"(%15, %16) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x1x8xf32, ["N"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %17 = "mm.reduce_max"(%x) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %18 = "mm.sub"(%x, %17) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %19 = "mm.exp"(%18) : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %20 = "mm.reduce_sum"(%19) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %21 = "mm.log"(%20) : (tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %log_softmax = "mm.sub"(%18, %21) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  "mm.yield"(%llama, %plain, %softmax, %log_softmax) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> ()
}) {name = "rms_norm_and_softmax", inputs = ["x"], outputs = ["llama", "plain", "softmax", "log_softmax"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x?x8xf32, ["N", "S"]>):
  %0 = "mm.constant"() {value = dense<[0.875, -0.25, 0.125, -0.125, 0.75, 0.625, 0.375, -1.125]> : tensor<8xf32>} : () -> tensor<8xf32>
  %llama = "mm.rms_norm"(%x, %0) {axis = -1 : i64, epsilon = 9.999999974752427e-07 : f64} : (tensor<?x?x8xf32, ["N", "S"]>, tensor<8xf32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %plain = "mm.rms_norm"(%x) {axis = -1 : i64, epsilon = 9.999999974752427e-07 : f64} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %softmax = "mm.softmax"(%x) {axis = 1 : i64} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %log_softmax = "mm.log_softmax"(%x) {axis = -1 : i64} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  "mm.yield"(%llama, %plain, %softmax, %log_softmax) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> ()
}) {name = "rms_norm_and_softmax", inputs = ["x"], outputs = ["llama", "plain", "softmax", "log_softmax"]} : () -> ()
