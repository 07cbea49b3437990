;; Asks for the environment, again and again: the cheapest thing to ask for is charged like any other.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (loop $again (call $environment (i32.const 2048)) (br $again))
  unreachable)
