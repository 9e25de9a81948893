// passes: fold-constants,eliminate-dead-code
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>, %i: tensor<?xi64, ["N"]>):
  %0 = "mm.constant"() {value = dense<[[0.125, -0.125], [0.375, 0.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %1 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %2 = "mm.mul"(%0, %1) : (tensor<2x2xf32>, tensor<f32>) -> tensor<2x2xf32>
  %3 = "mm.transpose"(%2) {permutation = [1 : i64, 0 : i64]} : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %4 = "mm.constant"() {value = dense<[4]> : tensor<1xi64>} : () -> tensor<1xi64>
  %5 = "mm.reshape"(%3, %4) : (tensor<2x2xf32>, tensor<1xi64>) -> tensor<4xf32>
  %folded = "mm.add"(%x, %5) : (tensor<?x4xf32, ["N"]>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<[[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]]> : tensor<3x5xf32>} : () -> tensor<3x5xf32>
  %7 = "mm.size"(%6) : (tensor<3x5xf32>) -> tensor<i64>
  %8 = "mm.cast"(%7) {to = f32, saturate = true, round_mode = "up"} : (tensor<i64>) -> tensor<f32>
  %size = "mm.add"(%x, %8) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<[[-0.25, 0.125, 0.625, 0.5], [-0.375, -0.625, -0.25, 0.0], [-1.125, -0.125, -0.625, -0.375]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %kept = "mm.gather"(%9, %i) {axis = 0 : i64} : (tensor<3x4xf32>, tensor<?xi64, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %10 = "mm.constant"() {value = dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]> : tensor<8xf32>} : () -> tensor<8xf32>
  %11:2 = "mm.split"(%10) {axis = 0 : i64, parts = 2 : i64} : (tensor<8xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  %parts = "mm.sub"(%11#0, %11#1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  "mm.yield"(%folded, %size, %kept, %parts) : (tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<4xf32>) -> ()
}) {name = "constants", inputs = ["x", "i"], outputs = ["folded", "size", "kept", "parts"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>, %i: tensor<?xi64, ["N"]>):
  %0 = "mm.constant"() {value = dense<[0.25, 0.75, -0.25, 0.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  %folded = "mm.add"(%x, %0) : (tensor<?x4xf32, ["N"]>, tensor<4xf32>) -> tensor<?x4xf32, ["N"]>
  %1 = "mm.constant"() {value = dense<15.0> : tensor<f32>} : () -> tensor<f32>
  %size = "mm.add"(%x, %1) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[[-0.25, 0.125, 0.625, 0.5], [-0.375, -0.625, -0.25, 0.0], [-1.125, -0.125, -0.625, -0.375]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  %kept = "mm.gather"(%2, %i) {axis = 0 : i64} : (tensor<3x4xf32>, tensor<?xi64, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %parts = "mm.constant"() {value = dense<[-4.0, -4.0, -4.0, -4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
  "mm.yield"(%folded, %size, %kept, %parts) : (tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<4xf32>) -> ()
}) {name = "constants", inputs = ["x", "i"], outputs = ["folded", "size", "kept", "parts"]} : () -> ()
