(module
  ;;@include memory.wat
  (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
    (i32.store (i32.const 16) (i32.const 524288))
    (i32.const 16)))
