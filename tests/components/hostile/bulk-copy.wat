;; Copies half of its memory over the other half, again and again.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(memory (export "memory") 900)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $again (memory.copy (i32.const 2048) (i32.const 29000000) (i32.const 29000000)) (br $again))
  unreachable)
