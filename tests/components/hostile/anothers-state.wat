;; Reads what its neighbour's plugin remembers, and removes it. To find something ends it with a trap; the neighbour's is
;; looked at afterwards.
;;
;; gate: run
;; verdict: done
(import "creel:plugin/state@0.1.0" "get" (func $get (param i32 i32 i32)))
(import "creel:plugin/state@0.1.0" "delete" (func $delete (param i32 i32 i32)))
(data (i32.const 3000) "victims-count")
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.store (i32.const 2048) (i32.const -1)) (i32.store (i32.const 2052) (i32.const -1))
  (call $get (i32.const 3000) (i32.const 13) (i32.const 2048))
  ;; No error, and no value.
  (if (i32.load8_u (i32.const 2048)) (then unreachable))
  (if (i32.load8_u (i32.const 2052)) (then unreachable))
  (call $delete (i32.const 3000) (i32.const 13) (i32.const 2048))
  (if (i32.load8_u (i32.const 2048)) (then unreachable))
  (i32.const 1024))
