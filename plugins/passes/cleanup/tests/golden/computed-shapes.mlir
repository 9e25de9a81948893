// passes: simplify,fold-constants,refine-types,eliminate-dead-code
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x?x8xf32, ["N", "S"]>):
  %0 = "mm.shape"(%x) {start = 0 : i64} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<3xi64>
  %1 = "mm.constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
  %2 = "mm.constant"() {value = dense<[1]> : tensor<1xi64>} : () -> tensor<1xi64>
  %3 = "mm.constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
  %4 = "mm.slice"(%0, %1, %2, %3) : (tensor<3xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  %5 = "mm.constant"() {value = dense<[1]> : tensor<1xi64>} : () -> tensor<1xi64>
  %6 = "mm.gather"(%0, %5) {axis = 0 : i64} : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
  %7 = "mm.constant"() {value = dense<[2, 4]> : tensor<2xi64>} : () -> tensor<2xi64>
  %8 = "mm.concat"(%4, %6, %7) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> tensor<4xi64>
  %9 = "mm.reshape"(%x, %8) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<4xi64>) -> tensor<?x?x2x4xf32, ["N", "S"]>
  %heads = "mm.transpose"(%9) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x?x2x4xf32, ["N", "S"]>) -> tensor<?x2x?x4xf32, ["N", "S"]>
  %10 = "mm.constant"() {value = dense<[-1]> : tensor<1xi64>} : () -> tensor<1xi64>
  %11 = "mm.concat"(%4, %10) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %rows = "mm.reshape"(%x, %11) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<2xi64>) -> tensor<?x?xf32, ["N", "8*S"]>
  %12 = "mm.mul"(%4, %6) : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  %13 = "mm.constant"() {value = dense<[8]> : tensor<1xi64>} : () -> tensor<1xi64>
  %14 = "mm.concat"(%12, %13) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %flat = "mm.reshape"(%x, %14) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<2xi64>) -> tensor<?x8xf32, ["N*S"]>
  "mm.yield"(%heads, %rows, %flat) : (tensor<?x2x?x4xf32, ["N", "S"]>, tensor<?x?xf32, ["N", "8*S"]>, tensor<?x8xf32, ["N*S"]>) -> ()
}) {name = "computed_shapes", inputs = ["x"], outputs = ["heads", "rows", "flat"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x?x8xf32, ["N", "S"]>):
  %0 = "mm.shape"(%x) {start = 0 : i64} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<3xi64>
  %1 = "mm.constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
  %2 = "mm.constant"() {value = dense<[1]> : tensor<1xi64>} : () -> tensor<1xi64>
  %3 = "mm.constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
  %4 = "mm.slice"(%0, %1, %2, %3) : (tensor<3xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  %5 = "mm.constant"() {value = dense<[1]> : tensor<1xi64>} : () -> tensor<1xi64>
  %6 = "mm.gather"(%0, %5) {axis = 0 : i64} : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
  %7 = "mm.constant"() {value = dense<[2, 4]> : tensor<2xi64>} : () -> tensor<2xi64>
  %8 = "mm.concat"(%4, %6, %7) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> tensor<4xi64>
  %9 = "mm.reshape"(%x, %8) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<4xi64>) -> tensor<?x?x2x4xf32, ["N", "S"]>
  %heads = "mm.transpose"(%9) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x?x2x4xf32, ["N", "S"]>) -> tensor<?x2x?x4xf32, ["N", "S"]>
  %10 = "mm.constant"() {value = dense<[-1]> : tensor<1xi64>} : () -> tensor<1xi64>
  %11 = "mm.concat"(%4, %10) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %rows = "mm.reshape"(%x, %11) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<2xi64>) -> tensor<?x?xf32, ["N", "8*S"]>
  %12 = "mm.constant"() {value = dense<[-1, 8]> : tensor<2xi64>} : () -> tensor<2xi64>
  %flat = "mm.reshape"(%x, %12) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<2xi64>) -> tensor<?x8xf32, ["N*S"]>
  "mm.yield"(%heads, %rows, %flat) : (tensor<?x2x?x4xf32, ["N", "S"]>, tensor<?x?xf32, ["N", "8*S"]>, tensor<?x8xf32, ["N*S"]>) -> ()
}) {name = "computed_shapes", inputs = ["x"], outputs = ["heads", "rows", "flat"]} : () -> ()
