;; Logs at a level that the contract does not have.
;;
;; gate: run
;; verdict: trap
;; says: broke the contract
(import "creel:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call $log (i32.const 77) (i32.const 0) (i32.const 0))
  (i32.const 1024))
