// passes: fuse-quantized-elementwise
// tolerance: 1e-06
// nan: no
"mm.network"() ({
^bb0(%x: tensor<?x3xui8, ["N"]>, %z: tensor<?x3xi8, ["N"]>, %t: tensor<?x3xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %2 = "mm.dequantize"(%x, %0, %1) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %4 = "mm.constant"() {value = dense<-1> : tensor<i8>} : () -> tensor<i8>
  %5 = "mm.dequantize"(%z, %3, %4) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3xi8, ["N"]>, tensor<f32>, tensor<i8>) -> tensor<?x3xf32, ["N"]>
  %6 = "mm.add"(%2, %5) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %7 = "mm.relu"(%6) : (tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %9 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %sum = "mm.quantize"(%7, %8, %9) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x3xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3xui8, ["N"]>
  %10 = "mm.mul"(%2, %t) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %read_twice = "mm.tanh"(%10) : (tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %alone = "mm.softmax"(%2) {axis = 1 : i64} : (tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  "mm.yield"(%sum, %read_twice, %alone) : (tensor<?x3xui8, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> ()
}) {name = "elementwise", inputs = ["x", "z", "t"], outputs = ["sum", "read_twice", "alone"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x3xui8, ["N"]>, %z: tensor<?x3xi8, ["N"]>, %t: tensor<?x3xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %2 = "mm.dequantize"(%x, %0, %1) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %4 = "mm.constant"() {value = dense<-1> : tensor<i8>} : () -> tensor<i8>
  %5 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %sum = "mm.fused"(%z, %3, %4, %2, %5, %6) ({
    ^bb0(%7: tensor<?x3xi8, ["N"]>, %8: tensor<f32>, %9: tensor<i8>, %10: tensor<?x3xf32, ["N"]>, %11: tensor<f32>, %12: tensor<ui8>):
      %13 = "mm.dequantize"(%7, %8, %9) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3xi8, ["N"]>, tensor<f32>, tensor<i8>) -> tensor<?x3xf32, ["N"]>
      %14 = "mm.add"(%10, %13) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
      %15 = "mm.relu"(%14) : (tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
      %16 = "mm.quantize"(%15, %11, %12) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x3xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3xui8, ["N"]>
      "mm.yield"(%16) : (tensor<?x3xui8, ["N"]>) -> ()
  }) {kind = "elementwise"} : (tensor<?x3xi8, ["N"]>, tensor<f32>, tensor<i8>, tensor<?x3xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3xui8, ["N"]>
  %read_twice = "mm.fused"(%x, %0, %1, %t) ({
    ^bb0(%17: tensor<?x3xui8, ["N"]>, %18: tensor<f32>, %19: tensor<ui8>, %20: tensor<?x3xf32, ["N"]>):
      %21 = "mm.dequantize"(%17, %18, %19) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3xf32, ["N"]>
      %22 = "mm.mul"(%21, %20) : (tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
      %23 = "mm.tanh"(%22) : (tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
      "mm.yield"(%23) : (tensor<?x3xf32, ["N"]>) -> ()
  }) {kind = "elementwise"} : (tensor<?x3xui8, ["N"]>, tensor<f32>, tensor<ui8>, tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  %alone = "mm.softmax"(%2) {axis = 1 : i64} : (tensor<?x3xf32, ["N"]>) -> tensor<?x3xf32, ["N"]>
  "mm.yield"(%sum, %read_twice, %alone) : (tensor<?x3xui8, ["N"]>, tensor<?x3xf32, ["N"]>, tensor<?x3xf32, ["N"]>) -> ()
}) {name = "elementwise", inputs = ["x", "z", "t"], outputs = ["sum", "read_twice", "alone"]} : () -> ()
