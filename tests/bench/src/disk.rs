//! The disk under a data directory: what it is, and what a synced write costs there.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use crate::stats;

/// Synced writes that are measured.
const WRITES: usize = 400;

/// Bytes of each: a page of the write-ahead log.
const WRITE_BYTES: usize = 4_096;

/// What is known about a disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// Its file system.
    pub(crate) file_system: String,
    /// Median of a write with fdatasync, microseconds.
    pub(crate) sync_p50_us: f64,
    /// The 99th of a hundred.
    pub(crate) sync_p99_us: f64,
}

/// Measures the disk of this directory.
///
/// # Errors
/// When the directory lies in memory: a durable write costs nothing there, and the figure would be a lie.
pub(crate) fn measure(directory: &Path) -> anyhow::Result<Disk> {
    let directory = directory.canonicalize().with_context(|| format!("finding {}", directory.display()))?;
    let file_system = file_system(&directory)?;
    if ["tmpfs", "ramfs", "devtmpfs"].contains(&file_system.as_str()) {
        bail!(
            "{} is on {file_system}, which syncs nothing; name a directory on a disk with --directory",
            directory.display()
        );
    }
    let micros = synced_writes(&directory.join("sync.probe"))?;
    Ok(Disk { file_system, sync_p50_us: stats::median(&micros), sync_p99_us: stats::quantile(&micros, 0.99) })
}

/// Where data directories go: what was asked for, or cargo's target directory. Made if there is none.
pub(crate) fn place(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    let place = asked.map_or_else(target, Path::to_owned);
    fs::create_dir_all(&place).with_context(|| format!("making {}", place.display()))?;
    Ok(place)
}

/// Cargo's target directory, or where it would be.
#[allow(clippy::disallowed_methods, reason = "a benchmark writes where cargo does")]
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// Fails when the disk of this directory has less room than that.
pub(crate) fn has_room(directory: &Path, bytes: u64) -> anyhow::Result<()> {
    let output = Command::new("df").args(["-Pk", "--"]).arg(directory).output().context("asking df for room")?;
    // POSIX: a line of headings, then one whose fourth field is what is available, in KiB.
    let text = String::from_utf8_lossy(&output.stdout);
    let available = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    let available = available.context("df says nothing about the room")? * 1_024;
    ensure!(
        available >= bytes,
        "{} has {} MB of room, {} MB are needed; take fewer --events or another --directory",
        directory.display(),
        available / 1_000_000,
        bytes / 1_000_000
    );
    Ok(())
}

fn synced_writes(path: &Path) -> anyhow::Result<Vec<f64>> {
    let mut file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let block = [0x5a; WRITE_BYTES];
    let mut micros = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&block).context("writing")?;
        file.sync_data().context("syncing")?;
        micros.push(start.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path).ok();
    Ok(micros)
}

/// The file system of a path: that of the longest mount point above it, the latest if several lie on one another.
fn file_system(path: &Path) -> anyhow::Result<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    mounts
        .lines()
        .filter_map(mount)
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind)
        .context("no mount holds the directory")
}

/// Mount point and file system of a line of mountinfo (proc(5): the fifth field, and the first after ` - `).
fn mount(line: &str) -> Option<(PathBuf, String)> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?.replace("\\040", " ");
    Some((PathBuf::from(point), after.split(' ').next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo() {
        let line = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(mount(line), Some((PathBuf::from("/mnt 2"), "ext3".to_owned())));
        assert!(file_system(Path::new("/proc")).is_ok_and(|kind| kind == "proc"));
    }
}
