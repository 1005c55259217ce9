(module
  (import "[export]hostile:handle-flood/things" "[resource-new]thing" (func $new (param i32) (result i32)))
  ;;@include memory.wat
  (func (export "hostile:handle-flood/things#[constructor]thing") (result i32)
    (call $new (i32.const 0)))
  (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
    (loop $again
      (drop (call $new (i32.const 0)))
      (br $again))
    (unreachable)))
