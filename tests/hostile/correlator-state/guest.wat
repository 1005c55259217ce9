(module
  ;;@include memory.wat
  (func (export "faultline:plugin/correlate@0.1.0#correlate")
    (param i64 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (drop (memory.grow (i32.const 80)))
    ;; No proposals, and a state of five megabytes.
    (i32.store (i32.const 524304) (i32.const 1))
    (i32.store (i32.const 524320) (i32.const 5000000))
    (i32.const 524288)))
