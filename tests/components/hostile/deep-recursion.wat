;; Calls itself.
;;
;; gate: run
;; verdict: trap
;; says: overflowed its stack
(func $down (param i32) (result i32) (i32.add (call $down (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call $down (i32.const 0)))
