//! Rehearsals: a stored event runs once more, and nothing is sent or stored.
//!
//! What is asked for ([`Wish`]), what comes of it ([`Rehearsal`]), and how many may be under way. A rehearsal is a real run,
//! in the real sandbox under the limits of production; only its end is shown instead of committed, and what it reads is
//! answered from the record of the run that it repeats ([`crate::capability::recorded`]). It has room of its own
//! in the sandbox, so it takes none from runs that a sender waits for, and shares the guest threads as every run does.
//!
//! A tenant rehearses one event at a time, and the host [`REHEARSALS_MAX`]. Who waits, waits in line: tenant before host,
//! so that a tenant that asks a hundred times stands in the host's line once.

use std::sync::Arc;

use creel_store::contract::{StoreResult, StoredAnswer, StoredEvent};
use creel_webhook::breach::Breach;
use creel_webhook::clock::Timestamp;
use creel_webhook::decision::DecidedCall;
use creel_webhook::id::{PluginId, RouteId, TenantId};
use creel_webhook::plugin::Deployment;
use creel_webhook::record::Record;
use creel_webhook::route::Mode;
use creel_webhook::run::{LogLine, Usage, Verdict};
use creel_webhook::state::StateWrite;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lines::{Head, Lines};

/// Rehearsals at the same time on a host: people look at them one by one, and each takes a guest thread from work.
pub const REHEARSALS_MAX: u32 = 2;

/// What is to be rehearsed.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The event, its body still there.
    pub event: StoredEvent,
    /// The route that keys outward derive from.
    pub route: RouteId,
    /// The plugin.
    pub plugin: PluginId,
    /// Whether a reply is decided too.
    pub mode: Mode,
    /// What runs; `None`: the active deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// What the run that it repeats read; it is answered from nothing else.
    pub record: Record,
}

/// How a rehearsal ended.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// Number of the deployment that ran; `None` when there was none to run.
    pub deployment: Option<u32>,
    /// How.
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: Option<String>,
    /// The limit behind that, when it is one.
    pub breach: Option<Breach>,
    /// When it was decided: what the calls' times count from.
    pub decided_at: Timestamp,
    /// The calls, checked as for a run; none is queued.
    pub calls: Vec<DecidedCall>,
    /// The answer, with [`Mode::Reply`].
    pub reply: Option<StoredAnswer>,
    /// The delay that the plugin asked for; only with [`Verdict::Retry`].
    pub retry_after_ms: Option<u64>,
    /// What it used.
    pub usage: Usage,
    /// What it logged.
    pub log: Vec<LogLine>,
    /// What it would write to its plugin's state.
    pub writes: Vec<StateWrite>,
    /// What it asked for and the record does not have.
    pub missing: Vec<String>,
}

/// Runs a wish; `None` when the host is stopping.
pub type Rehearse = Arc<dyn Fn(Wish) -> BoxFuture<'static, StoreResult<Option<Rehearsal>>> + Send + Sync>;

/// What rehearses, and the line before it.
#[derive(Clone)]
pub struct Stage {
    rehearse: Rehearse,
    room: Arc<Semaphore>,
    tenants: Lines,
}

/// The right to rehearse events of one tenant; given back when dropped.
pub struct Turn {
    rehearse: Rehearse,
    // In the order in which they are given back.
    _room: OwnedSemaphorePermit,
    _own: Head,
}

impl Stage {
    /// A stage for this.
    pub fn new(rehearse: Rehearse) -> Self {
        Stage { rehearse, room: Arc::new(Semaphore::new(REHEARSALS_MAX as usize)), tenants: Lines::default() }
    }

    /// Waits for the tenant's turn. Nothing of its event needs to be read before.
    pub async fn turn(&self, tenant: TenantId) -> Turn {
        let own = self.tenants.stand(tenant).await;
        let room = self.room.clone().acquire_owned().await.expect("the stage is never closed");
        Turn { rehearse: self.rehearse.clone(), _room: room, _own: own }
    }
}

impl Turn {
    /// Runs it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rehearse(&self, wish: Wish) -> StoreResult<Option<Rehearsal>> {
        (self.rehearse)(wish).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn tenant(byte: u8) -> TenantId {
        TenantId::from_bytes([byte; 16])
    }

    #[tokio::test]
    async fn a_tenant_stands_in_the_hosts_line_once_and_lines_are_cleared_away() {
        let stage = Stage::new(Arc::new(|_| async { Ok(None) }.boxed()));
        let first = stage.turn(tenant(1)).await;
        assert!(stage.turn(tenant(1)).now_or_never().is_none(), "one at a time");
        let second = stage.turn(tenant(2)).now_or_never().expect("another tenant has room");
        assert!(stage.turn(tenant(3)).now_or_never().is_none(), "the host has room for so many");
        drop((first, second));
        drop(stage.turn(tenant(1)).now_or_never().expect("it is over"));
        drop(stage.turn(tenant(3)).now_or_never().expect("there is room again"));
        assert!(stage.tenants.is_empty());
    }
}
