;; Asks a pollable whether it is ready, again and again.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $sleep (param i64) (result i32)))
(import "wasi:io/poll@0.2.0" "[method]pollable.ready" (func $ready (param i32) (result i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32) (local $handle i32)
  (local.set $handle (call $sleep (i64.const 1)))
  (loop $again (drop (call $ready (local.get $handle))) (br $again))
  unreachable)
