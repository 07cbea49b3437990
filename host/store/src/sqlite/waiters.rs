//! Claims that wait until there is something.
//!
//! Whoever works asks before there is work. The claim is parked here, and the batch that makes work due claims it too, in
//! its own transaction: between an accept and its run lie one commit and one answer instead of a wake-up, another verb and
//! its commit. There is one place for runs and one for deliveries; who asks a second time takes the place of the first,
//! which is answered with nothing.
//!
//! A parked claim is tried when it comes, when a batch has raised its kind of work, and when it is recalled because time
//! has passed. Only one that is new stays when there is nothing; the others are answered in any case, because what was
//! raised may become due at a time of which whoever waits has not heard. It has the savepoint of its own that a claim
//! behind other verbs needs: when it fails, they stay.

use crate::planted::{self, Bug};
use crate::sqlite::transaction::Effects;
use crate::sqlite::verb::Item;
use crate::sqlite::work::Work;

/// A claim in its place.
struct Parked {
    item: Box<dyn Item>,
    /// It has not been tried.
    is_new: bool,
}

/// Who waits, by what for.
#[derive(Default)]
pub(super) struct Waiters {
    runs: Option<Parked>,
    deliveries: Option<Parked>,
}

impl Waiters {
    /// Takes the claims that wait out of a batch; gives those whose places they take, to be answered with nothing.
    pub(super) fn park(&mut self, batch: &mut Vec<Box<dyn Item>>) -> Vec<Box<dyn Item>> {
        let waits = |item: &mut Box<dyn Item>| item.waits_for().is_some();
        let parked: Vec<_> = batch.extract_if(.., waits).collect();
        let mut replaced = Vec::new();
        for item in parked {
            let Some(place) = item.waits_for().map(|work| self.place(work)) else { continue };
            replaced.extend(place.replace(Parked { item, is_new: true }).map(|before| before.item));
        }
        replaced
    }

    /// The one for whom a batch that has raised this may have made something.
    pub(super) fn next(&mut self, work: Work, raised: Effects) -> Option<Box<dyn Item>> {
        let is_raised = raised.of(work) && !planted::is(Bug::WakeupLost);
        let parked = self.place(work).take_if(|parked| parked.is_new || is_raised || raised.recalled)?;
        Some(parked.item).filter(|item| !item.is_abandoned())
    }

    /// Keeps one that was tried in vain.
    pub(super) fn keep(&mut self, work: Work, item: Box<dyn Item>) {
        *self.place(work) = Some(Parked { item, is_new: false });
    }

    /// Nobody waits any more; gives those who did.
    pub(super) fn dismiss(&mut self) -> impl Iterator<Item = Box<dyn Item>> {
        let Waiters { runs, deliveries } = std::mem::take(self);
        [runs, deliveries].into_iter().flatten().map(|parked| parked.item)
    }

    fn place(&mut self, work: Work) -> &mut Option<Parked> {
        match work {
            Work::Runs => &mut self.runs,
            Work::Deliveries => &mut self.deliveries,
        }
    }
}
