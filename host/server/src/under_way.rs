//! What is being worked on at this moment, written down for whoever starts next.
//!
//! Work that kills the process must come to an end, and work that only was there when it died must not be taken for
//! it. So before a run's guest code or a call begins, its id is written into a place of a small file, and taken out
//! when that is over: two writes of sixteen bytes into the page cache and no sync. The cache outlives the process,
//! however that ends. A power cut may lose the file; then nothing is taken for lost, and no work cuts the power.
//!
//! The file is only a hint: ids in it of what is not claimed any more mean nothing, and a file of any other length or
//! content does no harm.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

/// Bytes of an id.
const ID_BYTES: usize = 16;

/// Bytes that are read of a file that a process left, at most: a host works on a few thousand things.
const BYTES_MAX: usize = 1 << 20;

/// Ids of what was being worked on when the process before ended.
///
/// # Errors
/// When there is a file and it cannot be read.
pub fn left(path: &Path) -> anyhow::Result<Vec<[u8; ID_BYTES]>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let ids = bytes[..bytes.len().min(BYTES_MAX)].as_chunks::<ID_BYTES>().0.iter();
    Ok(ids.copied().filter(|id| *id != [0; ID_BYTES]).collect())
}

/// Writes down what begins.
#[derive(Debug, Clone)]
pub struct UnderWay(Arc<Places>);

#[derive(Debug)]
struct Places {
    file: File,
    free: Mutex<Vec<u32>>,
    nothing_was_left: bool,
}

/// For as long as it lives, the next start would know.
#[derive(Debug)]
pub struct Mark {
    places: Arc<Places>,
    place: Option<u32>,
}

impl UnderWay {
    /// Forgets what the process before left, and makes place for so much at a time.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path, places: usize) -> anyhow::Result<UnderWay> {
        let nothing_was_left = left(path)?.is_empty();
        let open = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
            // All of it now, so that a full disk refuses here and not later.
            file.write_all(&vec![0; places * ID_BYTES])?;
            Ok::<_, io::Error>(file)
        };
        let file = open().with_context(|| format!("writing {}", path.display()))?;
        let free = (0..u32::try_from(places).unwrap_or(u32::MAX)).rev().collect();
        Ok(UnderWay(Arc::new(Places { file, free: Mutex::new(free), nothing_was_left })))
    }

    /// Whether the process before ended in the midst of no work.
    pub fn nothing_was_left(&self) -> bool {
        self.0.nothing_was_left
    }

    /// Work on what has this id begins.
    pub fn begin(&self, id: &[u8; ID_BYTES]) -> Mark {
        let place = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(place) = place {
            self.0.write(place, id);
        }
        Mark { places: self.0.clone(), place }
    }
}

impl Places {
    /// A hint that cannot be written is none.
    fn write(&self, place: u32, id: &[u8; ID_BYTES]) {
        if let Err(error) = self.file.write_all_at(id, u64::from(place) * ID_BYTES as u64) {
            tracing::debug!(%error, "what is under way was not written down");
        }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.places.write(place, &[0; ID_BYTES]);
            self.places.free.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_begun_and_not_ended_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("under-way");
        assert_eq!(left(&path).unwrap(), Vec::<[u8; 16]>::new());
        let under_way = UnderWay::open(&path, 2).unwrap();
        let (first, second) = (under_way.begin(&[1; 16]), under_way.begin(&[2; 16]));
        let beyond = under_way.begin(&[3; 16]);
        assert_eq!(left(&path).unwrap(), [[1; 16], [2; 16]], "there are two places");
        drop((first, beyond));
        assert!(under_way.nothing_was_left(), "by the process before");
        let third = under_way.begin(&[4; 16]);
        assert_eq!(left(&path).unwrap(), [[4; 16], [2; 16]]);
        drop((second, third));
        assert_eq!(left(&path).unwrap(), Vec::<[u8; 16]>::new());
    }

    #[test]
    fn a_new_process_begins_with_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("under-way");
        std::fs::write(&path, [7; 35]).unwrap();
        assert_eq!(left(&path).unwrap(), [[7; 16], [7; 16]], "a rest is no id");
        let under_way = UnderWay::open(&path, 1).unwrap();
        assert_eq!(left(&path).unwrap(), Vec::<[u8; 16]>::new());
        assert!(!under_way.nothing_was_left());
        assert!(UnderWay::open(&path, 1).unwrap().nothing_was_left());
    }
}
