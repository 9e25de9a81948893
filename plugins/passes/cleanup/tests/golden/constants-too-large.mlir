// passes: fold-constants{max-bytes=64},eliminate-dead-code
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<1xf32>):
  %0 = "mm.constant"() {value = dense<1.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<[5, 5]> : tensor<2xi64>} : () -> tensor<2xi64>
  %expanded = "mm.expand"(%0, %1) : (tensor<f32>, tensor<2xi64>) -> tensor<5x5xf32>
  %2 = "mm.constant"() {value = dense<[[-0.25, -0.125, 0.25], [0.5, -0.125, 0.625], [-0.375, 0.125, 0.5], [0.0, -0.375, -0.5]]> : tensor<4x3xf32>} : () -> tensor<4x3xf32>
  %transposed = "mm.transpose"(%2) {permutation = [1 : i64, 0 : i64]} : (tensor<4x3xf32>) -> tensor<3x4xf32>
  "mm.yield"(%expanded, %transposed) : (tensor<5x5xf32>, tensor<3x4xf32>) -> ()
}) {name = "constants_too_large", inputs = ["x"], outputs = ["expanded", "transposed"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<1xf32>):
  %0 = "mm.constant"() {value = dense<1.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<[5, 5]> : tensor<2xi64>} : () -> tensor<2xi64>
  %expanded = "mm.expand"(%0, %1) : (tensor<f32>, tensor<2xi64>) -> tensor<5x5xf32>
  %transposed = "mm.constant"() {value = dense<[[-0.25, 0.5, -0.375, 0.0], [-0.125, -0.125, 0.125, -0.375], [0.25, 0.625, 0.5, -0.5]]> : tensor<3x4xf32>} : () -> tensor<3x4xf32>
  "mm.yield"(%expanded, %transposed) : (tensor<5x5xf32>, tensor<3x4xf32>) -> ()
}) {name = "constants_too_large", inputs = ["x"], outputs = ["expanded", "transposed"]} : () -> ()
