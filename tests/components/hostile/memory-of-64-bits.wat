;; Has a memory that no address of 32 bits reaches.
;;
;; gate: validation|wrapping
;; says: 64
(component
  (core module (memory i64 1)))
