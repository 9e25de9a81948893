// passes: recognize-quantized
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x3x4x4xui8, ["N"]>, %m: tensor<?x2x4xi8, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %2 = "mm.dequantize"(%x, %0, %1) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<[[[[6]], [[2]], [[0]]], [[[-5]], [[-4]], [[-9]]]]> : tensor<2x3x1x1xi8>} : () -> tensor<2x3x1x1xi8>
  %4 = "mm.constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %5 = "mm.constant"() {value = dense<[0, 0]> : tensor<2xi8>} : () -> tensor<2xi8>
  %6 = "mm.dequantize"(%3, %4, %5) {axis = 0 : i64, block_size = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>, tensor<2xi8>) -> tensor<2x3x1x1xf32>
  %7 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %conv = "mm.conv"(%2, %6, %7) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<[[[[-8, -9], [-6, 5]], [[2, 7], [0, 1]], [[8, 4], [2, 0]]]]> : tensor<1x3x2x2xi8>} : () -> tensor<1x3x2x2xi8>
  %9 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %10 = "mm.dequantize"(%8, %9) {axis = 1 : i64, block_size = 0 : i64} : (tensor<1x3x2x2xi8>, tensor<f32>) -> tensor<1x3x2x2xf32>
  %shared_input = "mm.conv"(%2, %10) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<1x3x2x2xf32>) -> tensor<?x1x3x3xf32, ["N"]>
  %11 = "mm.constant"() {value = dense<[[[[0]], [[255]], [[7]]]]> : tensor<1x3x1x1xui8>} : () -> tensor<1x3x1x1xui8>
  %12 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %13 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %14 = "mm.dequantize"(%11, %12, %13) {axis = 1 : i64, block_size = 0 : i64} : (tensor<1x3x1x1xui8>, tensor<f32>, tensor<ui8>) -> tensor<1x3x1x1xf32>
  %nine_bits = "mm.conv"(%2, %14) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<1x3x1x1xf32>) -> tensor<?x1x4x4xf32, ["N"]>
  %15 = "mm.constant"() {value = dense<0.125> : tensor<f32>} : () -> tensor<f32>
  %16 = "mm.constant"() {value = dense<-4> : tensor<i8>} : () -> tensor<i8>
  %17 = "mm.dequantize"(%m, %15, %16) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4xi8, ["N"]>, tensor<f32>, tensor<i8>) -> tensor<?x2x4xf32, ["N"]>
  %18 = "mm.constant"() {value = dense<[-1, 4]> : tensor<2xi64>} : () -> tensor<2xi64>
  %19 = "mm.reshape"(%17, %18) : (tensor<?x2x4xf32, ["N"]>, tensor<2xi64>) -> tensor<?x4xf32, ["2*N"]>
  %20 = "mm.constant"() {value = dense<[[1, 7, -5, 5], [3, -9, -2, 6], [0, -9, 4, 4]]> : tensor<3x4xi8>} : () -> tensor<3x4xi8>
  %21 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %22 = "mm.dequantize"(%20, %21) {axis = 1 : i64, block_size = 0 : i64} : (tensor<3x4xi8>, tensor<f32>) -> tensor<3x4xf32>
  %rows = "mm.gemm"(%19, %22) {alpha = 1.0 : f64, beta = 1.0 : f64, trans_a = false, trans_b = true} : (tensor<?x4xf32, ["2*N"]>, tensor<3x4xf32>) -> tensor<?x3xf32, ["2*N"]>
  %23 = "mm.constant"() {value = dense<0.125> : tensor<f32>} : () -> tensor<f32>
  %24 = "mm.constant"() {value = dense<-4> : tensor<i8>} : () -> tensor<i8>
  %25 = "mm.dequantize"(%m, %23, %24) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4xi8, ["N"]>, tensor<f32>, tensor<i8>) -> tensor<?x2x4xf32, ["N"]>
  %26 = "mm.constant"() {value = dense<[[6, -6, -8], [6, -9, 0], [-8, -4, -1], [-2, -2, -9]]> : tensor<4x3xi8>} : () -> tensor<4x3xi8>
  %27 = "mm.constant"() {value = dense<[0.5, 0.5, 0.5]> : tensor<3xf32>} : () -> tensor<3xf32>
  %28 = "mm.dequantize"(%26, %27) {axis = 1 : i64, block_size = 0 : i64} : (tensor<4x3xi8>, tensor<3xf32>) -> tensor<4x3xf32>
  %product = "mm.matmul"(%25, %28) : (tensor<?x2x4xf32, ["N"]>, tensor<4x3xf32>) -> tensor<?x2x3xf32, ["N"]>
  "mm.yield"(%conv, %shared_input, %nine_bits, %rows, %product) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x1x3x3xf32, ["N"]>, tensor<?x1x4x4xf32, ["N"]>, tensor<?x3xf32, ["2*N"]>, tensor<?x2x3xf32, ["N"]>) -> ()
}) {name = "contractions", inputs = ["x", "m"], outputs = ["conv", "shared_input", "nine_bits", "rows", "product"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x3x4x4xui8, ["N"]>, %m: tensor<?x2x4xi8, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %2 = "mm.dequantize"(%x, %0, %1) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<[[[[6]], [[2]], [[0]]], [[[-5]], [[-4]], [[-9]]]]> : tensor<2x3x1x1xi8>} : () -> tensor<2x3x1x1xi8>
  %4 = "mm.constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %5 = "mm.constant"() {value = dense<[0, 0]> : tensor<2xi8>} : () -> tensor<2xi8>
  %6 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %conv = "mm.fused"(%x, %0, %1, %3, %4, %5, %6) ({
    ^bb0(%7: tensor<?x3x4x4xui8, ["N"]>, %8: tensor<f32>, %9: tensor<ui8>, %10: tensor<2x3x1x1xi8>, %11: tensor<2xf32>, %12: tensor<2xi8>, %13: tensor<2xf32>):
      %14 = "mm.dequantize"(%7, %8, %9) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
      %15 = "mm.dequantize"(%10, %11, %12) {axis = 0 : i64, block_size = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>, tensor<2xi8>) -> tensor<2x3x1x1xf32>
      %16 = "mm.conv"(%14, %15, %13) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
      "mm.yield"(%16) : (tensor<?x2x4x4xf32, ["N"]>) -> ()
  }) {kind = "quantized_conv"} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>, tensor<2x3x1x1xi8>, tensor<2xf32>, tensor<2xi8>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %17 = "mm.constant"() {value = dense<[[[[-8, -9], [-6, 5]], [[2, 7], [0, 1]], [[8, 4], [2, 0]]]]> : tensor<1x3x2x2xi8>} : () -> tensor<1x3x2x2xi8>
  %18 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %shared_input = "mm.fused"(%x, %0, %1, %17, %18) ({
    ^bb0(%19: tensor<?x3x4x4xui8, ["N"]>, %20: tensor<f32>, %21: tensor<ui8>, %22: tensor<1x3x2x2xi8>, %23: tensor<f32>):
      %24 = "mm.dequantize"(%19, %20, %21) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
      %25 = "mm.dequantize"(%22, %23) {axis = 1 : i64, block_size = 0 : i64} : (tensor<1x3x2x2xi8>, tensor<f32>) -> tensor<1x3x2x2xf32>
      %26 = "mm.conv"(%24, %25) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<1x3x2x2xf32>) -> tensor<?x1x3x3xf32, ["N"]>
      "mm.yield"(%26) : (tensor<?x1x3x3xf32, ["N"]>) -> ()
  }) {kind = "quantized_conv"} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>, tensor<1x3x2x2xi8>, tensor<f32>) -> tensor<?x1x3x3xf32, ["N"]>
  %27 = "mm.constant"() {value = dense<[[[[0]], [[255]], [[7]]]]> : tensor<1x3x1x1xui8>} : () -> tensor<1x3x1x1xui8>
  %28 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %29 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %30 = "mm.dequantize"(%27, %28, %29) {axis = 1 : i64, block_size = 0 : i64} : (tensor<1x3x1x1xui8>, tensor<f32>, tensor<ui8>) -> tensor<1x3x1x1xf32>
  %nine_bits = "mm.conv"(%2, %30) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<1x3x1x1xf32>) -> tensor<?x1x4x4xf32, ["N"]>
  %31 = "mm.constant"() {value = dense<0.125> : tensor<f32>} : () -> tensor<f32>
  %32 = "mm.constant"() {value = dense<-4> : tensor<i8>} : () -> tensor<i8>
  %33 = "mm.dequantize"(%m, %31, %32) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4xi8, ["N"]>, tensor<f32>, tensor<i8>) -> tensor<?x2x4xf32, ["N"]>
  %34 = "mm.constant"() {value = dense<[-1, 4]> : tensor<2xi64>} : () -> tensor<2xi64>
  %35 = "mm.reshape"(%33, %34) : (tensor<?x2x4xf32, ["N"]>, tensor<2xi64>) -> tensor<?x4xf32, ["2*N"]>
  %36 = "mm.constant"() {value = dense<[[1, 7, -5, 5], [3, -9, -2, 6], [0, -9, 4, 4]]> : tensor<3x4xi8>} : () -> tensor<3x4xi8>
  %37 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %38 = "mm.reshape"(%m, %34) : (tensor<?x2x4xi8, ["N"]>, tensor<2xi64>) -> tensor<?x4xi8, ["2*N"]>
  %rows = "mm.fused"(%38, %31, %32, %36, %37) ({
    ^bb0(%39: tensor<?x4xi8, ["2*N"]>, %40: tensor<f32>, %41: tensor<i8>, %42: tensor<3x4xi8>, %43: tensor<f32>):
      %44 = "mm.dequantize"(%39, %40, %41) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x4xi8, ["2*N"]>, tensor<f32>, tensor<i8>) -> tensor<?x4xf32, ["2*N"]>
      %45 = "mm.dequantize"(%42, %43) {axis = 1 : i64, block_size = 0 : i64} : (tensor<3x4xi8>, tensor<f32>) -> tensor<3x4xf32>
      %46 = "mm.gemm"(%44, %45) {alpha = 1.0 : f64, beta = 1.0 : f64, trans_a = false, trans_b = true} : (tensor<?x4xf32, ["2*N"]>, tensor<3x4xf32>) -> tensor<?x3xf32, ["2*N"]>
      "mm.yield"(%46) : (tensor<?x3xf32, ["2*N"]>) -> ()
  }) {kind = "quantized_matmul"} : (tensor<?x4xi8, ["2*N"]>, tensor<f32>, tensor<i8>, tensor<3x4xi8>, tensor<f32>) -> tensor<?x3xf32, ["2*N"]>
  %47 = "mm.constant"() {value = dense<0.125> : tensor<f32>} : () -> tensor<f32>
  %48 = "mm.constant"() {value = dense<-4> : tensor<i8>} : () -> tensor<i8>
  %49 = "mm.constant"() {value = dense<[[6, -6, -8], [6, -9, 0], [-8, -4, -1], [-2, -2, -9]]> : tensor<4x3xi8>} : () -> tensor<4x3xi8>
  %50 = "mm.constant"() {value = dense<[0.5, 0.5, 0.5]> : tensor<3xf32>} : () -> tensor<3xf32>
  %product = "mm.fused"(%m, %47, %48, %49, %50) ({
    ^bb0(%51: tensor<?x2x4xi8, ["N"]>, %52: tensor<f32>, %53: tensor<i8>, %54: tensor<4x3xi8>, %55: tensor<3xf32>):
      %56 = "mm.dequantize"(%51, %52, %53) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4xi8, ["N"]>, tensor<f32>, tensor<i8>) -> tensor<?x2x4xf32, ["N"]>
      %57 = "mm.dequantize"(%54, %55) {axis = 1 : i64, block_size = 0 : i64} : (tensor<4x3xi8>, tensor<3xf32>) -> tensor<4x3xf32>
      %58 = "mm.matmul"(%56, %57) : (tensor<?x2x4xf32, ["N"]>, tensor<4x3xf32>) -> tensor<?x2x3xf32, ["N"]>
      "mm.yield"(%58) : (tensor<?x2x3xf32, ["N"]>) -> ()
  }) {kind = "quantized_matmul"} : (tensor<?x2x4xi8, ["N"]>, tensor<f32>, tensor<i8>, tensor<4x3xi8>, tensor<3xf32>) -> tensor<?x2x3xf32, ["N"]>
  "mm.yield"(%conv, %shared_input, %nine_bits, %rows, %product) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x1x3x3xf32, ["N"]>, tensor<?x1x4x4xf32, ["N"]>, tensor<?x3xf32, ["2*N"]>, tensor<?x2x3xf32, ["N"]>) -> ()
}) {name = "contractions", inputs = ["x", "m"], outputs = ["conv", "shared_input", "nine_bits", "rows", "product"]} : () -> ()
