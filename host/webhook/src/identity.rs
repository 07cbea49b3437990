//! Which events a request carries, and by what each is known again.
//!
//! Everything is read by the provider's pointers, or by the operator's, which come first. A missing id is no mistake:
//! the event then has none and is never deduplicated, since losing a repetition is better than losing an event.
//!
//! # Dedup keys
//!
//! | key | when |
//! |---|---|
//! | provider and id | an id was found |
//! | provider, body, signature | the provider's id is not signed, so that a replay could carry another one |
//!
//! No key at all: when the operator says so, when the provider's data says that repetitions are meant, and whatever depends
//! on a hash of the body for live calls (a caller who presses the same digit twice means it twice) and for notices that only
//! say where to look (Dropbox names the account whose files changed, with the same words each time). Keys are SHA-256
//! hashes; the caller scopes them by source.

use jiff::fmt::rfc2822;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::event::EventDraft;
use crate::pointer::{Place, Pointer, View};
use crate::provider::{Condition, EventRules, Parts, Provider, TimeRule, TimeUnit};
use crate::reply::is_sync;
use crate::request::RawRequest;
use crate::signature::verdict::Verified;

/// What joins the parts of an id: a control character that no provider uses in ids.
pub const ID_SEPARATOR: &str = "\u{1f}";

/// Most items of one request that become events of their own; a longer list is one event with the whole body.
pub const ITEMS_MAX: usize = 2_000;

/// Longest id, type, subject or order key in bytes; longer ones are cut (ids: hashed, never cut).
pub const TEXT_BYTES_MAX: usize = 512;

/// What the operator of a source sets about identity. Pointers come before the provider's.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityRules {
    /// The id, from one or several places; all must be present.
    pub id: Vec<Pointer>,
    /// The type.
    pub kind: Option<Pointer>,
    /// What people search by.
    pub subject: Option<Pointer>,
    /// What keeps events of one thing in line.
    pub order: Option<Pointer>,
    /// `false` switches deduplication off.
    pub dedup: Option<bool>,
}

/// The events of a verified request, at least one.
pub fn identify(
    provider: &Provider,
    request: &RawRequest,
    verified: &Verified,
    overrides: &IdentityRules,
) -> Vec<EventDraft> {
    let view = View::new(request).with_proof(verified.claims.as_ref(), &verified.sig_fields, &verified.unproven);
    let reader = Reader { provider, rules: &provider.event, overrides, view: &view, verified };
    match reader.items() {
        Some((path, items)) => {
            let draft = |(index, item)| reader.draft(Some((format!("{path}/{index}"), item)));
            items.iter().enumerate().map(draft).collect()
        }
        None => vec![reader.draft(None)],
    }
}

struct Reader<'a> {
    provider: &'a Provider,
    rules: &'a EventRules,
    overrides: &'a IdentityRules,
    view: &'a View<'a>,
    verified: &'a Verified,
}

/// An id and how far it can be trusted to tell repetitions.
struct FoundId {
    text: String,
    by_operator: bool,
    hashes_body: bool,
}

impl<'a> Reader<'a> {
    fn items(&self) -> Option<(&'a str, &'a [Value])> {
        let Place::Json(path) = &self.rules.batch.as_ref()?.place else { return None };
        let items = self.view.value(path, None)?.as_array()?;
        (1..=ITEMS_MAX).contains(&items.len()).then_some((path.as_str(), items.as_slice()))
    }

    fn draft(&self, item: Option<(String, &Value)>) -> EventDraft {
        let (pointer, item) = match item {
            Some((pointer, item)) => (Some(pointer), Some(item)),
            None => (None, None),
        };
        let kind = self.kind(item);
        let id = self.id(item);
        EventDraft {
            dedup_keys: self.dedup_keys(&kind, id.as_ref(), pointer.as_deref(), item),
            provider_id: id.map(|id| id.text),
            occurred_at: self.rules.time.as_ref().and_then(|rule| occurred_at(rule, self.view, item)),
            subject: self.first(self.overrides.subject.iter().chain(&self.rules.subject), item),
            order_key: self.first(self.overrides.order.iter(), item),
            kind,
            pointer,
        }
    }

    fn kind(&self, item: Option<&Value>) -> String {
        let by_operator = self.overrides.kind.as_ref().and_then(|pointer| self.view.text(pointer, item));
        let by_rules = || self.rules.kind.iter().find_map(|parts| parts.read(self.view, item, "."));
        by_operator.or_else(by_rules).map(cut).unwrap_or_default()
    }

    fn id(&self, item: Option<&Value>) -> Option<FoundId> {
        if !self.overrides.id.is_empty() {
            let parts = Parts::Many(self.overrides.id.clone());
            return self.read_id(&parts, item, true);
        }
        self.rules.id.iter().find_map(|parts| self.read_id(parts, item, false))
    }

    fn read_id(&self, parts: &Parts, item: Option<&Value>, by_operator: bool) -> Option<FoundId> {
        let text = parts.read(self.view, item, ID_SEPARATOR)?;
        let text = if text.len() > TEXT_BYTES_MAX { format!("sha256:{}", hex_hash(&text)) } else { text };
        let hashes = |pointer: &Pointer| matches!(pointer.place, Place::BodySha256 | Place::ItemSha256);
        Some(FoundId { text, by_operator, hashes_body: parts.pointers().iter().any(hashes) })
    }

    fn first<'p>(&self, mut pointers: impl Iterator<Item = &'p Pointer>, item: Option<&Value>) -> Option<String> {
        pointers.find_map(|pointer| self.view.text(pointer, item).filter(|text| !text.is_empty())).map(cut)
    }

    fn dedup_keys(
        &self,
        kind: &str,
        id: Option<&FoundId>,
        pointer: Option<&str>,
        item: Option<&Value>,
    ) -> Vec<[u8; 32]> {
        if self.overrides.dedup == Some(false) {
            return Vec::new();
        }
        let Some(id) = id else { return Vec::new() };
        let meant = |condition: &Condition| condition.holds(self.view, item);
        if !id.by_operator && self.rules.no_dedupe_when.iter().any(meant) {
            return Vec::new();
        }
        let live = self.rules.bodies_repeat || is_sync(self.provider, kind);
        if id.hashes_body && live {
            return Vec::new();
        }
        let mut keys = vec![self.key(&[b"id", id.text.as_bytes()])];
        if !self.rules.id_signed && !id.by_operator && !live {
            keys.extend(self.replay_key(pointer));
        }
        keys
    }

    /// The key of body and signature; only a signature over the body makes one.
    fn replay_key(&self, pointer: Option<&str>) -> Option<[u8; 32]> {
        let signature = self.verified.signature.as_ref().filter(|_| self.verified.body_covered)?;
        let body = Sha256::digest(&self.view.request().body);
        Some(self.key(&[b"body", &body, signature, pointer.unwrap_or_default().as_bytes()]))
    }

    /// Parts are hashed with their lengths, so that no two lists of parts run together.
    fn key(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [b"creel-dedup-1", self.provider.name.as_bytes()].iter().chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn hex_hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn cut(mut text: String) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn occurred_at(rule: &TimeRule, view: &View<'_>, item: Option<&Value>) -> Option<Timestamp> {
    parse_time(rule.unit, &view.text(&rule.from, item)?)
}

/// A provider's time; `None` when it is not one.
pub fn parse_time(unit: TimeUnit, text: &str) -> Option<Timestamp> {
    match unit {
        TimeUnit::S => decimal(text, 1_000.0),
        TimeUnit::Ms => decimal(text, 1.0),
        TimeUnit::Iso => text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp::from_millis(at.as_millisecond())),
        TimeUnit::Rfc2822 => {
            let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Some(Timestamp::from_millis(at.as_millisecond()))
        }
    }
}

fn decimal(text: &str, scale: f64) -> Option<Timestamp> {
    let value = text.parse::<f64>().ok()? * scale;
    // Up to the year 9999; f64 holds such numbers of milliseconds exactly.
    (0.0..253_402_300_800_000.0).contains(&value).then(|| Timestamp::from_millis(value.round() as i64))
}
