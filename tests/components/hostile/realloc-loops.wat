;; Never gives memory for the event.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop $again (br $again)) unreachable)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const 1024))
