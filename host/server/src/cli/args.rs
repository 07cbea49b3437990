//! The command line: every command and flag, and nothing that acts.

pub mod dev;
pub mod lists;
pub mod tenant;

mod pairs;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches, Parser, Subcommand, ValueEnum};
use creel_webhook::tenant::Role;

use self::dev::Dev;
pub use self::lists::{About, Dead, DeadKind, Deliveries, Events, Replay, Runs};
use self::pairs::{fetch_grant, setting};
use self::tenant::Tenant;

use super::templates;

/// What stands below `creel --help`.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  it failed
  2  the command line or a file is wrong
  3  there is no such thing
  4  the host refused
  5  no host answers
130  `serve` was told to stop a second time and ended at once";

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
    /// Reads the program's arguments.
    ///
    /// # Errors
    /// What is wrong with them, or the page that they ask for.
    pub fn read(arguments: &[OsString]) -> Result<Cli, clap::Error> {
        let matches = Cli::command().try_get_matches_from(arguments);
        // Only who is told something needs the usage lines: every start, those of compilers too, goes without making them.
        let matches = matches.or_else(|_| with_usage(Cli::command()).try_get_matches_from(arguments))?;
        let mut cli = Cli::from_arg_matches(&matches)?;
        let is_typed = |name| matches.value_source(name) == Some(ValueSource::CommandLine);
        (cli.globals.url_typed, cli.globals.tenant_typed) = (is_typed("url"), is_typed("tenant"));
        // A variable that is empty is set to nothing.
        cli.globals.key.take_if(|key| key.is_empty());
        cli.globals.tenant.take_if(|tenant| tenant.is_empty());
        Ok(cli)
    }
}

/// Usage lines that say what a command takes. Those that come with a mistake would else name all that the environment and
/// defaults set, as if it had to be typed.
fn with_usage(mut command: clap::Command) -> clap::Command {
    command.build();
    set_usage(command)
}

fn set_usage(command: clap::Command) -> clap::Command {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    command.mut_subcommands(set_usage).override_usage(usage)
}

/// Where the host is and who asks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
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
    /// A file with the certificates to trust, in PEM, instead of the public ones
    #[arg(long, global = true, env = "CREEL_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The tenant; a tenant's own key needs none
    #[arg(long, global = true, env = "CREEL_TENANT")]
    pub tenant: Option<String>,
    /// Whether the tenant was typed, and is not the environment's
    #[arg(skip)]
    pub tenant_typed: bool,
    /// Answer in JSON, errors too; what would ask then wants --yes
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
    /// Look at everything that a host needs, and say what is not well and what to do about it
    Doctor(Doctor),
    /// List all settings with their defaults and reasons
    Settings,
    /// Make a data directory, its master key and the first operator key
    Init(ConfigFile),
    /// Make a tenant look like a file says
    Apply(Apply),
    /// Upload a plugin and make it the one that runs
    Deploy(Deploy),
    /// Build the plugin in a directory, in Rust, JavaScript or Python, and print the component's path
    Build(Build),
    /// Run a plugin's cases in the sandbox, under the limits of a host
    Test(Test),
    /// Try a plugin while you write it: a host on this machine, new with every save
    Dev(Dev),
    /// Say what the gate of a host would say to a component
    Check {
        /// The .wasm file
        file: PathBuf,
        /// Whose limits hold
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Make a new plugin from a template
    New(New),
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
    /// List routes: which events of a source go to which plugin
    Routes,
    /// List plugins, with the deployment that is active, or remove one that no route leads to
    Plugins {
        /// Remove this one, with its deployments and what it remembers, for good
        #[arg(long, value_name = "PLUGIN")]
        delete: Option<String>,
        /// Don't ask before it is removed
        #[arg(long, short, requires = "delete")]
        yes: bool,
    },
    /// List secrets, with the origins that each may be sent to; nobody is shown a value
    Secrets,
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
    /// Tell what plugins logged and how their runs ended, oldest first
    Logs(Logs),
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
    /// Give a source a new URL; the one before leads to it too for a while
    RotateUrl {
        /// The source
        source: String,
        /// Hours for which the URL before still works; a day when not said, 0 ends it at once
        #[arg(long)]
        overlap_hours: Option<u64>,
    },
    /// Let work wait
    Pause(Switch),
    /// Let work go on
    Resume(Switch),
    /// List a plugin's deployments, newest first
    Versions {
        /// The plugin
        plugin: String,
    },
    /// List what a plugin remembers, print one value, or remove
    State(PluginState),
    /// Make another deployment of a plugin the active one: version, settings and grants
    Rollback {
        /// The plugin
        plugin: String,
        /// The deployment's number
        number: u32,
    },
    /// List tenants; for operators
    Tenants,
    /// Show a tenant, or set limits of its own; for operators
    Tenant(Box<Tenant>),
    /// Print a script that completes this command line in a shell, or write its manual pages
    Shell(Shell),
    /// List, make and end API keys: the tenant's, or the operators' for an operator who names no tenant
    Keys(Keys),
    /// Tell what the tenant used, day by day, and what of its daily quotas
    Usage {
        /// The first day, such as 2026-01-31 (UTC); a month back when not said
        #[arg(long)]
        since: Option<String>,
        /// The last day; today when not said
        #[arg(long)]
        until: Option<String>,
    },
    /// Make a new master key and seal all secrets again, while the host runs; for operators
    Rekey,
    /// Tell who changed what and who read payloads, newest first
    Audit {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Those before this one, for the next page
        #[arg(long)]
        before: Option<u64>,
    },
    /// Compile one component; the host starts this itself
    #[command(name = "compile-component", hide = true)]
    CompileComponent,
}

/// Which log.
#[derive(Debug, Clone, Args)]
pub struct Logs {
    /// Only of this plugin
    pub plugin: Option<String>,
    /// Go on as runs end, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// At most so many runs at first
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

/// What a shell is given.
#[derive(Debug, Clone, Args)]
#[command(after_help = SHELL_HELP, group = clap::ArgGroup::new("what").required(true))]
pub struct Shell {
    /// Print the script for this shell
    #[arg(long, value_name = "SHELL", group = "what")]
    pub completions: Option<clap_complete::Shell>,
    /// Write the manual pages into this directory, which is made
    #[arg(long, value_name = "DIR", group = "what")]
    pub man: Option<PathBuf>,
}

/// What stands below `creel shell --help`.
const SHELL_HELP: &str = "For example:
  creel shell --completions bash > ~/.local/share/bash-completion/completions/creel
  creel shell --man ~/.local/share/man/man1";

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

/// What the doctor looks at.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// The configuration file that the host is started with; CREEL_* variables go before it
    #[arg(long, env = "CREEL_CONFIG")]
    pub config: Option<PathBuf>,
    /// The https address of a web server whose clock to compare; by default nobody is asked
    #[arg(long, value_name = "URL")]
    pub against: Option<String>,
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
    /// A destination that it may look things up at, and the methods if not GET and HEAD, NAME or NAME=METHOD,METHOD;
    /// without any, the active deployment's grants are kept
    #[arg(long = "grant-fetch", value_name = "DESTINATION", value_parser = fetch_grant)]
    pub grant_fetch: Vec<(String, Vec<String>)>,
    /// Let it remember: a store of its own; without it, the active deployment's grants are kept
    #[arg(long)]
    pub grant_state: bool,
    /// Upload and number it, but let the present one run on
    #[arg(long)]
    pub no_activate: bool,
}

/// What to build.
#[derive(Debug, Clone, Args)]
pub struct Build {
    /// The plugin's directory
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Copy the component there, and print this path
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where results are kept, for all plugins together; by default in the user's cache
    #[arg(long, env = "CREEL_BUILD_DIR", value_name = "DIR")]
    pub build_dir: Option<PathBuf>,
}

/// What to make.
#[derive(Debug, Clone, Args)]
pub struct New {
    /// Its name, also of its directory
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// What it is made from; --list says what each does
    #[arg(long, short, default_value = templates::DEFAULT, value_parser = PossibleValuesParser::new(templates::names()))]
    pub template: String,
    /// List the templates and make nothing
    #[arg(long, conflicts_with = "name")]
    pub list: bool,
}

/// Which cases.
#[derive(Debug, Clone, Args)]
#[command(after_help = TEST_HELP)]
pub struct Test {
    /// The plugin's directory, which is built
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// A .wasm file to run instead of what the directory builds
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// The directory of the cases; `cases` in the plugin's directory, if not said
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub only: String,
    /// Show what failing cases would have to expect, and ask whether they shall from now on
    #[arg(long)]
    pub bless: bool,
    /// Don't ask
    #[arg(long, short, requires = "bless")]
    pub yes: bool,
    /// Where the compiler's results are kept, as for `creel build`
    #[arg(long, env = "CREEL_BUILD_DIR", value_name = "DIR")]
    pub build_dir: Option<PathBuf>,
    /// Whose limits hold
    #[command(flatten)]
    pub config: ConfigFile,
}

/// What stands below `creel test --help`.
const TEST_HELP: &str = "The code is 0 when all cases are as expected, and 1 when one is not.";

/// What to judge: one request from a file, or a list.
#[derive(Debug, Clone, Args)]
#[command(after_help = VERIFY_HELP)]
pub struct Verify {
    /// The preset that the request should be genuine under
    #[arg(long, visible_alias = "preset", value_name = "NAME", requires = "request")]
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

/// Two commands in one.
const TRIGGER_USAGE: &str = "creel trigger [OPTIONS] --to <URL> <PROVIDER> <EVENT>
       creel trigger [OPTIONS] --list [PROVIDER]";

/// What to send.
#[derive(Debug, Clone, Args)]
#[command(after_help = TRIGGER_HELP, override_usage = TRIGGER_USAGE)]
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

/// What to do with keys; listed when nothing is said.
#[derive(Debug, Clone, Args)]
pub struct Keys {
    /// What to do
    #[command(subcommand)]
    pub action: Option<KeyAction>,
}

/// What can be done with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyAction {
    /// List keys, as without a word
    List,
    /// Make a key; it is shown once
    Create(NewKey),
    /// End a key at once
    Revoke {
        /// Its id, which also stands in the key itself behind `creel_`
        #[arg(id = "ended-key", value_name = "KEY")]
        key: String,
    },
}

/// What a key is to be.
#[derive(Debug, Clone, Args)]
pub struct NewKey {
    /// What people call it
    pub name: String,
    /// What it may do; when not said, a tenant's key is a tenant_admin, which may do everything and read payloads
    #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)))]
    pub role: Option<String>,
    /// It may read bodies and headers of events, calls and answers
    #[arg(long, conflicts_with = "no_payload_read")]
    pub payload_read: bool,
    /// It may not, although an admin
    #[arg(long)]
    pub no_payload_read: bool,
    /// Days after which it stops working
    #[arg(long)]
    pub expires_in_days: Option<u64>,
}

/// What of a plugin's state.
#[derive(Debug, Clone, Args)]
pub struct PluginState {
    /// The plugin
    pub plugin: String,
    /// Print the value of this key and nothing else
    #[arg(id = "remembered-key", value_name = "KEY")]
    pub key: Option<String>,
    /// Only keys that begin with this
    #[arg(long, conflicts_with = "remembered-key")]
    pub prefix: Option<String>,
    /// Behind this key, for the next page
    #[arg(long, conflicts_with = "remembered-key")]
    pub after: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Remove the key, or everything when none is named
    #[arg(long, conflicts_with_all = ["prefix", "after"])]
    pub delete: bool,
    /// Don't ask before everything is removed
    #[arg(long, short, requires = "delete")]
    pub yes: bool,
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
    /// Its events are taken all the same; their runs wait while it is paused
    Source,
    /// Its runs wait while it is paused
    Route,
    /// Its calls wait while it is paused
    Destination,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// A global argument's value goes before that of an argument with the same id, and nothing says so: `creel keys revoke
    /// KEY` would be given the API key of the environment.
    #[test]
    fn no_argument_takes_the_place_of_a_global_one() {
        let whole = Cli::command();
        let globals: Vec<_> = whole.get_arguments().filter(|one| one.is_global_set()).map(|one| one.get_id()).collect();
        let mut commands: Vec<_> = whole.get_subcommands().collect();
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments() {
                assert!(!globals.contains(&argument.get_id()), "`{}` of `{}`", argument.get_id(), command.get_name());
            }
            commands.extend(command.get_subcommands());
        }
    }
}
