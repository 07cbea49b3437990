//! Bugs on purpose: what the simulation must find.
//!
//! A test that never fails proves nothing, so `tests/sim` plants each of these in the real store and asserts that it is
//! found. Only the feature `planted` brings them in, and only test targets ask for it: without it `is` is a constant
//! and the compiler removes every place that asks.
#![cfg_attr(not(feature = "planted"), allow(unreachable_pub, reason = "the product keeps these names to itself"))]

#[cfg(not(feature = "planted"))]
pub(crate) use absent::{is, plant, selected};
#[cfg(feature = "planted")]
pub(crate) use present::is;
#[cfg(feature = "planted")]
pub use present::{plant, selected};

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident, $word:literal;)*) => {
        /// A bug that can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $($(#[$doc])* $bug,)*
        }

        #[cfg(feature = "planted")]
        impl Bug {
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$bug),*];

            /// Its word, as a person selects it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Bug::$bug => $word,)*
                }
            }
        }
    };
}

bugs! {
    /// A run's commit does not ask whose claim it is.
    TokenUnchecked, "token-unchecked";
    /// An accept claims its reply run with a token of its own.
    ClaimOfItsOwn, "claim-of-its-own";
    /// A commit that makes a run due again leaves the claim good for another commit.
    CommitTwice, "commit-twice";
    /// Claiming a head releases those behind it.
    ReleaseEarly, "release-early";
    /// Callers are answered before their batch is committed.
    AnswerBeforeCommit, "answer-before-commit";
    /// Commits do not wait for the disk.
    SynchronousOff, "synchronous-off";
    /// Dedup keys are committed before their event.
    DedupApart, "dedup-apart";
    /// Dedup keys are pruned before they expire.
    DedupForgotten, "dedup-forgotten";
    /// A reply that is decided can be decided again.
    ReplyTwice, "reply-twice";
    /// Runs and deliveries of one key do not wait for each other.
    OrderIgnored, "order-ignored";
    /// One that fails lets the next of its key pass at once.
    SkipAtOnce, "skip-at-once";
    /// An attempt is counted when it is claimed.
    AttemptsAtClaim, "attempts-at-claim";
    /// Opening leaves the claims of an earlier boot.
    BootKeepsClaims, "boot-keeps-claims";
    /// Opening counts every claim of an earlier boot as lost, also of work that never began.
    BootCountsAll, "boot-counts-all";
    /// Runs that may be what kills the process are run together with others.
    SuspectsTogether, "suspects-together";
    /// A claim whose lease has expired is never due again.
    LeaseForever, "lease-forever";
    /// What a failed item wrote stays.
    SavepointKept, "savepoint-kept";
    /// Nobody is told that there is work.
    WakeupLost, "wakeup-lost";
    /// A lane says that it is ready an hour after it is.
    ReadyLate, "ready-late";
    /// The calls of a decision are committed before the decision.
    HalfDecision, "half-decision";
    /// The calls of a late outcome are kept though nobody wants them.
    LateKept, "late-kept";
    /// A destination gets more calls at a time than it takes.
    ConcurrencyIgnored, "concurrency-ignored";
    /// Tenants are served in the order of their ids.
    TurnsIgnored, "turns-ignored";
    /// A call is tried again at once, whatever its schedule says.
    ScheduleIgnored, "schedule-ignored";
    /// A call that ends dead does not release the one behind it.
    DeadHeadHolds, "dead-head-holds";
    /// However many calls wait for a destination, none makes room.
    QueueUnbounded, "queue-unbounded";
    /// A call that makes room lets the one behind it go, though another holds both.
    CrowdedLetsGo, "crowded-lets-go";
    /// A dead run is replayed again though it has a successor.
    ReplayTwice, "replay-twice";
    /// A replay of runs does not ask how many are pending.
    ReplayBeyondQuota, "replay-beyond-quota";
    /// A call is brought back though it is no dead letter.
    ReplayOfAny, "replay-of-any";
    /// Bodies that are too old go though something of them is pending.
    PendingPruned, "pending-pruned";
    /// Records that are too old go though something of them is pending.
    RecordsPruned, "records-pruned";
    /// An erasure does not ask whether something is pending.
    EraseAnyway, "erase-anyway";
    /// A call that is tried again is reported as dead.
    ReportEarly, "report-early";
    /// A call that ends without an attempt is not reported.
    ReportForgotten, "report-forgotten";
    /// A report does not come when the tenant has much pending.
    ReportWithinQuota, "report-within-quota";
    /// A report does not say how many came before it.
    DepthForgotten, "depth-forgotten";
    /// What a tenant is told of what was tried and died is committed after the death.
    NoticeApart, "notice-apart";
    /// A tenant is told once of a kind, whatever it is about.
    NoticeOfOneThing, "notice-of-one-thing";
    /// A notice that dies is worth a notice.
    NoticeOfNotice, "notice-of-notice";
    /// A run's commit does not look whether what it read is still so.
    StateUnchecked, "state-unchecked";
    /// What a run writes to its plugin's state is committed before its decision.
    StateApart, "state-apart";
    /// A tenant may store as many events as it likes.
    EventsBeyondQuota, "events-beyond-quota";
    /// A tenant may try as many runs as it likes.
    RunsBeyondQuota, "runs-beyond-quota";
    /// A tenant may send as many calls as it likes.
    CallsBeyondQuota, "calls-beyond-quota";
    /// What a tenant used on one day counts on the next.
    QuotaNotRenewed, "quota-not-renewed";
    /// A tenant may have as many runs under way as the host.
    CapIgnored, "cap-ignored";
    /// A tenant that was removed has its turns.
    RemovedHasTurns, "removed-has-turns";
    /// What is sent to a tenant that was removed is stored.
    RemovedStores, "removed-stores";
    /// The calls of a tenant that was removed stay.
    RemovedLeavesCalls, "removed-leaves-calls";
    /// A run that ends stays in the count of pending ones.
    PendingLeaks, "pending-leaks";
}

#[cfg(not(feature = "planted"))]
mod absent {
    use super::Bug;

    /// Whether this bug is planted: never.
    pub(crate) const fn is(_: Bug) -> bool {
        false
    }

    /// Nothing.
    #[derive(Clone, Copy)]
    pub(crate) struct Nothing;

    /// What a thread that is started here has to be given.
    pub(crate) const fn selected() -> Nothing {
        Nothing
    }

    /// Plants what [`selected`] gave.
    pub(crate) const fn plant(_: Nothing) {}
}

#[cfg(feature = "planted")]
mod present {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static SELECTED: Cell<Option<Bug>> = Cell::new(from_environment());
    }

    /// For a host in a process of its own: its test can only speak to it by the environment.
    fn from_environment() -> Option<Bug> {
        let word = std::env::var("CREEL_TEST_PLANTED").ok()?;
        Bug::ALL.iter().copied().find(|bug| bug.word() == word)
    }

    /// Plants a bug in the stores that this thread opens from now on; `None` mends them.
    pub fn plant(bug: Option<Bug>) {
        SELECTED.set(bug);
    }

    /// What is planted here.
    pub fn selected() -> Option<Bug> {
        SELECTED.get()
    }

    /// Whether this bug is planted here.
    pub(crate) fn is(bug: Bug) -> bool {
        SELECTED.get() == Some(bug)
    }
}
