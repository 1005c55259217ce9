(module
  (import "faultline:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  ;;@include memory.wat
  (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
    (drop (memory.grow (i32.const 200)))
    (memory.fill (i32.const 600000) (i32.const 120) (i32.const 13000000))
    (loop $again
      (call $log (i32.const 0) (i32.const 600000) (i32.const 13000000))
      (br $again))
    (unreachable)))
