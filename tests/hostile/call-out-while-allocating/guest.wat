(module
  (import "faultline:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") 17)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (call $log (i32.const 1) (i32.const 0) (i32.const 8))
    (i32.const 1024))
  ;;@include decode.wat
)
