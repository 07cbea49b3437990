;; Goes round before anybody called it.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(func $start (loop $again (br $again)))
(start $start)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const 1024))
