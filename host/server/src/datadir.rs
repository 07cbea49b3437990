//! The data directory: everything that Creel keeps, in one place, for one process.
//!
//! ```text
//! data_dir/            0700
//!   creel.lock         locked exclusively while a process works here; holds its process id
//!   creel.db …         the store
//!   master.key         0600, 64 hexadecimal digits: without it, sealed secrets stay sealed for ever
//!   cache/             compiled components; may be deleted at any time
//!   under-way          what is being worked on, for the next start; may be deleted while no process runs
//! ```
//!
//! The directory's mode is what keeps the bodies in the store private: whoever may not enter it reads none of the
//! database's files, whatever their own modes are. So a directory that others may enter is tightened when it is
//! opened, and refused where that can't be done.
//!
//! Two processes on one store would each release the other's claims, so the lock is taken before anything is opened;
//! it is the operating system's and vanishes with the process, however that ends. A master key that others on the
//! machine can read is refused, not warned about.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use creel_webhook::secret::{MasterKey, SecretError};
use zeroize::Zeroizing;

use crate::system::Entropy;

/// Why the data directory or its master key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// There is none.
    #[error("there is no data directory at {}; `creel init` makes one, or set `data_dir` to where it is", .0.display())]
    Missing(PathBuf),
    /// Another process has it.
    #[error("{} is in use by {holder}; stop that process, or give this one a `data_dir` of its own", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who has it, as far as is known.
        holder: String,
    },
    /// Others on the machine can enter it, and this user can't change that.
    #[error("{} has mode {mode:04o}, so others on this machine can read every body in it, and it could not be tightened ({source}); run `chmod 700` on it as its owner", path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no master key.
    #[error("there is no master key at {}; restore it from your backup, set CREEL_MASTER_KEY, or make a new one with `creel init` if nothing was sealed yet", .0.display())]
    KeyMissing(PathBuf),
    /// There is one already, and a new one would make every sealed secret useless.
    #[error("{} exists already and is kept: secrets are sealed with it", .0.display())]
    KeyExists(PathBuf),
    /// Others on the machine can read the key.
    #[error("{} has mode {mode:04o}, so others on this machine can read it; run `chmod 600` on it, and change the key if they may have", path.display())]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{} holds no master key: {source}", path.display())]
    KeyBroken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SecretError,
    },
    /// The operating system refused.
    #[error("could not {action} {}: {source}; check that the path exists and that this user may write there", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A locked data directory; the lock lasts as long as this value.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

const LOCK_FILE: &str = "creel.lock";
/// How often and how far apart a lock is tried for: a fifth of a second in all.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
const KEY_FILE: &str = "master.key";

impl DataDir {
    /// Makes the directory (0700) where there is none, and locks it.
    ///
    /// # Errors
    /// [`DataDirError::Locked`] and [`DataDirError::Io`].
    pub fn create(path: &Path) -> Result<Self, DataDirError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(io_error("make the directory", path))?;
        Self::open(path)
    }

    /// Locks a directory that exists, and keeps others out of it.
    ///
    /// # Errors
    /// [`DataDirError::Missing`], [`DataDirError::Locked`], [`DataDirError::Exposed`] and [`DataDirError::Io`].
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        if !path.is_dir() {
            return Err(DataDirError::Missing(path.to_owned()));
        }
        let lock = lock(path)?;
        tighten(path)?;
        let cache = path.join("cache");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&cache).map_err(io_error("make", &cache))?;
        Ok(DataDir { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database of the store.
    pub fn database(&self) -> PathBuf {
        database_of(&self.path)
    }

    /// Compiled components; may be emptied while no process runs.
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// What is being worked on.
    pub fn under_way(&self) -> PathBuf {
        self.path.join("under-way")
    }

    /// Where the master key is unless `master_key.file` says otherwise.
    pub fn master_key_file(&self) -> PathBuf {
        default_master_key_file(&self.path)
    }
}

/// Where the database of a data directory is.
pub fn database_of(data_dir: &Path) -> PathBuf {
    data_dir.join("creel.db")
}

/// The process that has a data directory, if one has; takes nothing and changes nothing.
///
/// # Errors
/// [`DataDirError::Io`].
pub fn holder_of(directory: &Path) -> Result<Option<String>, DataDirError> {
    let path = directory.join(LOCK_FILE);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DataDirError::Io { action: "read", path, source }),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(fs::TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
        Err(fs::TryLockError::Error(source)) => Err(DataDirError::Io { action: "look at the lock of", path, source }),
    }
}

/// Where the master key of a data directory is unless `master_key.file` says otherwise.
pub fn default_master_key_file(data_dir: &Path) -> PathBuf {
    data_dir.join(KEY_FILE)
}

/// Reads the master key from a file that only its owner can read.
///
/// # Errors
/// [`DataDirError::KeyMissing`], [`DataDirError::KeyExposed`], [`DataDirError::KeyBroken`], [`DataDirError::Io`].
pub fn read_master_key(path: &Path) -> Result<MasterKey, DataDirError> {
    let mut file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => DataDirError::KeyMissing(path.to_owned()),
        _ => DataDirError::Io { action: "read", path: path.to_owned(), source },
    })?;
    let mode = file.metadata().map_err(io_error("inspect", path))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::KeyExposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(128));
    io::Read::by_ref(&mut file).take(1_024).read_to_string(&mut text).map_err(io_error("read", path))?;
    MasterKey::from_hex(&text).map_err(|source| DataDirError::KeyBroken { path: path.to_owned(), source })
}

/// Makes a master key and writes it to a new file, 0600, synced to disk before anything can be sealed with it.
///
/// # Errors
/// [`DataDirError::KeyExists`] and [`DataDirError::Io`].
pub fn make_master_key(path: &Path, entropy: &Entropy) -> Result<MasterKey, DataDirError> {
    let bytes = Zeroizing::new(entropy.bytes::<32>());
    let text = Zeroizing::new(format!("{}\n", hex::encode(*bytes)));
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|source| {
            match source.kind() {
                io::ErrorKind::AlreadyExists => DataDirError::KeyExists(path.to_owned()),
                _ => DataDirError::Io { action: "make", path: path.to_owned(), source },
            }
        })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error("write", path))?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(io_error("sync", parent))?;
    }
    Ok(MasterKey::from_bytes(*bytes))
}

/// Writes a file that only its owner can read, 0600 from its first byte on.
///
/// # Errors
/// [`DataDirError::Io`].
pub fn write_private(path: &Path, text: &str) -> Result<(), DataDirError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("open", path))?;
    // One that was there keeps its mode when it is opened.
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io_error("change the mode of", path))?;
    file.write_all(text.as_bytes()).map_err(io_error("write", path))
}

/// Takes from others on the machine what they may do with the directory.
fn tighten(directory: &Path) -> Result<(), DataDirError> {
    let permissions = fs::metadata(directory).map_err(io_error("inspect", directory))?.permissions();
    let mode = permissions.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    // The operating system lets only its owner (and root) do this.
    fs::set_permissions(directory, fs::Permissions::from_mode(mode & !0o077))
        .map_err(|source| DataDirError::Exposed { path: directory.to_owned(), mode, source })?;
    let before = format!("{mode:04o}");
    tracing::warn!(directory = %directory.display(), before, "others could read the data directory; it is 0700 now");
    Ok(())
}

fn lock(directory: &Path) -> Result<File, DataDirError> {
    let path = directory.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(DataDirError::Locked { path: directory.to_owned(), holder: holder(&mut file) });
        }
        Err(fs::TryLockError::Error(source)) => {
            return Err(DataDirError::Io { action: "lock", path, source });
        }
    }
    let pid = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(pid.as_bytes()))
        .map_err(io_error("write", &path))?;
    Ok(file)
}

/// Tries for a moment. A lock outlives its holder by the time that a child which is being started needs to let go of
/// what it was born with.
fn try_lock(file: &File) -> Result<(), fs::TryLockError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            settled => return settled,
        }
    }
    file.try_lock()
}

/// Who holds a lock, by what that process wrote into it.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = io::Read::by_ref(file).take(32).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_the_next_after_it() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("deep/er");
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Missing(_))));
        let first = DataDir::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let refusal = DataDir::open(&path).unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");
        drop(first);
        let second = DataDir::open(&path).unwrap();
        assert!(second.cache().is_dir());
        assert_eq!(second.database(), path.join("creel.db"));
    }

    #[test]
    fn a_directory_that_others_can_read_is_tightened() {
        let temp = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        for before in [0o755, 0o750, 0o701] {
            fs::set_permissions(temp.path(), fs::Permissions::from_mode(before)).unwrap();
            drop(DataDir::open(temp.path()).unwrap());
            assert_eq!(mode(temp.path()), 0o700);
        }
        let file = temp.path().join("secrets.toml");
        fs::write(&file, "older and longer").unwrap();
        write_private(&file, "x").unwrap();
        assert_eq!((mode(&file), fs::read_to_string(&file).unwrap().as_str()), (0o600, "x"));
    }

    #[test]
    fn a_key_is_made_once_and_read_only_while_it_is_private() {
        let temp = tempfile::tempdir().unwrap();
        let path = default_master_key_file(temp.path());
        assert!(matches!(read_master_key(&path), Err(DataDirError::KeyMissing(_))));
        let made = make_master_key(&path, &Entropy::seeded(1)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let purpose = creel_webhook::secret::Purpose::Fingerprint;
        assert_eq!(read_master_key(&path).unwrap().derive(purpose), made.derive(purpose));
        assert!(matches!(make_master_key(&path, &Entropy::seeded(2)), Err(DataDirError::KeyExists(_))));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refusal = read_master_key(&path).unwrap_err().to_string();
        assert!(refusal.contains("mode 0640") && refusal.contains("chmod 600"), "{refusal}");
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_not_shown() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("k");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap().write_all(b"hunter2").unwrap();
        let refusal = read_master_key(&path).unwrap_err().to_string();
        assert!(refusal.contains("holds no master key") && !refusal.contains("hunter2"), "{refusal}");
    }
}
