//! The command line: every command and flag, and nothing that acts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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

/// Where the host is and who asks.
#[derive(Debug, Clone, Args)]
pub struct Globals {
    /// The host's admin API
    #[arg(long, global = true, env = "CREEL_URL", default_value = "http://127.0.0.1:8081")]
    pub url: String,
    /// The API key; better in the environment or a file than here
    #[arg(long, global = true, env = "CREEL_KEY", hide_env_values = true, conflicts_with = "key_file")]
    pub key: Option<String>,
    /// A file that holds the API key
    #[arg(long, global = true, env = "CREEL_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// The tenant; a tenant's own key needs none
    #[arg(long, global = true, env = "CREEL_TENANT")]
    pub tenant: Option<String>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play a story on a whole host: signed webhooks in, plugins decide, calls go out
    Demo(Demo),
    /// Run a host
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
    },
    /// Make a new plugin
    New {
        /// Its name, also of its directory
        name: String,
    },
    /// List what is known about providers' webhooks
    Presets,
    /// List sources with the URLs to give to their providers
    Sources,
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
    /// Run an ended run's event once more, on what is active now
    Replay {
        /// The run
        run: String,
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
    /// Make another deployment of a plugin the active one: version, settings and grants
    Rollback {
        /// The plugin
        plugin: String,
        /// The deployment's number
        number: u32,
    },
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
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
