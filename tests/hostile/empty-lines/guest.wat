(module
  (import "faultline:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  ;;@include memory.wat
  (func (export "faultline:plugin/decode@0.1.0#decode") (param $envelopes i32) (param $count i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 9000))
    (loop $again
      (call $log (i32.const 0) (i32.const 0) (i32.const 0))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.store (i32.const 16) (i32.const 524288))
    (i32.store (i32.const 20) (local.get $count))
    (i32.const 16)))
