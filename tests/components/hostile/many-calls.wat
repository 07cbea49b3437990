;; Answers with a hundred thousand calls, all of them empty.
;;
;; gate: run
;; verdict: output
;; says: nothing of it was stored|at once
(memory (export "memory") 300)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.store (i32.const 1032) (i32.const 131072))
  (i32.store (i32.const 1036) (i32.const 100000))
  (i32.const 1024))
