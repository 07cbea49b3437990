;; Looks things up where nobody ever answers, a tenth of a second each, as often as it may and then on and on.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
;; limit: fuel_max = 100000
(import "creel:plugin/fetch@0.1.0" "send"
  (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32)))
(memory (export "memory") 4)
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
(data (i32.const 3000) "receiver")
(data (i32.const 3100) "GET")
(data (i32.const 3200) "/never")
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $again
    (call $send (i32.const 3000) (i32.const 8) (i32.const 3100) (i32.const 3) (i32.const 3200) (i32.const 6)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i64.const 100)
      (i32.const 2048))
    ;; An answer would be a surprise.
    (if (i32.eqz (i32.load8_u (i32.const 2048))) (then unreachable))
    (br $again))
  unreachable)
