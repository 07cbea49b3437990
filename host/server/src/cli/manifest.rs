//! The file that `creel apply` reads: TOML, turned into the documents that the admin API reads.
//!
//! ```toml
//! tenant = "acme"
//!
//! [secrets.crm]
//! value_env = "CRM_TOKEN"            # or value_file = "crm.token", or value = "…" where nobody else reads
//! origins = ["https://crm.example"]
//!
//! [sources.calls]
//! preset = "vapi-hmac"
//! secrets = ["vapi"]
//!
//! [destinations.crm]
//! url = "https://crm.example/v1"
//! auth = { type = "bearer", secret = "crm" }
//!
//! [plugins.call-ended]
//! component = "call-ended.wasm"
//! config = { language = "en" }
//! grants = { destinations = ["crm"] }
//!
//! [routes.ended]
//! source = "calls"
//! pattern = "end-of-call-report"
//! plugin = "call-ended"
//!
//! [notices]                          # what the host tells about all of this
//! destination = "ops"
//!
//! [limits]                           # all of the tenant's own, an operator's to say; the others are the host's defaults
//! fuel_max = 2_000_000_000
//! ```
//!
//! Everything is read before anything is refused; each mistake comes with its key and its line, and so do those that only the
//! host finds ([`Written`]). Files and variables that it names are read too, so that a plan holds all that will be sent. A
//! variable that is not set is no mistake yet: a host that has the secret keeps what it has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_webhook::destination::DestinationSpec;
use creel_webhook::plugin::Grants;
use creel_webhook::source::SourceSpec;
use creel_webhook::tenant::{TenantLimits, check_name};
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::spec;
use crate::spec::fields::{Fields, Mistake, escape};
use crate::spec::notices::NoticesSpec;
use crate::spec::route::RouteSpec;
use crate::spec::tenant::Ceilings;

/// A mistake with its place in the file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileMistake {
    /// The line, from 1.
    pub line: usize,
    /// The dotted key.
    pub key: String,
    /// What is wrong.
    pub detail: String,
}

/// Why a file is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It can't be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said. It stands in the text, so it is no `source`: that would be told twice.
        reason: std::io::Error,
    },
    /// It is something else.
    #[error("{path} is no text; give a TOML file such as the tenant.toml that `creel new` makes")]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// It is wrong.
    #[error("{path} has {} {}; nothing was changed{}", .mistakes.len(), if .mistakes.len() == 1 { "mistake" } else { "mistakes" }, listed(.path, .mistakes))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// All mistakes, by line.
        mistakes: Vec<FileMistake>,
    },
}

/// A secret to be put; its document holds the value.
pub struct SecretWanted {
    /// Its name.
    pub name: String,
    /// What the API is sent.
    pub document: Value,
    /// The origins that it may be sent to, in their one written form.
    pub origins: Vec<String>,
    /// Why its value is not in the document, if it is not: a host that has one keeps it.
    pub lacks: Option<String>,
}

/// A plugin to be deployed.
#[derive(Debug, Clone)]
pub struct PluginWanted {
    /// Its name.
    pub name: String,
    /// The component's bytes.
    pub component: Bytes,
    /// Plain settings.
    pub config: BTreeMap<String, String>,
    /// What it may ask for.
    pub grants: Grants,
}

/// What a file asks for.
#[derive(Default)]
pub struct Manifest {
    /// The tenant, if the file names it.
    pub tenant: Option<String>,
    /// All limits of its own, if the file says anything about them. The host knows its own ceilings.
    pub limits: Option<TenantLimits>,
    /// Secrets by name.
    pub secrets: Vec<SecretWanted>,
    /// Sources by name.
    pub sources: Vec<SourceSpec>,
    /// Destinations by name.
    pub destinations: Vec<DestinationSpec>,
    /// Plugins by name.
    pub plugins: Vec<PluginWanted>,
    /// Routes by name.
    pub routes: Vec<RouteSpec>,
    /// Where notices go.
    pub notices: Option<NoticesSpec>,
    /// Where all of it stands.
    pub written: Written,
}

/// Where the things of a file stand in it.
#[derive(Default)]
pub struct Written {
    path: PathBuf,
    text: String,
    places: Places,
}

impl Written {
    /// Mistakes, their pointers from the file's top (`/sources/calls/preset`), with their lines.
    pub fn wrong(&self, mistakes: Vec<Mistake>) -> ManifestError {
        let mut located: Vec<_> = mistakes.into_iter().map(|mistake| self.places.locate(&self.text, mistake)).collect();
        located.sort_by_key(|mistake| mistake.line);
        ManifestError::Wrong { path: self.path.clone(), mistakes: located }
    }
}

/// Looks up a variable of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a file and what it names.
///
/// # Errors
/// [`ManifestError`] with every mistake.
pub fn load(path: &Path, environment: Environment<'_>) -> Result<Manifest, ManifestError> {
    let text = std::fs::read_to_string(path).map_err(|reason| match reason.kind() {
        std::io::ErrorKind::InvalidData => ManifestError::NoText { path: path.to_owned() },
        _ => ManifestError::Unreadable { path: path.to_owned(), reason },
    })?;
    read(path, text, environment)
}

/// Reads the text of the file at `path`, where relative paths begin.
///
/// # Errors
/// [`ManifestError::Wrong`] with every mistake, by line.
pub fn read(path: &Path, text: String, environment: Environment<'_>) -> Result<Manifest, ManifestError> {
    let (table, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        let mistake = |error: &toml::de::Error| FileMistake {
            line: error.span().map_or(1, |span| line_of(&text, span.start)),
            key: String::new(),
            detail: error.message().to_owned(),
        };
        let mistakes = errors.iter().map(mistake).collect();
        return Err(ManifestError::Wrong { path: path.to_owned(), mistakes });
    }
    let mut places = Places::default();
    let document = table_value(table.get_ref(), "", &mut places);
    let mut reader = Reader { directory: path.parent().unwrap_or(Path::new(".")), environment, mistakes: Vec::new() };
    let mut manifest = reader.manifest(document);
    let mistakes = reader.mistakes;
    manifest.written = Written { path: path.to_owned(), text, places };
    if mistakes.is_empty() { Ok(manifest) } else { Err(manifest.written.wrong(mistakes)) }
}

struct Reader<'a> {
    directory: &'a Path,
    environment: Environment<'a>,
    mistakes: Vec<Mistake>,
}

type Named<T> = Vec<T>;

impl Reader<'_> {
    fn manifest(&mut self, document: Value) -> Manifest {
        let mut fields = Fields::of(document);
        let tenant = fields.optional::<String>("tenant");
        if let Some(Err(error)) = tenant.as_deref().map(check_name) {
            fields.mistake("tenant", error.to_string());
        }
        let mut section = |name| fields.or(name, Map::new());
        let (secrets, sources, destinations) = (section("secrets"), section("sources"), section("destinations"));
        let (plugins, routes) = (section("plugins"), section("routes"));
        let (notices, limits) = (fields.optional::<Value>("notices"), fields.optional::<Value>("limits"));
        if let Err(mistakes) = fields.done(Some(())) {
            self.mistakes.extend(mistakes);
        }
        let highest = Ceilings::default();
        Manifest {
            tenant,
            limits: limits.and_then(|document| self.below("/limits", spec::tenant::read_limits(document, &highest))),
            secrets: self.each("secrets", secrets, Self::secret),
            sources: self.each("sources", sources, |_, name, document| spec::source::read(name, document)),
            destinations: self
                .each("destinations", destinations, |_, name, document| spec::destination::read(name, document)),
            plugins: self.each("plugins", plugins, Self::plugin),
            routes: self.each("routes", routes, |_, name, document| spec::route::read(name, document)),
            notices: notices.and_then(|document| self.below("/notices", spec::notices::read(document))),
            written: Written::default(),
        }
    }

    /// What was read at a place of the file, or its mistakes noted.
    fn below<T>(&mut self, base: &str, read: Result<T, Vec<Mistake>>) -> Option<T> {
        let below = |mistake: Mistake| Mistake::new(format!("{base}{}", mistake.pointer), mistake.detail);
        match read {
            Ok(one) => Some(one),
            Err(mistakes) => {
                self.mistakes.extend(mistakes.into_iter().map(below));
                None
            }
        }
    }

    fn each<T>(
        &mut self,
        section: &str,
        entries: Map<String, Value>,
        read: impl Fn(&Self, &str, Value) -> Result<T, Vec<Mistake>>,
    ) -> Named<T> {
        let mut all = Vec::with_capacity(entries.len());
        for (name, document) in entries {
            let one = read(self, &name, document);
            all.extend(self.below(&format!("/{section}/{}", escape(&name)), one));
        }
        all
    }

    /// A secret: its value comes from one of three places, and is sent as the API wants it.
    fn secret(&self, name: &str, document: Value) -> Result<SecretWanted, Vec<Mistake>> {
        let mut fields = Fields::of(document);
        let inline = fields.optional::<String>("value").map(String::into_bytes);
        let variable = fields.optional::<String>("value_env");
        let file = fields.optional::<String>("value_file");
        // The file says all of them: none that is not here stays.
        let origins = fields.optional::<Value>("origins").unwrap_or_else(|| json!([]));
        let overlap_ms = fields.optional::<Value>("overlap_ms");
        if [inline.is_some(), variable.is_some(), file.is_some()].iter().filter(|given| **given).count() != 1 {
            fields.mistake("value_env", "give exactly one of `value_env`, `value_file` and `value`");
        }
        let mut lacks = None;
        let from_variable = variable.and_then(|variable| {
            let value = (self.environment)(&variable).map(String::into_bytes);
            if value.is_none() {
                lacks = Some(format!("the environment has no `{variable}`"));
            }
            value
        });
        let from_file = file.and_then(|file| match std::fs::read(self.directory.join(&file)) {
            Ok(bytes) => Some(without_last_newline(bytes)),
            Err(error) => {
                fields.mistake("value_file", format!("{file}: {error}"));
                None
            }
        });
        let value = fields.done(Some(inline.or(from_variable).or(from_file)))?;
        let mut document = json!({ "origins": origins, "overlap_ms": overlap_ms });
        match value.map(String::from_utf8) {
            Some(Ok(text)) => document["value"] = json!(text),
            Some(Err(error)) => document["value_base64"] = json!(STANDARD.encode(error.as_bytes())),
            None => {}
        }
        let origins = spec::secret::read(name, document.clone())?.origins.unwrap_or_default();
        Ok(SecretWanted { name: name.to_owned(), document, origins, lacks })
    }

    fn plugin(&self, name: &str, document: Value) -> Result<PluginWanted, Vec<Mistake>> {
        let mut fields = Fields::of(document);
        let name = fields.name(name);
        let file = fields.required::<String>("component");
        let config = spec::plugin::config(&mut fields);
        let grants = spec::plugin::grants(&mut fields);
        let component = file.and_then(|file| match std::fs::read(self.directory.join(&file)) {
            Ok(bytes) => Some(Bytes::from(bytes)),
            Err(error) => {
                fields.mistake("component", format!("{file}: {error}; `creel build` makes it"));
                None
            }
        });
        fields.done(component.map(|component| PluginWanted { name, component, config, grants }))
    }
}

/// Where each key of the file begins.
#[derive(Default)]
struct Places(BTreeMap<String, usize>);

impl Places {
    /// The line of a pointer; of its nearest parent when it is about something that is missing.
    fn locate(&self, text: &str, mistake: Mistake) -> FileMistake {
        let mut known = mistake.pointer.as_str();
        let offset = loop {
            if let Some(offset) = self.0.get(known) {
                break *offset;
            }
            match known.rsplit_once('/') {
                Some((parent, _)) => known = parent,
                None => break 0,
            }
        };
        let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
        let key = mistake.pointer.split('/').skip(1).map(unescape).collect::<Vec<_>>().join(".");
        FileMistake { line: line_of(text, offset), key, detail: mistake.detail }
    }
}

fn table_value(table: &DeTable<'_>, pointer: &str, places: &mut Places) -> Value {
    let mut map = Map::new();
    for (key, value) in table {
        let below = format!("{pointer}/{}", escape(key.get_ref()));
        places.0.insert(below.clone(), key.span().start);
        map.insert(key.get_ref().to_string(), value_of(value, &below, places));
    }
    Value::Object(map)
}

fn value_of(value: &Spanned<DeValue<'_>>, pointer: &str, places: &mut Places) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(moment) => Value::String(moment.to_string()),
        DeValue::Array(items) => {
            let item = |(index, item): (usize, &Spanned<DeValue<'_>>)| {
                let below = format!("{pointer}/{index}");
                places.0.insert(below.clone(), item.span().start);
                value_of(item, &below, places)
            };
            Value::Array(items.iter().enumerate().map(item).collect())
        }
        DeValue::Table(table) => table_value(table, pointer, places),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn without_last_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

fn listed(path: &Path, mistakes: &[FileMistake]) -> String {
    let line = |mistake: &FileMistake| {
        let key = if mistake.key.is_empty() { String::new() } else { format!("{}: ", mistake.key) };
        format!("\n  {}:{}: {key}{}", path.display(), mistake.line, mistake.detail)
    };
    mistakes.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<(usize, String)> {
        match read(Path::new("/nowhere/creel.toml"), text.to_owned(), &|_| None) {
            Err(ManifestError::Wrong { mistakes, .. }) => {
                mistakes.into_iter().map(|mistake| (mistake.line, mistake.key)).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_mistake_has_key_and_line() {
        let text = "tennant = \"x\"\ntenant = \"Not one\"\n[sources.calls]\npreset = 5\n\n[destinations.crm]\nurl = \"ftp://x\"\ncolour = 1\n\
                    [secrets.a]\nvalue_file = \"missing\"\n[plugins.p]\ncomponent = \"p.wasm\"\n[routes.r]\nsource = \"calls\"\n\
                    [limits]\nfuel_max = 0\ncalls = 1\nlog_lines_max = \"many\"\n";
        let expected = [
            (1, "tennant"),
            (2, "tenant"),
            (4, "sources.calls.preset"),
            (7, "destinations.crm.url"),
            (8, "destinations.crm.colour"),
            (10, "secrets.a.value_file"),
            (12, "plugins.p.component"),
            (13, "routes.r.plugin"),
            (16, "limits.fuel_max"),
            (17, "limits.calls"),
            (18, "limits.log_lines_max"),
        ];
        assert_eq!(mistakes(text), expected.map(|(line, key)| (line, key.to_owned())));
    }

    #[test]
    fn syntax_is_reported_with_its_line() {
        assert_eq!(mistakes("a = 1\nb = = 2\n")[0].0, 2);
    }
}
