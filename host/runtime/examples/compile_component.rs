//! The compile child as a command of its own: what the server runs under a hidden argument.
//!
//! `CREEL_COMPILE_MEMORY_BYTES=4294967296 CREEL_COMPILE_CPU_SECONDS=60 compile_component < plugin.wasm > plugin.aot`

fn main() {
    std::process::exit(creel_runtime::gate::compile::child_main());
}
