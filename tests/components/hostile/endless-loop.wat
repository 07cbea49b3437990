;; Goes round and never comes back.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
;; says: fuel_max is 50000000
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $again (br $again))
  unreachable)
