//! `wasi:filesystem`: there are no directories, so there are no files.
//!
//! The interface's types are linked from wasmtime-wasi, because adapters import them; without a directory to start
//! from no call of theirs can be reached.

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::preopens;

use super::meter::Meter;

/// No directories.
pub(crate) struct NoDirectories<'a> {
    /// Who is charged for asking.
    pub(crate) meter: &'a Meter,
}

/// Tells the linker about [`NoDirectories`].
pub(crate) struct HasNoDirectories;

impl HasData for HasNoDirectories {
    type Data<'a> = NoDirectories<'a>;
}

impl preopens::Host for NoDirectories<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.meter.charge(0)?;
        Ok(Vec::new())
    }
}
