;; A core module that imports from a module that nobody offers.
;;
;; gate: wrapping
;; says: could not be made a component
(import "env" "system" (func $system (param i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (i32.const 1024))
