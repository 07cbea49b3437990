//! Cases: files that each hold one event and what is expected of it.
//!
//! A plugin's cases are data, so that the same files are run natively by `cargo test` through [`check`] and in the real
//! sandbox by `creel test`. The format is described in `plugins/README.md`; [`Case`] is its definition: a misspelt key
//! is an error, what a case does not mention is not compared, except that the number of calls always is and that a
//! reply must be mentioned.
//!
//! ```
//! use creel_guest::prelude::*;
//! use creel_guest::testing::cases::Case;
//!
//! fn handle(event: Event) -> Result<Outcome, Failure> {
//!     Ok(Outcome::new().call(Call::to("crm").path(format!("/{}", event.kind()))))
//! }
//!
//! let case = r#"{ "event": { "kind": "ping" }, "expect": { "calls": [{ "destination": "crm", "path": "/pong" }] } }"#;
//! let differences = Case::parse(case).unwrap().differences(handle);
//! assert!(differences[0].contains("/pong"), "{differences:?}");
//! ```

mod compare;
mod file;

pub use file::Case;

use crate::{Event, Failure, Outcome};
use std::path::{Path, PathBuf};

/// Runs every `*.json` case of a directory and panics with all differences.
///
/// ```
/// use creel_guest::prelude::*;
/// # let directory = std::env::temp_dir().join(format!("creel-guest-cases-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).unwrap();
/// # let case = r#"{"about":"a ping is acknowledged","event":{"kind":"ping","json":{}},"expect":{"calls":[]}}"#;
/// # std::fs::write(directory.join("ping.json"), case).unwrap();
/// fn handle(_: Event) -> Result<Outcome, Failure> {
///     Ok(Outcome::new())
/// }
/// creel_guest::testing::cases::check(&directory, handle);
/// # std::fs::remove_dir_all(&directory).unwrap();
/// ```
pub fn check(directory: impl AsRef<Path>, handle: impl Fn(Event) -> Result<Outcome, Failure>) {
    let directory = directory.as_ref();
    let files = case_files(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    assert!(!files.is_empty(), "{} holds no case", directory.display());
    let mut complaints = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        match Case::parse(&text) {
            Ok(case) => complaints.extend(case.differences(&handle).into_iter().map(|line| format!("{name}: {line}"))),
            Err(error) => complaints.push(format!("{name}: {error}")),
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The directory's case files, sorted so that the report does not depend on the file system.
///
/// # Errors
/// When the directory can't be read.
///
/// ```
/// # let directory = std::env::temp_dir().join(format!("creel-guest-files-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).unwrap();
/// # std::fs::write(directory.join("ping.json"), "{}").unwrap();
/// # std::fs::write(directory.join("notes.txt"), "").unwrap();
/// assert_eq!(creel_guest::testing::cases::case_files(&directory).unwrap(), [directory.join("ping.json")]);
/// # std::fs::remove_dir_all(&directory).unwrap();
/// ```
pub fn case_files(directory: impl AsRef<Path>) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
