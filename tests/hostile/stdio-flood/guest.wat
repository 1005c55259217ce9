(module
  (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/stderr@0.2.6" "get-stderr" (func $stderr (result i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
  ;;@include memory.wat
  (func (export "faultline:plugin/decode@0.1.0#decode") (param $envelopes i32) (param $count i32) (result i32)
    (local $left i32) (local $out i32) (local $err i32)
    (local.set $out (call $stdout))
    (local.set $err (call $stderr))
    ;; Lines with nothing in them, and one that does not end.
    (memory.fill (i32.const 600000) (i32.const 10) (i32.const 4096))
    (memory.fill (i32.const 700000) (i32.const 120) (i32.const 4096))
    (local.set $left (i32.const 100))
    (loop $again
      (call $write (local.get $out) (i32.const 600000) (i32.const 4096) (i32.const 32))
      (call $write (local.get $err) (i32.const 700000) (i32.const 4096) (i32.const 32))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.store (i32.const 16) (i32.const 524288))
    (i32.store (i32.const 20) (local.get $count))
    (i32.const 16)))
