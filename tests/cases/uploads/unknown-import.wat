;; A component that wants the network: the gate must refuse it and name the import.
(component
  (import "wasi:sockets/tcp@0.2.0" (instance
    (export "connect" (func))
  ))
)
