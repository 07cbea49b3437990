//! How a run ends: what is stored in one transaction, and what became of it.

use creel_webhook::breach::Breach;
use creel_webhook::clock::Timestamp;
use creel_webhook::decision::DecidedCall;
use creel_webhook::id::{DeliveryId, RunId, TenantId};
use creel_webhook::record::Record;
use creel_webhook::run::{LogLine, RunNext, Usage, Verdict};

use super::answer::StoredAnswer;
use super::claim::ClaimToken;
use super::state::StateWrites;

/// How a run ended, to be stored with everything that follows in one transaction.
#[derive(Debug, Clone)]
pub struct RunCommit {
    /// Whose it is.
    pub tenant: TenantId,
    /// The right to do so.
    pub run: RunId,
    /// Its proof.
    pub claim: ClaimToken,
    /// When it ended.
    pub now: Timestamp,
    /// How.
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: Option<String>,
    /// The limit behind that, when it is one.
    pub breach: Option<Breach>,
    /// The deployment that ran: its number.
    pub deployment: Option<u32>,
    /// What it used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// What it read from outside of itself. The latest try's is kept, whatever its verdict, as long as the event's body.
    pub record: Record,
    /// Whether it is over or due again. `attempts` moves on in either case.
    pub next: RunNext,
    /// The calls that it decided; stored only if the run is over and its reply, if any, was not late.
    pub calls: Vec<NewDelivery>,
    /// The answer for the sender, on a reply route.
    pub reply: Option<StoredAnswer>,
    /// What it wrote to its plugin's state; stored if its calls are.
    pub state: StateWrites,
    /// Keep calls and writes even if the reply comes too late.
    pub keep_late: bool,
}

/// A decided call, to be queued.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// What was decided.
    pub call: DecidedCall,
}

/// What became of a run's commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommitted {
    /// Stored.
    Stored {
        /// The verdict as stored: `late` when the sender had been answered meanwhile.
        verdict: Verdict,
        /// For a reply run that is over: what the sender is told, whoever decided it.
        answer: Option<StoredAnswer>,
    },
    /// The claim is no longer the row's; nothing was stored.
    Stale,
    /// What the run read has been written since, or there is no room for what it wrote; nothing was stored and the claim
    /// holds. Run it again: whoever overtook it has been committed, so not all of a plugin's runs are overtaken.
    Conflict,
}
