//! Arguments about what happened: which events, runs and calls, and which of them once more.

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use creel_store::contract::EventState;

/// Which events.
#[derive(Debug, Clone, Args)]
#[command(after_help = EVENTS_HELP)]
pub struct Events {
    /// Of this source
    #[arg(long)]
    pub source: Option<String>,
    /// Of exactly this type
    #[arg(long = "type", alias = "kind", value_name = "TYPE")]
    pub kind: Option<String>,
    /// With exactly this subject
    #[arg(long)]
    pub subject: Option<String>,
    /// In this state
    #[arg(long, value_parser = states(), conflicts_with = "unrouted")]
    pub state: Option<String>,
    /// Only those that no route took, as --state unrouted; `creel replay` runs one on the routes of now
    #[arg(long)]
    pub unrouted: bool,
    /// Received not before, such as 2026-01-31T08:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<String>,
    /// Received before
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
    /// Older than this one
    #[arg(long)]
    pub before: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// With bodies and headers, a line of JSON each, oldest first: what `creel dev --events` reads
    #[arg(long, conflicts_with_all = ["kind", "subject", "state", "unrouted", "since", "until", "before"])]
    pub payloads: bool,
    /// Go on as events come, until Ctrl-C
    #[arg(long, short, requires = "payloads")]
    pub follow: bool,
}

/// What stands below `creel events --help`.
const EVENTS_HELP: &str = "States: `unrouted` no route took it; `dead` a run ended without a decision, or a call was given up; `pending` a run \
is not decided yet; `sending` a call is not over yet; `rejected` a plugin refused it; `done` all is over.

Payloads need a key with the right to read them (`payload_read`); at most the newest 499 are read.";

fn states() -> PossibleValuesParser {
    PossibleValuesParser::new(EventState::ALL.map(EventState::as_str))
}

/// What narrows runs and calls.
#[derive(Debug, Clone, Args)]
pub struct About {
    /// Of events of this source
    #[arg(long)]
    pub source: Option<String>,
    /// Of events of exactly this type
    #[arg(long = "type")]
    pub event_type: Option<String>,
    /// Not before, such as 2026-01-31T08:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<String>,
    /// Before, such as 2026-01-31T08:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
    /// Whose reason contains this
    #[arg(long)]
    pub reason: Option<String>,
}

impl About {
    /// As the API's parameters.
    pub fn parameters(self) -> [(&'static str, Option<String>); 5] {
        let About { source, event_type, since, until, reason } = self;
        [("source", source), ("kind", event_type), ("since", since), ("until", until), ("reason", reason)]
    }
}

/// Which runs.
#[derive(Debug, Clone, Args)]
pub struct Runs {
    /// With this verdict
    #[arg(long)]
    pub verdict: Option<String>,
    /// Of this plugin
    #[arg(long)]
    pub plugin: Option<String>,
    /// Which events they follow from, and when
    #[command(flatten)]
    pub about: About,
    /// Older than this one
    #[arg(long)]
    pub before: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

/// Which deliveries.
#[derive(Debug, Clone, Args)]
pub struct Deliveries {
    /// pending, delivered or dead
    #[arg(long)]
    pub state: Option<String>,
    /// To this destination
    #[arg(long)]
    pub destination: Option<String>,
    /// Which events they follow from, and when
    #[command(flatten)]
    pub about: About,
    /// Older than this one
    #[arg(long)]
    pub before: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

/// Which dead letters, and what becomes of them.
#[derive(Debug, Clone, Args)]
#[command(after_help = DEAD_HELP)]
pub struct Dead {
    /// Calls that were given up, or runs that ended without a decision
    #[arg(value_name = "deliveries|runs")]
    pub kind: DeadKind,
    /// Calls to this destination
    #[arg(long)]
    pub destination: Option<String>,
    /// Runs of this plugin
    #[arg(long)]
    pub plugin: Option<String>,
    /// Runs with this verdict
    #[arg(long)]
    pub verdict: Option<String>,
    /// Of events of this source
    #[arg(long)]
    pub source: Option<String>,
    /// Of events of exactly this type
    #[arg(long = "type")]
    pub event_type: Option<String>,
    /// Decided or queued not before, such as 2026-01-31T08:00:00Z, or 2h for two hours ago
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<String>,
    /// Decided or queued before
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
    /// Whose reason contains this
    #[arg(long)]
    pub reason: Option<String>,
    /// List at most so many; replay in steps of so many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Put them into the queue again, oldest first, and tell how far it is
    #[arg(long)]
    pub replay: bool,
    /// Let receivers take the calls for new ones
    #[arg(long, requires = "replay")]
    pub new_keys: bool,
    /// Go on behind this one, where a replay was interrupted
    #[arg(long, requires = "replay", value_name = "ID")]
    pub after: Option<String>,
    /// Don't ask; nobody is asked where there is no terminal
    #[arg(long, short, requires = "replay")]
    pub yes: bool,
}

/// What stands below `creel dead --help`.
const DEAD_HELP: &str =
    "A letter that was replayed is no dead letter any more, so a replay can be interrupted and begun again.";

/// What goes once more.
#[derive(Debug, Clone, Args)]
#[command(after_help = REPLAY_HELP)]
pub struct Replay {
    /// The run, the event or the call
    pub id: String,
    /// Let receivers take the calls for new ones
    #[arg(long)]
    pub new_keys: bool,
    /// Only show what a run or an event would decide now, and what is different; nothing is sent or stored
    #[arg(long)]
    pub dry_run: bool,
    /// On this deployment instead of the active one
    #[arg(long, requires = "dry_run", value_name = "NUMBER")]
    pub deployment: Option<u32>,
    /// Don't ask
    #[arg(long, short)]
    pub yes: bool,
}

/// What stands below `creel replay --help`.
const REPLAY_HELP: &str =
    "Runs and events are shown as with --dry-run first. Receivers drop what they have had, unless --new-keys.";

/// Kinds of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeadKind {
    /// Calls that were given up
    Deliveries,
    /// Runs that ended without a decision
    Runs,
}
