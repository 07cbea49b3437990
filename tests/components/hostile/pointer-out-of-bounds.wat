;; Logs what lies beyond its memory.
;;
;; gate: run
;; verdict: trap
;; says: broke the contract
;; says: out of bounds
(import "creel:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call $log (i32.const 2) (i32.const -16) (i32.const 4096))
  (i32.const 1024))
