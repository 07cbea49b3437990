;; A core module without a component type: nothing says which world it was built for.
(module
  (memory (export "memory") 1)
  (func (export "handle") (result i32) i32.const 0)
)
