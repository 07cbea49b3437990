//! Waiting for something real, with a bound.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything may take. Far beyond what it does take: a machine that builds beside the tests is slow.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until `is_so` holds of what is seen, and gives that.
///
/// # Panics
/// When it does not hold in time; with what was seen last.
pub(crate) async fn until<T: Debug, F: Future<Output = T>>(
    what: &str,
    mut look: impl FnMut() -> F,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let began = Instant::now();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let seen = look().await;
        if is_so(&seen) {
            return seen;
        }
        assert!(began.elapsed() < BOUND, "{what}: not so after {BOUND:?}; last seen: {seen:#?}");
    }
}
