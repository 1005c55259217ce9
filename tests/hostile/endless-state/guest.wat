(module
  ;;@include memory.wat
  (func (export "faultline:plugin/detect@0.1.0#introduce") (param i32 i32 i32 i32) (result i32)
    (i32.const 524288))
  (func (export "faultline:plugin/detect@0.1.0#samples") (param i32 i32 i32 i32 i32 i32) (result i32)
    (i32.const 524288))
  (func (export "faultline:plugin/detect@0.1.0#logs") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (i32.const 524288))
  (func (export "faultline:plugin/detect@0.1.0#tick") (param i64) (result i32)
    (i32.const 524288))
  (func (export "faultline:plugin/detect@0.1.0#save") (result i32)
    (i32.store (i32.const 524296) (i32.const 64)) (i32.store (i32.const 524300) (i32.const -64)) (i32.const 524288))
  (func (export "faultline:plugin/detect@0.1.0#load") (param i32 i32) (result i32)
    (i32.const 524288)))
