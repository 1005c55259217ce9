(module
  ;;@include memory.wat
  (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
    (loop $again (br $again))
    (unreachable)))
