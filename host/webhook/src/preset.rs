//! The presets: how known providers prove their webhooks, by name.
//!
//! Presets are data in `host/webhook/presets/*.json`, compiled in and parsed once. A file has `providers` (see
//! [`Provider`]) and `presets`, the ways to prove; several presets share one provider, as `vapi-secret` and
//! `vapi-hmac` do. A preset's `auth` is a scheme in the words of `signature::model` in which `{param:name}` stands for
//! what the operator set. To add a provider, add data and its vectors; the tests find both.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::pointer::Params;
use crate::provider::Provider;
use crate::signature::scheme::{Scheme, SchemeError};

const FILES: &[(&str, &str)] = &[
    ("voice.json", include_str!("../presets/voice.json")),
    ("messaging.json", include_str!("../presets/messaging.json")),
    ("commerce.json", include_str!("../presets/commerce.json")),
    ("developer.json", include_str!("../presets/developer.json")),
    ("business.json", include_str!("../presets/business.json")),
    ("generic.json", include_str!("../presets/generic.json")),
];

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    // The texts are part of the program: a test parses each of them and names what is wrong.
    FILES.iter().flat_map(|(_, text)| parse_file(text).unwrap_or_default()).collect()
});

/// A known way to prove requests, and whose it is.
#[derive(Debug, Clone)]
pub struct Preset {
    /// Its name, as written in a source.
    pub name: String,
    /// One sentence for people who choose.
    pub summary: String,
    /// What events, greetings and answers look like.
    pub provider: Arc<Provider>,
    /// What the operator may or must set.
    pub params: Vec<ParamSpec>,
    /// What keeps an old request from being sent again.
    pub replay: Replay,
    auth: Value,
}

/// A parameter of a preset.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// Its name.
    pub name: String,
    /// One sentence.
    pub help: String,
    /// Its value when none is set; without a default it is required.
    #[serde(default)]
    pub default: Option<String>,
    /// Whether the scheme can do without it; it is then for handshakes.
    #[serde(default)]
    pub optional: bool,
    /// Whether a source must set it all the same: a request by itself can be judged without.
    #[serde(default)]
    pub of_source: bool,
}

/// What keeps an old request from being sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replay {
    /// A signed timestamp that grows stale.
    Window,
    /// A signed id that is remembered.
    Id,
    /// A hash of body and signature that is remembered.
    Body,
    /// Nothing: the provider's requests carry nothing that could.
    None,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    providers: BTreeMap<String, Provider>,
    presets: BTreeMap<String, Entry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    provider: String,
    summary: String,
    replay: Replay,
    #[serde(default)]
    params: Vec<ParamSpec>,
    auth: Value,
}

fn parse_file(text: &str) -> Result<Vec<Preset>, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let named = |(name, provider): (String, Provider)| (name.clone(), Arc::new(Provider { name, ..provider }));
    let providers: BTreeMap<String, Arc<Provider>> = file.providers.into_iter().map(named).collect();
    let preset = |(name, entry): (String, Entry)| {
        let provider = providers.get(&entry.provider).cloned();
        let provider = provider.ok_or_else(|| format!("{name}: no provider `{}` in this file", entry.provider))?;
        let Entry { summary, replay, params, auth, .. } = entry;
        Ok(Preset { name, summary, provider, params, replay, auth })
    };
    file.presets.into_iter().map(preset).collect()
}

/// The preset of a name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// All presets, by file and name.
pub fn presets() -> impl Iterator<Item = &'static Preset> {
    PRESETS.iter()
}

impl Preset {
    /// The scheme with a source's parameters filled in, defaults for those that are not set.
    ///
    /// Unknown parameters and missing required ones are errors: a source says what it means.
    pub fn scheme(&self, params: &Params) -> Result<Scheme, SchemeError> {
        let error = |name: &str, problem: &str| {
            Err(SchemeError { field: format!("params/{name}"), problem: problem.to_owned() })
        };
        if let Some(name) = params.keys().find(|name| !self.params.iter().any(|spec| spec.name == **name)) {
            return error(name, &format!("the preset `{}` has no such parameter", self.name));
        }
        let mut values = Params::new();
        for spec in &self.params {
            match params.get(&spec.name).or(spec.default.as_ref()) {
                Some(value) => drop(values.insert(spec.name.clone(), value.clone())),
                None if spec.optional => {}
                None => return error(&spec.name, &format!("is required by the preset `{}`", self.name)),
            }
        }
        Scheme::parse(&filled(&self.auth, &values))
    }

    /// What a source of this preset must set and these parameters don't, beyond what the scheme asks for.
    ///
    /// # Errors
    /// The parameter, and why it is needed.
    pub fn check_source(&self, params: &Params) -> Result<(), SchemeError> {
        let is_set = |name: &str| params.get(name).is_some_and(|value| !value.trim().is_empty());
        match self.params.iter().find(|spec| spec.of_source && !is_set(&spec.name)) {
            None => Ok(()),
            Some(spec) => Err(SchemeError {
                field: format!("params/{}", spec.name),
                problem: format!("a source of `{}` must set it: {}", self.name, spec.help),
            }),
        }
    }

    /// The parameters of a source with the preset's defaults, as handshakes need them.
    pub fn params_with_defaults(&self, params: &Params) -> Params {
        let defaults = self.params.iter().filter_map(|spec| Some((spec.name.clone(), spec.default.clone()?)));
        let mut all: Params = defaults.collect();
        all.extend(params.iter().map(|(name, value)| (name.clone(), value.clone())));
        all
    }
}

/// The same JSON with `{param:name}` replaced in its texts. A text that is one placeholder whose value is empty
/// vanishes with its key, so that a parameter can switch a field off.
fn filled(value: &Value, params: &Params) -> Value {
    match value {
        Value::String(text) => Value::String(filled_text(text, params)),
        Value::Array(items) => items.iter().map(|item| filled(item, params)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| (key.clone(), filled(item, params)))
            .filter(|(key, item)| item.as_str() != Some("") || map.get(key).and_then(Value::as_str) == Some(""))
            .collect(),
        other => other.clone(),
    }
}

fn filled_text(text: &str, params: &Params) -> String {
    // One pass, so that a value that looks like a placeholder is not filled again.
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{param:") {
        out.push_str(before);
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(params.get(name).map_or("", String::as_str));
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_parses_and_every_scheme_is_sound() {
        for (file, text) in FILES {
            if let Err(problem) = parse_file(text) {
                panic!("{file}: {problem}");
            }
        }
        for preset in presets() {
            let required = preset.params.iter().filter(|spec| spec.default.is_none());
            let params = required.map(|spec| (spec.name.clone(), "x-given".to_owned())).collect();
            if let Err(problem) = preset.scheme(&params) {
                panic!("{}: {problem}", preset.name);
            }
            assert!(!preset.summary.is_empty() && !preset.provider.title.is_empty(), "{}", preset.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = presets().map(|preset| &preset.name).collect();
        assert_eq!(names.len(), presets().count());
    }

    #[test]
    fn parameters_are_checked() {
        let assemblyai = preset("assemblyai").unwrap();
        assert!(assemblyai.scheme(&Params::new()).unwrap_err().to_string().contains("params/header"));
        let unknown = Params::from([("haeder".to_owned(), "x".to_owned())]);
        assert!(assemblyai.scheme(&unknown).unwrap_err().to_string().contains("no such parameter"));
        let trick = Params::from([("header".to_owned(), "x-{param:header}".to_owned())]);
        assert!(assemblyai.scheme(&trick).is_err());
    }
}
