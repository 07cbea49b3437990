//! A component that is ready to run: loaded, linked, its handler found and of the right type.

use std::fmt;

use creel_webhook::plugin::Digest;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, TypedFunc};
use wasmtime::error::Context as _;
use wasmtime::{Engine, Store};

use super::compiled::Loaded;
use super::refusal::Refusal;
use crate::bindings::creel::plugin::types;
use crate::capability::{self, Guest};
use crate::engine::{Both, Sandbox};

/// The interface that a plugin exports.
const HANDLER: &str = "creel:plugin/handler@0.1.0";

/// What a handler answers.
pub(crate) type Answer = Result<types::Outcome, types::Failure>;

/// What the handler is given, and what it gives.
type Given<'e> = (&'e types::Event,);
type Gives = (Answer,);

/// A component that is ready to run.
pub struct Prepared {
    /// SHA-256 of the upload.
    pub digest: Digest,
    /// Size of the machine code with its data, bytes.
    pub artifact_bytes: u64,
    /// Interfaces that it imports, in its own order.
    pub imports: Vec<String>,
    pre: InstancePre<Guest>,
    handle: ComponentExportIndex,
}

impl Prepared {
    /// The engine that it was prepared for.
    pub(crate) fn engine(&self) -> &Engine {
        self.pre.engine()
    }

    /// Makes an instance and calls its handler.
    ///
    /// The type of the handler was checked when it was linked ([`check_handler`]). The bindings would check it again for each
    /// instance, and look at every record and case of the contract.
    pub(crate) async fn call(&self, store: &mut Store<Guest>, event: &types::Event) -> wasmtime::Result<Answer> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let handle = instance.get_func(&mut *store, self.handle).context("the handler that was found is gone")?;
        // SAFETY: a function's type is its component's, whichever instance it is of. `self.handle` is the export of this
        // component whose lifted type `check_handler` has compared with `Given` and `Gives`, by the check that a safe look-up
        // does, before `Linking::link` made this value.
        #[allow(unsafe_code)]
        let handle = unsafe { TypedFunc::<Given<'_>, Gives>::new_unchecked(handle) };
        let (answer,) = handle.call_async(store, (event,)).await?;
        Ok(answer)
    }
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
        let handle = check_handler(&component).map_err(link)?;
        Ok(Prepared { digest, artifact_bytes, imports, pre, handle })
    }
}

/// Finds the one export that is called and checks its type. What bindings ask for a type is not documented, like most of
/// what they use.
fn check_handler(component: &Component) -> wasmtime::Result<ComponentExportIndex> {
    let surface = component.component_type();
    let engine = component.engine();
    let interface = surface.get_export(engine, HANDLER).map(|export| export.ty);
    if !matches!(interface, Some(ComponentItem::ComponentInstance(_))) {
        wasmtime::bail!("the export `{HANDLER}` is no interface");
    }
    let interface = component.get_export_index(None, HANDLER);
    let found = interface.and_then(|interface| component.get_export(Some(&interface), "handle"));
    let Some((ComponentItem::ComponentFunc(handle), index)) = found else {
        wasmtime::bail!("`{HANDLER}` has no function `handle`");
    };
    handle
        .typecheck::<Given<'_>, Gives>(&surface.instance_type())
        .context("the type of `handle` is another one than in wit/plugin.wit")?;
    Ok(index)
}
