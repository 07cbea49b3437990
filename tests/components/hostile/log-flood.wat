;; Writes lines of a megabyte until its fuel is gone.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(import "creel:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
(memory (export "memory") 20)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (memory.fill (i32.const 4096) (i32.const 120) (i32.const 1000000))
  (loop $again (call $log (i32.const 4) (i32.const 4096) (i32.const 1000000)) (br $again))
  unreachable)
