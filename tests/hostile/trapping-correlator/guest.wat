(module
  ;;@include memory.wat
  (func (export "faultline:plugin/correlate@0.1.0#correlate") 
    (param i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (unreachable)))
