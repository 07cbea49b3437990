//! The arguments of `creel dev`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::pairs::setting;

/// How a plugin is tried while it is written.
#[derive(Debug, Clone, Args)]
#[command(after_help = DEV_HELP)]
pub struct Dev {
    /// The plugin's directory
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// The preset that its events are proved by; what its cases say when not said
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// A parameter of the preset, NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub param: Vec<(String, String)>,
    /// A file with the secret that the provider signs with; one is made when not said
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// A file with the provider's public key, for presets that have one
    #[arg(long, value_name = "FILE")]
    pub public_key_file: Option<PathBuf>,
    /// Whether senders wait for the plugin's answer; what its cases say when not said
    #[arg(long)]
    pub mode: Option<Wait>,
    /// A setting, KEY=VALUE, beside those that most of its cases have
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    pub config: Vec<(String, String)>,
    /// A destination that no case names; its calls are seen here and go nowhere else
    #[arg(long = "destination", value_name = "NAME")]
    pub destination: Vec<String>,
    /// Handle the events in this file, as `creel events --payloads` writes them
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub events: Option<PathBuf>,
    /// Follow the events of another host, whose admin API this is; the key is that of --key
    #[arg(long, value_name = "URL", requires = "source")]
    pub from: Option<String>,
    /// The other host's source
    #[arg(long, value_name = "NAME", requires = "from")]
    pub source: Option<String>,
    /// Begin with the newest so many that the other host has
    #[arg(long, value_name = "NUMBER", default_value_t = 10, requires = "from", value_parser = clap::value_parser!(u32).range(..500))]
    pub last: u32,
    /// Send this sample of the provider once the plugin runs; `creel trigger --list` lists them
    #[arg(long, value_name = "EVENT")]
    pub send: Option<String>,
    /// Don't let the latest event be handled again after each deployment
    #[arg(long)]
    pub no_replay: bool,
    /// The port for webhooks, 0 for any; when not said 8080 or, where that is taken, any
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// The address of a tunnel that leads to the port for webhooks, such as `https://words.trycloudflare.com`
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Keep events, keys and URLs here for the next time; by default nothing is kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the compiler's results are kept, as for `creel build`
    #[arg(long, env = "CREEL_BUILD_DIR", value_name = "DIR")]
    pub build_dir: Option<PathBuf>,
    /// The settings of a host whose limits are to hold for the plugin, as for `creel serve --config`
    #[arg(long, env = "CREEL_CONFIG", value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// End after so many runs
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub exit_after: Option<u64>,
}

/// Whether a sender waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// It is told at once that the event was taken
    Ack,
    /// It waits for the plugin's answer
    Reply,
}

/// What stands below `creel dev --help`.
const DEV_HELP: &str =
    "The plugin is built, deployed on a host on this machine, and built and deployed again whenever you save. Every \
destination leads to a receiver on this machine, which shows the calls. Ctrl-C ends it with code 0; with --json each \
thing that happens is one line.

With --from, events are read through the other host's API as they come, so that no tunnel is needed: the key needs the \
right to payloads (`creel keys create NAME --role reader --payload-read`). Only reading is done there.";
