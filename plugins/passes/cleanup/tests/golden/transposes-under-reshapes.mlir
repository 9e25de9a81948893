// passes: simplify,eliminate-dead-code
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<2x3x2x5x4xf32>, %z: tensor<?x2x3x5x4xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[12, 5, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %1 = "mm.reshape"(%x, %0) : (tensor<2x3x2x5x4xf32>, tensor<3xi64>) -> tensor<12x5x4xf32>
  %2 = "mm.transpose"(%1) {permutation = [0 : i64, 2 : i64, 1 : i64]} : (tensor<12x5x4xf32>) -> tensor<12x4x5xf32>
  %3 = "mm.constant"() {value = dense<[2, 6, 4, 5]> : tensor<4xi64>} : () -> tensor<4xi64>
  %a = "mm.reshape"(%2, %3) : (tensor<12x4x5xf32>, tensor<4xi64>) -> tensor<2x6x4x5xf32>
  %4 = "mm.constant"() {value = dense<[12, 5, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %5 = "mm.reshape"(%x, %4) : (tensor<2x3x2x5x4xf32>, tensor<3xi64>) -> tensor<12x5x4xf32>
  %6 = "mm.transpose"(%5) {permutation = [0 : i64, 2 : i64, 1 : i64]} : (tensor<12x5x4xf32>) -> tensor<12x4x5xf32>
  %7 = "mm.constant"() {value = dense<[12, 20]> : tensor<2xi64>} : () -> tensor<2xi64>
  %kept = "mm.reshape"(%6, %7) : (tensor<12x4x5xf32>, tensor<2xi64>) -> tensor<12x20xf32>
  %8 = "mm.constant"() {value = dense<[-1, 5, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %9 = "mm.reshape"(%z, %8) : (tensor<?x2x3x5x4xf32, ["N"]>, tensor<3xi64>) -> tensor<?x5x4xf32, ["6*N"]>
  %10 = "mm.transpose"(%9) {permutation = [0 : i64, 2 : i64, 1 : i64]} : (tensor<?x5x4xf32, ["6*N"]>) -> tensor<?x4x5xf32, ["6*N"]>
  %11 = "mm.constant"() {value = dense<[-1, 6, 4, 5]> : tensor<4xi64>} : () -> tensor<4xi64>
  %c = "mm.reshape"(%10, %11) : (tensor<?x4x5xf32, ["6*N"]>, tensor<4xi64>) -> tensor<?x6x4x5xf32, ["N"]>
  "mm.yield"(%a, %kept, %c) : (tensor<2x6x4x5xf32>, tensor<12x20xf32>, tensor<?x6x4x5xf32, ["N"]>) -> ()
}) {name = "transposes_under_reshapes", inputs = ["x", "z"], outputs = ["a", "kept", "c"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<2x3x2x5x4xf32>, %z: tensor<?x2x3x5x4xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[2, 6, 5, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %1 = "mm.reshape"(%x, %0) : (tensor<2x3x2x5x4xf32>, tensor<4xi64>) -> tensor<2x6x5x4xf32>
  %a = "mm.transpose"(%1) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<2x6x5x4xf32>) -> tensor<2x6x4x5xf32>
  %2 = "mm.constant"() {value = dense<[12, 5, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %3 = "mm.reshape"(%x, %2) : (tensor<2x3x2x5x4xf32>, tensor<3xi64>) -> tensor<12x5x4xf32>
  %4 = "mm.transpose"(%3) {permutation = [0 : i64, 2 : i64, 1 : i64]} : (tensor<12x5x4xf32>) -> tensor<12x4x5xf32>
  %5 = "mm.constant"() {value = dense<[12, 20]> : tensor<2xi64>} : () -> tensor<2xi64>
  %kept = "mm.reshape"(%4, %5) : (tensor<12x4x5xf32>, tensor<2xi64>) -> tensor<12x20xf32>
  %6 = "mm.constant"() {value = dense<[-1, 6, 5, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %7 = "mm.reshape"(%z, %6) : (tensor<?x2x3x5x4xf32, ["N"]>, tensor<4xi64>) -> tensor<?x6x5x4xf32, ["N"]>
  %c = "mm.transpose"(%7) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x6x5x4xf32, ["N"]>) -> tensor<?x6x4x5xf32, ["N"]>
  "mm.yield"(%a, %kept, %c) : (tensor<2x6x4x5xf32>, tensor<12x20xf32>, tensor<?x6x4x5xf32, ["N"]>) -> ()
}) {name = "transposes_under_reshapes", inputs = ["x", "z"], outputs = ["a", "kept", "c"]} : () -> ()
