;; Begins with more memory than any run may have.
;;
;; gate: linking
;; says: more room than a run has
(memory (export "memory") 60000)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const 1024))
