;; Looks for time that goes by while it computes: reads the wall clock, computes, reads it again. Traps if it has moved.
;;
;; gate: run
;; verdict: done
(import "wasi:clocks/wall-clock@0.2.0" "now" (func $now (param i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32) (local $n i32)
  (call $now (i32.const 2048))
  (loop $again (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 5000000))))
  (call $now (i32.const 2064))
  (if (i64.ne (i64.load (i32.const 2048)) (i64.load (i32.const 2064))) (then unreachable))
  (if (i32.ne (i32.load (i32.const 2056)) (i32.load (i32.const 2072))) (then unreachable))
  (i32.const 1024))
