//! The command line: every command and flag, and nothing that acts.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use creel_webhook::tenant::TenantLimits;

/// What stands below `creel --help`.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  it failed
  2  the command line or a file is wrong
  3  there is no such thing
  4  the host refused
  5  no host answers";

/// A host for webhook handlers.
#[derive(Debug, Parser)]
#[command(name = "creel", version, about, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Where the host is and who asks.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the program's arguments, or ends it with what is wrong with them.
    pub fn read() -> Cli {
        let matches = Cli::command().get_matches();
        let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        cli.globals.url_typed = matches.value_source("url") == Some(ValueSource::CommandLine);
        cli
    }
}

/// Where the host is and who asks.
#[derive(Debug, Clone, Args)]
pub struct Globals {
    /// The host's admin API
    #[arg(long, global = true, env = "CREEL_URL", default_value = "http://127.0.0.1:8081")]
    pub url: String,
    /// Whether the address was typed, and is neither the default nor the environment's
    #[arg(skip)]
    pub url_typed: bool,
    /// The API key; better in the environment or a file than here
    #[arg(long, global = true, env = "CREEL_KEY", hide_env_values = true, conflicts_with = "key_file")]
    pub key: Option<String>,
    /// A file that holds the API key
    #[arg(long, global = true, env = "CREEL_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// The tenant; a tenant's own key needs none
    #[arg(long, global = true, env = "CREEL_TENANT")]
    pub tenant: Option<String>,
    /// Answer in JSON, errors too; `apply` then wants --yes or --dry-run
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play a story on a whole host: signed webhooks in, plugins decide, calls go out
    Demo(Demo),
    /// Run a host; SIGINT or SIGTERM ends it, a second one at once and with code 130
    Serve(ConfigFile),
    /// List all settings with their defaults and reasons
    Settings,
    /// Make a data directory, its master key and the first operator key
    Init(ConfigFile),
    /// Make a tenant look like a file says
    Apply(Apply),
    /// Upload a plugin and make it the one that runs
    Deploy(Deploy),
    /// Build the plugin in a directory
    Build {
        /// The plugin's directory
        #[arg(default_value = ".")]
        dir: PathBuf,
        /// Where the compiler's results are kept, for all plugins together; by default in the user's cache
        #[arg(long, env = "CREEL_BUILD_DIR", value_name = "DIR")]
        build_dir: Option<PathBuf>,
    },
    /// Make a new plugin
    New {
        /// Its name, also of its directory
        name: String,
    },
    /// List what is known about providers' webhooks
    Presets {
        /// Tell everything about this one
        name: Option<String>,
    },
    /// Judge captured requests with the rules of a host, and say why
    Verify(Verify),
    /// Send a signed sample of a provider's event
    Trigger(Trigger),
    /// List sources with the URLs to give to their providers
    Sources,
    /// List destinations, with what waits for them and why one is paused
    Destinations,
    /// Tell the whole story of one event
    Event {
        /// The event
        id: String,
        /// Print the event's body and nothing else
        #[arg(long)]
        body: bool,
    },
    /// List events, newest first
    Events(Events),
    /// List runs, newest first
    Runs(Runs),
    /// List outgoing calls, newest first
    Deliveries(Deliveries),
    /// List requests that were not believed, newest first
    Refusals {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Erase an event's payload and everything that repeats it, for good
    Erase {
        /// The event
        event: String,
    },
    /// Tell everything about one outgoing call, what it sends included
    Delivery {
        /// The call
        id: String,
    },
    /// List dead letters, newest first, or replay them all
    Dead(Dead),
    /// Run an ended run or an event once more on what is active now, or send a dead call again
    Replay(Replay),
    /// Show where the host sends notices about this tenant's things, or name a destination for them
    Notices(Notices),
    /// Let work wait
    Pause(Switch),
    /// Let work go on
    Resume(Switch),
    /// List a plugin's deployments, newest first
    Versions {
        /// The plugin
        plugin: String,
    },
    /// Make another deployment of a plugin the active one: version, settings and grants
    Rollback {
        /// The plugin
        plugin: String,
        /// The deployment's number
        number: u32,
    },
    /// Show a tenant, or set limits of its own; for operators
    Tenant(Tenant),
    /// Compile one component; the host starts this itself
    #[command(name = "compile-component", hide = true)]
    CompileComponent,
}

/// How the demo is played.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// End after the story, with code 0 only if everything that should have arrived did, and nothing else
    #[arg(long)]
    pub once: bool,
    /// The demo's data directory
    #[arg(long, default_value = "creel-data/demo")]
    pub data_dir: PathBuf,
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub struct ConfigFile {
    /// The configuration file; CREEL_* variables go before it
    #[arg(long, env = "CREEL_CONFIG")]
    pub config: Option<PathBuf>,
}

/// What to apply.
#[derive(Debug, Clone, Args)]
pub struct Apply {
    /// The TOML file
    pub file: PathBuf,
    /// Show the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Don't ask
    #[arg(long, short)]
    pub yes: bool,
    /// Also remove sources, destinations, routes and secrets that the file does not mention
    #[arg(long)]
    pub prune: bool,
}

/// What to deploy.
#[derive(Debug, Clone, Args)]
pub struct Deploy {
    /// The plugin; made when there is none of this name
    pub name: String,
    /// A .wasm file, or a directory to build
    pub path: PathBuf,
    /// Where the compiler's results are kept, as for `creel build`
    #[arg(long, env = "CREEL_BUILD_DIR", value_name = "DIR")]
    pub build_dir: Option<PathBuf>,
    /// A setting, KEY=VALUE; without any, the active deployment's are kept
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    pub config: Vec<(String, String)>,
    /// A destination that its calls may go to; without any, the active deployment's grants are kept
    #[arg(long = "grant-destination", value_name = "DESTINATION")]
    pub grant_destination: Vec<String>,
    /// Upload and number it, but let the present one run on
    #[arg(long)]
    pub no_activate: bool,
}

/// What to judge: one request from a file, or a list.
#[derive(Debug, Clone, Args)]
#[command(after_help = VERIFY_HELP)]
pub struct Verify {
    /// The preset that the request should be genuine under
    #[arg(long, value_name = "NAME", requires = "request")]
    pub scheme: Option<String>,
    /// A file with a scheme of one's own instead: the JSON of a source's `scheme`
    #[arg(long, value_name = "FILE", requires = "request", conflicts_with = "scheme")]
    pub scheme_file: Option<PathBuf>,
    /// A file with the secret
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// A file with the public key or certificate
    #[arg(long, value_name = "FILE")]
    pub public_key_file: Option<PathBuf>,
    /// A file with the request: its HTTP/1.1 text, head and body
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,
    /// A parameter of the preset, NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub param: Vec<(String, String)>,
    /// The URL that the provider was given; --url says the same here, where no host is asked
    #[arg(long, value_name = "URL")]
    pub sent_to: Option<String>,
    /// When the request came, in seconds since 1970; now, if not said
    #[arg(long, value_name = "SECONDS")]
    pub now: Option<i64>,
    /// A list of requests, {"vectors":[…]}: a line of JSON for each
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "handshakes"])]
    pub requests: Option<PathBuf>,
    /// A list of greetings, {"cases":[…]}: a line of JSON for each
    #[arg(long, value_name = "FILE", conflicts_with = "request")]
    pub handshakes: Option<PathBuf>,
}

/// What stands below `creel verify --help`.
const VERIFY_HELP: &str = "The code is 0 when the request is genuine, or the list was judged, and 1 when it is not.";

/// What to send.
#[derive(Debug, Clone, Args)]
#[command(after_help = TRIGGER_HELP)]
pub struct Trigger {
    /// The provider, or one of its presets
    #[arg(required_unless_present = "list")]
    pub provider: Option<String>,
    /// The event
    #[arg(required_unless_present = "list")]
    pub event: Option<String>,
    /// Where to send it
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    pub to: Option<String>,
    /// A file with the secret that it is signed with; for public-key schemes, the private key
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Change a value, /json/pointer=VALUE; VALUE is JSON, or else a text; of a form, /Field=VALUE
    #[arg(long, value_name = "POINTER=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// A parameter of the preset, NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub param: Vec<(String, String)>,
    /// The URL that is signed, where a proxy stands between
    #[arg(long, value_name = "URL")]
    pub signed_url: Option<String>,
    /// Keep the sample's ids, so that a second one is a repetition
    #[arg(long)]
    pub keep_ids: bool,
    /// List what can be sent; with a provider, what of it
    #[arg(long, conflicts_with = "to")]
    pub list: bool,
}

/// What stands below `creel trigger --help`.
const TRIGGER_HELP: &str = "Ids are new each time, unless --keep-ids. The code is 0 when the answer is a 2xx.";

/// Which events.
#[derive(Debug, Clone, Args)]
pub struct Events {
    /// Of this source
    #[arg(long)]
    pub source: Option<String>,
    /// Of exactly this type
    #[arg(long)]
    pub kind: Option<String>,
    /// With exactly this subject
    #[arg(long)]
    pub subject: Option<String>,
    /// Only those that no route took; `creel replay` runs one on the routes of now
    #[arg(long)]
    pub unrouted: bool,
    /// Older than this one
    #[arg(long)]
    pub before: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
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
    /// Decided or queued not before, such as 2026-01-31T08:00:00Z
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

/// Which tenant, and what it may use. Limits that are not named stay; all stay below the host's own settings.
#[derive(Debug, Clone, Args)]
pub struct Tenant {
    /// Its name; made when there is none and a limit is named
    pub name: String,
    /// Forget its own limits first, so that it follows the host's settings
    #[arg(long)]
    pub reset: bool,
    /// Fuel of one run
    #[arg(long)]
    pub fuel_max: Option<u64>,
    /// Linear memory of one run, bytes
    #[arg(long)]
    pub memory_bytes_max: Option<u64>,
    /// Wall clock of one run, milliseconds
    #[arg(long)]
    pub run_timeout_ms: Option<u64>,
    /// Runs that may wait; beyond it its sources answer 429
    #[arg(long)]
    pub pending_runs_max: Option<u64>,
    /// Days for which bodies are kept
    #[arg(long)]
    pub body_days: Option<u64>,
    /// Days for which everything else about an event is kept
    #[arg(long)]
    pub record_days: Option<u64>,
}

impl Tenant {
    /// Whether it says anything about limits.
    pub fn names_limits(&self) -> bool {
        self.reset || self.limits(TenantLimits::default()) != TenantLimits::default()
    }

    /// The limits that it is to have, if it had these.
    pub fn limits(&self, before: TenantLimits) -> TenantLimits {
        let before = if self.reset { TenantLimits::default() } else { before };
        TenantLimits {
            fuel_max: self.fuel_max.or(before.fuel_max),
            memory_bytes_max: self.memory_bytes_max.or(before.memory_bytes_max),
            run_timeout_ms: self.run_timeout_ms.or(before.run_timeout_ms),
            pending_runs_max: self.pending_runs_max.or(before.pending_runs_max),
            body_days: self.body_days.or(before.body_days),
            record_days: self.record_days.or(before.record_days),
            ..before
        }
    }
}

/// Where notices go. What is not named stays.
#[derive(Debug, Clone, Args)]
pub struct Notices {
    /// The destination; it signs by Standard Webhooks
    pub destination: Option<String>,
    /// Percent of a source's requests in five minutes that may be refused
    #[arg(long)]
    pub refusals_percent: Option<u32>,
    /// Refusals in five minutes below which nothing is told
    #[arg(long)]
    pub refusals_min: Option<u32>,
    /// Send none any more
    #[arg(long, conflicts_with_all = ["destination", "refusals_percent", "refusals_min"])]
    pub off: bool,
}

/// What to pause or resume.
#[derive(Debug, Clone, Args)]
pub struct Switch {
    /// What kind of thing
    pub kind: SwitchKind,
    /// Its name
    pub name: String,
}

/// Things that can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SwitchKind {
    /// Events are still taken; their runs wait
    Source,
    /// Its runs wait
    Route,
    /// Its calls wait
    Destination,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    if key.is_empty() { Err("the key is empty".to_owned()) } else { Ok((key.to_owned(), value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
