//! `wasi:filesystem`: there are no directories, so there are no files.
//!
//! The interface's types are linked from wasmtime-wasi, because adapters import them; without a directory to start
//! from no call of theirs can be reached.

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::preopens;

/// No directories.
pub(crate) struct NoDirectories;

impl HasData for NoDirectories {
    type Data<'a> = NoDirectories;
}

impl preopens::Host for NoDirectories {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        Ok(Vec::new())
    }
}
