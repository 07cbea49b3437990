;; Asks the host to write more zeroes than any machine has memory for.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
(import "wasi:io/streams@0.2.0" "[method]output-stream.write-zeroes" (func $zeroes (param i32 i64 i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (call $zeroes (call $stdout) (i64.const -1) (i32.const 2048))
  (i32.const 1024))
