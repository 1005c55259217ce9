(module
  ;;@include memory.wat
  ;;@include decode.wat
  (func $maze (param $a i32) (param $b i32) (result i32)
    ;;@repeat 60000
    (if (i32.lt_u (local.get $a) (i32.const {n}))
      (then (local.set $a (i32.add (local.get $b) (i32.const {n}))))
      (else (local.set $b (i32.mul (local.get $a) (local.get $b)))))
    ;;@end
    (local.get $a))
  (export "maze" (func $maze)))
