;; Looks things up at the host's own address and at a destination of its neighbour's. An answer, or another error than the
;; one that is due, ends it with a trap.
;;
;; gate: run
;; verdict: done
(import "creel:plugin/fetch@0.1.0" "send"
  (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32)))
(memory (export "memory") 4)
(data (i32.const 3000) "inner")
(data (i32.const 3050) "victims-crm")
(data (i32.const 3100) "GET")
(data (i32.const 3200) "/v1/tenants")
(func $expect (param $name i32) (param $length i32) (param $error i32)
  (call $send (local.get $name) (local.get $length) (i32.const 3100) (i32.const 3) (i32.const 3200) (i32.const 11)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0)
    (i32.const 2048))
  (if (i32.ne (i32.load8_u (i32.const 2048)) (i32.const 1)) (then unreachable))
  (if (i32.ne (i32.load8_u (i32.const 2052)) (local.get $error)) (then unreachable)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  ;; 3 is unreachable, 0 denied.
  (call $expect (i32.const 3000) (i32.const 5) (i32.const 3))
  (call $expect (i32.const 3050) (i32.const 11) (i32.const 0))
  (i32.const 1024))
