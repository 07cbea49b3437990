;; Asks for memory that it is refused, again and again: a call into the runtime each time.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $again (drop (memory.grow (i32.const 65535))) (br $again))
  unreachable)
