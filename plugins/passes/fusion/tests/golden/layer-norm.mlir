// passes: recognize-normalizations
// tolerance: 1e-05
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x?x8xf32, ["N", "S"]>):
  %0 = "mm.reduce_mean"(%x) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %1 = "mm.sub"(%x, %0) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %2 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %3 = "mm.pow"(%1, %2) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<f32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %4 = "mm.reduce_mean"(%3) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %5 = "mm.constant"() {value = dense<9.999999747378752e-06> : tensor<f32>} : () -> tensor<f32>
  %6 = "mm.add"(%4, %5) : (tensor<?x?x1xf32, ["N", "S"]>, tensor<f32>) -> tensor<?x?x1xf32, ["N", "S"]>
  %7 = "mm.sqrt"(%6) : (tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %8 = "mm.div"(%1, %7) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %9 = "mm.constant"() {value = dense<[-0.5, -0.125, -0.125, 0.25, 0.125, 0.125, -0.375, -0.125]> : tensor<8xf32>} : () -> tensor<8xf32>
  %10 = "mm.mul"(%8, %9) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<8xf32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %11 = "mm.constant"() {value = dense<[0.375, 0.75, -0.625, 0.75, 0.625, 0.375, 0.125, -0.125]> : tensor<8xf32>} : () -> tensor<8xf32>
  %torch = "mm.add"(%10, %11) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<8xf32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %12 = "mm.reduce_mean"(%x) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %13 = "mm.sub"(%x, %12) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %14 = "mm.reduce_mean"(%x) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %15 = "mm.sub"(%x, %14) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %16 = "mm.mul"(%15, %15) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %17 = "mm.reduce_mean"(%16) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %18 = "mm.constant"() {value = dense<9.999999960041972e-13> : tensor<f32>} : () -> tensor<f32>
  %19 = "mm.add"(%17, %18) : (tensor<?x?x1xf32, ["N", "S"]>, tensor<f32>) -> tensor<?x?x1xf32, ["N", "S"]>
  %20 = "mm.sqrt"(%19) : (tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %21 = "mm.reciprocal"(%20) : (tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %22 = "mm.mul"(%13, %21) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %23 = "mm.constant"() {value = dense<[0.75, 1.0, 0.875, 0.625, 0.125, -0.625, -0.0, 0.375]> : tensor<8xf32>} : () -> tensor<8xf32>
  %24 = "mm.mul"(%22, %23) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<8xf32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %25 = "mm.constant"() {value = dense<[-0.625, 0.25, 0.25, 0.375, -0.625, -0.375, -0.25, -0.625]> : tensor<8xf32>} : () -> tensor<8xf32>
  %tf = "mm.add"(%24, %25) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<8xf32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %26 = "mm.reduce_mean"(%x) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %27 = "mm.sub"(%x, %26) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %28 = "mm.mul"(%27, %27) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %29 = "mm.reduce_mean"(%28) {axes = [-1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x1xf32, ["N", "S"]>
  %30 = "mm.constant"() {value = dense<9.999999747378752e-06> : tensor<f32>} : () -> tensor<f32>
  %31 = "mm.add"(%29, %30) : (tensor<?x?x1xf32, ["N", "S"]>, tensor<f32>) -> tensor<?x?x1xf32, ["N", "S"]>
  %32 = "mm.constant"() {value = dense<-0.5> : tensor<f32>} : () -> tensor<f32>
  %33 = "mm.pow"(%31, %32) : (tensor<?x?x1xf32, ["N", "S"]>, tensor<f32>) -> tensor<?x?x1xf32, ["N", "S"]>
  %plain = "mm.mul"(%27, %33) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x1xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %34 = "mm.reduce_mean"(%x) {axes = [1 : i64, 2 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x1x1xf32, ["N"]>
  %35 = "mm.sub"(%x, %34) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x1x1xf32, ["N"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %36 = "mm.mul"(%35, %35) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %37 = "mm.reduce_mean"(%36) {axes = [1 : i64, 2 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x1x1xf32, ["N"]>
  %38 = "mm.constant"() {value = dense<9.999999747378752e-06> : tensor<f32>} : () -> tensor<f32>
  %39 = "mm.add"(%37, %38) : (tensor<?x1x1xf32, ["N"]>, tensor<f32>) -> tensor<?x1x1xf32, ["N"]>
  %40 = "mm.sqrt"(%39) : (tensor<?x1x1xf32, ["N"]>) -> tensor<?x1x1xf32, ["N"]>
  %two_axes = "mm.div"(%35, %40) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x1x1xf32, ["N"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %41 = "mm.reduce_mean"(%x) {axes = [1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x1x8xf32, ["N"]>
  %42 = "mm.sub"(%x, %41) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x1x8xf32, ["N"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %43 = "mm.mul"(%42, %42) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %44 = "mm.reduce_mean"(%43) {axes = [1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x1x8xf32, ["N"]>
  %45 = "mm.constant"() {value = dense<9.999999747378752e-06> : tensor<f32>} : () -> tensor<f32>
  %46 = "mm.add"(%44, %45) : (tensor<?x1x8xf32, ["N"]>, tensor<f32>) -> tensor<?x1x8xf32, ["N"]>
  %47 = "mm.sqrt"(%46) : (tensor<?x1x8xf32, ["N"]>) -> tensor<?x1x8xf32, ["N"]>
  %kept = "mm.div"(%42, %47) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x1x8xf32, ["N"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  "mm.yield"(%torch, %tf, %plain, %two_axes, %kept) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> ()
}) {name = "layer_norm", inputs = ["x"], outputs = ["torch", "tf", "plain", "two_axes", "kept"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x?x8xf32, ["N", "S"]>):
  %0 = "mm.constant"() {value = dense<[-0.5, -0.125, -0.125, 0.25, 0.125, 0.125, -0.375, -0.125]> : tensor<8xf32>} : () -> tensor<8xf32>
  %1 = "mm.constant"() {value = dense<[0.375, 0.75, -0.625, 0.75, 0.625, 0.375, 0.125, -0.125]> : tensor<8xf32>} : () -> tensor<8xf32>
  %torch = "mm.layer_norm"(%x, %0, %1) {axis = -1 : i64, epsilon = 9.999999747378752e-06 : f64} : (tensor<?x?x8xf32, ["N", "S"]>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %2 = "mm.constant"() {value = dense<[0.75, 1.0, 0.875, 0.625, 0.125, -0.625, -0.0, 0.375]> : tensor<8xf32>} : () -> tensor<8xf32>
  %3 = "mm.constant"() {value = dense<[-0.625, 0.25, 0.25, 0.375, -0.625, -0.375, -0.25, -0.625]> : tensor<8xf32>} : () -> tensor<8xf32>
  %tf = "mm.layer_norm"(%x, %2, %3) {axis = -1 : i64, epsilon = 9.999999960041972e-13 : f64} : (tensor<?x?x8xf32, ["N", "S"]>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32, ["N", "S"]>
  %plain = "mm.layer_norm"(%x) {axis = -1 : i64, epsilon = 9.999999747378752e-06 : f64} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %two_axes = "mm.layer_norm"(%x) {axis = -2 : i64, epsilon = 9.999999747378752e-06 : f64} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %4 = "mm.reduce_mean"(%x) {axes = [1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x1x8xf32, ["N"]>
  %5 = "mm.sub"(%x, %4) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x1x8xf32, ["N"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %6 = "mm.mul"(%5, %5) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  %7 = "mm.reduce_mean"(%6) {axes = [1 : i64], keepdims = true} : (tensor<?x?x8xf32, ["N", "S"]>) -> tensor<?x1x8xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<9.999999747378752e-06> : tensor<f32>} : () -> tensor<f32>
  %9 = "mm.add"(%7, %8) : (tensor<?x1x8xf32, ["N"]>, tensor<f32>) -> tensor<?x1x8xf32, ["N"]>
  %10 = "mm.sqrt"(%9) : (tensor<?x1x8xf32, ["N"]>) -> tensor<?x1x8xf32, ["N"]>
  %kept = "mm.div"(%5, %10) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x1x8xf32, ["N"]>) -> tensor<?x?x8xf32, ["N", "S"]>
  "mm.yield"(%torch, %tf, %plain, %two_axes, %kept) : (tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>, tensor<?x?x8xf32, ["N", "S"]>) -> ()
}) {name = "layer_norm", inputs = ["x"], outputs = ["torch", "tf", "plain", "two_axes", "kept"]} : () -> ()
