;; Shares memory between threads.
;;
;; gate: validation|wrapping
;; says: threads
(memory $shared 1 1 shared)
(memory (export "memory") 4)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const 1024))
