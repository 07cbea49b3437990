//! The demo's plugins, built from their sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::toolchain;

use super::telling::Voice;

/// Built plugins by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Guests(BTreeMap<String, PathBuf>);

impl Guests {
    /// Names and files.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.0.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }
}

/// Builds `plugins/` and the fixtures that misbehave on purpose.
pub(super) async fn build(voice: &mut Voice) -> anyhow::Result<Guests> {
    let root = checkout()?;
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel::<String>();
    let building = tokio::task::spawn_blocking(move || {
        let mut guests = Guests::default();
        for workspace in ["plugins", "tests/components"] {
            let job = job(&root, workspace);
            let built = toolchain::build(&job, &mut |line| drop(sender.send(line.to_owned())))?;
            guests.0.extend(built.into_iter().map(|guest| (guest.name, guest.wasm)));
        }
        anyhow::Ok(guests)
    });
    while let Some(line) = lines.recv().await {
        if !line.trim_start().starts_with("Compiling") {
            voice.step("plugins", line.trim());
        }
    }
    building.await.context("building the plugins")?.context("building the plugins")
}

/// How a workspace of a checkout's guests is built.
pub(super) fn job(root: &Path, workspace: &str) -> toolchain::Build {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    toolchain::Build {
        workspace: root.join(workspace),
        sources: vec![root.join("guest-sdk"), root.join("wit")],
        root: root.to_owned(),
        target: target.join("guests"),
    }
}

/// The checkout: the nearest directory upwards that has the plugins, or the one that this program was built from.
fn checkout() -> anyhow::Result<PathBuf> {
    let is_checkout = |path: &Path| path.join("plugins/Cargo.toml").is_file() && path.join("wit/plugin.wit").is_file();
    let here = std::env::current_dir().context("finding the current directory")?;
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    here.ancestors()
        .find(|path| is_checkout(path))
        .map(Path::to_owned)
        .or_else(|| built_from.canonicalize().ok().filter(|path| is_checkout(path)))
        .context("the demo builds plugins from their sources; run it inside a checkout of Creel")
}
