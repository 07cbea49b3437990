//! A component that is ready to run: loaded, linked, its exports found.

use std::fmt;

use creel_webhook::plugin::Digest;
use wasmtime::component::{Component, Linker};

use super::refusal::Refusal;
use crate::bindings::PluginPre;
use crate::capability::{self, Guest};
use crate::engine::Sandbox;

/// A component that is ready to run.
pub struct Prepared {
    /// SHA-256 of the upload.
    pub digest: Digest,
    /// Size of the machine code with its data, bytes.
    pub artifact_bytes: u64,
    pub(crate) pre: PluginPre<Guest>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("digest", &self.digest).field("bytes", &self.artifact_bytes).finish()
    }
}

/// Links components against the capabilities; made once per engine.
pub struct Linking {
    linker: Linker<Guest>,
}

impl fmt::Debug for Linking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Linking")
    }
}

impl Linking {
    /// Links for this sandbox.
    pub fn new(sandbox: &Sandbox) -> Self {
        let linker = capability::linker(sandbox.engine());
        Linking { linker: linker.expect("each capability is linked under a name of its own") }
    }

    /// Links a loaded component. Nothing of it runs.
    ///
    /// # Errors
    /// [`Refusal::Link`] when its types do not fit.
    pub(crate) fn link(&self, digest: Digest, component: &Component, artifact_bytes: u64) -> Result<Prepared, Refusal> {
        let link = |error: wasmtime::Error| Refusal::Link(format!("{error:#}"));
        let pre = self.linker.instantiate_pre(component).map_err(link)?;
        Ok(Prepared { digest, artifact_bytes, pre: PluginPre::new(pre).map_err(link)? })
    }
}
