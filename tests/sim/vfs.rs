//! SQLite on a [`Disk`]: a file layer of its own (`vfs=creel-sim` in the database's URI).
//!
//! The first part of a path names the disk (`/7/creel.db`), so that any number of simulations run side by side. Locks
//! and shared memory are those of one process: the store is the only one on its machine.
#![allow(unsafe_code, reason = "SQLite's file layer is a table of C functions")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use rusqlite::ffi;

use crate::disk::{Disk, Trouble};

/// What the file layer is called.
const NAME: &CStr = c"creel-sim";

/// The write-ahead log of the database of [`Mounted::database`], as the disk calls it.
pub(crate) const LOG: &str = "creel.db-wal";

/// Disks by number.
static DISKS: Mutex<Option<HashMap<u64, Arc<Disk>>>> = Mutex::new(None);

/// The next disk's number.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A disk that SQLite can find; gone from the register when dropped.
pub(crate) struct Mounted {
    number: u64,
    /// The disk.
    pub(crate) disk: Arc<Disk>,
}

impl Mounted {
    /// Makes a disk known.
    pub(crate) fn new(disk: Disk) -> Mounted {
        register();
        let (number, disk) = (NEXT.fetch_add(1, Ordering::Relaxed), Arc::new(disk));
        disks(|disks| disks.insert(number, disk.clone()));
        Mounted { number, disk }
    }

    /// The database on it, as the store opens it.
    pub(crate) fn database(&self) -> String {
        format!("file:/{}/creel.db?vfs=creel-sim", self.number)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        disks(|disks| disks.remove(&self.number));
    }
}

fn disks<T>(look: impl FnOnce(&mut HashMap<u64, Arc<Disk>>) -> T) -> T {
    look(DISKS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// `/7/creel.db-wal` is the file `creel.db-wal` of disk 7.
fn parse(path: &str) -> Option<(Arc<Disk>, String)> {
    let (number, name) = path.strip_prefix('/')?.split_once('/')?;
    let number = number.parse().ok()?;
    Some((disks(|disks| disks.get(&number).cloned())?, name.to_owned()))
}

/// What a connection holds of a file.
struct Handle {
    disk: Arc<Disk>,
    name: String,
    lock: c_int,
    shared: u8,
    exclusive: u8,
    temporary: bool,
}

#[repr(C)]
struct RawHandle {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<RawHandle>() as c_int,
            mxPathname: 512,
            pNext: std::ptr::null_mut(),
            zName: NAME.as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        };
        // SAFETY: SQLite keeps the pointer for ever, and the table is leaked.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) };
        assert_eq!(code, ffi::SQLITE_OK, "the file layer is registered");
    });
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

fn code(result: Result<(), Trouble>, refused: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(Trouble::Refused) => refused,
        Err(Trouble::Dead) => ffi::SQLITE_IOERR,
    }
}

/// # Safety
/// `file` was opened by [`open`] and is not closed.
unsafe fn handle<'h>(file: *mut ffi::sqlite3_file) -> &'h mut Handle {
    // SAFETY: SQLite gives back the memory that `open` filled, and uses a file from one thread at a time.
    unsafe { &mut *(*file.cast::<RawHandle>()).handle }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands over room for a `RawHandle`; a null table says that there is nothing to close.
    unsafe { (*file).pMethods = std::ptr::null() };
    if path.is_null() {
        // Everything temporary is kept in memory by the store's own settings.
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: a path is a C string.
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy();
    let Some((disk, name)) = parse(&path) else { return ffi::SQLITE_CANTOPEN };
    let makes = flags & ffi::SQLITE_OPEN_CREATE != 0;
    if disk.exists(&name) != Ok(true) && (!makes || disk.open(&name).is_err()) {
        return ffi::SQLITE_CANTOPEN;
    }
    let temporary = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
    let handle = Handle { disk, name, lock: ffi::SQLITE_LOCK_NONE, shared: 0, exclusive: 0, temporary };
    // SAFETY: as above; `out` may be null.
    unsafe {
        (*file.cast::<RawHandle>()).handle = Box::into_raw(Box::new(handle));
        (*file).pMethods = &METHODS;
        if !out.is_null() {
            *out = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the last use of this file.
    let own = unsafe { Box::from_raw((*file.cast::<RawHandle>()).handle) };
    if own.temporary {
        let _ = own.disk.remove(&own.name);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, bytes: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives room for so many bytes.
    let (own, into) = unsafe { (handle(file), std::slice::from_raw_parts_mut(into.cast::<u8>(), bytes as usize)) };
    match own.disk.read(&own.name, at as usize, into) {
        Ok(there) if there == into.len() => ffi::SQLITE_OK,
        Ok(_) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(_) => ffi::SQLITE_IOERR,
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, bytes: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives so many bytes.
    let (own, from) = unsafe { (handle(file), std::slice::from_raw_parts(from.cast::<u8>(), bytes as usize)) };
    code(own.disk.write(&own.name, at as usize, from), ffi::SQLITE_FULL)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: an open file.
    let own = unsafe { handle(file) };
    code(own.disk.truncate(&own.name, len as usize), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let own = unsafe { handle(file) };
    code(own.disk.sync(&own.name), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: an open file and room for the answer.
    let own = unsafe { handle(file) };
    own.disk.len(&own.name).map_or(ffi::SQLITE_IOERR, |len| {
        // SAFETY: as above.
        unsafe { *out = len as i64 };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: an open file.
    let own = unsafe { handle(file) };
    if own.lock >= wanted {
        return ffi::SQLITE_OK;
    }
    let had = own.lock;
    let got = own.disk.locks(&own.name, |locks| {
        match wanted {
            ffi::SQLITE_LOCK_SHARED if locks.pending || locks.exclusive => return had,
            ffi::SQLITE_LOCK_SHARED => locks.shared += 1,
            ffi::SQLITE_LOCK_RESERVED if locks.reserved || locks.pending => return had,
            ffi::SQLITE_LOCK_RESERVED => locks.reserved = true,
            _ => {
                let mine = u32::from(had >= ffi::SQLITE_LOCK_SHARED);
                if had < ffi::SQLITE_LOCK_PENDING && locks.pending || had < ffi::SQLITE_LOCK_RESERVED && locks.reserved
                {
                    return had;
                }
                locks.pending = true;
                if locks.shared > mine {
                    return ffi::SQLITE_LOCK_PENDING;
                }
                locks.exclusive = true;
            }
        }
        wanted
    });
    own.lock = got;
    if got == wanted { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, to: c_int) -> c_int {
    // SAFETY: an open file.
    let own = unsafe { handle(file) };
    let had = own.lock;
    if had <= to {
        return ffi::SQLITE_OK;
    }
    own.disk.locks(&own.name, |locks| {
        if had >= ffi::SQLITE_LOCK_EXCLUSIVE {
            locks.exclusive = false;
        }
        if had >= ffi::SQLITE_LOCK_PENDING {
            locks.pending = false;
        }
        if had >= ffi::SQLITE_LOCK_RESERVED {
            locks.reserved = false;
        }
        if to == ffi::SQLITE_LOCK_NONE {
            locks.shared -= 1;
        }
    });
    own.lock = to;
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file and room for the answer.
    unsafe {
        let own = handle(file);
        *out = c_int::from(own.disk.locks(&own.name, |locks| locks.reserved || locks.pending));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4_096
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    // As SQLite says of a usual disk: a write leaves the bytes beside it alone.
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    number: c_int,
    bytes: c_int,
    make: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file.
    let own = unsafe { handle(file) };
    own.disk.region(&own.name, number as usize, bytes as usize, make != 0).map_or(ffi::SQLITE_IOERR, |region| {
        // SAFETY: room for the answer; the region lives as long as the disk, which the file keeps.
        unsafe { *out = region.map_or(std::ptr::null_mut(), |region| region.cast()) };
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: an open file.
    let own = unsafe { handle(file) };
    let mask = ((1_u16 << (offset + count)) - (1_u16 << offset)) as u8;
    let slots = offset as usize..(offset + count) as usize;
    let alone = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    let (shared, exclusive) = (own.shared, own.exclusive);
    let done = own.disk.shared_locks(&own.name, |locks| {
        let locks = &mut locks[slots.clone()];
        let mine = |index: usize, held: u8| held & (1 << (slots.start + index)) != 0;
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            for (index, lock) in locks.iter_mut().enumerate() {
                lock.exclusive &= !mine(index, exclusive);
                lock.shared -= u32::from(mine(index, shared));
            }
            return true;
        }
        let free = locks.iter().enumerate().all(|(index, lock)| {
            let others = lock.shared - u32::from(mine(index, shared));
            (!lock.exclusive || mine(index, exclusive)) && (!alone || others == 0)
        });
        if free {
            for (index, lock) in locks.iter_mut().enumerate() {
                lock.exclusive |= alone;
                lock.shared += u32::from(!alone && !mine(index, shared));
            }
        }
        free
    });
    match (flags & ffi::SQLITE_SHM_UNLOCK != 0, alone) {
        (true, _) => {
            own.shared &= !mask;
            own.exclusive &= !mask;
        }
        (false, true) if done => own.exclusive |= mask,
        (false, false) if done => own.shared |= mask,
        _ => {}
    }
    if done { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, path: *const c_char, _: c_int) -> c_int {
    // SAFETY: a path is a C string.
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy();
    parse(&path).map_or(ffi::SQLITE_IOERR, |(disk, name)| code(disk.remove(&name), ffi::SQLITE_IOERR_DELETE))
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, path: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: a path is a C string.
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy();
    let Some((disk, name)) = parse(&path) else { return ffi::SQLITE_IOERR };
    let there = match disk.exists(&name) {
        // An empty log or journal is none.
        Ok(there) => there && (flags != ffi::SQLITE_ACCESS_EXISTS || disk.len(&name).is_ok_and(|len| len > 0)),
        Err(_) => return ffi::SQLITE_IOERR,
    };
    // SAFETY: room for the answer.
    unsafe { *out = c_int::from(there) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: a path is a C string, and `out` has so much room.
    unsafe {
        let path = CString::from(CStr::from_ptr(path));
        let bytes = path.as_bytes_with_nul();
        if bytes.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
    // SAFETY: so much room. The same bytes always: what differs between two runs of a seed would be a bug of ours.
    unsafe { std::ptr::write_bytes(out, 0x5c, bytes as usize) };
    bytes
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    std::thread::yield_now();
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: room for the answer. The store is told the time and asks nobody.
    unsafe { *out = 2_460_000.5 };
    ffi::SQLITE_OK
}
