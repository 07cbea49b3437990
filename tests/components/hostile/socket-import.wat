;; Wants sockets.
;;
;; gate: imports
;; says: `wasi:sockets/tcp@0.2.0`
;; says: there are no sockets
(component
  (import "wasi:sockets/tcp@0.2.0" (instance (export "connect" (func)))))
