;; Is composed of more memories than a run has room for.
;;
;; gate: linking
;; says: more room than a run has
(component
  (core module $part (memory 1))
  (core instance (instantiate $part))
  (core instance (instantiate $part))
  (core instance (instantiate $part))
  (core instance (instantiate $part))
  (core instance (instantiate $part))
  (core instance (instantiate $part))
  (core instance (instantiate $part))
  (core instance (instantiate $part))
  (core instance (instantiate $part))
  (instance $handler)
  (export "creel:plugin/handler@0.1.0" (instance $handler)))
