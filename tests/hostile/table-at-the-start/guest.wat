(module
  ;;@include memory.wat
  (table 90000 funcref)
  ;;@include decode.wat
)
