;; Wants to send requests itself, and a file system of another version.
;;
;; gate: imports
;; says: `wasi:http/outgoing-handler@0.2.0`
;; says: creel:plugin/fetch
;; says: `wasi:filesystem/types@0.3.0`
(component
  (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func))))
  (import "wasi:filesystem/types@0.3.0" (instance)))
