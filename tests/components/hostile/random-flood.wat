;; Asks for more random bytes than there are at once.
;;
;; gate: run
;; verdict: trap
;; says: 65536 is the most
(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call $random (i64.const 100000) (i32.const 2048))
  (i32.const 1024))
