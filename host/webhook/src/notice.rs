//! Notices: what the host tells a tenant about the tenant's own things, as webhooks to a destination that it names.
//!
//! | type | about | told |
//! |---|---|---|
//! | `creel.run.dead` | a route | a run ended without a decision |
//! | `creel.delivery.dead` | a destination | a call was given up |
//! | `creel.destination.paused`, `creel.destination.disabled` | a destination | its calls wait, or end dead |
//! | `creel.destination.breaker_opened`, `creel.destination.breaker_closed` | a destination | it fails, or has recovered |
//! | `creel.tenant.quota_near` | the tenant | [`QUOTA_PERCENT`] of the runs that may wait do |
//! | `creel.tenant.daily_quota` | the tenant | [`QUOTA_PERCENT`] of a daily quota are used, or all of it |
//! | `creel.source.silent` | a source | nothing genuine came for `silent_after_hours` |
//! | `creel.source.refusals` | a source | more requests than usual are not believed |
//!
//! A body is that of [Standard Webhooks](https://www.standardwebhooks.com): `type`, `timestamp`, `data`. Its data are
//! names, ids, counts and a link into the admin API; never a body, a header, a log line or what a plugin wrote.
//!
//! One notice of a type about a thing is made in [`WINDOW_MS`]. Those between are counted, and the next one says how many
//! they were. A call that is a notice is the host's own ([`NO_RUN`]): its end makes none, and neither does what becomes of
//! the destination that notices go to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::id::{DeliveryId, DestinationId, EventId, PluginId, RouteId, RunId, SourceId, TenantId};
use crate::quota::{QUOTA_PERCENT, Quota};
use crate::run::Verdict;

/// One notice of a type about a thing is made in so long, milliseconds: who is called out needs to hear it once, and
/// again when it lasts.
pub const WINDOW_MS: u64 = 5 * 60 * 1_000;

/// Percent of a source's requests in [`WINDOW_MS`] that may be refused before the tenant is told, unless it says
/// otherwise. A rotated secret refuses all, scanners of a public URL far less than a fifth of real traffic.
pub const REFUSALS_PERCENT_DEFAULT: u32 = 20;

/// Refusals in [`WINDOW_MS`] below which nothing is told, unless the tenant says otherwise: fewer are somebody who tries
/// something out.
pub const REFUSALS_MIN_DEFAULT: u32 = 20;

/// Longest `silent_after_hours`: a year.
pub const SILENT_HOURS_MAX: u32 = 24 * 366;

/// Stands where an ordinary call names the run that decided it.
pub const NO_RUN: RunId = RunId::NIL;

/// Stands where an ordinary call names its event.
pub const NO_EVENT: EventId = EventId::NIL;

/// Every type of notice.
pub const TYPES: [&str; 10] = [
    "creel.run.dead",
    "creel.delivery.dead",
    "creel.destination.paused",
    "creel.destination.disabled",
    "creel.destination.breaker_opened",
    "creel.destination.breaker_closed",
    "creel.tenant.quota_near",
    "creel.tenant.daily_quota",
    "creel.source.silent",
    "creel.source.refusals",
];

/// Where a tenant's notices go, and what is worth one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    /// Whose they are.
    pub tenant: TenantId,
    /// Where they go.
    pub destination: DestinationId,
    /// Percent of a source's requests in [`WINDOW_MS`] that may be refused.
    pub refusals_percent: u32,
    /// Refusals in [`WINDOW_MS`] below which nothing is told.
    pub refusals_min: u32,
}

/// Something that a tenant is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A run ended without a decision.
    RunDead {
        /// The run.
        run: RunId,
        /// Its event.
        event: EventId,
        /// Its route.
        route: RouteId,
        /// Its plugin.
        plugin: PluginId,
        /// How it ended.
        verdict: Verdict,
    },
    /// A call was given up.
    DeliveryDead {
        /// The call.
        delivery: DeliveryId,
        /// The event that it is about.
        event: EventId,
        /// The run that decided it.
        run: RunId,
        /// Where it was to go.
        destination: DestinationId,
        /// Why, in the host's words.
        reason: String,
    },
    /// A destination's calls wait.
    DestinationPaused {
        /// The destination.
        destination: DestinationId,
        /// Why.
        reason: String,
    },
    /// New calls to a destination end dead.
    DestinationDisabled {
        /// The destination.
        destination: DestinationId,
        /// Why.
        reason: String,
    },
    /// A destination fails, and is left alone for a while.
    BreakerOpened {
        /// The destination.
        destination: DestinationId,
        /// When it is tried again.
        until: Timestamp,
    },
    /// A destination has recovered.
    BreakerClosed {
        /// The destination.
        destination: DestinationId,
    },
    /// So many runs wait that there is soon no room for more.
    QuotaNear {
        /// Runs that wait.
        pending: u64,
        /// Runs that may.
        max: u64,
    },
    /// A good part of a daily quota is used, or all of it.
    DailyQuota {
        /// Which.
        quota: Quota,
        /// How much of it is used.
        used: u64,
        /// How much there is.
        max: u64,
        /// What was reached: [`QUOTA_PERCENT`] or 100.
        percent: u64,
        /// When it begins anew.
        renewed_at: Timestamp,
    },
    /// Nothing genuine came for long.
    SourceSilent {
        /// The source.
        source: SourceId,
        /// When the last genuine request came, or when the watch began.
        since: Timestamp,
        /// For how many hours it may be silent.
        hours: u32,
    },
    /// More requests than usual are not believed.
    SourceRefusals {
        /// The source.
        source: SourceId,
        /// Requests that were refused.
        refused: u64,
        /// Requests that were believed.
        genuine: u64,
    },
}

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A route.
    Route(RouteId),
    /// A destination.
    Destination(DestinationId),
    /// A source.
    Source(SourceId),
    /// The tenant itself.
    Tenant,
    /// One of its quotas, and what was reached of it, percent: each is told once a day.
    Quota(Quota, u64),
}

/// How the things of a fact are called; a thing that is gone is called by its id.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// What the fact is about.
    pub thing: &'a str,
    /// The plugin of a run.
    pub plugin: &'a str,
}

impl Fact {
    /// Its type, as receivers see it.
    pub fn kind(&self) -> &'static str {
        match self {
            Fact::RunDead { .. } => "creel.run.dead",
            Fact::DeliveryDead { .. } => "creel.delivery.dead",
            Fact::DestinationPaused { .. } => "creel.destination.paused",
            Fact::DestinationDisabled { .. } => "creel.destination.disabled",
            Fact::BreakerOpened { .. } => "creel.destination.breaker_opened",
            Fact::BreakerClosed { .. } => "creel.destination.breaker_closed",
            Fact::QuotaNear { .. } => "creel.tenant.quota_near",
            Fact::DailyQuota { .. } => "creel.tenant.daily_quota",
            Fact::SourceSilent { .. } => "creel.source.silent",
            Fact::SourceRefusals { .. } => "creel.source.refusals",
        }
    }

    /// What it is about.
    pub fn thing(&self) -> Thing {
        match self {
            Fact::RunDead { route, .. } => Thing::Route(*route),
            Fact::DeliveryDead { destination, .. }
            | Fact::DestinationPaused { destination, .. }
            | Fact::DestinationDisabled { destination, .. }
            | Fact::BreakerOpened { destination, .. }
            | Fact::BreakerClosed { destination } => Thing::Destination(*destination),
            Fact::QuotaNear { .. } => Thing::Tenant,
            Fact::DailyQuota { quota, percent, .. } => Thing::Quota(*quota, *percent),
            Fact::SourceSilent { source, .. } | Fact::SourceRefusals { source, .. } => Thing::Source(*source),
        }
    }

    /// Whether it can be told through this destination: nothing that happens to a destination is told to itself, and no
    /// notice is about a notice.
    pub fn can_go_to(&self, destination: DestinationId) -> bool {
        match self {
            Fact::DeliveryDead { run, .. } => *run != NO_RUN,
            other => other.thing() != Thing::Destination(destination),
        }
    }

    /// What is sent. `suppressed` facts of its kind about its thing were not told since the notice before.
    pub fn body(&self, names: Names<'_>, at: Timestamp, suppressed: u64) -> Vec<u8> {
        let mut data = self.data(names);
        data.insert("tenant".to_owned(), json!(names.tenant));
        data.insert("suppressed".to_owned(), json!(suppressed));
        let body = json!({ "type": self.kind(), "timestamp": at.to_string(), "data": data });
        body.to_string().into_bytes()
    }

    fn data(&self, names: Names<'_>) -> Map<String, Value> {
        let text = |id: &dyn std::fmt::Display| id.to_string();
        let link = |rest: String| format!("/v1/tenants/{}{rest}", names.tenant);
        let to = |kind: &str| link(format!("/{kind}/{}", names.thing));
        let data = match self {
            Fact::RunDead { run, event, route, verdict, .. } => json!({
                "run": text(run), "event": text(event), "route": names.thing, "route_id": text(route),
                "plugin": names.plugin, "verdict": verdict.as_str(), "link": link(format!("/events/{event}")),
            }),
            Fact::DeliveryDead { delivery, event, run, destination, reason } => json!({
                "delivery": text(delivery), "event": text(event), "run": text(run), "destination": names.thing,
                "destination_id": text(destination), "reason": reason, "link": link(format!("/deliveries/{delivery}")),
            }),
            Fact::DestinationPaused { destination, reason } | Fact::DestinationDisabled { destination, reason } => {
                json!({ "destination": names.thing, "destination_id": text(destination), "reason": reason,
                    "link": to("destinations") })
            }
            Fact::BreakerOpened { destination, until } => json!({
                "destination": names.thing, "destination_id": text(destination), "until": text(until),
                "link": to("destinations"),
            }),
            Fact::BreakerClosed { destination } => json!({
                "destination": names.thing, "destination_id": text(destination), "link": to("destinations"),
            }),
            Fact::QuotaNear { pending, max } => json!({
                "pending": pending, "max": max, "percent": QUOTA_PERCENT, "link": link("/runs".to_owned()),
            }),
            Fact::DailyQuota { quota, used, max, percent, renewed_at } => json!({
                "quota": quota.as_str(), "used": used, "max": max, "percent": percent, "renewed_at": text(renewed_at),
                "beyond": quota.beyond(), "link": link("/quotas".to_owned()),
            }),
            Fact::SourceSilent { source, since, hours } => json!({
                "source": names.thing, "source_id": text(source), "since": text(since), "hours": hours,
                "link": to("sources"),
            }),
            Fact::SourceRefusals { source, refused, genuine } => json!({
                "source": names.thing, "source_id": text(source), "refused": refused, "genuine": genuine,
                "link": link("/refusals".to_owned()),
            }),
        };
        match data {
            Value::Object(data) => data,
            _ => Map::new(),
        }
    }
}

/// The ids of a notice's call: its own, and the key that receivers know it by. A kind has one notice about a thing at a
/// time.
pub fn ids(tenant: TenantId, kind: &str, thing: &[u8; 16], at: Timestamp) -> (DeliveryId, String) {
    let mut hash = Sha256::new();
    hash.update(b"creel notice 1");
    hash.update(tenant.as_bytes());
    hash.update(kind);
    hash.update(thing);
    hash.update(at.as_millis().to_be_bytes());
    let digest = hash.finalize();
    let mut entropy = [0; 10];
    entropy.copy_from_slice(&digest[16..26]);
    (DeliveryId::new(at, entropy), format!("msg_{}", hex::encode(&digest[..16])))
}

/// The notice before of a kind about a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// When it was made.
    pub at: Timestamp,
    /// Facts that were not told since.
    pub suppressed: u64,
}

/// Whether a fact is told now: then with how many that were not. `None` counts as one more of those.
///
/// ```
/// use creel_webhook::{clock::Timestamp, notice::{Before, WINDOW_MS, told_now}};
/// let at = Timestamp::from_secs(1_000);
/// assert_eq!(told_now(None, at), Some(0));
/// let before = Some(Before { at, suppressed: 3 });
/// assert_eq!(told_now(before, at.plus_ms(WINDOW_MS - 1)), None);
/// assert_eq!(told_now(before, at.plus_ms(WINDOW_MS)), Some(3));
/// ```
pub fn told_now(before: Option<Before>, now: Timestamp) -> Option<u64> {
    match before {
        Some(before) if now.since_ms(before.at) < WINDOW_MS => None,
        before => Some(before.map_or(0, |before| before.suppressed)),
    }
}

/// Whether so many runs wait that the tenant is to be told.
pub fn is_near(pending: u64, max: u64) -> bool {
    pending > 0 && pending.saturating_mul(100) >= max.saturating_mul(QUOTA_PERCENT)
}

/// Whether a source has been silent for longer than it may be.
pub fn is_silent(heard_at: Timestamp, hours: u32, now: Timestamp) -> bool {
    now.since_ms(heard_at) >= u64::from(hours) * 60 * 60 * 1_000
}

/// Whether a source refuses more than its tenant takes for usual.
pub fn is_refusing(refused: u64, genuine: u64, notices: &Notices) -> bool {
    refused >= u64::from(notices.refusals_min.max(1))
        && refused.saturating_mul(100) >= (refused + genuine).saturating_mul(u64::from(notices.refusals_percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn facts() -> Vec<Fact> {
        let (run, event) = (RunId::new(NOW, [1; 10]), EventId::new(NOW, [2; 10]));
        let destination = DestinationId::new(NOW, [3; 10]);
        let (delivery, source) = (DeliveryId::new(NOW, [4; 10]), SourceId::new(NOW, [5; 10]));
        let (route, plugin) = (RouteId::new(NOW, [6; 10]), PluginId::new(NOW, [7; 10]));
        let reason = || "the receiver answered 410".to_owned();
        vec![
            Fact::RunDead { run, event, route, plugin, verdict: Verdict::Trap },
            Fact::DeliveryDead { delivery, event, run, destination, reason: reason() },
            Fact::DestinationPaused { destination, reason: reason() },
            Fact::DestinationDisabled { destination, reason: reason() },
            Fact::BreakerOpened { destination, until: NOW },
            Fact::BreakerClosed { destination },
            Fact::QuotaNear { pending: 8, max: 10 },
            Fact::DailyQuota { quota: Quota::Events, used: 8, max: 10, percent: 80, renewed_at: NOW },
            Fact::SourceSilent { source, since: NOW, hours: 3 },
            Fact::SourceRefusals { source, refused: 30, genuine: 1 },
        ]
    }

    #[test]
    fn every_type_has_a_fact_and_every_body_says_which() {
        let facts = facts();
        let kinds: Vec<_> = facts.iter().map(Fact::kind).collect();
        assert_eq!(kinds, TYPES);
        for fact in facts {
            let names = Names { tenant: "shop", thing: "crm", plugin: "echo" };
            let body: Value = serde_json::from_slice(&fact.body(names, NOW, 7)).unwrap();
            assert_eq!(body["type"], fact.kind());
            assert_eq!(body["timestamp"], "2027-01-15T08:00:00.000Z");
            assert_eq!((&body["data"]["tenant"], &body["data"]["suppressed"]), (&json!("shop"), &json!(7)), "{body}");
            let link = body["data"]["link"].as_str().unwrap();
            assert!(link.starts_with("/v1/tenants/shop/"), "{link}");
        }
    }

    #[test]
    fn the_documented_examples_are_what_is_sent() {
        let page = include_str!("../../../docs/notices.md");
        let examples: Vec<Value> = page
            .split("```json")
            .skip(1)
            .map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).expect("an example is JSON"))
            .collect();
        let names = Names { tenant: "shop", thing: "crm", plugin: "echo" };
        let keys =
            |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        let told = |body: &Value| (body["type"].clone(), keys(body), keys(&body["data"]));
        let sent: Vec<Value> =
            facts().iter().map(|fact| serde_json::from_slice(&fact.body(names, NOW, 0)).unwrap()).collect();
        assert_eq!(examples.iter().map(told).collect::<Vec<_>>(), sent.iter().map(told).collect::<Vec<_>>());
        for kind in TYPES {
            assert!(page.contains(&format!("| `{kind}` |")), "{kind} is not in the table");
        }
    }

    #[test]
    fn nothing_is_told_through_what_it_is_about_and_no_notice_about_a_notice() {
        let ops = DestinationId::new(NOW, [9; 10]);
        assert!(facts().iter().all(|fact| fact.can_go_to(ops)));
        let own: Vec<_> =
            facts().iter().filter(|fact| !fact.can_go_to(DestinationId::new(NOW, [3; 10]))).map(Fact::kind).collect();
        assert_eq!(own, &TYPES[2..6], "a call to it that died can be told");
        let Fact::DeliveryDead { delivery, event, destination, reason, .. } = facts().remove(1) else {
            panic!("a call")
        };
        assert!(!Fact::DeliveryDead { delivery, event, run: NO_RUN, destination, reason }.can_go_to(ops));
    }

    #[test]
    fn what_is_usual_is_not_told() {
        assert!(!is_near(0, 0) && !is_near(7, 10) && is_near(8, 10) && is_near(10, 10));
        assert!(!is_silent(NOW, 1, NOW.plus_ms(3_599_999)) && is_silent(NOW, 1, NOW.plus_ms(3_600_000)));
        let notices = Notices {
            tenant: TenantId::NIL,
            destination: DestinationId::NIL,
            refusals_percent: REFUSALS_PERCENT_DEFAULT,
            refusals_min: REFUSALS_MIN_DEFAULT,
        };
        assert!(!is_refusing(19, 0, &notices), "somebody tries something out");
        assert!(is_refusing(20, 0, &notices) && is_refusing(20, 80, &notices));
        assert!(!is_refusing(20, 81, &notices) && !is_refusing(199, 801, &notices));
    }
}
