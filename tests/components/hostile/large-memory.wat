;; Begins with more memory than its tenant may have.
;;
;; gate: run
;; verdict: memory
;; says: memory_bytes_max is 1048576
;; limit: memory_bytes_max = 1048576
(memory (export "memory") 32)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const 1024))
