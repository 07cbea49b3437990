//! Scenario `verify`: what it costs to believe a request.
//!
//! **Measures** one call of `signature::verify` for each kind of scheme, on a genuine body of 2 KB and of 1 MB, one thread.
//! **Yardstick**: HMAC-SHA256 of the same bytes and nothing else. What a scheme of that kind costs beyond it on 1 MB would be
//! a second look at the body, or a copy; that there is none is proven by counting bytes in `host/webhook/tests/copies.rs`.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use clap::Args;
use creel_webhook::clock::Timestamp;
use creel_webhook::pointer::Params;
use creel_webhook::preset::preset;
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::hash::{Algorithm, mac};
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::sign::Outgoing;
use creel_webhook::signature::verdict::Material;
use serde_json::json;

use crate::verdict::Goal;
use crate::{machine, stats, verdict};

/// A keyed hash over the body may cost so many times what the hash alone does, on 1 MB.
const GOAL: f64 = 1.15;

const SMALL: usize = 2_048;
const LARGE: usize = 1 << 20;
const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const URL: &str = "https://hooks.example.test/in/a";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Fit for every key encoding of a keyed hash; also the seed of an Ed25519 key.
const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
/// The public key of that seed.
const ED25519: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// How it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds over all schemes and sizes.
    #[arg(long, default_value_t = 11)]
    rounds: u32,
    /// Bytes that a scheme is given per round, in MB.
    #[arg(long, default_value_t = 16)]
    megabytes: u32,
    /// Print one summary object as the last line.
    #[arg(long)]
    json: bool,
}

/// Runs the scenario; says whether its goal was met.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!((1..=100).contains(&options.rounds), "--rounds is 1 to 100");
    ensure!((1..=1_000).contains(&options.megabytes), "--megabytes is 1 to 1000");
    println!("verify: believing one request, by scheme");
    println!("  machine    {}", machine::facts());
    println!("  {} rounds of {} MB per scheme and size", options.rounds, options.megabytes);
    let cases = cases()?;
    let mut small = vec![Vec::new(); cases.len()];
    let mut large = vec![Vec::new(); cases.len()];
    for _ in 0..options.rounds {
        for (index, case) in cases.iter().enumerate() {
            small[index].push(case.time_us(&case.small, options.megabytes)?);
            large[index].push(case.time_us(&case.large, options.megabytes)?);
        }
    }
    Ok(report(options, &cases, &small, &large))
}

/// A scheme with a genuine request of each size.
struct Case {
    what: &'static str,
    /// `None` for the yardstick.
    scheme: Option<Scheme>,
    public_key: Option<&'static str>,
    small: RawRequest,
    large: RawRequest,
}

fn cases() -> anyhow::Result<Vec<Case>> {
    let by = |name: &str, params: &[(&str, &str)]| -> anyhow::Result<Scheme> {
        let params: Params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(preset(name).with_context(|| format!("no preset {name}"))?.scheme(&params)?)
    };
    let bare = Case { what: "bare HMAC-SHA256", scheme: None, ..Case::new("", by("github", &[])?, JSON, None)? };
    Ok(vec![
        bare,
        Case::new("HMAC-SHA256 (github)", by("github", &[])?, JSON, None)?,
        Case::new("HMAC-SHA256, time, id (svix)", by("svix", &[])?, JSON, None)?,
        Case::new("HMAC-SHA512 (vapi-hmac)", by("vapi-hmac", &[("algorithm", "hmac-sha512")])?, JSON, None)?,
        Case::new("SHA-256 (hubspot-v1)", by("hubspot-v1", &[])?, JSON, None)?,
        Case::new("HMAC-SHA1, form (twilio)", by("twilio", &[])?, FORM, None)?,
        Case::new("HMAC-SHA1, hash in URL (twilio)", by("twilio", &[])?, JSON, None)?,
        Case::new("HMAC-SHA256, form (plivo)", by("plivo", &[])?, FORM, None)?,
        Case::new("Ed25519 (discord)", by("discord", &[])?, JSON, Some(ED25519))?,
        Case::new("JWT, body's hash (livekit)", by("livekit", &[("api_key", "key")])?, JSON, None)?,
        Case::new("token (bearer)", by("bearer", &[])?, JSON, None)?,
    ])
}

impl Case {
    fn new(
        what: &'static str,
        scheme: Scheme,
        content_type: &str,
        public_key: Option<&'static str>,
    ) -> anyhow::Result<Case> {
        let small = genuine(&scheme, content_type, SMALL)?;
        let large = genuine(&scheme, content_type, LARGE)?;
        Ok(Case { what, scheme: Some(scheme), public_key, small, large })
    }

    /// Microseconds of one verification.
    fn time_us(&self, request: &RawRequest, megabytes: u32) -> anyhow::Result<f64> {
        let times = (megabytes as usize * 1_000_000).div_ceil(request.body.len()).min(10_000);
        let secrets: [&[u8]; 1] = [SECRET.as_bytes()];
        let keys: Vec<&str> = self.public_key.into_iter().collect();
        let material = Material { secrets: &secrets, public_keys: &keys, urls: &[URL], ..Material::default() };
        let began = Instant::now();
        for _ in 0..times {
            match &self.scheme {
                None => drop(black_box(mac(Algorithm::HmacSha256, SECRET.as_bytes(), &request.body))),
                Some(scheme) => {
                    let verdict = black_box(signature::verify(scheme, black_box(request), &material, NOW));
                    ensure!(verdict.is_ok(), "{}: {verdict:?}", self.what);
                }
            }
        }
        Ok(began.elapsed().as_secs_f64() * 1e6 / times as f64)
    }
}

/// A request with such a body that proves genuine.
fn genuine(scheme: &Scheme, content_type: &str, bytes: usize) -> anyhow::Result<RawRequest> {
    let body = Bytes::from(if content_type == FORM { form(bytes) } else { json_text(bytes) });
    let out = Outgoing { method: "POST", url: URL, content_type, body: &body, id: "msg_1" };
    let signed = signature::sign(scheme, &out, SECRET.as_bytes(), NOW)?;
    let query: Vec<String> = signed.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers = signed.headers.into_iter().chain([("content-type".to_owned(), content_type.to_owned())]);
    Ok(RawRequest {
        method: "POST".to_owned(),
        path: "/in/a".to_owned(),
        query: (!query.is_empty()).then(|| query.join("&")),
        headers: headers.map(|(name, value)| (name.into(), Bytes::from(value))).collect(),
        body,
        received_at: NOW,
    })
}

fn json_text(bytes: usize) -> String {
    format!("{{\"type\":\"made\",\"text\":\"{}\"}}", "x".repeat(bytes - 26))
}

/// Twenty fields, as Twilio sends, however long.
fn form(bytes: usize) -> String {
    let value = "x".repeat(bytes / 20 - 8);
    (0..20).map(|number| format!("Field{number:02}={value}")).collect::<Vec<_>>().join("&")
}

fn report(options: &Options, cases: &[Case], small: &[Vec<f64>], large: &[Vec<f64>]) -> bool {
    println!("  {:34} {:>12} {:>12} {:>10} {:>8}", "scheme", "2 KB", "1 MB", "MB/s", "of bare");
    let mut rows = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let (two_kb_us, one_mb_us) = (stats::median(&small[index]), stats::median(&large[index]));
        let ratio = stats::median(&stats::ratios(&large[index], &large[0]));
        // What takes no longer for 1 MB does not look at the body.
        let rate = if one_mb_us > 2.0 * two_kb_us { case.large.body.len() as f64 / one_mb_us } else { 0.0 };
        println!("  {:34} {two_kb_us:>9.2} us {one_mb_us:>9.1} us {rate:>10.0} {ratio:>8.2}", case.what);
        rows.push(json!({ "scheme": case.what, "two_kb_us": two_kb_us, "one_mb_us": one_mb_us, "of_bare": ratio }));
    }
    let ratio = stats::median(&stats::ratios(&large[1], &large[0]));
    let what = format!("HMAC-SHA256 on 1 MB costs {ratio:.2} of the hash alone; goal at most {GOAL}");
    verdict::end(&[Goal::new(what, ratio <= GOAL)], options.json, json!({ "scenario": "verify", "schemes": rows }))
}
