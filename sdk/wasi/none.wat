;; WASI preview 1 that is not there: what a compiler's runtime calls because it
;; expects an operating system, answered inside the component.
;;
;; An adapter in the sense of wit-component: linked with a core module that
;; imports `wasi_snapshot_preview1`, it leaves a component that imports nothing
;; of WASI at all. Functions that the module does not import are dropped; one
;; that it imports and that is not here fails the build, with its name.
;;
;; What is answered is the same each time. Time stands still but for a
;; microsecond at each look, and jumps to where somebody waits for; random
;; bytes are no secret; there are no arguments, no environment, no files; what
;; is printed is swallowed. Numbers are those of the preview 1 specification.
(module
  (import "env" "memory" (memory 0))

  ;; Errors: bad file descriptor, invalid argument.
  (global $BADF i32 (i32.const 8))
  (global $INVAL i32 (i32.const 28))

  ;; Nanoseconds. Not 0, which some take for a clock that was never set.
  (global $now (mut i64) (i64.const 1_000_000_000))
  (global $seed (mut i64) (i64.const 0))

  ;; Writes two numbers.
  (func $put2 (param $a i32) (param $b i32) (param $value i32) (result i32)
    (i32.store (local.get $a) (local.get $value))
    (i32.store (local.get $b) (local.get $value))
    (i32.const 0))

  (func (export "args_sizes_get") (param i32 i32) (result i32)
    (call $put2 (local.get 0) (local.get 1) (i32.const 0)))
  (func (export "args_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "environ_sizes_get") (param i32 i32) (result i32)
    (call $put2 (local.get 0) (local.get 1) (i32.const 0)))
  (func (export "environ_get") (param i32 i32) (result i32) (i32.const 0))

  (func (export "proc_exit") (param i32) (unreachable))
  (func (export "sched_yield") (result i32) (i32.const 0))

  (func (export "clock_res_get") (param i32 i32) (result i32)
    (i64.store (local.get 1) (i64.const 1_000))
    (i32.const 0))
  (func (export "clock_time_get") (param i32 i64 i32) (result i32)
    (global.set $now (i64.add (global.get $now) (i64.const 1_000)))
    (i64.store (local.get 2) (global.get $now))
    (i32.const 0))

  ;; SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
  ;; Generators", 2014), of which each byte takes a number of its own.
  (func $random (result i64) (local $z i64)
    (global.set $seed (i64.add (global.get $seed) (i64.const 0x9e3779b97f4a7c15)))
    (local.set $z (global.get $seed))
    (local.set $z (i64.mul
      (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 30)))
      (i64.const 0xbf58476d1ce4e5b9)))
    (local.set $z (i64.mul
      (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 27)))
      (i64.const 0x94d049bb133111eb)))
    (i64.xor (local.get $z) (i64.shr_u (local.get $z) (i64.const 31))))
  (func (export "random_get") (param $at i32) (param $len i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (i64.store8 (local.get $at) (call $random))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; Standard output and standard error take everything; nothing else is open.
  ;; Each piece is a pair of an address and a length.
  (func (export "fd_write")
    (param $fd i32) (param $pieces i32) (param $count i32) (param $written i32) (result i32)
    (local $sum i32)
    (if (i32.or (i32.lt_u (local.get $fd) (i32.const 1)) (i32.gt_u (local.get $fd) (i32.const 2)))
      (then (return (global.get $BADF))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $pieces))))
        (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $written) (local.get $sum))
    (i32.const 0))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_close") (param i32) (result i32) (global.get $BADF))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (global.get $BADF))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (global.get $BADF))

  ;; When a subscription to a clock is due. Fields of a subscription, which has
  ;; 48 bytes: user data 0, kind 8 (0 for a clock), time 24, flags 40 (1 if the
  ;; time is absolute).
  (func $due (param $wish i32) (result i64)
    (i64.add
      (i64.load offset=24 (local.get $wish))
      (select (i64.const 0) (global.get $now)
        (i32.and (i32.load16_u offset=40 (local.get $wish)) (i32.const 1)))))

  ;; Waits for nothing: the clock jumps to the first time that somebody waits
  ;; for. Files that somebody waits for are not there. Fields of an event, which
  ;; has 32 bytes: user data 0, error 8, kind 10.
  (func (export "poll_oneoff")
    (param $wishes i32) (param $events i32) (param $count i32) (param $happened i32) (result i32)
    (local $end i32) (local $wish i32) (local $first i64) (local $error i32) (local $sum i32)
    (if (i32.eqz (local.get $count)) (then (return (global.get $INVAL))))
    (local.set $end
      (i32.add (local.get $wishes) (i32.mul (local.get $count) (i32.const 48))))
    (local.set $first (i64.const -1))
    (local.set $wish (local.get $wishes))
    (loop $next
      (if (i32.eqz (i32.load8_u offset=8 (local.get $wish)))
        (then
          (if (i64.lt_u (call $due (local.get $wish)) (local.get $first))
            (then (local.set $first (call $due (local.get $wish)))))))
      (local.set $wish (i32.add (local.get $wish) (i32.const 48)))
      (br_if $next (i32.lt_u (local.get $wish) (local.get $end))))
    (local.set $wish (local.get $wishes))
    (loop $next
      (local.set $error (i32.const 0))
      (if (i32.load8_u offset=8 (local.get $wish))
        (then (local.set $error (global.get $BADF))))
      (if (i32.or
            (local.get $error)
            (i64.le_u (call $due (local.get $wish)) (local.get $first)))
        (then
          (i64.store (local.get $events) (i64.load (local.get $wish)))
          (i64.store offset=8 (local.get $events) (i64.const 0))
          (i64.store offset=16 (local.get $events) (i64.const 0))
          (i64.store offset=24 (local.get $events) (i64.const 0))
          (i32.store16 offset=8 (local.get $events) (local.get $error))
          (i32.store8 offset=10 (local.get $events) (i32.load8_u offset=8 (local.get $wish)))
          (local.set $events (i32.add (local.get $events) (i32.const 32)))
          (local.set $sum (i32.add (local.get $sum) (i32.const 1)))))
      (local.set $wish (i32.add (local.get $wish) (i32.const 48)))
      (br_if $next (i32.lt_u (local.get $wish) (local.get $end))))
    (if (i32.and
          (i64.ne (local.get $first) (i64.const -1))
          (i64.gt_u (local.get $first) (global.get $now)))
      (then (global.set $now (local.get $first))))
    (i32.store (local.get $happened) (local.get $sum))
    (i32.const 0))
)
