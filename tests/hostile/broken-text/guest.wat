(module
  ;;@include memory.wat
  (data (i32.const 64) "\ff\fe\c0\80")
  (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
    ;; A fault, whose code these bytes are.
    (i32.store8 (i32.const 524288) (i32.const 1))
    (i32.store (i32.const 524296) (i32.const 64))
    (i32.store (i32.const 524300) (i32.const 4))
    (i32.store (i32.const 16) (i32.const 524288))
    (i32.store (i32.const 20) (i32.const 1))
    (i32.const 16)))
