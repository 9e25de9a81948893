// passes: postpone-dequantize
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x2x4x4xui8, ["N"]>, %z: tensor<?x2x4x4xui8, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %2 = "mm.dequantize"(%x, %0, %1) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %3 = "mm.max_pool"(%2) {kernel_shape = [2 : i64, 2 : i64], strides = [2 : i64, 2 : i64], pads = [], dilations = [], auto_pad = "notset", ceil_mode = false} : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x2x2xf32, ["N"]>
  %4 = "mm.transpose"(%3) {permutation = [0 : i64, 2 : i64, 3 : i64, 1 : i64]} : (tensor<?x2x2x2xf32, ["N"]>) -> tensor<?x2x2x2xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %same = "mm.quantize"(%4, %5, %6) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x2x2xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x2x2xui8, ["N"]>
  %7 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %9 = "mm.dequantize"(%z, %7, %8) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %10 = "mm.concat"(%2, %9) {axis = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x4x4x4xf32, ["N"]>
  %11 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %12 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %joined = "mm.quantize"(%10, %11, %12) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x4x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x4x4x4xui8, ["N"]>
  %13 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %14 = "mm.constant"() {value = dense<4> : tensor<ui8>} : () -> tensor<ui8>
  %15 = "mm.dequantize"(%z, %13, %14) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %other_zero = "mm.concat"(%2, %15) {axis = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x4x4x4xf32, ["N"]>
  %16 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %17 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %18 = "mm.dequantize"(%z, %16, %17) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %19 = "mm.constant"() {value = dense<[-1, 32]> : tensor<2xi64>} : () -> tensor<2xi64>
  %20 = "mm.reshape"(%18, %19) : (tensor<?x2x4x4xf32, ["N"]>, tensor<2xi64>) -> tensor<?x32xf32, ["N"]>
  %21 = "mm.gelu"(%20) {approximate = "none"} : (tensor<?x32xf32, ["N"]>) -> tensor<?x32xf32, ["N"]>
  %22 = "mm.constant"() {value = dense<[-1, 8, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %23 = "mm.reshape"(%21, %22) : (tensor<?x32xf32, ["N"]>, tensor<3xi64>) -> tensor<?x8x4xf32, ["N"]>
  %24 = "mm.constant"() {value = dense<0.10000000149011612> : tensor<f32>} : () -> tensor<f32>
  %25 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %behind = "mm.quantize"(%23, %24, %25) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x8x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x8x4xui8, ["N"]>
  "mm.yield"(%same, %joined, %other_zero, %behind) : (tensor<?x2x2x2xui8, ["N"]>, tensor<?x4x4x4xui8, ["N"]>, tensor<?x4x4x4xf32, ["N"]>, tensor<?x8x4xui8, ["N"]>) -> ()
}) {name = "postpone", inputs = ["x", "z"], outputs = ["same", "joined", "other_zero", "behind"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x2x4x4xui8, ["N"]>, %z: tensor<?x2x4x4xui8, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %2 = "mm.dequantize"(%x, %0, %1) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %3 = "mm.max_pool"(%x) {kernel_shape = [2 : i64, 2 : i64], strides = [2 : i64, 2 : i64], pads = [], dilations = [], auto_pad = "notset", ceil_mode = false} : (tensor<?x2x4x4xui8, ["N"]>) -> tensor<?x2x2x2xui8, ["N"]>
  %same = "mm.transpose"(%3) {permutation = [0 : i64, 2 : i64, 3 : i64, 1 : i64]} : (tensor<?x2x2x2xui8, ["N"]>) -> tensor<?x2x2x2xui8, ["N"]>
  %4 = "mm.concat"(%x, %z) {axis = 1 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<?x2x4x4xui8, ["N"]>) -> tensor<?x4x4x4xui8, ["N"]>
  %5 = "mm.dequantize"(%4, %0, %1) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x4x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x4x4x4xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %7 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %joined = "mm.quantize"(%5, %6, %7) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x4x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x4x4x4xui8, ["N"]>
  %8 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %9 = "mm.constant"() {value = dense<4> : tensor<ui8>} : () -> tensor<ui8>
  %10 = "mm.dequantize"(%z, %8, %9) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %other_zero = "mm.concat"(%2, %10) {axis = 1 : i64} : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x4x4x4xf32, ["N"]>
  %11 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %12 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %13 = "mm.dequantize"(%z, %11, %12) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %14 = "mm.constant"() {value = dense<[-1, 32]> : tensor<2xi64>} : () -> tensor<2xi64>
  %15 = "mm.gelu"(%13) {approximate = "none"} : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %16 = "mm.reshape"(%15, %14) : (tensor<?x2x4x4xf32, ["N"]>, tensor<2xi64>) -> tensor<?x32xf32, ["N"]>
  %17 = "mm.constant"() {value = dense<[-1, 8, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %18 = "mm.reshape"(%16, %17) : (tensor<?x32xf32, ["N"]>, tensor<3xi64>) -> tensor<?x8x4xf32, ["N"]>
  %19 = "mm.constant"() {value = dense<0.10000000149011612> : tensor<f32>} : () -> tensor<f32>
  %20 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %behind = "mm.quantize"(%18, %19, %20) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x8x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x8x4xui8, ["N"]>
  "mm.yield"(%same, %joined, %other_zero, %behind) : (tensor<?x2x2x2xui8, ["N"]>, tensor<?x4x4x4xui8, ["N"]>, tensor<?x4x4x4xf32, ["N"]>, tensor<?x8x4xui8, ["N"]>) -> ()
}) {name = "postpone", inputs = ["x", "z"], outputs = ["same", "joined", "other_zero", "behind"]} : () -> ()
