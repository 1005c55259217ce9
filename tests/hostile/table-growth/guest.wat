(module
  ;;@include memory.wat
  (table $table 1 funcref)
  (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
    (loop $again
      (br_if $again (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))
    (unreachable)))
