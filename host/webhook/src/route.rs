//! Routes: which plugin gets which of a source's events, and whether the sender waits for it.

use serde::{Deserialize, Serialize};

use crate::event::TypePattern;
use crate::id::{PluginId, RouteId, SourceId, TenantId};

/// Whether the sender waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The sender is answered at once, the run follows.
    Ack,
    /// The sender waits for the run's reply.
    Reply,
}

impl Mode {
    /// The word in columns and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Ack => "ack",
            Mode::Reply => "reply",
        }
    }
}

/// What becomes of the calls of a run that came too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// They are dropped: the sender was told something else.
    #[default]
    Drop,
    /// They are made all the same.
    Keep,
}

/// A route as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Its id.
    pub id: RouteId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// Where events come from.
    pub source: SourceId,
    /// Which types it takes.
    pub pattern: TypePattern,
    /// Who handles them.
    pub plugin: PluginId,
    /// Whether the sender waits.
    pub mode: Mode,
    /// What becomes of a late run's calls.
    pub late: Late,
    /// While true, its runs wait.
    pub paused: bool,
}

/// Two reply routes that could both claim one event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the reply routes `{first}` and `{second}` of one source can match the same type; a sender can be answered only once"
)]
pub struct AmbiguousReply {
    /// Name of one.
    pub first: String,
    /// Name of the other.
    pub second: String,
}

/// Checks that at most one reply route can match any type of a source; `replying` are the names and patterns of all that reply
/// to one source.
///
/// # Errors
/// [`AmbiguousReply`] naming the two.
pub fn check_reply_routes<'a>(
    replying: impl IntoIterator<Item = (&'a str, &'a TypePattern)>,
) -> Result<(), AmbiguousReply> {
    let replying: Vec<_> = replying.into_iter().collect();
    for (index, (first, pattern)) in replying.iter().enumerate() {
        if let Some((second, _)) = replying[index + 1..].iter().find(|(_, other)| other.overlaps(pattern)) {
            return Err(AmbiguousReply { first: (*first).to_owned(), second: (*second).to_owned() });
        }
    }
    Ok(())
}

/// The routes of a source that take an event of this type, the reply route first.
pub fn matching<'a>(routes: &'a [Route], kind: &str) -> Vec<&'a Route> {
    let mut matched: Vec<&Route> = routes.iter().filter(|route| route.pattern.matches(kind)).collect();
    matched.sort_by_key(|route| (route.mode == Mode::Ack, route.id));
    matched
}
