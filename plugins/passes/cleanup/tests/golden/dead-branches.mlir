// passes: prune-branches,simplify,eliminate-dead-code
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>, %c: tensor<i1>):
  %0 = "mm.constant"() {value = dense<true> : tensor<i1>} : () -> tensor<i1>
  %taken = "mm.if"(%0, %x) ({
    ^bb0(%v: tensor<?x4xf32, ["N"]>):
      %1 = "mm.relu"(%v) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%1) : (tensor<?x4xf32, ["N"]>) -> ()
  }, {
    ^bb0(%2: tensor<?x4xf32, ["N"]>):
      %3 = "mm.exp"(%2) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%3) : (tensor<?x4xf32, ["N"]>) -> ()
  }) : (tensor<i1>, tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %kept = "mm.if"(%c, %x) ({
    ^bb0(%4: tensor<?x4xf32, ["N"]>):
      %5 = "mm.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
      %6 = "mm.mul"(%4, %5) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%6) : (tensor<?x4xf32, ["N"]>) -> ()
  }, {
    ^bb0(%7: tensor<?x4xf32, ["N"]>):
      %8 = "mm.exp"(%7) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%8) : (tensor<?x4xf32, ["N"]>) -> ()
  }) : (tensor<i1>, tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %9 = "mm.constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
  %zero:2 = "mm.loop"(%9, %x) <{operandSegmentSizes = array<i32: 1, 0, 1>}> ({
    ^bb0(%i: tensor<i64>, %k: tensor<i1>, %10: tensor<?x4xf32, ["N"]>):
      %11 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
      %12 = "mm.add"(%i, %11) : (tensor<i64>, tensor<i64>) -> tensor<i64>
      %13 = "mm.cast"(%12) {to = f32, saturate = true, round_mode = "up"} : (tensor<i64>) -> tensor<f32>
      %14 = "mm.add"(%10, %13) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
      %15 = "mm.neg"(%10) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%k, %14, %15) : (tensor<i1>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>) -> ()
  }) {carried = 1 : i64} : (tensor<i64>, tensor<?x4xf32, ["N"]>) -> (tensor<?x4xf32, ["N"]>, tensor<0x?x4xf32, ["N"]>)
  %16 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
  %one:2 = "mm.loop"(%16, %x) <{operandSegmentSizes = array<i32: 1, 0, 1>}> ({
    ^bb0(%17: tensor<i64>, %18: tensor<i1>, %19: tensor<?x4xf32, ["N"]>):
      %20 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
      %21 = "mm.add"(%17, %20) : (tensor<i64>, tensor<i64>) -> tensor<i64>
      %22 = "mm.cast"(%21) {to = f32, saturate = true, round_mode = "up"} : (tensor<i64>) -> tensor<f32>
      %23 = "mm.add"(%19, %22) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
      %24 = "mm.neg"(%19) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%18, %23, %24) : (tensor<i1>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>) -> ()
  }) {carried = 1 : i64} : (tensor<i64>, tensor<?x4xf32, ["N"]>) -> (tensor<?x4xf32, ["N"]>, tensor<1x?x4xf32, ["N"]>)
  %25 = "mm.constant"() {value = dense<2> : tensor<i64>} : () -> tensor<i64>
  %two:2 = "mm.loop"(%25, %x) <{operandSegmentSizes = array<i32: 1, 0, 1>}> ({
    ^bb0(%26: tensor<i64>, %27: tensor<i1>, %28: tensor<?x4xf32, ["N"]>):
      %29 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
      %30 = "mm.add"(%26, %29) : (tensor<i64>, tensor<i64>) -> tensor<i64>
      %31 = "mm.cast"(%30) {to = f32, saturate = true, round_mode = "up"} : (tensor<i64>) -> tensor<f32>
      %32 = "mm.add"(%28, %31) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
      %33 = "mm.neg"(%28) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%27, %32, %33) : (tensor<i1>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>) -> ()
  }) {carried = 1 : i64} : (tensor<i64>, tensor<?x4xf32, ["N"]>) -> (tensor<?x4xf32, ["N"]>, tensor<2x?x4xf32, ["N"]>)
  "mm.yield"(%taken, %kept, %zero#0, %one#0, %one#1, %two#0, %two#1) : (tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<1x?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<2x?x4xf32, ["N"]>) -> ()
}) {name = "dead_branches", inputs = ["x", "c"], outputs = ["taken", "kept", "zero", "one", "one_collected", "two", "two_collected"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>, %c: tensor<i1>):
  %taken = "mm.relu"(%x) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %kept = "mm.if"(%c, %x) ({
    ^bb0(%0: tensor<?x4xf32, ["N"]>):
      "mm.yield"(%0) : (tensor<?x4xf32, ["N"]>) -> ()
  }, {
    ^bb0(%1: tensor<?x4xf32, ["N"]>):
      %2 = "mm.exp"(%1) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%2) : (tensor<?x4xf32, ["N"]>) -> ()
  }) : (tensor<i1>, tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %3 = "mm.constant"() {value = dense<0> : tensor<i64>} : () -> tensor<i64>
  %zero:2 = "mm.loop"(%3, %x) <{operandSegmentSizes = array<i32: 1, 0, 1>}> ({
    ^bb0(%i: tensor<i64>, %k: tensor<i1>, %4: tensor<?x4xf32, ["N"]>):
      %5 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
      %6 = "mm.add"(%i, %5) : (tensor<i64>, tensor<i64>) -> tensor<i64>
      %7 = "mm.cast"(%6) {to = f32, saturate = true, round_mode = "up"} : (tensor<i64>) -> tensor<f32>
      %8 = "mm.add"(%4, %7) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
      %9 = "mm.neg"(%4) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%k, %8, %9) : (tensor<i1>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>) -> ()
  }) {carried = 1 : i64} : (tensor<i64>, tensor<?x4xf32, ["N"]>) -> (tensor<?x4xf32, ["N"]>, tensor<0x?x4xf32, ["N"]>)
  %10 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
  %11 = "mm.cast"(%10) {to = f32, saturate = true, round_mode = "up"} : (tensor<i64>) -> tensor<f32>
  %one = "mm.add"(%x, %11) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
  %12 = "mm.neg"(%x) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %13 = "mm.constant"() {value = dense<[1, -1, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
  %14 = "mm.reshape"(%12, %13) : (tensor<?x4xf32, ["N"]>, tensor<3xi64>) -> tensor<1x?x4xf32, ["N"]>
  %15 = "mm.constant"() {value = dense<2> : tensor<i64>} : () -> tensor<i64>
  %two:2 = "mm.loop"(%15, %x) <{operandSegmentSizes = array<i32: 1, 0, 1>}> ({
    ^bb0(%16: tensor<i64>, %17: tensor<i1>, %18: tensor<?x4xf32, ["N"]>):
      %19 = "mm.constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
      %20 = "mm.add"(%16, %19) : (tensor<i64>, tensor<i64>) -> tensor<i64>
      %21 = "mm.cast"(%20) {to = f32, saturate = true, round_mode = "up"} : (tensor<i64>) -> tensor<f32>
      %22 = "mm.add"(%18, %21) : (tensor<?x4xf32, ["N"]>, tensor<f32>) -> tensor<?x4xf32, ["N"]>
      %23 = "mm.neg"(%18) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
      "mm.yield"(%17, %22, %23) : (tensor<i1>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>) -> ()
  }) {carried = 1 : i64} : (tensor<i64>, tensor<?x4xf32, ["N"]>) -> (tensor<?x4xf32, ["N"]>, tensor<2x?x4xf32, ["N"]>)
  "mm.yield"(%taken, %kept, %zero#0, %one, %14, %two#0, %two#1) : (tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<1x?x4xf32, ["N"]>, tensor<?x4xf32, ["N"]>, tensor<2x?x4xf32, ["N"]>) -> ()
}) {name = "dead_branches", inputs = ["x", "c"], outputs = ["taken", "kept", "zero", "one", "one_collected", "two", "two_collected"]} : () -> ()
