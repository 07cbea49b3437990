;; Polls the same pollable some million times at once.
;;
;; gate: run
;; verdict: memory
;; says: handles_max is 1024
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $sleep (param i64) (result i32)))
(import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))
(memory (export "memory") 200)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32) (local $handle i32) (local $at i32)
  (local.set $handle (call $sleep (i64.const 1)))
  (local.set $at (i32.const 4096))
  (loop $again
    (i32.store (local.get $at) (local.get $handle))
    (br_if $again (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 8000000))))
  (call $poll (i32.const 4096) (i32.const 1900000) (i32.const 2048))
  (i32.const 1024))
