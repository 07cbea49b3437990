;; Gives its answer at an address that it does not have.
;;
;; gate: run
;; verdict: trap
;; says: broke the contract
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const -1024))
