;; Logs a random number: it must be the same when the event is replayed.
;;
;; gate: run
;; verdict: done
(import "creel:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32) (local $left i64) (local $at i32)
  (local.set $left (call $random))
  (local.set $at (i32.const 2048))
  (loop $again
    (i32.store8 (local.get $at) (i32.add (i32.const 97) (i32.wrap_i64 (i64.and (local.get $left) (i64.const 15)))))
    (local.set $left (i64.shr_u (local.get $left) (i64.const 4)))
    (br_if $again (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 2064))))
  (call $log (i32.const 2) (i32.const 2048) (i32.const 16))
  (i32.const 1024))
