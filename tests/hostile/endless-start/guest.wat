(module
  ;;@include memory.wat
  (func $start (loop $again (br $again)))
  (start $start)
  ;;@include decode.wat
)
