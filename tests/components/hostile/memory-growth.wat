;; Takes all memory that there is, and gives up over it.
;;
;; gate: run
;; verdict: memory
;; says: memory_bytes_max is 67108864
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
  unreachable)
