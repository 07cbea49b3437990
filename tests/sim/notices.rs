//! Notices: what tenants are told of their dead runs and calls, with the death and once in a while, and never of a notice.

use std::collections::BTreeMap;

use creel_store::contract::{
    Attempt, DeliveryClaim, DeliveryCommit, DeliveryCommitted, DeliveryFilter, DeliveryState, Store, Story,
};
use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::{Answer, Next};
use creel_webhook::id::DeliveryId;
use creel_webhook::notice::{NO_RUN, WINDOW_MS};
use creel_webhook::quota::Quota;
use creel_webhook::run::Verdict;
use serde_json::Value;

use crate::model::{Check, hold};
use crate::sim::Sim;
use crate::world::TOLD;

/// What a tenant was told: the type of the notice, and the id of what it is about.
type About = (String, String);

/// A notice, as its receiver reads it.
struct Read {
    about: About,
    at: Timestamp,
}

/// Deaths by what they are told as, with their times.
#[derive(Default)]
pub(crate) struct Deaths(BTreeMap<About, Vec<Timestamp>>);

impl Deaths {
    /// Notes who died in a story.
    pub(crate) fn note(&mut self, story: &Story) {
        for run in story.runs.iter().filter(|run| run.verdict.is_some_and(Verdict::is_dead)) {
            self.add("creel.run.dead", run.route.to_string(), run.ended_at);
        }
        for call in story.deliveries.iter().filter(|call| call.state == DeliveryState::Dead) {
            self.add("creel.delivery.dead", call.destination.to_string(), call.ended_at);
        }
    }

    fn add(&mut self, kind: &str, thing: String, at: Option<Timestamp>) {
        self.0.entry((kind.to_owned(), thing)).or_default().extend(at);
    }
}

fn read(body: &[u8], created_at: Timestamp) -> Check<Read> {
    let body: Value = serde_json::from_slice(body).map_err(|error| format!("a notice is no JSON: {error}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let data = &body["data"];
    hold!(data["run"] != NO_RUN.to_string(), "a notice is about a notice: {body}");
    hold!(text(&body["timestamp"]) == created_at.to_string(), "a notice of {created_at} says otherwise: {body}");
    let thing = match (&data["route_id"], &data["quota"]) {
        (route @ Value::String(_), _) => text(route),
        (_, Value::String(quota)) => format!("{quota} {}", data["percent"]),
        _ => text(&data["destination_id"]),
    };
    Ok(Read { about: (text(&body["type"]), thing), at: created_at })
}

impl Sim {
    /// A receiver of notices takes one, or refuses it for good.
    pub(crate) async fn take_notice(&mut self, claim: &DeliveryClaim, now: Timestamp, refuses: bool) -> Check {
        let (shop, _) = self.shop_of_notice(claim)?;
        hold!(shop < TOLD, "tenant {shop} named no destination and is told something");
        let about = read(claim.body.as_deref().unwrap_or_default(), claim.created_at)?.about;
        self.note(format_args!("noticed {about:?} in {}, refused: {refuses}", claim.id));
        let (status, next) = match refuses {
            true => (400, Next::Dead { reason: "it answered 400".to_owned() }),
            false => (200, Next::Delivered),
        };
        let answer = Answer::Status { status, retry_after_ms: None };
        let attempt = Attempt { started_at: now, duration_ms: 1, answer, detail: None, response_head: String::new() };
        let (tenant, id, claim, response, destination, seen) = (claim.tenant, claim.id, claim.claim, None, None, 0);
        let commit = DeliveryCommit { tenant, id, claim, now, attempt, response, next, destination, seen };
        let committed = self.store.delivery_commit(commit).await;
        let counts = u64::from(!refuses);
        self.model.rations.perhaps(shop, Quota::Deliveries, counts, self.now);
        let committed = self.known("commit of a notice", committed)?;
        if committed.is_some() {
            self.model.rations.certainly(shop, Quota::Deliveries, counts, counts, self.now);
        }
        hold!(committed != Some(DeliveryCommitted::Stale), "notice {id} is held, and its commit was called stale");
        Ok(())
    }

    fn shop_of_notice(&self, claim: &DeliveryClaim) -> Check<(usize, DeliveryId)> {
        let shop =
            self.model.shops.iter().position(|shop| shop.tenant == claim.tenant && shop.ops == claim.destination);
        shop.map(|shop| (shop, claim.id)).ok_or_else(|| format!("notice {} goes where nobody named", claim.id))
    }

    /// At the end: each death was told with it or shortly before, and nothing twice within the window.
    pub(crate) async fn judge_notices(&mut self, shop: usize, deaths: &Deaths) -> Check {
        let told = self.notices_of(shop).await?;
        hold!(shop < TOLD || told.is_empty(), "tenant {shop} named no destination and was told something");
        if shop >= TOLD {
            return Ok(());
        }
        let window = |earlier: Timestamp, later: Timestamp| later >= earlier && later.since_ms(earlier) < WINDOW_MS;
        for (number, one) in told.iter().enumerate() {
            let again = told[..number].iter().find(|other| other.about == one.about && window(other.at, one.at));
            hold!(again.is_none(), "{:?} was told twice within a window", one.about);
        }
        for (about, times) in &deaths.0 {
            for at in times.iter().filter(|at| **at > self.forgotten_until) {
                let is_told = told.iter().any(|one| one.about == *about && window(one.at, *at));
                hold!(is_told, "{about:?} happened at {at} and tenant {shop} was not told");
            }
        }
        Ok(())
    }

    /// All notices of a tenant, oldest first.
    async fn notices_of(&mut self, shop: usize) -> Check<Vec<Read>> {
        let own = self.model.shops[shop];
        let filter = DeliveryFilter { destination: Some(own.ops), limit: 500, ..DeliveryFilter::default() };
        let rows = self.store.delivery_list(own.tenant, filter).await.map_err(|error| error.to_string())?;
        let mut notices = Vec::new();
        for row in rows.iter().rev() {
            hold!(row.state != DeliveryState::Pending, "notice {} is pending", row.id);
            let letter = self.store.delivery_read(own.tenant, row.id).await.map_err(|error| error.to_string())?;
            let body = letter.and_then(|(_, letter)| letter.body).unwrap_or_default();
            notices.push(read(&body, row.created_at)?);
        }
        Ok(notices)
    }
}
