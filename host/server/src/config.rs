//! Configuration: a TOML file, the environment and flags over defaults; parsed first, then built.
//!
//! [`settings::SETTINGS`] is the one table of what can be set. [`Config::parse`] reads every source by it, the later
//! over the earlier (defaults, file, environment, flags), and collects **every** mistake with its key, the file's line
//! or the variable's name, and what is allowed; a key that nobody knows is a mistake and the nearest known one is
//! named. Only when there is none does it build a [`Config`], whose values need no further checks.
//!
//! The master key is no setting: it comes from a file of its own or from `CREEL_MASTER_KEY`, and is never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use creel_webhook::fetch::FetchLimits;
use creel_webhook::quota;
use creel_webhook::secret::MasterKey;
use creel_webhook::state::StateLimits;
use creel_webhook::tenant::Allowance;
use toml::de::{DeTable, DeValue};
use url::Url;

use crate::datadir;
use crate::forwarded::{ForwardedHeader, TrustedProxies};
use crate::guard::AllowEntry;
use crate::tls::TlsFiles;
use settings::{Kind, SETTINGS, Setting};
use values::Value;

pub mod limits;
pub mod settings;
mod values;

/// The variable that holds the master key, 64 hexadecimal digits.
pub const MASTER_KEY_ENV: &str = "CREEL_MASTER_KEY";

/// Variables that are the command line's and no settings.
const OTHER_ENV: &[&str] =
    &["CREEL_CONFIG", "CREEL_KEY", "CREEL_URL", "CREEL_TENANT", "CREEL_CA_FILE", "CREEL_KEY_FILE", "CREEL_BUILD_DIR"];

/// Beginnings of variables that are set for others: by Kubernetes for a service named `creel`, for the process that
/// compiles, for tests.
const FOREIGN_ENV: &[&str] = &[
    "CREEL_PORT",
    "CREEL_SERVICE_",
    "CREEL_COMPILE_",
    "CREEL_TEST_",
    "CREEL_BENCH_",
    "CREEL_GUEST_",
    "CREEL_LONG",
    "CREEL_SIM_",
    "CREEL_FUZZ_",
    "CREEL_CI_",
];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the master key comes from.
#[derive(Debug, Clone)]
pub enum MasterKeySource {
    /// A file, read with [`datadir::read_master_key`].
    File(PathBuf),
    /// `CREEL_MASTER_KEY`.
    Environment(MasterKey),
}

/// The configuration of a process; the meaning, unit and reason of each value is in [`settings::SETTINGS`].
#[derive(Debug, Clone)]
pub struct Config {
    /// `data_dir`.
    pub data_dir: PathBuf,
    /// `public_url`, without a slash at its end; `None` follows the address that ingress is bound to.
    pub public_url: Option<String>,
    /// `public_url_aliases`, in the same form.
    pub public_url_aliases: Vec<String>,
    /// `master_key.file` or `CREEL_MASTER_KEY`.
    pub master_key: MasterKeySource,
    /// `ingress.*`.
    pub ingress: IngressConfig,
    /// `admin.*`.
    pub admin: AdminConfig,
    /// `store.bytes_max`.
    pub store_bytes_max: u64,
    /// What tenants may use that have no limits of their own.
    pub limits: Allowance,
    /// What no tenant's own limit goes beyond; see [`Config::ceilings`].
    pub ceilings: Allowance,
    /// `tenant.components_bytes_max`.
    pub components_bytes_max: u64,
    /// `destination.waiting_max`.
    pub waiting_max: u64,
    /// `audit.days`.
    pub audit_days: u64,
    /// `runtime.*`.
    pub runtime: RuntimeConfig,
    /// `runtime.fetch…`.
    pub fetch: FetchLimits,
    /// `state.*`.
    pub state: StateLimits,
    /// `egress.allow`.
    pub egress_allow: Vec<AllowEntry>,
    /// `egress.https_only`.
    pub egress_https_only: bool,
    /// `sender.concurrency`.
    pub sender_concurrency: u32,
    /// `sender.response_bytes_max`.
    pub response_bytes_max: u64,
    /// `shutdown_timeout_ms`.
    pub shutdown_timeout_ms: u64,
    /// `log.format`.
    pub log_format: LogFormat,
    /// `log.filter`.
    pub log_filter: String,
}

/// `ingress.*`.
#[derive(Debug, Clone)]
pub struct IngressConfig {
    /// `ingress.listen`.
    pub listen: SocketAddr,
    /// `ingress.header_timeout_ms`.
    pub header_timeout_ms: u64,
    /// `ingress.body_timeout_ms`.
    pub body_timeout_ms: u64,
    /// `ingress.connections_max`.
    pub connections_max: usize,
    /// `ingress.connections_per_address_max`.
    pub connections_per_address_max: usize,
    /// `ingress.body_bytes_max`.
    pub body_bytes_max: u64,
    /// `ingress.in_flight_body_bytes_max`.
    pub in_flight_body_bytes_max: u64,
    /// `ingress.headers_bytes_max`.
    pub headers_bytes_max: usize,
    /// `ingress.headers_max`.
    pub headers_max: usize,
    /// `ingress.refusals_burst`.
    pub refusals_burst: u32,
    /// `ingress.refusals_per_second`.
    pub refusals_per_second: u32,
    /// `ingress.tls.*`.
    pub tls: Option<TlsFiles>,
    /// `ingress.trusted_proxies` and `ingress.forwarded_header`.
    pub proxies: TrustedProxies,
}

/// `admin.*`.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// `admin.listen`.
    pub listen: SocketAddr,
    /// `admin.tls.*`.
    pub tls: Option<TlsFiles>,
}

/// `runtime.*`.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// `runtime.concurrent_runs`.
    pub concurrent_runs: u32,
    /// `runtime.reply_slots`.
    pub reply_slots: u32,
    /// `runtime.guest_threads`; 0 is one per processor.
    pub guest_threads: usize,
    /// `runtime.component_bytes_max`.
    pub component_bytes_max: u64,
    /// `runtime.in_flight_upload_bytes_max`.
    pub in_flight_upload_bytes_max: u64,
    /// `runtime.code_bytes_max`.
    pub code_bytes_max: u64,
    /// `runtime.cache_bytes_max`.
    pub cache_bytes_max: u64,
    /// `runtime.compile_deadline_ms`.
    pub compile_deadline_ms: u64,
    /// `runtime.compile_memory_bytes_max`.
    pub compile_memory_bytes_max: u64,
}

/// Where a mistake was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the file, at that line from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// In that variable.
    Environment(String),
    /// In a flag of the command line.
    Flag,
    /// Nowhere: the default does not fit something else that was set.
    Default,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting's key, as written.
    pub key: String,
    /// Where.
    pub origin: Origin,
    /// What is wrong and what is allowed.
    pub what: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read the configuration {}: {reason}; name another with --config or CREEL_CONFIG", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said. It stands in the text, so it is no `source`: that would be told twice.
        reason: std::io::Error,
    },
    /// All mistakes, in the order of the sources.
    #[error("the configuration has {} {}:{}", .0.len(), if .0.len() == 1 { "mistake" } else { "mistakes" }, list(.0))]
    Mistakes(Vec<Mistake>),
}

/// What a configuration is made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file's path, for messages, and its text.
    pub file: Option<(PathBuf, String)>,
    /// The environment; variables that do not begin with `CREEL_` are passed over.
    pub environment: Vec<(String, String)>,
    /// Flags: dotted keys and values as in the environment.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// Reads the file, if one is named, and takes the process's environment.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`].
    pub fn read(file: Option<&Path>, flags: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let read = |path: &Path| match std::fs::read_to_string(path) {
            Ok(text) => Ok((path.to_owned(), text)),
            Err(reason) => Err(ConfigError::Unreadable { path: path.to_owned(), reason }),
        };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect();
        Ok(Sources { file: file.map(read).transpose()?, environment, flags })
    }
}

impl Config {
    /// Reads every source and builds the configuration, or says everything that is wrong with it.
    ///
    /// # Errors
    /// [`ConfigError::Mistakes`].
    pub fn parse(sources: &Sources) -> Result<Config, ConfigError> {
        let mut raw = Raw::default();
        if let Some((path, text)) = &sources.file {
            raw.read_file(path, text);
        }
        raw.read_environment(&sources.environment);
        raw.read_flags(&sources.flags);
        let config = raw.build();
        if raw.mistakes.is_empty() { Ok(config) } else { Err(ConfigError::Mistakes(raw.mistakes)) }
    }

    /// Defaults in that data directory: for tests and the demo.
    pub fn in_directory(data_dir: &Path) -> Config {
        Config { data_dir: data_dir.to_owned(), ..Raw::default().build() }.with_master_key_in_data_dir()
    }

    /// What tenants may use that have no limits of their own.
    pub fn defaults(&self) -> Allowance {
        let mut defaults = self.limits;
        if defaults.concurrent_runs_max == 0 {
            defaults.concurrent_runs_max = u64::from(self.runtime.concurrent_runs.div_ceil(2));
        }
        for (limit, settings) in limits::all() {
            if settings.ceiling.is_none() && (limit.of)(&self.limits) == 0 {
                (limit.set)(&mut defaults, quota::UNLIMITED);
            }
        }
        defaults
    }

    /// What no tenant's own limit goes beyond: never less than the default.
    pub fn ceilings(&self) -> Allowance {
        let places = u64::from(self.runtime.concurrent_runs);
        Allowance { concurrent_runs_max: places, ..self.ceilings }.or_more(&self.defaults())
    }

    /// Base of the URLs that senders are given, without a slash at its end.
    pub fn base_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| self.url_at(self.ingress.listen))
    }

    /// The URL of the ingress at this address.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = if self.ingress.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// Every base by which providers may know the host: that of the URLs that are given away, then its aliases.
    pub fn known_bases(&self) -> Vec<String> {
        std::iter::once(self.base_url()).chain(self.public_url_aliases.iter().cloned()).collect()
    }

    fn with_master_key_in_data_dir(mut self) -> Config {
        self.master_key = MasterKeySource::File(datadir::default_master_key_file(&self.data_dir));
        self
    }
}

/// The table of settings as text for people: key, variable, default, what is allowed, why.
pub fn help() -> String {
    let mut text = String::new();
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { "none" } else { setting.default };
        let _ = writeln!(text, "{} ({})\n    {}", setting.key, setting.env(), setting.doc);
        let _ = writeln!(text, "    Default: {default}. Allowed: {}.\n", values::allowed(setting.kind));
    }
    let _ = writeln!(
        text,
        "{MASTER_KEY_ENV}\n    The master key itself, 64 hexadecimal digits; goes before `master_key.file`."
    );
    text
}

/// What the sources say, before it is built.
#[derive(Default)]
struct Raw {
    set: BTreeMap<&'static str, (Value, Origin)>,
    master_key: Option<MasterKey>,
    mistakes: Vec<Mistake>,
}

impl Raw {
    fn mistake(&mut self, key: impl Into<String>, origin: Origin, what: impl Into<String>) {
        self.mistakes.push(Mistake { key: key.into(), origin, what: what.into() });
    }

    fn put(&mut self, setting: &'static Setting, value: Result<Value, String>, origin: Origin) {
        match value {
            Ok(value) => drop(self.set.insert(setting.key, (value, origin))),
            Err(what) => self.mistake(setting.key, origin, what),
        }
    }

    fn read_file(&mut self, path: &Path, text: &str) {
        let at = |offset: usize| Origin::File {
            path: path.to_owned(),
            line: 1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count(),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            self.mistake("", at(offset), error.message().trim());
        }
        self.read_table("", table.get_ref(), &at);
    }

    fn read_table(&mut self, prefix: &str, table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin) {
        for (name, value) in table.iter() {
            let key = format!("{prefix}{}", name.get_ref());
            let origin = at(name.span().start);
            if let Some(setting) = settings::find(&key) {
                self.put(setting, values::from_toml(setting.kind, value.get_ref()), origin);
                continue;
            }
            let section = format!("{key}.");
            match value.get_ref() {
                DeValue::Table(inner) if SETTINGS.iter().any(|setting| setting.key.starts_with(&section)) => {
                    self.read_table(&section, inner, at);
                }
                _ => self.unknown(key, origin),
            }
        }
    }

    fn unknown(&mut self, key: String, origin: Origin) {
        let sections = SETTINGS.iter().filter_map(|setting| Some(setting.key.split_once('.')?.0));
        let known = SETTINGS.iter().map(|setting| setting.key).chain(sections);
        let what = match settings::nearest(&key, known) {
            Some(near) => format!("there is no such setting; is `{near}` meant?"),
            None => "there is no such setting; `creel settings` lists them".to_owned(),
        };
        self.mistake(key, origin, what);
    }

    fn read_environment(&mut self, environment: &[(String, String)]) {
        for (name, value) in environment {
            let ours = name.starts_with("CREEL_") && !OTHER_ENV.contains(&name.as_str());
            if !ours || FOREIGN_ENV.iter().any(|foreign| name.starts_with(foreign)) {
                continue;
            }
            let origin = Origin::Environment(name.clone());
            if name == MASTER_KEY_ENV {
                match MasterKey::from_hex(value) {
                    Ok(key) => self.master_key = Some(key),
                    Err(error) => self.mistake("master key", origin, error.to_string()),
                }
            } else if let Some(setting) = SETTINGS.iter().find(|setting| setting.env() == *name) {
                self.put(setting, values::from_text(setting.kind, value), origin);
            } else {
                let names: Vec<String> = SETTINGS.iter().map(Setting::env).collect();
                let near = settings::nearest(name, names.iter().map(String::as_str));
                let hint = near.map_or("`creel settings` lists them".to_owned(), |near| format!("is `{near}` meant?"));
                self.mistake(name, origin, format!("there is no such setting; {hint}"));
            }
        }
    }

    fn read_flags(&mut self, flags: &[(String, String)]) {
        for (key, value) in flags {
            match settings::find(key) {
                Some(setting) => self.put(setting, values::from_text(setting.kind, value), Origin::Flag),
                None => self.unknown(key.clone(), Origin::Flag),
            }
        }
    }

    fn origin(&self, key: &str) -> Origin {
        self.set.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// What was set, or the default; `None` for a setting that follows from others.
    fn value(&self, key: &str) -> Option<Value> {
        if let Some((value, _)) = self.set.get(key) {
            return Some(value.clone());
        }
        let setting = settings::find(key).unwrap_or_else(|| panic!("`{key}` is not in the table of settings"));
        if setting.default.is_empty() && !matches!(setting.kind, Kind::Places | Kind::Networks | Kind::Urls) {
            return None;
        }
        let default = values::from_text(setting.kind, setting.default);
        Some(default.unwrap_or_else(|error| panic!("the default of `{key}`: {error}")))
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.value(key).and_then(|value| if let Value::Path(path) = value { Some(path) } else { None })
    }

    fn listen(&self, key: &str) -> SocketAddr {
        match self.value(key) {
            Some(Value::Listen(address)) => address,
            _ => unreachable!("`{key}` is an address in the table"),
        }
    }

    fn flag(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Bool(true)))
    }

    fn number<N: TryFrom<u64>>(&self, key: &str) -> N {
        match self.value(key) {
            Some(Value::Number(number)) => {
                N::try_from(number).unwrap_or_else(|_| panic!("the table's limit of `{key}` fits its type"))
            }
            _ => unreachable!("`{key}` is a number in the table"),
        }
    }

    fn text(&self, key: &str) -> String {
        match self.value(key) {
            Some(Value::Text(text)) => text,
            _ => unreachable!("`{key}` is a text in the table"),
        }
    }

    fn build(&mut self) -> Config {
        self.check_relations();
        let data_dir = self.path("data_dir").unwrap_or_default();
        let key_file = self.path("master_key.file").unwrap_or_else(|| datadir::default_master_key_file(&data_dir));
        Config {
            public_url: self.public_url(),
            public_url_aliases: self.public_url_aliases(),
            master_key: self.master_key.take().map_or(MasterKeySource::File(key_file), MasterKeySource::Environment),
            ingress: self.ingress(),
            admin: AdminConfig { listen: self.listen("admin.listen"), tls: self.tls("admin") },
            store_bytes_max: self.number("store.bytes_max"),
            limits: self.allowance(|limit| Some(limit.default)),
            ceilings: self.allowance(|limit| limit.ceiling),
            components_bytes_max: self.number("tenant.components_bytes_max"),
            waiting_max: self.number("destination.waiting_max"),
            audit_days: self.number("audit.days"),
            runtime: self.runtime(),
            fetch: self.fetch(),
            state: self.state(),
            egress_allow: match self.value("egress.allow") {
                Some(Value::Places(places)) => places,
                _ => Vec::new(),
            },
            egress_https_only: self.flag("egress.https_only"),
            sender_concurrency: self.number("sender.concurrency"),
            response_bytes_max: self.number("sender.response_bytes_max"),
            shutdown_timeout_ms: self.number("shutdown_timeout_ms"),
            log_format: if self.text("log.format") == "json" { LogFormat::Json } else { LogFormat::Text },
            log_filter: self.text("log.filter"),
            data_dir,
        }
    }

    /// The values of one of the two settings of each limit; a quota has no ceiling.
    fn allowance(&self, key: impl Fn(&limits::Settings) -> Option<&'static str>) -> Allowance {
        let mut allowance = Allowance::default();
        for (limit, settings) in limits::all() {
            (limit.set)(&mut allowance, key(&settings).map_or(quota::UNLIMITED, |key| self.number(key)));
        }
        allowance
    }

    fn public_url(&self) -> Option<String> {
        match self.value("public_url") {
            Some(Value::Url(url)) => Some(base_of(&url)),
            _ => None,
        }
    }

    fn public_url_aliases(&self) -> Vec<String> {
        match self.value("public_url_aliases") {
            Some(Value::Urls(urls)) => urls.iter().map(base_of).collect(),
            _ => Vec::new(),
        }
    }

    fn tls(&self, listener: &str) -> Option<TlsFiles> {
        let path = |file: &str| self.path(&format!("{listener}.tls.{file}"));
        path("certificate_file").zip(path("key_file")).map(|(certificate, key)| TlsFiles { certificate, key })
    }

    fn proxies(&self) -> TrustedProxies {
        let networks = match self.value("ingress.trusted_proxies") {
            Some(Value::Networks(networks)) => networks,
            _ => Vec::new(),
        };
        let header = match self.text("ingress.forwarded_header").as_str() {
            "forwarded" => ForwardedHeader::Forwarded,
            _ => ForwardedHeader::XForwardedFor,
        };
        TrustedProxies::new(&networks, header)
    }

    fn ingress(&self) -> IngressConfig {
        IngressConfig {
            listen: self.listen("ingress.listen"),
            header_timeout_ms: self.number("ingress.header_timeout_ms"),
            body_timeout_ms: self.number("ingress.body_timeout_ms"),
            connections_max: self.number("ingress.connections_max"),
            connections_per_address_max: self.number("ingress.connections_per_address_max"),
            body_bytes_max: self.number("ingress.body_bytes_max"),
            in_flight_body_bytes_max: self.number("ingress.in_flight_body_bytes_max"),
            headers_bytes_max: self.number("ingress.headers_bytes_max"),
            headers_max: self.number("ingress.headers_max"),
            refusals_burst: self.number("ingress.refusals_burst"),
            refusals_per_second: self.number("ingress.refusals_per_second"),
            tls: self.tls("ingress"),
            proxies: self.proxies(),
        }
    }

    fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig {
            concurrent_runs: self.number("runtime.concurrent_runs"),
            reply_slots: self.number("runtime.reply_slots"),
            guest_threads: self.number("runtime.guest_threads"),
            component_bytes_max: self.number("runtime.component_bytes_max"),
            in_flight_upload_bytes_max: self.number("runtime.in_flight_upload_bytes_max"),
            code_bytes_max: self.number("runtime.code_bytes_max"),
            cache_bytes_max: self.number("runtime.cache_bytes_max"),
            compile_deadline_ms: self.number("runtime.compile_deadline_ms"),
            compile_memory_bytes_max: self.number("runtime.compile_memory_bytes_max"),
        }
    }

    fn fetch(&self) -> FetchLimits {
        FetchLimits {
            fetches_max: self.number("runtime.fetches_max"),
            request_bytes_max: self.number("runtime.fetch_request_bytes_max"),
            response_bytes_max: self.number("runtime.fetch_response_bytes_max"),
            timeout_ms: self.number("runtime.fetch_timeout_ms"),
        }
    }

    fn state(&self) -> StateLimits {
        StateLimits {
            key_bytes_max: self.number("state.key_bytes_max"),
            value_bytes_max: self.number("state.value_bytes_max"),
            keys_max: self.number("state.keys_max"),
            bytes_max: self.number("state.bytes_max"),
            keys_per_run_max: self.number("state.keys_per_run_max"),
        }
    }

    /// What no value shows alone.
    fn check_relations(&mut self) {
        let admin = self.listen("admin.listen");
        if !admin.ip().is_loopback() && !self.flag("admin.allow_remote") {
            let what = format!(
                "`{admin}` can be reached by others; use 127.0.0.1, or set `admin.allow_remote = true` if that is meant"
            );
            self.mistake("admin.listen", self.origin("admin.listen"), what);
        }
        self.check_tls("ingress");
        self.check_tls("admin");
        if !admin.ip().is_loopback()
            && self.flag("admin.allow_remote")
            && self.tls("admin").is_none()
            && !self.flag("admin.allow_plaintext")
        {
            let what = "lets keys and payloads pass unencrypted; set `admin.tls.certificate_file` and `admin.tls.key_file`, \
                        or `admin.allow_plaintext = true` if something else on the way encrypts";
            self.mistake("admin.allow_remote", self.origin("admin.allow_remote"), what);
        }
        if admin.port() != 0 && admin == self.listen("ingress.listen") {
            let what = "is the same as `ingress.listen`; the two listeners need a port each";
            self.mistake("admin.listen", self.origin("admin.listen"), what);
        }
        self.check_order("ingress.connections_per_address_max", "ingress.connections_max");
        self.check_order("ingress.body_bytes_max", "ingress.in_flight_body_bytes_max");
        // A ceiling that nobody set rises with its limit.
        for (_, limits::Settings { default, ceiling }) in limits::all() {
            if let Some(ceiling) = ceiling.filter(|ceiling| self.set.contains_key(ceiling)) {
                self.check_order(default, ceiling);
            }
        }
        self.check_order("runtime.code_bytes_max", "runtime.cache_bytes_max");
        self.check_order("runtime.component_bytes_max", "tenant.components_bytes_max");
        self.check_order("runtime.component_bytes_max", "runtime.in_flight_upload_bytes_max");
    }

    fn check_tls(&mut self, listener: &str) {
        let (certificate, key) = (format!("{listener}.tls.certificate_file"), format!("{listener}.tls.key_file"));
        let (alone, missing) = match (self.path(&certificate), self.path(&key)) {
            (Some(_), None) => (certificate, key),
            (None, Some(_)) => (key, certificate),
            _ => return,
        };
        let origin = self.origin(&alone);
        self.mistake(alone, origin, format!("is of no use alone; set `{missing}` too"));
    }

    fn check_order(&mut self, smaller: &'static str, larger: &'static str) {
        let (small, large): (u64, u64) = (self.number(smaller), self.number(larger));
        if small > large {
            let set = if self.set.contains_key(smaller) { smaller } else { larger };
            let what =
                format!("`{smaller}` is {small}, more than `{larger}`, which is {large}; lower one or raise the other");
            self.mistake(set, self.origin(set), what);
        }
    }
}

fn base_of(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { path, line } => write!(f, "{}:{line}: ", path.display())?,
            Origin::Environment(name) if *name != self.key => write!(f, "{name}: ")?,
            Origin::Environment(_) | Origin::Default => {}
            Origin::Flag => f.write_str("command line: ")?,
        }
        if self.key.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.key, self.what) }
    }
}

fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}

#[cfg(test)]
mod tests;
