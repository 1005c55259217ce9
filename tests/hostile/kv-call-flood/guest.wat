(module
  (import "faultline:plugin/kv@0.1.0" "get" (func $get (param i32 i32 i32)))
  ;;@include memory.wat
  ;;@include decode.wat
  (func (export "faultline:plugin/poll@0.1.0#poll") (param i32 i32 i32 i32) (result i32)
    (loop $again
      (call $get (i32.const 0) (i32.const 0) (i32.const 64))
      (br $again))
    (unreachable)))
