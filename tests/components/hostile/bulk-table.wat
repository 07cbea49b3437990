;; Copies a table over itself, again and again.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(table $functions 60000 funcref)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $again (table.copy $functions $functions (i32.const 0) (i32.const 1) (i32.const 59999)) (br $again))
  unreachable)
