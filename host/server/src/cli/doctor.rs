//! `creel doctor`: looks at everything that a host needs and says of each thing whether it is well, and what to do if not.
//!
//! It changes nothing: it makes no directory, takes no lock, runs no migration, fetches no toolchain. A host may be
//! at work meanwhile; then its ports and its directory are supposed to be taken. What can't be looked at because something
//! before it is missing is left out, so that one mistake is one line.
//!
//! The children look at one part each and know nothing of each other: `kept` (directory, disk, database, master key),
//! `doors` (ports, certificates), `time` (clock), `reached` (the API with a key, the public URL). What they share is a
//! [`Finding`] and who is the [`Patient`].

mod doors;
mod finding;
mod kept;
mod patient;
mod reached;
mod time;

use std::path::Path;
use std::time::Duration;

use crate::config::{Config, Sources};
use crate::toolchain;

pub use finding::{Finding, State};
pub use patient::Patient;

/// For how long the two clocks of the machine are watched: long enough to see a step, too short to be waited for.
const WATCHED: Duration = Duration::from_millis(200);

/// Looks at everything, in the order in which it should be mended.
pub async fn examine(patient: &Patient) -> Vec<Finding> {
    let mut found = Vec::new();
    let config = match Sources::read(patient.config.as_deref(), Vec::new()).and_then(|read| Config::parse(&read)) {
        Ok(config) => config,
        Err(error) => {
            let todo = "mend it; `creel settings` lists every setting with what is allowed";
            return vec![Finding::no("config", error.to_string(), todo)];
        }
    };
    found.push(Finding::ok("config", of_file(patient.config.as_deref())));
    let now = time::now();
    let kept = kept::examine(&config, &mut found);
    doors::ports(&config, kept.host.as_deref(), &mut found);
    doors::certificates(&config, now, &mut found);
    time::steps(WATCHED, &mut found).await;
    time::against_what_is_kept(&kept.later, now, &mut found);
    if let Some(server) = &patient.against {
        time::against(server, patient.ca_file.as_deref(), &mut found).await;
    }
    found.push(of_toolchain());
    reached::examine(patient, kept.host.is_some(), &config, &mut found).await;
    found
}

fn of_file(file: Option<&Path>) -> String {
    match file {
        Some(file) => format!("{} and the environment say what can be said", file.display()),
        None => "no file is named; the environment and the defaults say what can be said".to_owned(),
    }
}

fn of_toolchain() -> Finding {
    match toolchain::installed(Path::new(".")) {
        Some(found) => Finding::ok("toolchain", format!("plugins are built with {}", found.describe())),
        None => Finding::warn(
            "toolchain",
            "no toolchain here builds plugins; a host that others deploy to needs none",
            "`creel build` gets one, or run `rustup target add wasm32-wasip2`",
        ),
    }
}
