;; Makes pollables and drops none.
;;
;; gate: run
;; verdict: memory
;; says: handles_max is 1024
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $sleep (param i64) (result i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $again (drop (call $sleep (i64.const 1))) (br $again))
  unreachable)
