//! A component that is ready to run: loaded, linked, its exports found.

use std::fmt;

use creel_webhook::plugin::Digest;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};
use wasmtime::error::Context as _;

use super::compiled::Loaded;
use super::refusal::Refusal;
use crate::bindings::PluginPre;
use crate::bindings::creel::plugin::types;
use crate::capability::{self, Guest};
use crate::engine::{Both, Sandbox};

/// The interface that a plugin exports.
const HANDLER: &str = "creel:plugin/handler@0.1.0";

/// A component that is ready to run.
pub struct Prepared {
    /// SHA-256 of the upload.
    pub digest: Digest,
    /// Size of the machine code with its data, bytes.
    pub artifact_bytes: u64,
    /// Interfaces that it imports, in its own order.
    pub imports: Vec<String>,
    pub(crate) pre: PluginPre<Guest>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("digest", &self.digest).field("bytes", &self.artifact_bytes).finish()
    }
}

/// Links components against the capabilities; made once per sandbox.
pub struct Linking {
    linkers: Both<Linker<Guest>>,
}

impl fmt::Debug for Linking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Linking")
    }
}

impl Linking {
    /// Links for this sandbox.
    pub fn new(sandbox: &Sandbox) -> Self {
        let linkers = Both::make(|data| capability::linker(sandbox.engines().of(data)));
        Linking { linkers: linkers.expect("each capability is linked under a name of its own") }
    }

    /// Links a loaded component. Nothing of it runs.
    ///
    /// # Errors
    /// [`Refusal::Link`] when its types do not fit.
    pub(crate) fn link(&self, digest: Digest, loaded: Loaded) -> Result<Prepared, Refusal> {
        let Loaded { component, data, bytes: artifact_bytes, imports } = loaded;
        let link = |error: wasmtime::Error| Refusal::Link(format!("{error:#}"));
        let pre = self.linkers.of(data).instantiate_pre(&component).map_err(link)?;
        check_handler(&component).map_err(link)?;
        let pre = PluginPre::new(pre).map_err(link)?;
        Ok(Prepared { digest, artifact_bytes, imports, pre })
    }
}

/// Checks the type of the one export that is called. The bindings would do so only when an event is there; what they
/// ask for it is not documented, like most of what bindings use.
fn check_handler(component: &Component) -> wasmtime::Result<()> {
    let surface = component.component_type();
    let engine = component.engine();
    let interface = surface.get_export(engine, HANDLER).map(|export| export.ty);
    let Some(ComponentItem::ComponentInstance(interface)) = interface else {
        wasmtime::bail!("the export `{HANDLER}` is no interface");
    };
    let Some(ComponentItem::ComponentFunc(handle)) = interface.get_export(engine, "handle").map(|export| export.ty)
    else {
        wasmtime::bail!("`{HANDLER}` has no function `handle`");
    };
    handle
        .typecheck::<(&types::Event,), (Result<types::Outcome, types::Failure>,)>(&surface.instance_type())
        .context("the type of `handle` is another one than in wit/plugin.wit")
}
