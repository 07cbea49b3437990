//! How much room compiled components take on disk, and which leave first.
//!
//! A file counts from the moment in which its place is made until it is removed. When a new one needs place, what
//! other engines left goes first, then what was used longest ago; what somebody holds in memory never goes. The order of
//! last uses survives a restart as the files' times of modification.
//!
//! Files are removed and counted under one lock, so the sum is true: nobody counts a file that another one removes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use creel_webhook::plugin::Digest;

/// The end of a file's name.
pub(super) const ENDING: &str = "aot";

/// The files of one engine, and those that others left.
#[derive(Debug)]
pub(super) struct Room {
    bytes_max: u64,
    own: PathBuf,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    by_digest: HashMap<Digest, File>,
    bytes: u64,
    uses: u64,
    others: Vec<Other>,
}

#[derive(Debug, Clone, Copy)]
struct File {
    bytes: u64,
    last_use: u64,
}

/// The directory of another engine.
#[derive(Debug)]
struct Other {
    path: PathBuf,
    bytes: u64,
}

impl Room {
    /// Counts what lies in `own`, a directory of `root`, and in the directories of other engines beside it.
    pub(super) fn of(root: &Path, own: &Path, bytes_max: u64) -> Self {
        let mut found: Vec<_> =
            entries(own).filter_map(|(path, bytes, used)| Some((used, digest(&path)?, bytes))).collect();
        found.sort_by_key(|(used, ..)| *used);
        let mut files = Files::default();
        for (_, digest, bytes) in found {
            files.put(digest, bytes);
        }
        let others = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let others = others.filter(|path| path != own && name(path).starts_with("engine-"));
        files.others =
            others.map(|path| Other { bytes: entries(&path).map(|(_, bytes, _)| bytes).sum(), path }).collect();
        Room { bytes_max, own: own.to_owned(), files: Mutex::new(files) }
    }

    /// Where a component's file is.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.own.join(format!("{}.{ENDING}", hex::encode(digest.as_bytes())))
    }

    /// Whether there is a file, sound or not.
    pub(super) fn holds(&self, digest: &Digest) -> bool {
        self.files().by_digest.contains_key(digest)
    }

    /// All components that have a file.
    pub(super) fn digests(&self) -> Vec<Digest> {
        self.files().by_digest.keys().copied().collect()
    }

    /// Makes place for a file and counts it; false when even without everything that is not `held` there is none.
    pub(super) fn make(&self, digest: Digest, bytes: u64, held: &dyn Fn(&Digest) -> bool) -> bool {
        let mut files = self.files();
        files.forget(&digest);
        while files.taken().saturating_add(bytes) > self.bytes_max {
            if let Some(other) = files.others.pop() {
                remove_all(&other.path);
                continue;
            }
            let free = files.by_digest.iter().filter(|(digest, _)| !held(digest));
            let Some(oldest) = free.min_by_key(|(_, file)| file.last_use).map(|(digest, _)| *digest) else {
                return false;
            };
            remove(&self.path(&oldest));
            files.forget(&oldest);
        }
        files.put(digest, bytes);
        true
    }

    /// It was used a moment ago.
    pub(super) fn used(&self, digest: &Digest) {
        let mut files = self.files();
        files.uses += 1;
        let now = files.uses;
        if let Some(file) = files.by_digest.get_mut(digest) {
            file.last_use = now;
        }
    }

    /// Removes a file.
    pub(super) fn remove(&self, digest: &Digest) {
        let mut files = self.files();
        remove(&self.path(digest));
        files.forget(digest);
    }

    /// Removes what every engine made of a component.
    pub(super) fn remove_everywhere(&self, digest: &Digest) {
        self.remove(digest);
        let file = self.path(digest);
        let Some(file) = file.file_name() else { return };
        for other in &self.files().others {
            remove(&other.path.join(file));
        }
    }

    /// Whether less than a tenth is left beside the files of this engine.
    pub(super) fn is_full(&self) -> bool {
        self.files().bytes > self.bytes_max - self.bytes_max / 10
    }

    /// How many directories other engines left.
    pub(super) fn others(&self) -> usize {
        self.files().others.len()
    }

    /// Removes what other engines left.
    pub(super) fn remove_others(&self) {
        for other in std::mem::take(&mut self.files().others) {
            remove_all(&other.path);
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn taken(&self) -> u64 {
        self.bytes + self.others.iter().map(|other| other.bytes).sum::<u64>()
    }

    fn put(&mut self, digest: Digest, bytes: u64) {
        self.forget(&digest);
        self.uses += 1;
        self.bytes += bytes;
        self.by_digest.insert(digest, File { bytes, last_use: self.uses });
    }

    fn forget(&mut self, digest: &Digest) {
        if let Some(file) = self.by_digest.remove(digest) {
            self.bytes -= file.bytes;
        }
    }
}

/// The files of a directory with size and time of last use.
fn entries(directory: &Path) -> impl Iterator<Item = (PathBuf, u64, SystemTime)> {
    fs::read_dir(directory).into_iter().flatten().flatten().filter_map(|entry| {
        let about = entry.metadata().ok()?;
        Some((entry.path(), about.len(), about.modified().unwrap_or(SystemTime::UNIX_EPOCH)))
    })
}

fn digest(path: &Path) -> Option<Digest> {
    let stem = name(path).strip_suffix(ENDING)?.strip_suffix('.')?;
    Some(Digest::from_bytes(hex::decode(stem).ok()?.try_into().ok()?))
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// A file that can't be removed is left: whoever needs its place is told by the disk.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

fn remove_all(path: &Path) {
    let _ = fs::remove_dir_all(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn put(room: &Room, byte: u8, bytes: usize) -> bool {
        let made = room.make(digest_of(byte), bytes as u64, &|digest| *digest == digest_of(9));
        if made {
            fs::write(room.path(&digest_of(byte)), vec![0; bytes]).unwrap();
        }
        made
    }

    fn left(room: &Room) -> Vec<u8> {
        (0..20).filter(|byte| room.path(&digest_of(*byte)).exists()).collect()
    }

    #[test]
    fn what_was_used_longest_ago_leaves_and_what_is_held_stays() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("engine-own");
        fs::create_dir_all(&own).unwrap();
        let room = Room::of(root.path(), &own, 300);
        assert!(put(&room, 9, 100) && put(&room, 1, 100) && put(&room, 2, 100));
        room.used(&digest_of(1));
        assert!(put(&room, 3, 100));
        assert_eq!(left(&room), [1, 3, 9], "2 was used longest ago but for 9, which is held");
        assert!(put(&room, 3, 150), "a file in place of itself");
        assert_eq!(left(&room), [3, 9]);
        assert!(!put(&room, 4, 201), "what is held leaves no place for it");
        assert_eq!(left(&room), [9]);
        assert!(put(&room, 4, 200));
        room.remove(&digest_of(9));
        assert!(put(&room, 5, 100));
        assert_eq!(left(&room), [4, 5]);
        assert!(room.holds(&digest_of(4)) && !room.holds(&digest_of(9)));
    }

    #[test]
    fn a_new_start_knows_sizes_and_order_and_other_engines_leave_before_all_else() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("engine-own");
        fs::create_dir_all(&own).unwrap();
        let before = Room::of(root.path(), &own, 1_000);
        for (byte, seconds) in [(1, 30), (2, 10), (3, 20)] {
            assert!(put(&before, byte, 100));
            let file = fs::File::options().append(true).open(before.path(&digest_of(byte))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
        }
        fs::write(own.join("note.txt"), "no component").unwrap();
        let other = root.path().join("engine-other");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("x.aot"), vec![0; 500]).unwrap();
        let room = Room::of(root.path(), &own, 800);
        assert!(other.exists() && room.others() == 1);
        assert!(put(&room, 4, 100) && !other.exists(), "its 500 bytes go first");
        assert_eq!(left(&room), [1, 2, 3, 4]);
        assert!(put(&room, 5, 500));
        assert_eq!(left(&room), [1, 3, 4, 5], "then the one of the second 10");
    }
}
