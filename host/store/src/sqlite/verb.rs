//! A verb on its way to the thread that writes, and back to its caller.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::contract::{StoreError, StoreResult};
use crate::sqlite::safety::Committed;
use crate::sqlite::statement::{Fault, Sql};
use crate::sqlite::transaction::Tx;
use crate::sqlite::work::Work;

/// Items from which on a batch is answered by a task of the callers' runtime.
const ANSWERED_INSIDE_MIN: usize = 4;

/// A queued verb, whatever its result is.
pub(super) trait Item: Send {
    /// Whether it only adds to what lanes and turns hold.
    fn arrives(&self) -> bool;
    /// Runs it, for the second time when the first was rolled back; says whether what it wrote may stay.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// What it waits for while there is nothing.
    fn waits_for(&self) -> Option<Work> {
        None
    }
    /// Whether it has something to tell.
    fn has_found(&self) -> bool {
        true
    }
    /// Whether nobody waits for its answer any more.
    fn is_abandoned(&self) -> bool {
        false
    }
    /// Whether it ends the writer.
    fn stops(&self) -> bool {
        false
    }
    /// Where its caller waits.
    fn runtime(&self) -> Option<&Handle>;
    /// Answers the caller.
    fn finish(self: Box<Self>, batch: Result<Committed, &str>);
}

/// A verb with its caller.
pub(super) struct Verb<T, F> {
    /// What it does.
    pub(super) work: F,
    /// See [`Item::arrives`].
    pub(super) arrives: bool,
    /// What it gave.
    pub(super) result: Option<StoreResult<T>>,
    /// Who waits for that.
    pub(super) caller: oneshot::Sender<StoreResult<T>>,
    /// Where.
    pub(super) runtime: Option<Handle>,
    /// Its share of the queue's bound.
    pub(super) _bytes: OwnedSemaphorePermit,
}

impl<T: Send, F: Fn(&mut Tx<'_>) -> Sql<T> + Send> Item for Verb<T, F> {
    fn arrives(&self) -> bool {
        self.arrives
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let result = caught(|| (self.work)(tx));
        let good = result.is_ok();
        self.result = Some(result);
        good
    }

    fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref()
    }

    fn finish(self: Box<Self>, batch: Result<Committed, &str>) {
        let result = match (batch, self.result) {
            // An item's own error stands whatever became of the batch: nothing of it was stored.
            (_, Some(Err(error))) => Err(error),
            (Ok(_), Some(Ok(value))) => Ok(value),
            (Ok(_), None) => Err(StoreError::Closed),
            (Err(why), _) => Err(StoreError::Failed(why.to_owned())),
        };
        // A caller that went away has no use for the answer; what it asked for is done all the same.
        let _ = self.caller.send(result);
    }
}

/// A claim that waits while there is nothing to claim; answered with `None` when it is recalled in vain.
pub(super) struct Claim<T, F> {
    /// What it waits for.
    pub(super) work: Work,
    /// What it does.
    pub(super) claim: F,
    /// What it gave last.
    pub(super) result: StoreResult<Option<T>>,
    /// Who waits for that.
    pub(super) caller: oneshot::Sender<StoreResult<Option<T>>>,
    /// Where.
    pub(super) runtime: Option<Handle>,
}

impl<T: Send, F: Fn(&mut Tx<'_>) -> Sql<Option<T>> + Send> Item for Claim<T, F> {
    fn arrives(&self) -> bool {
        false
    }

    fn waits_for(&self) -> Option<Work> {
        Some(self.work)
    }

    fn has_found(&self) -> bool {
        !matches!(self.result, Ok(None))
    }

    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        self.result = caught(|| (self.claim)(tx));
        self.result.is_ok()
    }

    fn runtime(&self) -> Option<&Handle> {
        self.runtime.as_ref()
    }

    fn finish(self: Box<Self>, batch: Result<Committed, &str>) {
        let _ = self.caller.send(match batch {
            Ok(_) => self.result,
            Err(why) => self.result.and(Err(StoreError::Failed(why.to_owned()))),
        });
    }
}

/// A verb that panics fails like any other.
fn caught<T>(work: impl FnOnce() -> Sql<T>) -> StoreResult<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Fault::Store(StoreError::Failed("a verb panicked".to_owned()))))
        .map_err(StoreError::from)
}

/// The last item: behind it nothing is queued any more.
pub(super) struct Stop {
    /// Who closes.
    pub(super) caller: oneshot::Sender<()>,
}

impl Item for Stop {
    fn arrives(&self) -> bool {
        true
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        tx.memory.stopping = true;
        true
    }

    fn stops(&self) -> bool {
        true
    }

    fn runtime(&self) -> Option<&Handle> {
        None
    }

    fn finish(self: Box<Self>, _: Result<Committed, &str>) {
        let _ = self.caller.send(());
    }
}

/// Answers the callers of a batch that is on disk. To wake a task of the runtime from outside is dear, so a large batch
/// is answered from inside: one task is woken, and it wakes the others.
pub(super) fn answer(items: Vec<Box<dyn Item>>, committed: Committed) {
    match items.last().and_then(|item| item.runtime().cloned()) {
        Some(runtime) if items.len() >= ANSWERED_INSIDE_MIN => {
            runtime.spawn(async move { items.into_iter().for_each(|item| item.finish(Ok(committed))) });
        }
        _ => items.into_iter().for_each(|item| item.finish(Ok(committed))),
    }
}
