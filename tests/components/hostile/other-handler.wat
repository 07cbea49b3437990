;; Exports a handler of another type.
;;
;; gate: linking
;; says: does not fit the host
(component
  (core module $m (func (export "handle") (param i32) (result i32) local.get 0))
  (core instance $i (instantiate $m))
  (func $handle (param "event" u32) (result u32) (canon lift (core func $i "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "creel:plugin/handler@0.1.0" (instance $handler)))
