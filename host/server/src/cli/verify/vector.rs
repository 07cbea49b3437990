//! Requests in files that programs write: the fields of one, and the case that comes of them. What holds a secret here
//! has no text form.

use std::collections::BTreeMap;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::pointer::Params;
use creel_webhook::preset::Preset;
use creel_webhook::request::RawRequest;
use creel_webhook::signature::scheme::{Scheme, SchemeError};
use creel_webhook::signature::verdict::Material;
use serde::Deserialize;

/// A list of requests; other fields are ignored, here and below.
#[derive(Deserialize)]
pub struct Vectors {
    /// The requests.
    pub vectors: Vec<Vector>,
}

/// A request and what its source knows.
#[derive(Deserialize)]
pub struct Vector {
    /// Its name in the list.
    pub id: String,
    /// The preset.
    pub preset: String,
    /// The secret.
    #[serde(default)]
    pub secret: Option<String>,
    /// The public key or certificate.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Parameters of the source. A certificate may stand here too, as `cert_pem`.
    #[serde(default)]
    pub params: Option<BTreeMap<String, String>>,
    /// The request.
    #[serde(flatten)]
    pub request: Sent,
    /// When it came, in seconds.
    pub now: i64,
}

/// A request as it was sent.
#[derive(Debug, Deserialize)]
pub struct Sent {
    /// The method.
    pub method: String,
    /// The URL that the provider was given.
    pub url: String,
    /// The headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Values>,
    /// The body in base64.
    #[serde(default)]
    pub body_b64: Option<String>,
    /// The body as text, when there is no `body_b64`.
    #[serde(default)]
    pub body: Option<String>,
}

/// The value of a header, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// One header line for each.
    Many(Vec<String>),
}

/// A list of greetings.
#[derive(Deserialize)]
pub struct Cases {
    /// The greetings.
    pub cases: Vec<HandshakeCase>,
}

/// A greeting and what its source knows.
#[derive(Deserialize)]
pub struct HandshakeCase {
    /// Its name in the list.
    pub id: String,
    /// The preset; without one, whichever knows the greeting.
    #[serde(default)]
    pub preset: Option<String>,
    /// The secret.
    #[serde(default)]
    pub secret: Option<String>,
    /// The public key.
    #[serde(default)]
    pub public_key: Option<String>,
    /// Parameters of the source.
    #[serde(default)]
    pub params: Option<BTreeMap<String, String>>,
    /// The request.
    pub request: Sent,
    /// When it came, in seconds.
    pub now: i64,
}

/// A request at a source.
#[derive(Clone)]
pub struct Case {
    /// How the source believes.
    pub preset: &'static Preset,
    /// A scheme of its own, instead of the preset's.
    pub own: Option<Scheme>,
    /// Its parameters.
    pub params: Params,
    /// Its secret.
    pub secret: Option<String>,
    /// Its public key.
    pub public_key: Option<String>,
    /// Its public URL; empty when nobody knows.
    pub url: String,
    /// The request.
    pub request: RawRequest,
    /// When it came.
    pub now: Timestamp,
}

impl Case {
    /// The scheme with the source's parameters.
    ///
    /// # Errors
    /// When a parameter is missing, unknown or unfit.
    pub fn scheme(&self) -> Result<Scheme, SchemeError> {
        self.own.clone().map_or_else(|| self.preset.scheme(&self.params), Ok)
    }

    /// Runs something with what the source knows.
    pub fn with_material<T>(&self, run: impl FnOnce(&Material<'_>) -> T) -> T {
        let secrets: Vec<&[u8]> = self.secret.iter().map(|secret| secret.as_bytes()).collect();
        let public_keys: Vec<&str> = self.public_key.iter().map(String::as_str).collect();
        let urls: Vec<&str> = [self.url.as_str()].into_iter().filter(|url| !url.is_empty()).collect();
        let params = self.preset.params_with_defaults(&self.params);
        run(&Material { secrets: &secrets, public_keys: &public_keys, urls: &urls, params: &params })
    }
}

/// The parameters that a preset knows; lists of requests carry others too.
pub fn known_params(preset: &Preset, params: Option<&BTreeMap<String, String>>) -> Params {
    let known = |name: &str| preset.params.iter().any(|spec| spec.name == name);
    let given = params.into_iter().flatten().filter(|(name, _)| known(name));
    given.map(|(name, value)| (name.clone(), value.clone())).collect()
}

impl Sent {
    /// The request, byte for byte.
    ///
    /// # Errors
    /// When the body is not base64.
    pub fn raw(&self, received_at: Timestamp) -> anyhow::Result<RawRequest> {
        let after_scheme = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let target = after_scheme.find(['/', '?']).map_or("/", |at| &after_scheme[at..]);
        let target = target.split('#').next().unwrap_or_default();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let body = match (&self.body_b64, &self.body) {
            (Some(encoded), _) => STANDARD.decode(encoded).context("`body_b64` is not base64")?,
            (None, text) => text.clone().unwrap_or_default().into_bytes(),
        };
        let headers = self.headers.iter().flat_map(|(name, values)| {
            let values = match values {
                Values::One(value) => std::slice::from_ref(value),
                Values::Many(values) => values,
            };
            values.iter().map(|value| (name.as_str().into(), Bytes::from(value.clone())))
        });
        Ok(RawRequest {
            method: self.method.clone(),
            path: path.to_owned(),
            query,
            headers: headers.collect(),
            body: body.into(),
            received_at,
        })
    }
}

impl Vector {
    /// The certificate or public key, wherever it stands.
    pub fn key(&self) -> Option<String> {
        self.public_key.clone().or_else(|| self.params.as_ref()?.get("cert_pem").cloned())
    }
}
