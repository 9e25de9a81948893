// passes: recognize-quantized,fuse-quantized
// tolerance: 1e-06
// nan: no
"mm.network"() ({
^bb0(%x: tensor<?x3x4x4xui8, ["N"]>, %r: tensor<?x2x4x4xui8, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %2 = "mm.dequantize"(%x, %0, %1) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<[[[[-9]], [[-7]], [[-9]]], [[[3]], [[0]], [[2]]]]> : tensor<2x3x1x1xi8>} : () -> tensor<2x3x1x1xi8>
  %4 = "mm.constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %5 = "mm.dequantize"(%3, %4) {axis = 0 : i64, block_size = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
  %6 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %7 = "mm.conv"(%2, %5, %6) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %8 = "mm.relu"(%7) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %10 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %next = "mm.quantize"(%8, %9, %10) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
  %11 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %12 = "mm.constant"() {value = dense<7> : tensor<ui8>} : () -> tensor<ui8>
  %13 = "mm.dequantize"(%r, %11, %12) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %14 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %15 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %16 = "mm.dequantize"(%x, %14, %15) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
  %17 = "mm.constant"() {value = dense<[[[[-5]], [[2]], [[4]]], [[[-3]], [[-1]], [[8]]]]> : tensor<2x3x1x1xi8>} : () -> tensor<2x3x1x1xi8>
  %18 = "mm.constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %19 = "mm.dequantize"(%17, %18) {axis = 0 : i64, block_size = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
  %20 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %21 = "mm.conv"(%16, %19, %20) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %22 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %23 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %24 = "mm.quantize"(%21, %22, %23) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
  %25 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %26 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %27 = "mm.dequantize"(%24, %25, %26) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %28 = "mm.add"(%27, %13) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %29 = "mm.relu"(%28) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %30 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %31 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %residual = "mm.quantize"(%29, %30, %31) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
  %residual_read_twice = "mm.sigmoid"(%13) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %32 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %33 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %34 = "mm.dequantize"(%x, %32, %33) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
  %35 = "mm.constant"() {value = dense<[[[[5]], [[8]], [[-3]]], [[[3]], [[8]], [[2]]]]> : tensor<2x3x1x1xi8>} : () -> tensor<2x3x1x1xi8>
  %36 = "mm.constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %37 = "mm.dequantize"(%35, %36) {axis = 0 : i64, block_size = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
  %38 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %39 = "mm.conv"(%34, %37, %38) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
  %40 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %41 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %42 = "mm.quantize"(%39, %40, %41) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
  %43 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %44 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %used_here = "mm.dequantize"(%42, %43, %44) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %45 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %46 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %47 = "mm.dequantize"(%42, %45, %46) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %and_there = "mm.neg"(%47) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  "mm.yield"(%next, %residual, %residual_read_twice, %used_here, %and_there) : (tensor<?x2x4x4xui8, ["N"]>, tensor<?x2x4x4xui8, ["N"]>, tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> ()
}) {name = "epilogue", inputs = ["x", "r"], outputs = ["next", "residual", "residual_read_twice", "used_here", "and_there"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x3x4x4xui8, ["N"]>, %r: tensor<?x2x4x4xui8, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %1 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %2 = "mm.constant"() {value = dense<[[[[-9]], [[-7]], [[-9]]], [[[3]], [[0]], [[2]]]]> : tensor<2x3x1x1xi8>} : () -> tensor<2x3x1x1xi8>
  %3 = "mm.constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %4 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %5 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %next = "mm.fused"(%x, %0, %1, %2, %3, %4, %5, %6) ({
    ^bb0(%7: tensor<?x3x4x4xui8, ["N"]>, %8: tensor<f32>, %9: tensor<ui8>, %10: tensor<2x3x1x1xi8>, %11: tensor<2xf32>, %12: tensor<2xf32>, %13: tensor<f32>, %14: tensor<ui8>):
      %15 = "mm.dequantize"(%7, %8, %9) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
      %16 = "mm.dequantize"(%10, %11) {axis = 0 : i64, block_size = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
      %17 = "mm.conv"(%15, %16, %12) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
      %18 = "mm.relu"(%17) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
      %19 = "mm.quantize"(%18, %13, %14) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
      "mm.yield"(%19) : (tensor<?x2x4x4xui8, ["N"]>) -> ()
  }) {kind = "quantized_conv"} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>, tensor<2x3x1x1xi8>, tensor<2xf32>, tensor<2xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
  %20 = "mm.constant"() {value = dense<0.25> : tensor<f32>} : () -> tensor<f32>
  %21 = "mm.constant"() {value = dense<7> : tensor<ui8>} : () -> tensor<ui8>
  %22 = "mm.dequantize"(%r, %20, %21) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %23 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %24 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %25 = "mm.constant"() {value = dense<[[[[-5]], [[2]], [[4]]], [[[-3]], [[-1]], [[8]]]]> : tensor<2x3x1x1xi8>} : () -> tensor<2x3x1x1xi8>
  %26 = "mm.constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %27 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %28 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %29 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %30 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %31 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %32 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %33 = "mm.constant"() {value = dense<0> : tensor<ui8>} : () -> tensor<ui8>
  %residual = "mm.fused"(%x, %23, %24, %25, %26, %27, %28, %29, %30, %31, %r, %20, %21, %32, %33) ({
    ^bb0(%34: tensor<?x3x4x4xui8, ["N"]>, %35: tensor<f32>, %36: tensor<ui8>, %37: tensor<2x3x1x1xi8>, %38: tensor<2xf32>, %39: tensor<2xf32>, %40: tensor<f32>, %41: tensor<ui8>, %42: tensor<f32>, %43: tensor<ui8>, %44: tensor<?x2x4x4xui8, ["N"]>, %45: tensor<f32>, %46: tensor<ui8>, %47: tensor<f32>, %48: tensor<ui8>):
      %49 = "mm.dequantize"(%34, %35, %36) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
      %50 = "mm.dequantize"(%37, %38) {axis = 0 : i64, block_size = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
      %51 = "mm.conv"(%49, %50, %39) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
      %52 = "mm.quantize"(%51, %40, %41) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
      %53 = "mm.dequantize"(%52, %42, %43) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
      %54 = "mm.dequantize"(%44, %45, %46) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
      %55 = "mm.add"(%53, %54) : (tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
      %56 = "mm.relu"(%55) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
      %57 = "mm.quantize"(%56, %47, %48) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
      "mm.yield"(%57) : (tensor<?x2x4x4xui8, ["N"]>) -> ()
  }) {kind = "quantized_conv"} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>, tensor<2x3x1x1xi8>, tensor<2xf32>, tensor<2xf32>, tensor<f32>, tensor<ui8>, tensor<f32>, tensor<ui8>, tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
  %residual_read_twice = "mm.sigmoid"(%22) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  %58 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %59 = "mm.constant"() {value = dense<3> : tensor<ui8>} : () -> tensor<ui8>
  %60 = "mm.constant"() {value = dense<[[[[5]], [[8]], [[-3]]], [[[3]], [[8]], [[2]]]]> : tensor<2x3x1x1xi8>} : () -> tensor<2x3x1x1xi8>
  %61 = "mm.constant"() {value = dense<[0.5, 0.25]> : tensor<2xf32>} : () -> tensor<2xf32>
  %62 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %63 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %64 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %65 = "mm.fused"(%x, %58, %59, %60, %61, %62, %63, %64) ({
    ^bb0(%66: tensor<?x3x4x4xui8, ["N"]>, %67: tensor<f32>, %68: tensor<ui8>, %69: tensor<2x3x1x1xi8>, %70: tensor<2xf32>, %71: tensor<2xf32>, %72: tensor<f32>, %73: tensor<ui8>):
      %74 = "mm.dequantize"(%66, %67, %68) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x3x4x4xf32, ["N"]>
      %75 = "mm.dequantize"(%69, %70) {axis = 0 : i64, block_size = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
      %76 = "mm.conv"(%74, %75, %71) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x3x4x4xf32, ["N"]>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<?x2x4x4xf32, ["N"]>
      %77 = "mm.quantize"(%76, %72, %73) {to = ui8, axis = 1 : i64, block_size = 0 : i64, saturate = true} : (tensor<?x2x4x4xf32, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
      "mm.yield"(%77) : (tensor<?x2x4x4xui8, ["N"]>) -> ()
  }) {kind = "quantized_conv"} : (tensor<?x3x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>, tensor<2x3x1x1xi8>, tensor<2xf32>, tensor<2xf32>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xui8, ["N"]>
  %78 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %79 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %used_here = "mm.dequantize"(%65, %78, %79) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %80 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %81 = "mm.constant"() {value = dense<9> : tensor<ui8>} : () -> tensor<ui8>
  %82 = "mm.dequantize"(%65, %80, %81) {axis = 1 : i64, block_size = 0 : i64} : (tensor<?x2x4x4xui8, ["N"]>, tensor<f32>, tensor<ui8>) -> tensor<?x2x4x4xf32, ["N"]>
  %and_there = "mm.neg"(%82) : (tensor<?x2x4x4xf32, ["N"]>) -> tensor<?x2x4x4xf32, ["N"]>
  "mm.yield"(%next, %residual, %residual_read_twice, %used_here, %and_there) : (tensor<?x2x4x4xui8, ["N"]>, tensor<?x2x4x4xui8, ["N"]>, tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>, tensor<?x2x4x4xf32, ["N"]>) -> ()
}) {name = "epilogue", inputs = ["x", "r"], outputs = ["next", "residual", "residual_read_twice", "used_here", "and_there"]} : () -> ()
