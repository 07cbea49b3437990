//! `creel verify`: judges requests that were captured somewhere, with the rules that ingress uses, and says why.
//!
//! One request from a file is explained step by step ([`explained`]): what was found, what the scheme covers, how old it
//! is, and what would have made it right. Lists of requests ([`requests`]) and of greetings ([`handshakes`]) give one
//! line of JSON each, so that other programs can compare. No host is asked and nothing is sent or stored. Neither the
//! secret nor a signature that would have been right is ever in what is returned.

pub mod advice;
pub mod capture;
pub mod judge;
pub mod vector;

use std::path::Path;

use anyhow::{Context as _, bail};
use creel_webhook::clock::Timestamp;
use creel_webhook::preset::{Preset, preset};
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::explain::{Step, explain};
use creel_webhook::signature::scheme::Scheme;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::judge::{Greeted, Judged, Seen};
use self::vector::{Case, Cases, HandshakeCase, Vector, Vectors};
use super::args::Verify;
use super::console::Usage;

/// A request with everything that was found out about it.
#[derive(Debug, serde::Serialize)]
pub struct Explained {
    /// The preset.
    pub scheme: String,
    /// What was read from the file.
    pub request: Vec<String>,
    /// What each alternative of the scheme looked at.
    pub alternatives: Vec<Vec<Step>>,
    /// `accept` or `reject`.
    pub verdict: &'static str,
    /// Why it is refused.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// What would help.
    pub hints: Vec<String>,
    /// What it carries, when it is genuine.
    pub events: Vec<Seen>,
}

/// Explains the request in the file that is named.
///
/// # Errors
/// When a file can't be read or the scheme does not hold.
pub fn explained(wanted: &Verify, now: Timestamp) -> anyhow::Result<Explained> {
    let (preset, own) = scheme(wanted)?;
    let file = wanted.request.as_deref().context("name the file that holds the request with --request")?;
    let captured = capture::parse(&read(file)?, now).with_context(|| format!("reading {}", file.display()))?;
    let url = wanted.sent_to.clone().or(captured.url.clone());
    let case = Case {
        preset,
        own,
        params: wanted.param.iter().cloned().collect(),
        secret: wanted.secret_file.as_deref().map(secret).transpose()?,
        public_key: wanted.public_key_file.as_deref().map(secret).transpose()?,
        url: url.unwrap_or_default(),
        request: captured.request,
        now,
    };
    let mut request = about(&case.request);
    request.extend(captured.notes);
    if wanted.sent_to.is_none() && !case.url.is_empty() {
        request.push(format!("no --sent-to: taken as sent to {}", case.url));
    }
    explained_case(&case, request, captured.spare)
}

fn explained_case(case: &Case, request: Vec<String>, spare: Option<RawRequest>) -> anyhow::Result<Explained> {
    let scheme = case.scheme()?;
    let alternatives = case.with_material(|material| {
        scheme.methods().iter().map(|method| explain(method, &case.request, material, case.now)).collect()
    });
    let verdict = case.with_material(|material| signature::verify(&scheme, &case.request, material, case.now));
    let (hints, events) = match &verdict {
        Ok(verified) => (Vec::new(), judge::events(&case.preset.provider, &case.request, verified)),
        Err(refusal) => (advice::hints(case, &scheme, refusal, spare), Vec::new()),
    };
    Ok(Explained {
        scheme: if case.own.is_some() { OWN.to_owned() } else { case.preset.name.clone() },
        request,
        alternatives,
        verdict: if verdict.is_ok() { "accept" } else { "reject" },
        reason: verdict.as_ref().err().map(|refusal| refusal.reason.as_str().to_owned()),
        detail: verdict.err().map(|refusal| refusal.detail),
        hints,
        events,
    })
}

/// What is said for the name of a scheme of one's own, as in a source.
const OWN: &str = "custom";

/// The scheme that is named or written in a file; one's own goes with the provider that a source of one's own has.
fn scheme(wanted: &Verify) -> anyhow::Result<(&'static Preset, Option<Scheme>)> {
    let Some(file) = &wanted.scheme_file else {
        let missing =
            "name the scheme with --scheme (`creel presets` lists them), or give one of your own with --scheme-file";
        return Ok((known(wanted.scheme.as_deref().ok_or_else(|| Usage::new(missing))?)?, None));
    };
    let value: Value = json(file, "JSON")?;
    // A source's document holds the scheme in a field.
    let value = value.get("scheme").unwrap_or(&value);
    match Scheme::parse_telling_all(value) {
        Ok(own) => Ok((known("generic-hmac")?, Some(own))),
        Err(mistakes) => {
            let list: Vec<String> =
                mistakes.iter().map(|one| format!("\n  `{}`: {}", one.field, one.problem)).collect();
            bail!("the scheme in {} does not hold:{}", file.display(), list.concat())
        }
    }
}

fn about(request: &RawRequest) -> Vec<String> {
    let names: Vec<String> = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let query = if request.query.is_some() { " with a query" } else { "" };
    vec![
        format!("{} {}{query}, body of {} bytes", request.method, request.path, request.body.len()),
        format!("headers: {}", names.join(", ")),
    ]
}

/// Judges each request of a list.
///
/// # Errors
/// When the file is not such a list.
pub fn requests(file: &Path) -> anyhow::Result<Vec<Judged>> {
    let list: Vectors = json(file, "{\"vectors\":[…]}")?;
    Ok(list.vectors.into_iter().map(|vector: Vector| judge::request(&vector)).collect())
}

/// Answers each greeting of a list as ingress would.
///
/// # Errors
/// When the file is not such a list, or a case can't be understood.
pub fn handshakes(file: &Path) -> anyhow::Result<Vec<Greeted>> {
    let list: Cases = json(file, "{\"cases\":[…]}")?;
    list.cases
        .into_iter()
        .map(|case: HandshakeCase| judge::handshake(&case).with_context(|| format!("the case `{}`", case.id)))
        .collect()
}

fn known(name: &str) -> anyhow::Result<&'static Preset> {
    match preset(name) {
        Some(preset) => Ok(preset),
        None => bail!(Usage::new(format!("there is no scheme `{name}`; `creel presets` lists them"))),
    }
}

#[allow(clippy::disallowed_methods, reason = "the command line reads the files that it is given")]
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

fn json<T: DeserializeOwned>(file: &Path, shape: &str) -> anyhow::Result<T> {
    serde_json::from_slice(&read(file)?).with_context(|| format!("{} is not {shape}", file.display()))
}

/// A secret in a file, without the newline that editors and `echo` put behind it.
///
/// # Errors
/// When the file can't be read or is empty.
pub fn secret(file: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read(file)?).with_context(|| format!("{} is not text", file.display()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        bail!("{} is empty", file.display());
    }
    Ok(text.to_owned())
}
