;; Sleeps for five hundred years, which takes no time.
;;
;; gate: run
;; verdict: done
(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $sleep (param i64) (result i32)))
(import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call $block (call $sleep (i64.const -1)))
  (i32.const 1024))
