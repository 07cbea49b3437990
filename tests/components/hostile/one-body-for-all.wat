;; Answers with sixty calls that share one body: little in the guest, much in the host.
;;
;; gate: run
;; verdict: output
;; says: outcome_bytes_max is 8388608
(memory (export "memory") 20)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32) (local $at i32)
  (local.set $at (i32.const 131072))
  (loop $again
    (i32.store8 offset=32 (local.get $at) (i32.const 1))
    (i32.store8 offset=36 (local.get $at) (i32.const 1))
    (i32.store offset=40 (local.get $at) (i32.const 262144))
    (i32.store offset=44 (local.get $at) (i32.const 400000))
    (br_if $again (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 128))) (i32.const 138752))))
  (i32.store (i32.const 1032) (i32.const 131072))
  (i32.store (i32.const 1036) (i32.const 60))
  (i32.const 1024))
