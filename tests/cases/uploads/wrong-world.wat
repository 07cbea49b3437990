;; A component that is valid, imports nothing, and exports something other than creel:plugin/handler.
(component
  (core module $m
    (func (export "greet") (result i32) i32.const 42)
  )
  (core instance $i (instantiate $m))
  (func $greet (result u32) (canon lift (core func $i "greet")))
  (export "greet" (func $greet))
)
