//! Limits: an operator gives tenants daily quotas and a cap on runs at the same time, raises them and takes them back.
//!
//! Of what a tenant used, an observer knows the least and the most: what was acknowledged, and what may have been stored by a
//! verb that nobody heard of. What the store lets happen fits beside the least; what it refuses does not fit beside the most;
//! and what waits for a quota is due at midnight.

use std::collections::BTreeMap;

use creel_store::contract::{Accept, Accepted, Store};
use creel_webhook::clock::Timestamp;
use creel_webhook::quota::{Quota, day_of, renewed_at};
use creel_webhook::tenant::{Tenant, TenantLimits};

use crate::model::{Check, Model, Moment, hold};
use crate::sim::Sim;
use crate::world::{START, TENANTS};

/// Something that is counted.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    least: u64,
    most: u64,
}

/// What tenants may use and have used.
#[derive(Default)]
pub(crate) struct Rations {
    /// Limits by tenant; `None` is what nobody knows.
    own: BTreeMap<usize, Option<TenantLimits>>,
    /// By tenant, quota and day.
    used: BTreeMap<(usize, usize, i64), Count>,
}

impl Rations {
    /// What a tenant may use, if that is known.
    fn of(&self, shop: usize) -> Option<TenantLimits> {
        self.own.get(&shop).copied().unwrap_or(Some(TenantLimits::default()))
    }

    fn used(&self, shop: usize, quota: Quota, now: Timestamp) -> Count {
        self.used.get(&(shop, quota as usize, day_of(now))).copied().unwrap_or_default()
    }

    /// So much may be used from here on.
    pub(crate) fn perhaps(&mut self, shop: usize, quota: Quota, many: u64, now: Timestamp) {
        self.used.entry((shop, quota as usize, day_of(now))).or_default().most += many;
    }

    /// Of what may have been used, so much was.
    pub(crate) fn certainly(&mut self, shop: usize, quota: Quota, of: u64, many: u64, now: Timestamp) {
        let count = self.used.entry((shop, quota as usize, day_of(now))).or_default();
        count.least += many;
        count.most -= of - many;
    }

    /// Whether its runs may have to wait for something but their time.
    pub(crate) fn hold_runs(&self, shop: usize) -> bool {
        self.of(shop).is_none_or(|own| own.runs_per_day.is_some() || own.concurrent_runs_max.is_some())
    }
}

impl Model {
    /// An accept was answered: what was stored fits, what was refused does not.
    pub(crate) fn rationed(&mut self, accept: &Accept, accepted: &Accepted, at: Moment) -> Check {
        let shop = self.item(&accept.events[0].provider_id).shop;
        let (asked, stored) = match accepted {
            Accepted::Stored { events, .. } => (accept.events.len() as u64, events.len() as u64),
            _ => (accept.events.len() as u64, 0),
        };
        self.rations.certainly(shop, Quota::Events, asked, stored, at.now);
        let Some(own) = self.rations.of(shop) else { return Ok(()) };
        let Count { least, most } = self.rations.used(shop, Quota::Events, at.now);
        let max = own.events_per_day.unwrap_or(u64::MAX);
        hold!(stored == 0 || least <= max, "tenant {shop} may store {max} events today, and stored {least}");
        if let Accepted::OverDailyQuota { quota, until } = accepted {
            let fits = *quota != Quota::Events || most + asked <= max;
            hold!(!fits, "{asked} events more were refused by {quota:?}, and {most} of {max} are used");
            hold!(*until == renewed_at(at.now), "a sender was told to come back at {until}");
        }
        Ok(())
    }

    /// A run of a tenant begins: whether there is a place for it, and something left of the day's quota.
    pub(crate) fn run_fits(&self, what: &str, shop: usize, at: Moment) -> Check {
        let Some(own) = self.rations.of(shop) else { return Ok(()) };
        let is_held = |run: &&crate::model::Run| run.shop == shop && !run.waits && run.state.is_certainly_held(at);
        let held = self.runs.values().filter(is_held).count() as u64;
        let cap = own.concurrent_runs_max.unwrap_or(u64::MAX);
        hold!(held < cap, "{what} is one too many: {cap} runs of tenant {shop} may be under way, and {held} are");
        let (used, max) = (self.rations.used(shop, Quota::Runs, at.now).least, own.runs_per_day.unwrap_or(u64::MAX));
        hold!(used + held < max, "{what} is beyond the {max} of tenant {shop} today: {used}, and {held} under way");
        Ok(())
    }

    /// A call of a tenant goes out: whether something is left of the day's quota.
    pub(crate) fn call_fits(&self, what: &str, shop: usize, at: Moment) -> Check {
        let Some(own) = self.rations.of(shop) else { return Ok(()) };
        let held =
            self.calls.values().filter(|call| call.place().0 == shop && call.state.is_certainly_held(at)).count();
        let (used, held) = (self.rations.used(shop, Quota::Deliveries, at.now).least, held as u64);
        let max = own.deliveries_per_day.unwrap_or(u64::MAX);
        hold!(used + held < max, "{what} is beyond the {max} of tenant {shop} today: {used}, and {held} on their way");
        Ok(())
    }

    /// Before when nobody can say that another run of a tenant has to begin.
    pub(crate) fn runs_wait_until(&self, shop: usize, at: Moment) -> Timestamp {
        let Some(own) = self.rations.of(shop) else { return renewed_at(at.now) };
        let leases = self.runs.values().filter(|run| run.shop == shop && !run.waits);
        let leases: Vec<Timestamp> = leases.filter_map(|run| run.state.held_until(at)).collect();
        let used = self.rations.used(shop, Quota::Runs, at.now).most + leases.len() as u64;
        let is_full = own.concurrent_runs_max.is_some_and(|cap| leases.len() as u64 >= cap);
        match own.runs_per_day.is_some_and(|max| used >= max) {
            true => renewed_at(at.now),
            false => leases.into_iter().filter(|_| is_full).max().unwrap_or_default(),
        }
    }

    /// The same of its calls.
    pub(crate) fn calls_wait_until(&self, shop: usize, at: Moment) -> Timestamp {
        let Some(own) = self.rations.of(shop) else { return renewed_at(at.now) };
        let held = self.calls.values().filter(|call| call.place().0 == shop && call.state.is_held(at.boot, at.now));
        let used = self.rations.used(shop, Quota::Deliveries, at.now).most + held.count() as u64;
        if own.deliveries_per_day.is_some_and(|max| used >= max) { renewed_at(at.now) } else { Timestamp::default() }
    }
}

impl Sim {
    /// An operator gives a tenant a limit near to what it used, or takes all of them back.
    pub(crate) async fn limit(&mut self) -> Check {
        let shop = self.of(&[0, 0, 1, 2]) as usize;
        let (more, now) = (u64::from(self.of(&[0, 1, 2, 4])), self.now);
        let quota = |sim: &Sim, quota| Some((sim.model.rations.used(shop, quota, now).least + more).max(1));
        let mut limits = TenantLimits::default();
        match self.of(&[0, 1, 2, 3, 4]) {
            0 => limits.events_per_day = quota(self, Quota::Events),
            1 => limits.runs_per_day = quota(self, Quota::Runs),
            2 => limits.deliveries_per_day = quota(self, Quota::Deliveries),
            3 => limits.concurrent_runs_max = Some(1 + more / 2),
            _ => {}
        }
        self.put_limits(shop, limits).await
    }

    async fn put_limits(&mut self, shop: usize, limits: TenantLimits) -> Check {
        if self.model.is_removed(shop) {
            return Ok(());
        }
        self.model.rations.own.insert(shop, None);
        let id = self.model.shops[shop].tenant;
        let row = Tenant { id, name: format!("shop-{shop}"), created_at: START, limits };
        let done = self.store.tenant_put(row).await;
        if self.known("limits", done)?.is_some() {
            self.model.rations.own.insert(shop, Some(limits));
            let TenantLimits { events_per_day, runs_per_day, deliveries_per_day, concurrent_runs_max, .. } = limits;
            self.note(format_args!(
                "tenant {shop} may use {events_per_day:?} events, {runs_per_day:?} runs, {deliveries_per_day:?} calls, \
                 {concurrent_runs_max:?} at once"
            ));
        }
        Ok(())
    }

    /// Tenants ask for more, and are given it.
    pub(crate) async fn lift(&mut self) -> Check {
        for shop in 0..TENANTS {
            if self.model.rations.of(shop) != Some(TenantLimits::default()) {
                self.put_limits(shop, TenantLimits::default()).await?;
            }
        }
        Ok(())
    }
}
