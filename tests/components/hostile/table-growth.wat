;; Lets a table grow until it may not.
;;
;; gate: run
;; verdict: memory
;; says: table_elements_max is 65536
(table $functions 1 funcref)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $more
    (br_if $more (i32.ne (table.grow $functions (ref.null func) (i32.const 4096)) (i32.const -1))))
  unreachable)
