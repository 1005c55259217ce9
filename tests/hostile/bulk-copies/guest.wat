(module
  ;;@include memory.wat
  (func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
    (drop (memory.grow (i32.const 900)))
    (loop $again
      (memory.copy (i32.const 0) (i32.const 29000000) (i32.const 29000000))
      (memory.fill (i32.const 29000000) (i32.const 7) (i32.const 29000000))
      (br $again))
    (unreachable)))
