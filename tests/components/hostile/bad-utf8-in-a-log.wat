;; Logs bytes that are no text.
;;
;; gate: run
;; verdict: trap
;; says: utf-8
(import "creel:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
(data (i32.const 512) "hello \ff\fe")
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call $log (i32.const 2) (i32.const 512) (i32.const 8))
  (i32.const 1024))
