(module
  ;;@include memory.wat
  (func $start (unreachable))
  (start $start)
  ;;@include decode.wat
)
