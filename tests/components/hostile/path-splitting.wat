;; Hides a second request in a path.
;;
;; gate: outcome
;; verdict: output
;; says: call 0 to `receiver`
;; says: escape it
(data (i32.const 3000) "receiver")
(data (i32.const 3100) "POST")
(data (i32.const 3200) "/x HTTP/1.1\0d\0ahost: evil\0d\0a")
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.store (i32.const 4096) (i32.const 3000)) (i32.store (i32.const 4100) (i32.const 8))
  (i32.store (i32.const 4104) (i32.const 3100)) (i32.store (i32.const 4108) (i32.const 4))
  (i32.store (i32.const 4112) (i32.const 3200)) (i32.store (i32.const 4116) (i32.const 25))
  (i32.store (i32.const 1032) (i32.const 4096))
  (i32.store (i32.const 1036) (i32.const 1))
  (i32.const 1024))
