;; Calls a function that its table does not hold.
;;
;; gate: run
;; verdict: trap
;; says: no function
(table 4 funcref)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call_indirect (result i32) (i32.const 2)))
