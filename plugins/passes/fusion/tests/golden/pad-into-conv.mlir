// passes: fold-affine,fold-pad,eliminate-dead-code
// tolerance: 1e-06
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x2x5x6xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[0, 0, 1, 2, 0, 0, 0, 1]> : tensor<8xi64>} : () -> tensor<8xi64>
  %1 = "mm.pad"(%x, %0) {mode = "constant"} : (tensor<?x2x5x6xf32, ["N"]>, tensor<8xi64>) -> tensor<?x2x6x9xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[[[[1.375, 0.5], [-0.375, -0.625]], [[-0.5, -0.0], [0.0, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %all_axes = "mm.conv"(%1, %2) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x6x9xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x5x8xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<[1, 1]> : tensor<2xi64>} : () -> tensor<2xi64>
  %4 = "mm.pad"(%x, %3) {mode = "constant", axes = [3 : i64]} : (tensor<?x2x5x6xf32, ["N"]>, tensor<2xi64>) -> tensor<?x2x5x8xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<[[[[1.375, 0.5], [-0.375, -0.625]], [[-0.5, -0.0], [0.0, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %one_axis = "mm.conv"(%4, %5) {strides = [], pads = [1 : i64, 0 : i64, 1 : i64, 0 : i64], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x8xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x6x7xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>} : () -> tensor<8xi64>
  %7 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %8 = "mm.pad"(%x, %6, %7) {mode = "constant"} : (tensor<?x2x5x6xf32, ["N"]>, tensor<8xi64>, tensor<f32>) -> tensor<?x2x7x8xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<[[[[1.375, 0.5], [-0.375, -0.625]], [[-0.5, -0.0], [0.0, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %ones_kept = "mm.conv"(%8, %9) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x7x8xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x6x7xf32, ["N"]>
  %10 = "mm.constant"() {value = dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>} : () -> tensor<8xi64>
  %11 = "mm.pad"(%x, %10) {mode = "reflect"} : (tensor<?x2x5x6xf32, ["N"]>, tensor<8xi64>) -> tensor<?x2x7x8xf32, ["N"]>
  %12 = "mm.constant"() {value = dense<[[[[1.375, 0.5], [-0.375, -0.625]], [[-0.5, -0.0], [0.0, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %reflect_kept = "mm.conv"(%11, %12) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x7x8xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x6x7xf32, ["N"]>
  "mm.yield"(%all_axes, %one_axis, %ones_kept, %reflect_kept) : (tensor<?x1x5x8xf32, ["N"]>, tensor<?x1x6x7xf32, ["N"]>, tensor<?x1x6x7xf32, ["N"]>, tensor<?x1x6x7xf32, ["N"]>) -> ()
}) {name = "pad_into_conv", inputs = ["x"], outputs = ["all_axes", "one_axis", "ones_kept", "reflect_kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x2x5x6xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[[[[1.375, 0.5], [-0.375, -0.625]], [[-0.5, -0.0], [0.0, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %all_axes = "mm.conv"(%x, %0) {strides = [], pads = [1 : i64, 2 : i64, 0 : i64, 1 : i64], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x6xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x5x8xf32, ["N"]>
  %1 = "mm.constant"() {value = dense<[[[[1.375, 0.5], [-0.375, -0.625]], [[-0.5, -0.0], [0.0, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %one_axis = "mm.conv"(%x, %1) {strides = [], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x5x6xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x6x7xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>} : () -> tensor<8xi64>
  %3 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %4 = "mm.pad"(%x, %2, %3) {mode = "constant"} : (tensor<?x2x5x6xf32, ["N"]>, tensor<8xi64>, tensor<f32>) -> tensor<?x2x7x8xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<[[[[1.375, 0.5], [-0.375, -0.625]], [[-0.5, -0.0], [0.0, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %ones_kept = "mm.conv"(%4, %5) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x7x8xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x6x7xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<[0, 0, 1, 1, 0, 0, 1, 1]> : tensor<8xi64>} : () -> tensor<8xi64>
  %7 = "mm.pad"(%x, %6) {mode = "reflect"} : (tensor<?x2x5x6xf32, ["N"]>, tensor<8xi64>) -> tensor<?x2x7x8xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<[[[[1.375, 0.5], [-0.375, -0.625]], [[-0.5, -0.0], [0.0, -0.375]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
  %reflect_kept = "mm.conv"(%7, %8) {strides = [], pads = [], dilations = [], auto_pad = "notset", group = 1 : i64} : (tensor<?x2x7x8xf32, ["N"]>, tensor<1x2x2x2xf32>) -> tensor<?x1x6x7xf32, ["N"]>
  "mm.yield"(%all_axes, %one_axis, %ones_kept, %reflect_kept) : (tensor<?x1x5x8xf32, ["N"]>, tensor<?x1x6x7xf32, ["N"]>, tensor<?x1x6x7xf32, ["N"]>, tensor<?x1x6x7xf32, ["N"]>) -> ()
}) {name = "pad_into_conv", inputs = ["x"], outputs = ["all_axes", "one_axis", "ones_kept", "reflect_kept"]} : () -> ()
