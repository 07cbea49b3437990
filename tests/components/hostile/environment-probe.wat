;; Looks for the host's environment. Traps if there is any.
;;
;; gate: run
;; verdict: done
(import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call $environment (i32.const 2048))
  (if (i32.load (i32.const 2052)) (then unreachable))
  (i32.const 1024))
