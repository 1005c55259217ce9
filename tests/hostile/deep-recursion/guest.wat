(module
  ;;@include memory.wat
  (func $deeper (param $depth i64) (result i64)
    (i64.add (local.get $depth) (call $deeper (i64.add (local.get $depth) (i64.const 1)))))
  (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
    (i32.wrap_i64 (call $deeper (i64.const 0)))))
