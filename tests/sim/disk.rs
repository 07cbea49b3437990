//! A machine's disk that can lose power.
//!
//! Files are in memory. Each keeps what a sync has made safe and, in order, what was written since. When the power is
//! cut, every file keeps its safe bytes and of the rest what the seed says: nothing, everything, the first few writes,
//! or any of them, the last torn within. From then on every operation fails, as it would in a process that is no more,
//! and [`Disk::survivor`] is the disk that the next boot finds.
//!
//! SQLite reaches it through [`crate::vfs`]. Operations are counted, so that a cut falls between any two of them, and
//! can be held, so that verbs pile up behind a commit and become one batch whatever the threads do.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::dice::Dice;

/// What a device writes as a whole.
const SECTOR: usize = 512;

/// Why an operation did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The power is off.
    Dead,
    /// The disk refused this one; the next may succeed.
    Refused,
}

/// The bytes of all files, as a boot finds them.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// A machine's disk.
pub(crate) struct Disk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    /// Operations until the power is cut.
    fuse: Option<u64>,
    /// Operations until the disk refuses one.
    refusal: Option<u64>,
    /// Whether it refused one.
    refused: bool,
    /// What decides what a cut keeps.
    dice: Dice,
    dead: bool,
    hold: Hold,
    /// Syncs that succeeded.
    syncs: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Hold {
    #[default]
    Free,
    /// The next operation waits.
    Wanted,
    /// One waits.
    Waiting,
}

/// A file with its safe and its unsafe bytes, and the locks that connections hold on it.
#[derive(Default)]
struct File {
    now: Vec<u8>,
    safe: Vec<u8>,
    since: Vec<Change>,
    locks: Locks,
    shared_locks: [SharedLock; 8],
    regions: Vec<Box<[u64]>>,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut { len: usize },
}

/// The locks of a database file.
#[derive(Default)]
pub(crate) struct Locks {
    /// Connections that read.
    pub(crate) shared: u32,
    /// One means to write.
    pub(crate) reserved: bool,
    /// One waits for the readers to go.
    pub(crate) pending: bool,
    /// One has it alone.
    pub(crate) exclusive: bool,
}

/// One of the locks in shared memory.
#[derive(Default, Clone, Copy)]
pub(crate) struct SharedLock {
    /// Connections that share it.
    pub(crate) shared: u32,
    /// One has it alone.
    pub(crate) exclusive: bool,
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes: new } => put(bytes, *at, new),
            Change::Cut { len } => bytes.truncate(*len),
        }
    }

    /// The first sectors of a write that the power left time for.
    fn torn(&self, dice: &mut Dice) -> Option<Change> {
        let Change::Write { at, bytes } = self else { return None };
        let whole = dice.below(bytes.len() as u64 / SECTOR as u64 + 1) as usize * SECTOR;
        Some(Change::Write { at: *at, bytes: bytes[..whole.min(bytes.len())].to_vec() })
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

impl File {
    fn of(bytes: Vec<u8>) -> File {
        File { now: bytes.clone(), safe: bytes, ..File::default() }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.since.push(change);
    }

    /// A sync failed: a kernel takes what it could not write for written, so that no later sync makes it safe.
    fn forget(&mut self) {
        self.since.clear();
    }

    fn sync(&mut self) {
        for change in self.since.drain(..) {
            change.apply(&mut self.safe);
        }
    }

    /// What is there after a cut.
    fn survivor(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.safe.clone();
        let way = dice.below(4);
        let kept = match way {
            0 => 0,
            1 => self.since.len(),
            _ => dice.below(self.since.len() as u64 + 1) as usize,
        };
        for change in &self.since[..kept] {
            // The device may have written later things and not earlier ones.
            if way < 3 || dice.one_in(2) {
                change.apply(&mut bytes);
            }
        }
        if let Some(torn) = self.since.get(kept).filter(|_| way >= 2).and_then(|change| change.torn(dice)) {
            torn.apply(&mut bytes);
        }
        bytes
    }
}

impl Disk {
    /// A disk with these files.
    pub(crate) fn new(image: &Image, dice: Dice) -> Disk {
        let files = image.iter().map(|(name, bytes)| (name.clone(), File::of(bytes.clone()))).collect();
        let state = State { files, dice, ..State::default() };
        Disk { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Cuts the power before the operation after `operations` more.
    pub(crate) fn cut_after(&self, operations: u64) {
        self.lock().fuse = Some(operations);
    }

    /// Refuses the operation after `operations` more, once, as a disk that is full or failing.
    pub(crate) fn refuse_after(&self, operations: u64) {
        self.lock().refusal = Some(operations);
    }

    /// Whether an operation was refused since that was last forgiven.
    pub(crate) fn has_refused(&self) -> bool {
        self.lock().refused
    }

    /// What was refused so far excuses nothing from here on.
    pub(crate) fn forgive(&self) {
        self.lock().refused = false;
    }

    /// From here on the disk is well and the power stays.
    pub(crate) fn mend(&self) {
        let mut state = self.lock();
        (state.fuse, state.refusal) = (None, None);
    }

    /// Cuts the power now.
    pub(crate) fn cut(&self) {
        self.lock().dead = true;
        self.changed.notify_all();
    }

    /// Whether the power is off.
    pub(crate) fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// What the next boot finds.
    pub(crate) fn survivor(&self) -> Image {
        let mut state = self.lock();
        let mut dice = std::mem::take(&mut state.dice);
        state.files.iter().map(|(name, file)| (name.clone(), file.survivor(&mut dice))).collect()
    }

    /// Makes the next operation wait, so that what is queued meanwhile is queued together.
    pub(crate) fn hold(&self) {
        self.lock().hold = Hold::Wanted;
    }

    /// Waits until an operation is held; `false` when the power went first.
    pub(crate) fn wait_held(&self) -> bool {
        let mut state = self.lock();
        while state.hold == Hold::Wanted && !state.dead {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.dead
    }

    /// Lets go what is held.
    pub(crate) fn let_go(&self) {
        self.lock().hold = Hold::Free;
        self.changed.notify_all();
    }

    /// Counts an operation that changes something; the power may be cut instead.
    fn operation(&self) -> Result<MutexGuard<'_, State>, Trouble> {
        let mut state = self.lock();
        if state.hold == Hold::Wanted {
            state.hold = Hold::Waiting;
            self.changed.notify_all();
        }
        while state.hold == Hold::Waiting && !state.dead {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match &mut state.fuse {
            Some(0) => state.dead = true,
            Some(left) => *left -= 1,
            None => {}
        }
        if state.dead {
            self.changed.notify_all();
            return Err(Trouble::Dead);
        }
        match &mut state.refusal {
            Some(0) => {
                (state.refusal, state.refused) = (None, true);
                return Err(Trouble::Refused);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }

    fn look(&self) -> Result<MutexGuard<'_, State>, Trouble> {
        let state = self.lock();
        if state.dead { Err(Trouble::Dead) } else { Ok(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a file unless it is there. A new name is safe at once: SQLite syncs the folder, and no bug hides there.
    pub(crate) fn open(&self, name: &str) -> Result<(), Trouble> {
        self.look()?.files.entry(name.to_owned()).or_default();
        Ok(())
    }

    /// Whether a file is there.
    pub(crate) fn exists(&self, name: &str) -> Result<bool, Trouble> {
        Ok(self.look()?.files.contains_key(name))
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Trouble> {
        self.operation()?.files.remove(name);
        Ok(())
    }

    /// Reads; says how many bytes were there.
    pub(crate) fn read(&self, name: &str, at: usize, into: &mut [u8]) -> Result<usize, Trouble> {
        let state = self.look()?;
        let bytes = state.files.get(name).map(|file| file.now.as_slice()).unwrap_or_default();
        let there = bytes.len().saturating_sub(at).min(into.len());
        into[..there].copy_from_slice(&bytes[at.min(bytes.len())..][..there]);
        into[there..].fill(0);
        Ok(there)
    }

    /// Writes.
    pub(crate) fn write(&self, name: &str, at: usize, bytes: &[u8]) -> Result<(), Trouble> {
        let change = Change::Write { at, bytes: bytes.to_vec() };
        self.operation()?.files.entry(name.to_owned()).or_default().change(change);
        Ok(())
    }

    /// Cuts a file short.
    pub(crate) fn truncate(&self, name: &str, len: usize) -> Result<(), Trouble> {
        self.operation()?.files.entry(name.to_owned()).or_default().change(Change::Cut { len });
        Ok(())
    }

    /// Makes everything written safe.
    pub(crate) fn sync(&self, name: &str) -> Result<(), Trouble> {
        let synced = self.operation().map(|mut state| {
            state.syncs += 1;
            state.files.entry(name.to_owned()).or_default().sync();
        });
        if synced == Err(Trouble::Refused) {
            self.lock().files.entry(name.to_owned()).or_default().forget();
        }
        synced
    }

    /// How many syncs have succeeded: what was written before the next one is safe after it.
    pub(crate) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// A file's length.
    pub(crate) fn len(&self, name: &str) -> Result<usize, Trouble> {
        Ok(self.look()?.files.get(name).map_or(0, |file| file.now.len()))
    }

    /// Looks at a file's locks; also after the power went, so that closing never fails.
    pub(crate) fn locks<T>(&self, name: &str, look: impl FnOnce(&mut Locks) -> T) -> T {
        look(&mut self.lock().files.entry(name.to_owned()).or_default().locks)
    }

    /// Looks at the locks in a file's shared memory.
    pub(crate) fn shared_locks<T>(&self, name: &str, look: impl FnOnce(&mut [SharedLock; 8]) -> T) -> T {
        look(&mut self.lock().files.entry(name.to_owned()).or_default().shared_locks)
    }

    /// A region of a file's shared memory; it stays where it is for as long as the disk lives.
    pub(crate) fn region(
        &self,
        name: &str,
        number: usize,
        bytes: usize,
        make: bool,
    ) -> Result<Option<*mut u8>, Trouble> {
        let mut state = self.look()?;
        let regions = &mut state.files.entry(name.to_owned()).or_default().regions;
        while make && regions.len() <= number {
            regions.push(vec![0; bytes.div_ceil(8)].into_boxed_slice());
        }
        Ok(regions.get_mut(number).map(|region| region.as_mut_ptr().cast()))
    }
}
