// passes: simplify
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x16xf32, ["N"]>, %i: tensor<?x16xi64, ["N"]>):
  %0 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %a = "mm.mul"(%x, %0) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %1 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %a2 = "mm.mul"(%1, %x) : (tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<-0.0> : tensor<f32>} : () -> tensor<f32>
  %b = "mm.add"(%x, %2) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %c_kept = "mm.add"(%x, %3) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %4 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %d = "mm.sub"(%x, %4) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<-0.0> : tensor<f32>} : () -> tensor<f32>
  %e_kept = "mm.sub"(%x, %5) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %6 = "mm.constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
  %f = "mm.add"(%i, %6) : (tensor<?x16xi64, ["N"]>, tensor<i64>) -> tensor<?x16xi64, ["N"]>
  %7 = "mm.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %g = "mm.pow"(%x, %7) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<8.0> : tensor<f32>} : () -> tensor<f32>
  %h = "mm.div"(%x, %8) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %i_kept = "mm.div"(%x, %9) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %10 = "mm.constant"() {value = dense<2> : tensor<i64>} : () -> tensor<i64>
  %j_kept = "mm.div"(%i, %10) : (tensor<?x16xi64, ["N"]>, tensor<i64>) -> tensor<?x16xi64, ["N"]>
  %11 = "mm.relu"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %k = "mm.relu"(%11) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %12 = "mm.neg"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %l = "mm.neg"(%12) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %m = "mm.maximum"(%x, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %13 = "mm.constant"() {value = dense<[[[1.0]], [[1.0]]]> : tensor<2x1x1xf32>} : () -> tensor<2x1x1xf32>
  %n_kept = "mm.mul"(%x, %13) : (tensor<?x16xf32, ["N"]>, tensor<2x1x1xf32>) -> tensor<2x?x16xf32, ["N"]>
  %o = "mm.sum"(%x, %x, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %p = "mm.identity"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %14 = "mm.constant"() {value = dense<[2.0, 4.0, 2.0, 4.0, 2.0, 4.0, 2.0, 4.0, 2.0, 4.0, 2.0, 4.0, 2.0, 4.0, 2.0, 4.0]> : tensor<16xf32>} : () -> tensor<16xf32>
  %q = "mm.div"(%x, %14) : (tensor<?x16xf32, ["N"]>, tensor<16xf32>) -> tensor<?x16xf32, ["N"]>
  %15 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %16 = "mm.less"(%x, %15) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xi1, ["N"]>
  %17 = "mm.logical_not"(%16) : (tensor<?x16xi1, ["N"]>) -> tensor<?x16xi1, ["N"]>
  %18 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %r = "mm.select"(%17, %x, %18) : (tensor<?x16xi1, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %s = "mm.select"(%16, %x, %x) : (tensor<?x16xi1, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  "mm.yield"(%a, %a2, %b, %c_kept, %d, %e_kept, %f, %g, %h, %i_kept, %j_kept, %k, %l, %m, %n_kept, %o, %p, %q, %r, %s) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xi64, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xi64, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<2x?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> ()
}) {name = "arithmetic", inputs = ["x", "i"], outputs = ["a", "a2", "b", "c_kept", "d", "e_kept", "f", "g", "h", "i_kept", "j_kept", "k", "l", "m", "n_kept", "o", "p", "q", "r", "s"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x16xf32, ["N"]>, %i: tensor<?x16xi64, ["N"]>):
  %0 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %c_kept = "mm.add"(%x, %0) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %1 = "mm.constant"() {value = dense<-0.0> : tensor<f32>} : () -> tensor<f32>
  %e_kept = "mm.sub"(%x, %1) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %g = "mm.mul"(%x, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<0.125> : tensor<f32>} : () -> tensor<f32>
  %h = "mm.mul"(%x, %2) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %i_kept = "mm.div"(%x, %3) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xf32, ["N"]>
  %4 = "mm.constant"() {value = dense<2> : tensor<i64>} : () -> tensor<i64>
  %j_kept = "mm.div"(%i, %4) : (tensor<?x16xi64, ["N"]>, tensor<i64>) -> tensor<?x16xi64, ["N"]>
  %k = "mm.relu"(%x) : (tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %5 = "mm.constant"() {value = dense<[[[1.0]], [[1.0]]]> : tensor<2x1x1xf32>} : () -> tensor<2x1x1xf32>
  %n_kept = "mm.mul"(%x, %5) : (tensor<?x16xf32, ["N"]>, tensor<2x1x1xf32>) -> tensor<2x?x16xf32, ["N"]>
  %6 = "mm.add"(%x, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %o = "mm.add"(%6, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  %7 = "mm.constant"() {value = dense<[0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5, 0.25]> : tensor<16xf32>} : () -> tensor<16xf32>
  %q = "mm.mul"(%x, %7) : (tensor<?x16xf32, ["N"]>, tensor<16xf32>) -> tensor<?x16xf32, ["N"]>
  %8 = "mm.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %9 = "mm.less"(%x, %8) : (tensor<?x16xf32, ["N"]>, tensor<f32>) -> tensor<?x16xi1, ["N"]>
  %10 = "mm.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %r = "mm.select"(%9, %10, %x) : (tensor<?x16xi1, ["N"]>, tensor<f32>, tensor<?x16xf32, ["N"]>) -> tensor<?x16xf32, ["N"]>
  "mm.yield"(%x, %x, %x, %c_kept, %x, %e_kept, %i, %g, %h, %i_kept, %j_kept, %k, %x, %x, %n_kept, %o, %x, %q, %r, %x) : (tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xi64, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xi64, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<2x?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>, tensor<?x16xf32, ["N"]>) -> ()
}) {name = "arithmetic", inputs = ["x", "i"], outputs = ["a", "a2", "b", "c_kept", "d", "e_kept", "f", "g", "h", "i_kept", "j_kept", "k", "l", "m", "n_kept", "o", "p", "q", "r", "s"]} : () -> ()
