;; Wants a function of its own from the host.
;;
;; gate: imports
;; says: `system`
;; says: only interfaces can be imported
(component
  (import "system" (func (param "command" string))))
