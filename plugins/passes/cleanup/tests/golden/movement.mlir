// passes: simplify,eliminate-dead-code
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x2x3x4xf32, ["N"]>, %bias: tensor<4xf32>):
  %0 = "mm.transpose"(%x) {permutation = [0 : i64, 2 : i64, 3 : i64, 1 : i64]} : (tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x3x4x2xf32, ["N"]>
  %a = "mm.transpose"(%0) {permutation = [0 : i64, 3 : i64, 1 : i64, 2 : i64]} : (tensor<?x3x4x2xf32, ["N"]>) -> tensor<?x2x3x4xf32, ["N"]>
  %1 = "mm.transpose"(%x) {permutation = [0 : i64, 2 : i64, 1 : i64, 3 : i64]} : (tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x3x2x4xf32, ["N"]>
  %b = "mm.transpose"(%1) {permutation = [0 : i64, 2 : i64, 3 : i64, 1 : i64]} : (tensor<?x3x2x4xf32, ["N"]>) -> tensor<?x2x4x3xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[-1, 6, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %3 = "mm.reshape"(%x, %2) : (tensor<?x2x3x4xf32, ["N"]>, tensor<3xi64>) -> tensor<?x6x4xf32, ["N"]>
  %4 = "mm.constant"() {value = dense<[-1, 24]> : tensor<2xi64>} : () -> tensor<2xi64>
  %c = "mm.reshape"(%3, %4) : (tensor<?x6x4xf32, ["N"]>, tensor<2xi64>) -> tensor<?x24xf32, ["N"]>
  %5 = "mm.unsqueeze"(%x) {axes = [1 : i64]} : (tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x1x2x3x4xf32, ["N"]>
  %d = "mm.squeeze"(%5) {axes = [1 : i64]} : (tensor<?x1x2x3x4xf32, ["N"]>) -> tensor<?x2x3x4xf32, ["N"]>
  %e = "mm.flatten"(%x) {axis = 1 : i64} : (tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x24xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<[1, 2, 3, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %f = "mm.expand"(%x, %6) : (tensor<?x2x3x4xf32, ["N"]>, tensor<4xi64>) -> tensor<?x2x3x4xf32, ["N"]>
  %7 = "mm.constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
  %8 = "mm.constant"() {value = dense<[1000]> : tensor<1xi64>} : () -> tensor<1xi64>
  %9 = "mm.constant"() {value = dense<[3]> : tensor<1xi64>} : () -> tensor<1xi64>
  %g = "mm.slice"(%x, %7, %8, %9) : (tensor<?x2x3x4xf32, ["N"]>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x2x3x4xf32, ["N"]>
  %h = "mm.concat"(%x) {axis = 1 : i64} : (tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x2x3x4xf32, ["N"]>
  %10 = "mm.concat"(%x, %x) {axis = 1 : i64} : (tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x4x3x4xf32, ["N"]>
  %i = "mm.concat"(%10, %x) {axis = 1 : i64} : (tensor<?x4x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x6x3x4xf32, ["N"]>
  %11 = "mm.constant"() {value = dense<[0, 0, 0, 0, 0, 0, 0, 0]> : tensor<8xi64>} : () -> tensor<8xi64>
  %j = "mm.pad"(%x, %11) {mode = "constant"} : (tensor<?x2x3x4xf32, ["N"]>, tensor<8xi64>) -> tensor<?x2x3x4xf32, ["N"]>
  %12 = "mm.constant"() {value = dense<[1, 1, 1, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
  %k = "mm.tile"(%x, %12) : (tensor<?x2x3x4xf32, ["N"]>, tensor<4xi64>) -> tensor<?x2x3x4xf32, ["N"]>
  %13 = "mm.constant"() {value = dense<[2, 3, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %14 = "mm.expand"(%bias, %13) : (tensor<4xf32>, tensor<3xi64>) -> tensor<2x3x4xf32>
  %l = "mm.add"(%x, %14) : (tensor<?x2x3x4xf32, ["N"]>, tensor<2x3x4xf32>) -> tensor<?x2x3x4xf32, ["N"]>
  %m = "mm.split"(%x) {axis = 1 : i64, parts = 1 : i64} : (tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x2x3x4xf32, ["N"]>
  %15 = "mm.constant"() {value = dense<[-1, 3, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %16 = "mm.reshape"(%x, %15) : (tensor<?x2x3x4xf32, ["N"]>, tensor<3xi64>) -> tensor<?x3x4xf32, ["2*N"]>
  %17 = "mm.transpose"(%16) {permutation = [0 : i64, 2 : i64, 1 : i64]} : (tensor<?x3x4xf32, ["2*N"]>) -> tensor<?x4x3xf32, ["2*N"]>
  %18 = "mm.constant"() {value = dense<[-1, 2, 4, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
  %n = "mm.reshape"(%17, %18) : (tensor<?x4x3xf32, ["2*N"]>, tensor<4xi64>) -> tensor<?x2x4x3xf32, ["N"]>
  %19 = "mm.constant"() {value = dense<[-1, 4, 3]> : tensor<3xi64>} : () -> tensor<3xi64>
  %20 = "mm.reshape"(%x, %19) : (tensor<?x2x3x4xf32, ["N"]>, tensor<3xi64>) -> tensor<?x4x3xf32, ["2*N"]>
  %21 = "mm.transpose"(%20) {permutation = [0 : i64, 2 : i64, 1 : i64]} : (tensor<?x4x3xf32, ["2*N"]>) -> tensor<?x3x4xf32, ["2*N"]>
  %22 = "mm.constant"() {value = dense<[-1, 2, 3, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %n_kept = "mm.reshape"(%21, %22) : (tensor<?x3x4xf32, ["2*N"]>, tensor<4xi64>) -> tensor<?x2x3x4xf32, ["N"]>
  "mm.yield"(%a, %b, %c, %d, %e, %f, %g, %h, %i, %j, %k, %l, %m, %n, %n_kept) : (tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x4x3xf32, ["N"]>, tensor<?x24xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x24xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x6x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x4x3xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>) -> ()
}) {name = "movement", inputs = ["x", "bias"], outputs = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "n_kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x2x3x4xf32, ["N"]>, %bias: tensor<4xf32>):
  %b = "mm.transpose"(%x) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x2x4x3xf32, ["N"]>
  %0 = "mm.constant"() {value = dense<[-1, 24]> : tensor<2xi64>} : () -> tensor<2xi64>
  %c = "mm.reshape"(%x, %0) : (tensor<?x2x3x4xf32, ["N"]>, tensor<2xi64>) -> tensor<?x24xf32, ["N"]>
  %1 = "mm.constant"() {value = dense<[-1, 24]> : tensor<2xi64>} : () -> tensor<2xi64>
  %e = "mm.reshape"(%x, %1) : (tensor<?x2x3x4xf32, ["N"]>, tensor<2xi64>) -> tensor<?x24xf32, ["N"]>
  %i = "mm.concat"(%x, %x, %x) {axis = 1 : i64} : (tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x6x3x4xf32, ["N"]>
  %l = "mm.add"(%x, %bias) : (tensor<?x2x3x4xf32, ["N"]>, tensor<4xf32>) -> tensor<?x2x3x4xf32, ["N"]>
  %n = "mm.transpose"(%x) {permutation = [0 : i64, 1 : i64, 3 : i64, 2 : i64]} : (tensor<?x2x3x4xf32, ["N"]>) -> tensor<?x2x4x3xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[-1, 4, 3]> : tensor<3xi64>} : () -> tensor<3xi64>
  %3 = "mm.reshape"(%x, %2) : (tensor<?x2x3x4xf32, ["N"]>, tensor<3xi64>) -> tensor<?x4x3xf32, ["2*N"]>
  %4 = "mm.transpose"(%3) {permutation = [0 : i64, 2 : i64, 1 : i64]} : (tensor<?x4x3xf32, ["2*N"]>) -> tensor<?x3x4xf32, ["2*N"]>
  %5 = "mm.constant"() {value = dense<[-1, 2, 3, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
  %n_kept = "mm.reshape"(%4, %5) : (tensor<?x3x4xf32, ["2*N"]>, tensor<4xi64>) -> tensor<?x2x3x4xf32, ["N"]>
  "mm.yield"(%x, %b, %c, %x, %e, %x, %x, %x, %i, %x, %x, %l, %x, %n, %n_kept) : (tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x4x3xf32, ["N"]>, tensor<?x24xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x24xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x6x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>, tensor<?x2x4x3xf32, ["N"]>, tensor<?x2x3x4xf32, ["N"]>) -> ()
}) {name = "movement", inputs = ["x", "bias"], outputs = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "n_kept"]} : () -> ()
