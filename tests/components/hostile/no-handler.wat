;; Exports nothing that could be called.
;;
;; gate: exports
;; says: it exports nothing
(component)
