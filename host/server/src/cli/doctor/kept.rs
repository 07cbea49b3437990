//! What is kept: the data directory, the disk under it, the database in it, the key that opens its secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use creel_store::contract::SecretRow;
use creel_store::sqlite::probing::{Probe, probe};
use creel_webhook::clock::Timestamp;
use creel_webhook::secret::MasterKey;

use super::finding::{Finding, State};
use super::time::stamp;
use crate::config::{Config, MasterKeySource};
use crate::datadir::{self, DataDirError};
use crate::rekeying::next_file;

/// Less free space than this is a matter of hours, bytes.
const FREE_BYTES_WARN: u64 = 2 << 30;

/// With less than this the log of the store has no room to grow, bytes.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// What others want to know of it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The process that has the directory, if one has.
    pub(super) host: Option<String>,
    /// Moments that should have passed: what they are of, and when they were.
    pub(super) later: Vec<(String, Timestamp)>,
}

/// Looks at all of it.
pub(super) fn examine(config: &Config, found: &mut Vec<Finding>) -> Kept {
    let mut kept = Kept::default();
    let path = &config.data_dir;
    if !path.is_dir() {
        found.push(Finding::of_error("data_dir", &DataDirError::Missing(path.clone()), ""));
        return kept;
    }
    match datadir::holder_of(path) {
        Ok(host) => {
            found.push(directory(path, host.as_deref()));
            kept.host = host;
        }
        Err(error) => found.push(Finding::of_error("data_dir", &error, "run this as the user that the host runs as")),
    }
    found.push(disk(path));
    let seen = database(&datadir::database_of(path), found);
    if let Some(probe) = &seen {
        kept.later.extend(probe.last_event_at.map(|at| ("the newest event".to_owned(), at)));
    }
    kept.later.extend(newest_file(path));
    found.push(master_key(config, seen));
    kept
}

fn directory(path: &Path, host: Option<&str>) -> Finding {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o7777);
    if mode & 0o077 != 0 {
        return Finding::no(
            "data_dir",
            format!("{} has mode {mode:04o}: others on this machine can read every body in it", path.display()),
            format!("run `chmod 700 {}` as its owner", path.display()),
        );
    }
    let trial = path.join(format!(".doctor-{}", std::process::id()));
    let written = fs::write(&trial, b"creel").and_then(|()| fs::remove_file(&trial));
    if let Err(error) = written {
        return Finding::no(
            "data_dir",
            format!("{} can't be written to: {error}", path.display()),
            "run the host as the directory's owner, and see that its file system is writable and not full",
        );
    }
    let who = host.map_or("no host works in it now".to_owned(), |host| format!("{host} works in it"));
    Finding::ok("data_dir", format!("{} is private and can be written to; {who}", path.display()))
}

fn disk(path: &Path) -> Finding {
    let free = match rustix::fs::statvfs(path) {
        Ok(seen) => seen.f_bavail.saturating_mul(seen.f_frsize),
        Err(error) => {
            let says = format!("how much is free at {} is not to be known: {error}", path.display());
            return Finding::warn("disk", says, "look with `df`");
        }
    };
    room(free)
}

fn room(free: u64) -> Finding {
    let says = format!("{} MiB are free", free >> 20);
    let todo = "free some, give the directory a larger disk, or keep less (`tenant.body_days`, `store.bytes_max`)";
    if free < FREE_BYTES_MIN {
        return Finding::no("disk", says, todo);
    }
    if free < FREE_BYTES_WARN { Finding::warn("disk", says, todo) } else { Finding::ok("disk", says) }
}

fn database(path: &Path, found: &mut Vec<Finding>) -> Option<Probe> {
    match probe(path) {
        Ok(Some(probe)) => {
            let state = match probe.newest - probe.version {
                0 => "it is of this version".to_owned(),
                _ => format!("it is of version {} and becomes {} at the next start", probe.version, probe.newest),
            };
            found.push(Finding::ok("database", format!("{} can be read; {state}", path.display())));
            Some(probe)
        }
        Ok(None) => {
            let says = format!("there is no database at {} yet", path.display());
            found.push(Finding::no("database", says, "`creel init` makes one, with the first operator's key"));
            None
        }
        Err(error) => {
            let todo = "restore a backup, or run the version of Creel that wrote it";
            found.push(Finding::no("database", error.to_string(), todo));
            None
        }
    }
}

/// When the database's files were written to last.
fn newest_file(path: &Path) -> Option<(String, Timestamp)> {
    let entries = fs::read_dir(path).ok()?.flatten();
    let of = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let modified = entry.metadata().ok()?.modified().ok()?;
        name.starts_with("creel.db").then(|| (format!("the last change of {name}"), stamp(modified)))
    };
    entries.filter_map(of).max_by_key(|(_, at)| *at)
}

/// Whether the master key is there and opens what is sealed. A rotation that ended between two looks is looked at again.
fn master_key(config: &Config, seen: Option<Probe>) -> Finding {
    let first = look_at_key(config, seen.as_ref());
    match first.state {
        State::No => look_at_key(config, probe(&datadir::database_of(&config.data_dir)).ok().flatten().as_ref()),
        _ => first,
    }
}

fn look_at_key(config: &Config, seen: Option<&Probe>) -> Finding {
    let path = match &config.master_key {
        MasterKeySource::Environment(key) => return opens(std::slice::from_ref(key), seen),
        MasterKeySource::File(path) => path,
    };
    let key = match datadir::read_master_key(path) {
        Ok(key) => key,
        Err(error) => {
            let restore = "restore it from your backup";
            return match error {
                DataDirError::KeyBroken { .. } => Finding::no("master_key", error.to_string(), restore),
                other => Finding::of_error("master_key", &other, restore),
            };
        }
    };
    let next = next_file(path);
    let Ok(next_key) = datadir::read_master_key(&next) else { return opens(&[key], seen) };
    let opened = opens(&[key, next_key], seen);
    if opened.state == State::No {
        return opened;
    }
    let says =
        format!("a rotation is under way: {} holds the key that comes, and both open all secrets", next.display());
    Finding::warn(
        "master_key",
        says,
        "a host that runs brings it to its end, and so does the next start; back both files up",
    )
}

/// Whether one of these keys opens each secret.
fn opens(keys: &[MasterKey], seen: Option<&Probe>) -> Finding {
    let secrets = seen.map(|probe| probe.secrets.as_slice()).unwrap_or_default();
    let is_shut = |row: &&SecretRow| keys.iter().all(|key| key.open(row.tenant, &row.name, &row.sealed).is_err());
    let shut = secrets.iter().filter(is_shut).count();
    match shut {
        0 => Finding::ok("master_key", format!("it is private and opens all of {} secrets", secrets.len())),
        shut => Finding::no(
            "master_key",
            format!("it does not open {shut} of {} secrets, which were sealed with another one", secrets.len()),
            "restore that key to `master_key.file` or CREEL_MASTER_KEY, or save these secrets anew",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_before_it_is_full() {
        let state = |free: u64| room(free).state;
        assert_eq!([state(8 << 30), state(1 << 30), state(100 << 20)], [State::Ok, State::Warn, State::No]);
        assert!(room(100 << 20).todo.unwrap().contains("tenant.body_days"));
    }
}
