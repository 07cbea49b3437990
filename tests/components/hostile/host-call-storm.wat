;; Does nothing but call the host, with nothing to say.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(import "creel:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $again (call $log (i32.const 2) (i32.const 0) (i32.const 0)) (br $again))
  unreachable)
