//! How threads that compute for others make way.
//!
//! Linux gives processors in slices. A thread that wakes up waits until the one that computes has had its slice, a
//! millisecond or two, and where nothing else happens until the next tick, four; what takes a hundred microseconds and
//! passes through five threads then takes ten milliseconds beside plugins that compute. Since Linux 6.12 a thread may ask
//! for a slice of its own ([`sched_setattr`], EEVDF), and whoever has a shorter one goes first as soon as it wakes up. So
//! those who compute ask for a long one. They lose nothing of their share by that. Threads inherit their slice from the one
//! that starts them.
//!
//! It is a wish: elsewhere and where it is refused nothing changes.
//!
//! [`sched_setattr`]: https://www.kernel.org/doc/html/v6.12/scheduler/sched-eevdf.html

use std::time::Duration;

/// The slice of those who make way: longer than any that others have who did not ask, a few milliseconds.
pub const SLICE: Duration = Duration::from_millis(20);

/// From now on this thread, and those that it starts, make way for whoever wakes up; says whether it was heard.
pub fn make_way() -> bool {
    let nanos = u64::try_from(SLICE.as_nanos()).unwrap_or(u64::MAX);
    set(nanos).is_ok()
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn set(nanos: u64) -> std::io::Result<()> {
    let nice = rustix::process::getpriority_process(None)?;
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: u32::try_from(libc::SCHED_OTHER).unwrap_or(0),
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: nanos,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the call reads as many bytes as `size` says from `attributes`, which lives until it returns; it changes how
    // this thread is scheduled and nothing in memory.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn set(_nanos: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The slice of this thread in nanoseconds; 0 where the system has none.
    #[allow(unsafe_code)]
    fn own() -> u64 {
        let mut attributes = std::mem::MaybeUninit::<libc::sched_attr>::zeroed();
        let size = size_of::<libc::sched_attr>();
        // SAFETY: the call writes at most `size` bytes to `attributes`, of which any are valid numbers.
        unsafe {
            assert_eq!(libc::syscall(libc::SYS_sched_getattr, 0, attributes.as_mut_ptr(), size, 0), 0);
            attributes.assume_init().sched_runtime
        }
    }

    #[test]
    fn who_starts_a_thread_hands_its_slice_on() {
        let ended = std::thread::spawn(|| {
            let heard = make_way();
            let inherited = std::thread::spawn(own).join().unwrap();
            assert_eq!(own(), inherited);
            // A system without slices of one's own says nothing of them; one that refuses the call says what it has.
            assert!(!heard || [0, 20_000_000].contains(&inherited), "{inherited}");
        });
        ended.join().unwrap();
    }
}
