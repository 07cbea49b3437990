//! When something of the plugin is saved.
//!
//! The directory is watched with what is below it, except where builds and editors write: hidden directories, `target`,
//! `node_modules` and the like. A burst of changes is one save. Whether a save changed what is built is for the build to
//! find out; it costs nothing when it did not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A save is over when nothing has changed for so long: editors write, rename and remove within a few milliseconds.
const QUIET: Duration = Duration::from_millis(40);

/// Directories that are results.
const RESULTS: &[&str] = &["target", "node_modules", "dist", "__pycache__"];

/// Watches a plugin's directory.
pub(super) struct Saves {
    directory: PathBuf,
    watcher: RecommendedWatcher,
    changes: UnboundedReceiver<()>,
}

impl Saves {
    /// Watches from now on.
    ///
    /// # Errors
    /// When the system does not let it.
    pub(super) fn of(directory: &Path) -> anyhow::Result<Saves> {
        let (tell, changes) = unbounded_channel();
        let root = directory.to_owned();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error may be a change that was missed.
            if event.is_ok_and(|event| !is_save(&root, &event)) {
                return;
            }
            tell.send(()).ok();
        });
        let mut saves = Saves { directory: directory.to_owned(), watcher: watcher.context("watching files")?, changes };
        saves.watch()?;
        Ok(saves)
    }

    /// The next save, once it is over.
    pub(super) async fn next(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.changes.recv()).await {}
        // A directory may be new; who can't be watched any more has been removed.
        self.watch().ok();
    }

    fn watch(&mut self) -> anyhow::Result<()> {
        let place = self.directory.display().to_string();
        self.watcher
            .watch(&self.directory, RecursiveMode::NonRecursive)
            .with_context(|| format!("watching {place}"))?;
        for entry in std::fs::read_dir(&self.directory).with_context(|| format!("reading {place}"))?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_result(&entry.file_name().to_string_lossy()) {
                self.watcher
                    .watch(&entry.path(), RecursiveMode::Recursive)
                    .with_context(|| format!("watching {place}"))?;
            }
        }
        Ok(())
    }
}

fn is_result(name: &str) -> bool {
    name.starts_with('.') || RESULTS.contains(&name)
}

fn is_save(root: &Path, event: &notify::Event) -> bool {
    let is_change = match event.kind {
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    };
    let is_source = |path: &PathBuf| {
        let below = path.strip_prefix(root).unwrap_or(path);
        below.components().all(|part| !is_result(&part.as_os_str().to_string_lossy()))
    };
    is_change && (event.paths.is_empty() || event.paths.iter().any(is_source))
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange};

    use super::*;

    #[test]
    fn reading_and_results_are_no_saves() {
        let event = |kind, path: &str| notify::Event::new(kind).add_path(Path::new("/home/.me/p").join(path));
        let is_save = |kind, path| is_save(Path::new("/home/.me/p"), &event(kind, path));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(is_save(written, "src/lib.rs") && is_save(EventKind::Create(CreateKind::File), "cases/a.json"));
        assert!(!is_save(EventKind::Access(AccessKind::Any), "src/lib.rs"));
        for path in ["target/x", "src/.lib.rs.swp", ".git/index", "web/node_modules/x"] {
            assert!(!is_save(written, path), "{path}");
        }
    }
}
