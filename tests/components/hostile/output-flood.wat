;; Writes zeroes to standard output, more than there are, and then as many as it may.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
(import "wasi:io/streams@0.2.0" "[method]output-stream.write-zeroes" (func $zeroes (param i32 i64 i32)))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32) (local $stream i32)
  (local.set $stream (call $stdout))
  (loop $again (call $zeroes (local.get $stream) (i64.const 65536) (i32.const 2048)) (br $again))
  unreachable)
