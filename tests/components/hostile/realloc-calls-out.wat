;; Calls the host while the host waits for memory.
;;
;; gate: run
;; verdict: trap
;; says: cannot leave|broke the contract|trapped
(import "creel:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (call $log (i32.const 2) (i32.const 0) (i32.const 0))
  (i32.const 65536))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const 1024))
