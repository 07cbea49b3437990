;; Reads sixty megabytes a cache line at a time, so that each unit of fuel costs as much time as it can.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(memory (export "memory") 960)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32) (local $at i32)
  (loop $again
    (drop (i32.load (i32.and (local.get $at) (i32.const 0x3bfffc0))))
    (local.set $at (i32.add (local.get $at) (i32.const 1052737)))
    (br $again))
  unreachable)
