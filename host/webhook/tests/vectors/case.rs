//! The vectors of `tests/cases/vectors`, ready to be judged.

use std::path::PathBuf;

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::pointer::Params;
use creel_webhook::preset::{Preset, preset};
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::verdict::{Material, Refusal, Verified};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/vectors")
}

/// A file by name, without its ending.
pub(crate) fn load(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

fn files() -> Vec<String> {
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    names.retain(|name| !name.starts_with('_'));
    names.sort();
    names
}

/// A request with what its source knows.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) preset: &'static Preset,
    pub(crate) scheme: Scheme,
    pub(crate) params: Params,
    pub(crate) request: RawRequest,
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
    pub(crate) public_key: Option<String>,
    pub(crate) now: Timestamp,
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn request(value: &Value, now: Timestamp) -> RawRequest {
    let url = value["url"].as_str().unwrap();
    let after_scheme = url.split_once("://").unwrap().1;
    let target = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };
    let body = match text(value, "body_b64") {
        Some(encoded) => base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap(),
        None => text(value, "body").unwrap_or_default().into_bytes(),
    };
    let header =
        |(name, value): (&String, &Value)| (name.as_str().into(), Bytes::from(value.as_str().unwrap().to_owned()));
    RawRequest {
        method: text(value, "method").unwrap(),
        path,
        query,
        headers: value["headers"].as_object().unwrap().iter().map(header).collect(),
        body: body.into(),
        received_at: now,
    }
}

fn params(vector: &Value, preset: &Preset) -> Params {
    let given: Params =
        vector.get("params").and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default();
    given.into_iter().filter(|(name, _)| preset.params.iter().any(|spec| spec.name == *name)).collect()
}

impl Case {
    pub(crate) fn new(name: &str, vector: &Value, request_value: &Value) -> Case {
        let preset = preset(name).unwrap_or_else(|| panic!("no preset {name}"));
        let now = Timestamp::from_secs(vector["now"].as_i64().unwrap());
        let params = params(vector, preset);
        Case {
            preset,
            scheme: preset.scheme(&params).unwrap(),
            params,
            request: request(request_value, now),
            url: text(request_value, "url").unwrap(),
            secret: text(vector, "secret"),
            public_key: text(vector, "public_key").or_else(|| text(vector.get("params")?, "cert_pem")),
            now,
        }
    }

    pub(crate) fn with_material<T>(&self, run: impl FnOnce(&Material<'_>) -> T) -> T {
        let secrets: Vec<&[u8]> = self.secret.iter().map(|secret| secret.as_bytes()).collect();
        let public_keys: Vec<&str> = self.public_key.iter().map(String::as_str).collect();
        let urls = [self.url.as_str()];
        run(&Material { secrets: &secrets, public_keys: &public_keys, urls: &urls, params: &self.params })
    }

    pub(crate) fn verify(&self) -> Result<Verified, Refusal> {
        self.with_material(|material| signature::verify(&self.scheme, &self.request, material, self.now))
    }
}

/// Calls with each vector's file and id, preset and text.
pub(crate) fn each_vector(mut run: impl FnMut(&str, &str, &Value)) {
    for file in files() {
        for vector in load(&file)["vectors"].as_array().unwrap() {
            let preset = vector["preset"].as_str().unwrap();
            run(&format!("{file}/{}", vector["id"].as_str().unwrap()), preset, vector);
        }
    }
}
