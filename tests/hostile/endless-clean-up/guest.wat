(module
  ;;@include memory.wat
  ;;@include decode.wat
  (func (export "cabi_post_faultline:plugin/decode@0.1.0#decode") (param i32)
    (loop $again (br $again))))
