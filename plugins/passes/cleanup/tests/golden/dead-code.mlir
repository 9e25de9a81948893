// passes: eliminate-dead-code
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>):
  %0 = "mm.relu"(%x) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %1 = "mm.exp"(%0) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  %2 = "mm.constant"() {value = dense<[-0.25, 0.125]> : tensor<2xf32>} : () -> tensor<2xf32>
  %y = "mm.relu"(%x) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  "mm.yield"(%y) : (tensor<?x4xf32, ["N"]>) -> ()
}) {name = "dead_code", inputs = ["x"], outputs = ["y"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>):
  %y = "mm.relu"(%x) : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]>
  "mm.yield"(%y) : (tensor<?x4xf32, ["N"]>) -> ()
}) {name = "dead_code", inputs = ["x"], outputs = ["y"]} : () -> ()
