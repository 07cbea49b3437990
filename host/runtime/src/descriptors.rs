//! Descriptors of this process, and how many components may hold one.
//!
//! The first pages of a component's memory lie in a file without a name, so that a fresh instance costs microseconds:
//! each component in memory that has run holds a descriptor for as long as it is there. Connections need them too, and
//! a process that has none left serves nobody. So the process takes as many as the system lets it have, and components
//! hold a part of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Components in memory at most, however many descriptors there are: each takes a few of the 65 530 mappings that Linux
/// gives a process.
const COMPONENTS_MAX: u64 = 4_096;

/// And at least: a host with fewer descriptors than this needs has other worries.
const COMPONENTS_MIN: u64 = 64;

/// Components get one descriptor in so many; the others are for connections, calls, the store and compilers.
const SHARE: u64 = 4;

/// Raises the process's soft limit to its hard limit; gives what holds from then on, `None` for no limit.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, most).is_ok() { limit.maximum } else { limit.current }
}

/// How many components may be in memory of a process with so many descriptors.
pub fn components_max(descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(COMPONENTS_MAX, |all| all / SHARE);
    share.clamp(COMPONENTS_MIN, COMPONENTS_MAX) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_hold_a_part_of_what_the_system_gives() {
        let raised = raise();
        assert_eq!(raised, getrlimit(Resource::Nofile).current);
        let of = |descriptors| components_max(Some(descriptors));
        assert_eq!([of(20), of(1_024), of(20_000), components_max(None)], [64, 256, 4_096, 4_096]);
    }
}
