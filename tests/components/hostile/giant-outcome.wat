;; Answers with more bytes than the host takes at once.
;;
;; gate: run
;; verdict: output
;; says: more than 33554432 bytes at once
(memory (export "memory") 900)
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.store8 (i32.const 1040) (i32.const 1))
  (i32.store16 (i32.const 1044) (i32.const 200))
  (i32.store8 (i32.const 1056) (i32.const 1))
  (i32.store8 (i32.const 1060) (i32.const 1))
  (i32.store (i32.const 1064) (i32.const 2048))
  (i32.store (i32.const 1068) (i32.const 40000000))
  (i32.const 1024))
