;; Writes values of 64 KiB under ever new keys until its fuel is gone; it is refused from the 64th on, and nothing is kept.
;;
;; gate: run
;; verdict: fuel
;; says: used up its fuel
(import "creel:plugin/state@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32)))
(memory (export "memory") 4)
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
(func (export "creel:plugin/handler@0.1.0#handle") (param $event i32) (result i32)
  (local $key i32)
  (loop $again
    (local.set $key (i32.add (local.get $key) (i32.const 1)))
    ;; Eight bytes of ASCII, another key for each number.
    (i32.store (i32.const 3000) (i32.or (i32.and (local.get $key) (i32.const 0x0f0f0f0f)) (i32.const 0x40404040)))
    (i32.store (i32.const 3004) (i32.or (i32.and (i32.shr_u (local.get $key) (i32.const 4)) (i32.const 0x0f0f0f0f))
      (i32.const 0x40404040)))
    (call $set (i32.const 3000) (i32.const 8) (i32.const 131072) (i32.const 65536) (i32.const 2048))
    (br $again))
  unreachable)
