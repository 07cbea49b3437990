;; Gives memory for the event at an odd address.
;;
;; gate: run
;; verdict: trap
;; says: broke the contract
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65537))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const 1024))
