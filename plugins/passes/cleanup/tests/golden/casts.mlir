// passes: simplify
// tolerance: 0
// nan: yes
"mm.network"() ({
^bb0(%x: tensor<40xf32>, %h: tensor<40xf16>, %i: tensor<40xi32>, %b: tensor<40xi1>):
  %same = "mm.cast"(%x) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xf32>) -> tensor<40xf32>
  %0 = "mm.cast"(%h) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xf16>) -> tensor<40xf32>
  %there_and_back = "mm.cast"(%0) {to = f16, saturate = true, round_mode = "up"} : (tensor<40xf32>) -> tensor<40xf16>
  %1 = "mm.cast"(%i) {to = i64, saturate = true, round_mode = "up"} : (tensor<40xi32>) -> tensor<40xi64>
  %wide = "mm.cast"(%1) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xi64>) -> tensor<40xf32>
  %2 = "mm.cast"(%i) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xi32>) -> tensor<40xf32>
  %kept = "mm.cast"(%2) {to = i32, saturate = true, round_mode = "up"} : (tensor<40xf32>) -> tensor<40xi32>
  %3 = "mm.cast"(%x) {to = f16, saturate = true, round_mode = "up"} : (tensor<40xf32>) -> tensor<40xf16>
  %rounding_kept = "mm.cast"(%3) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xf16>) -> tensor<40xf32>
  %4 = "mm.cast"(%b) {to = i64, saturate = true, round_mode = "up"} : (tensor<40xi1>) -> tensor<40xi64>
  %bool = "mm.cast"(%4) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xi64>) -> tensor<40xf32>
  "mm.yield"(%same, %there_and_back, %wide, %kept, %rounding_kept, %bool) : (tensor<40xf32>, tensor<40xf16>, tensor<40xf32>, tensor<40xi32>, tensor<40xf32>, tensor<40xf32>) -> ()
}) {name = "casts", inputs = ["x", "h", "i", "b"], outputs = ["same", "there_and_back", "wide", "kept", "rounding_kept", "bool"]} : () -> ()
// -----
"mm.network"() ({
^bb0(%x: tensor<40xf32>, %h: tensor<40xf16>, %i: tensor<40xi32>, %b: tensor<40xi1>):
  %wide = "mm.cast"(%i) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xi32>) -> tensor<40xf32>
  %0 = "mm.cast"(%i) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xi32>) -> tensor<40xf32>
  %kept = "mm.cast"(%0) {to = i32, saturate = true, round_mode = "up"} : (tensor<40xf32>) -> tensor<40xi32>
  %1 = "mm.cast"(%x) {to = f16, saturate = true, round_mode = "up"} : (tensor<40xf32>) -> tensor<40xf16>
  %rounding_kept = "mm.cast"(%1) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xf16>) -> tensor<40xf32>
  %bool = "mm.cast"(%b) {to = f32, saturate = true, round_mode = "up"} : (tensor<40xi1>) -> tensor<40xf32>
  "mm.yield"(%x, %h, %wide, %kept, %rounding_kept, %bool) : (tensor<40xf32>, tensor<40xf16>, tensor<40xf32>, tensor<40xi32>, tensor<40xf32>, tensor<40xf32>) -> ()
}) {name = "casts", inputs = ["x", "h", "i", "b"], outputs = ["same", "there_and_back", "wide", "kept", "rounding_kept", "bool"]} : () -> ()
