;; A guest around what an attempt does. It answers with a fault, whose message are
;; the bytes that the attempt shows, in hexadecimal digits. From 64 to 1023 there
;; is room for what functions answer.
(memory (export "memory") 17)
(global $next (mut i32) (i32.const 1024))
(func (export "cabi_realloc") (param $old i32) (param $before i32) (param $align i32) (param $size i32) (result i32)
  (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
  (global.set $next (i32.add (local.get $at) (local.get $size)))
  (local.get $at))

;; The element at 524288 is a fault; its message lies from 600000 on.
(func $show (param $from i32) (param $count i32)
  (local $byte i32)
  (i32.store8 (i32.const 524288) (i32.const 1))
  (i32.store (i32.const 524304) (i32.const 600000))
  (block $done
    (loop $again
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $byte (i32.load8_u (local.get $from)))
      (call $digit (i32.shr_u (local.get $byte) (i32.const 4)))
      (call $digit (i32.and (local.get $byte) (i32.const 15)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $again))))
(func $digit (param $value i32)
  (local $at i32)
  (local.set $at (i32.load (i32.const 524308)))
  (i32.store8
    (i32.add (i32.const 600000) (local.get $at))
    (i32.add
      (local.get $value)
      (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $value) (i32.const 10)))))
  (i32.store (i32.const 524308) (i32.add (local.get $at) (i32.const 1))))

(func (export "faultline:plugin/decode@0.1.0#decode") (param i32 i32) (result i32)
  (call $attempt)
  (i32.store (i32.const 16) (i32.const 524288))
  (i32.store (i32.const 20) (i32.const 1))
  (i32.const 16))
