//! Typed identifiers: one kind of thing, one type, one prefix.
//!
//! An id is a UUID of version 7 ([RFC 9562] section 5.7): it begins with the millisecond it was made in, so rows
//! that arrive together lie together in an index. Its text form is the prefix of its kind, an underscore and 32
//! hexadecimal digits: `evt_0190f3c2a7b47c8e9d0e1f2a3b4c5d6e`. An id of one kind does not parse as another, so a run's
//! id pasted where an event's is wanted is refused with a sentence instead of finding nothing.
//!
//! [RFC 9562]: https://www.rfc-editor.org/rfc/rfc9562

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use uuid::Uuid;

use crate::clock::Timestamp;

/// A kind of thing that has ids.
pub trait Kind: 'static {
    /// What stands before the underscore.
    const PREFIX: &'static str;
    /// What people call such a thing.
    const NOUN: &'static str;
}

/// The id of a `K`.
pub struct Id<K: Kind> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $alias:ident, $kind:ident, $prefix:literal, $noun:literal;)*) => {
        /// The registry of kinds; each has an alias such as [`EventId`] beside it.
        pub mod kind {
            $($(#[$doc])* #[derive(Debug)] pub enum $kind {}
            impl super::Kind for $kind {
                const PREFIX: &'static str = $prefix;
                const NOUN: &'static str = $noun;
            })*
        }
        $($(#[$doc])* pub type $alias = Id<kind::$kind>;)*
        /// Every prefix in use, for documentation and tests.
        pub const PREFIXES: &[(&str, &str)] = &[$(($prefix, $noun)),*];
    };
}

kinds! {
    /// An isolated customer.
    TenantId, Tenant, "ten", "tenant";
    /// A key of the admin API.
    KeyId, Key, "key", "API key";
    /// A sealed value.
    SecretId, Secret, "sec", "secret";
    /// An ingress URL.
    SourceId, Source, "src", "source";
    /// A named handler.
    PluginId, Plugin, "plg", "plugin";
    /// A version with its configuration and grants.
    DeploymentId, Deployment, "dep", "deployment";
    /// A source's event types bound to a plugin.
    RouteId, Route, "rte", "route";
    /// A named place that calls may go to.
    DestinationId, Destination, "dst", "destination";
    /// A verified HTTP request.
    RequestId, Request, "req", "request";
    /// One item of a request.
    EventId, Event, "evt", "event";
    /// One execution of a deployment on an event.
    RunId, Run, "run", "run";
    /// One outgoing call on its way.
    DeliveryId, Delivery, "dlv", "delivery";
}

impl<K: Kind> Id<K> {
    /// Names nothing.
    pub const NIL: Self = Id { uuid: Uuid::nil(), kind: PhantomData };

    /// Makes an id for something that came to be at `now`, from ten bytes of entropy.
    ///
    /// ```
    /// use creel_webhook::{clock::Timestamp, id::EventId};
    /// let id = EventId::new(Timestamp::from_millis(1_767_225_600_000), [7; 10]);
    /// assert!(id.to_string().starts_with("evt_019b76da"));
    /// ```
    pub fn new(now: Timestamp, entropy: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &entropy).into_uuid())
    }

    /// Reads back what [`Id::as_bytes`] gave.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_uuid(Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes that are stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.uuid.as_bytes()
    }

    const fn from_uuid(uuid: Uuid) -> Self {
        Id { uuid, kind: PhantomData }
    }
}

/// A text that is not the id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {noun} id; those look like `{prefix}_` followed by 32 hexadecimal digits")]
pub struct IdError {
    text: String,
    noun: &'static str,
    prefix: &'static str,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|hex| hex.len() == 32)
            .and_then(|hex| Uuid::try_parse(hex).ok())
            .map(Self::from_uuid)
            .ok_or_else(|| IdError { text: text.chars().take(64).collect(), noun: K::NOUN, prefix: K::PREFIX })
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.uuid.simple())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Kind> Copy for Id<K> {}

impl<K: Kind> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<K: Kind> Eq for Id<K> {}

impl<K: Kind> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Kind> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<K: Kind> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<K: Kind> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> serde::Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<K: Kind> schemars::JsonSchema for Id<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("id of {}", K::NOUN).into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": format!("^{}_[0-9a-f]{{32}}$", K::PREFIX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_kinds_do_not_mix() {
        let run = RunId::new(Timestamp::from_millis(1_767_225_600_123), [1; 10]);
        assert_eq!(run.to_string().parse::<RunId>().unwrap(), run);
        let refusal = run.to_string().parse::<EventId>().unwrap_err().to_string();
        assert!(refusal.contains("is no event id"), "{refusal}");
        assert!("evt_".parse::<EventId>().is_err());
        assert!("evt_zz".parse::<EventId>().is_err());
    }

    #[test]
    fn later_ids_sort_later() {
        let at = |ms| EventId::new(Timestamp::from_millis(ms), [255; 10]);
        assert!(at(1_000) < EventId::new(Timestamp::from_millis(1_001), [0; 10]));
        assert!(at(5) < at(6));
    }

    #[test]
    fn prefixes_are_unique() {
        let unique: std::collections::BTreeSet<_> = PREFIXES.iter().map(|(prefix, _)| prefix).collect();
        assert_eq!(unique.len(), PREFIXES.len());
    }
}
