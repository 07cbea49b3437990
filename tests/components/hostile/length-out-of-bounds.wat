;; Answers with a list that is longer than its memory.
;;
;; gate: run
;; verdict: trap
;; says: broke the contract
;; says: out of bounds
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.store (i32.const 1032) (i32.const 131072))
  (i32.store (i32.const 1036) (i32.const -1))
  (i32.const 1024))
