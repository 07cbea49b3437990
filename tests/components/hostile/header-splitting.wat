;; Hides a second header in the value of the first.
;;
;; gate: outcome
;; verdict: output
;; says: call 0 to `receiver`
;; says: control character
(data (i32.const 3000) "receiver")
(data (i32.const 3100) "POST")
(data (i32.const 3200) "/x")
(data (i32.const 3300) "x-note")
(data (i32.const 3400) "a\0d\0ahost: evil")
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.store (i32.const 4096) (i32.const 3000)) (i32.store (i32.const 4100) (i32.const 8))
  (i32.store (i32.const 4104) (i32.const 3100)) (i32.store (i32.const 4108) (i32.const 4))
  (i32.store (i32.const 4112) (i32.const 3200)) (i32.store (i32.const 4116) (i32.const 2))
  (i32.store (i32.const 4120) (i32.const 3500)) (i32.store (i32.const 4124) (i32.const 1))
  (i32.store (i32.const 3500) (i32.const 3300)) (i32.store (i32.const 3504) (i32.const 6))
  (i32.store (i32.const 3508) (i32.const 3400)) (i32.store (i32.const 3512) (i32.const 13))
  (i32.store (i32.const 1032) (i32.const 4096))
  (i32.store (i32.const 1036) (i32.const 1))
  (i32.const 1024))
