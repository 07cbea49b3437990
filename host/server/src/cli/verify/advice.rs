//! What would have made a refused request right: likely mistakes, tried one by one with the same rules.
//!
//! A stuck person has a file, a secret and a refusal. Most mistakes are few: a newline at the body's end, a body that
//! was parsed and written anew, a URL that the proxy changed, another scheme, an old capture. Each is tried on a copy
//! of the request; what then verifies is told. Nothing here changes the verdict.

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::pointer::{Place, View};
use creel_webhook::preset::presets;
use creel_webhook::request::RawRequest;
use creel_webhook::signature;
use creel_webhook::signature::describe;
use creel_webhook::signature::model::{Method, Signed};
use creel_webhook::signature::scheme::Scheme;
use creel_webhook::signature::verdict::{Reason, Refusal};
use creel_webhook::signature::window::TimestampRule;

use super::vector::Case;

/// What would help.
pub fn hints(case: &Case, scheme: &Scheme, refusal: &Refusal, spare: Option<RawRequest>) -> Vec<String> {
    let mut hints = Vec::new();
    match refusal.reason {
        Reason::TimestampTooOld | Reason::TimestampInFuture => {
            hints.extend(at_its_time(case, scheme, spare.clone()));
        }
        Reason::TokenExpired | Reason::TokenNotYetValid => hints.push(
            "the token lives for minutes; give the time at which the request came with --now to leave its age aside".into(),
        ),
        Reason::NoSecretConfigured => hints.push(key_wanted(scheme)),
        Reason::NoUrlConfigured => {
            hints.push("the provider signs the URL; give it as you told it to the provider with --sent-to".into());
        }
        Reason::BodyNotCovered => hints.push(
            "only forms and bodies whose hash is in the query are signed by this scheme; is `content-type` in the file as it came?"
                .into(),
        ),
        Reason::KeyNeeded => hints.push("give the certificate that the message names with --public-key-file".into()),
        Reason::MissingHeader | Reason::MissingToken | Reason::TimestampMissing => hints.extend(readers(&case.request)),
        _ => {}
    }
    if matches!(refusal.reason, Reason::NoMatch | Reason::BodyHashMismatch | Reason::MalformedSignature) {
        hints.extend(what_matches(case, spare));
        if hints.is_empty() {
            hints.push(nothing_found(scheme));
        }
    }
    hints.extend(other_schemes(case));
    hints
}

fn accepted(case: &Case) -> bool {
    let Ok(scheme) = case.scheme() else { return false };
    case.with_material(|material| signature::verify(&scheme, &case.request, material, case.now)).is_ok()
}

fn signed(method: &Method) -> Option<&Signed> {
    match method {
        Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => Some(signed),
        _ => None,
    }
}

/// Whether the request was right when it was signed, and if not, what else is wrong.
fn at_its_time(case: &Case, scheme: &Scheme, spare: Option<RawRequest>) -> Vec<String> {
    let signed_at = |signed| signed_at(signed, &case.request);
    let Some(at) = scheme.methods().iter().filter_map(signed).find_map(signed_at) else { return Vec::new() };
    let then = Case { now: at, ..case.clone() };
    let seconds = at.as_secs();
    if accepted(&then) {
        return vec![format!(
            "signature and secret are right, only the time is not: as of then (--now {seconds}) it is accepted. A live \
             request that is refused so was delayed or replayed, or this clock is wrong"
        )];
    }
    let more = what_matches(&then, spare).unwrap_or_else(|| nothing_found(scheme));
    vec![format!("the time is not all: as of then (--now {seconds}) it is refused too"), more]
}

fn signed_at(signed: &Signed, request: &RawRequest) -> Option<Timestamp> {
    let rule = signed.ts.as_ref()?;
    let text = match &rule.from.place {
        Place::Sig(label) => {
            let found = signed.sig.read(request).ok()?;
            found.fields.into_iter().find(|(have, _)| have == label)?.1
        }
        _ => View::new(request).text(&rule.from, None)?,
    };
    let open = TimestampRule { past: None, future: None, ..rule.clone() };
    open.check(&text, Timestamp::default()).ok()
}

fn key_wanted(scheme: &Scheme) -> String {
    let coding = scheme.methods().iter().find_map(|method| match method {
        Method::Jwt(jwt) => Some(jwt.key.enc),
        other => signed(other).map(|signed| signed.key.enc),
    });
    let written = coding.map_or("the text itself", describe::key);
    if scheme.needs_public_key() {
        format!("give the provider's public key with --public-key-file; it is written as {written}")
    } else {
        format!("give the secret with --secret-file; it is written as {written}")
    }
}

/// Presets that read a header of the request.
fn readers(request: &RawRequest) -> Option<String> {
    let reads = |scheme: &Scheme| {
        scheme.methods().iter().any(|method| match method {
            Method::Token(token) => {
                matches!(&token.from.place, Place::Header(name) if name != "authorization" && request.header(name).is_some())
            }
            other => signed(other).is_some_and(|signed| request.header(signed.sig.header()).is_some()),
        })
    };
    let names: Vec<&str> = presets()
        .filter(|preset| preset.scheme(&Default::default()).is_ok_and(|scheme| reads(&scheme)))
        .map(|preset| preset.name.as_str())
        .collect();
    (!names.is_empty()).then(|| format!("the request has the headers of: {}", names.join(", ")))
}

/// The first change to body, secret or URL with which the request verifies.
fn what_matches(case: &Case, spare: Option<RawRequest>) -> Option<String> {
    let with_body = |body: Vec<u8>| {
        accepted(&Case { request: RawRequest { body: Bytes::from(body), ..case.request.clone() }, ..case.clone() })
    };
    if spare.is_some_and(|request| with_body(request.body.to_vec())) {
        return Some("the signature covers the whole body of the file: `content-length` in its head is wrong".into());
    }
    let body = bodies(&case.request.body).into_iter().find(|(_, body)| with_body(body.clone()));
    if let Some((hint, _)) = body {
        return Some(hint.to_owned());
    }
    let secret = secrets(case.secret.as_deref().unwrap_or_default())
        .into_iter()
        .find(|(_, secret)| accepted(&Case { secret: Some(secret.clone()), ..case.clone() }));
    if let Some((hint, _)) = secret {
        return Some(hint.to_owned());
    }
    let url = urls(&case.url).into_iter().find(|url| accepted(&Case { url: url.clone(), ..case.clone() }));
    url.map(|url| format!("the provider signed another URL: {url}; set the source's public URL to that"))
}

/// Bodies that could have been meant, and what it means when one is.
fn bodies(body: &Bytes) -> Vec<(&'static str, Vec<u8>)> {
    let mut bodies = Vec::new();
    let bare = body.strip_suffix(b"\n").map(|body| body.strip_suffix(b"\r").unwrap_or(body));
    if let Some(bare) = bare {
        let hint = "the body ends with a newline that the signature does not cover: an editor or `echo` put it there";
        bodies.push((hint, bare.to_vec()));
    }
    for end in [&b"\n"[..], b"\r\n"] {
        let hint = "the signature covers a newline at the body's end that is not there: something cut it off";
        bodies.push((hint, [body, end].concat()));
    }
    let text = String::from_utf8_lossy(body);
    let unix = text.replace("\r\n", "\n");
    let hint = "the body's lines end otherwise than when it was signed (CRLF or LF): something converted it";
    bodies.push((hint, unix.replace('\n', "\r\n").into_bytes()));
    bodies.push((hint, unix.into_bytes()));
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) {
        let hint = "the signature covers the same JSON in another layout: something parsed the body and wrote it anew; \
                    capture the bytes before any parser";
        bodies.push((hint, json.to_string().into_bytes()));
        bodies.extend(serde_json::to_vec_pretty(&json).ok().map(|pretty| (hint, pretty)));
    }
    bodies.retain(|(_, other)| other != body);
    bodies
}

/// Secrets that could have been meant.
fn secrets(secret: &str) -> Vec<(&'static str, String)> {
    let mut secrets =
        vec![("the secret has blanks or line ends around it that don't belong to it", secret.trim().to_owned())];
    if let Some((_, bare)) = secret.split_once('_') {
        secrets.push(("the secret is right without the prefix before its `_`", bare.to_owned()));
    }
    let quoted = secret.trim_matches(['"', '\'']);
    secrets.push(("the secret stands in quotation marks that don't belong to it", quoted.to_owned()));
    secrets.retain(|(_, other)| other != secret && !other.is_empty());
    secrets
}

/// URLs that could have been meant.
fn urls(url: &str) -> Vec<String> {
    let (base, query) = match url.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (url, String::new()),
    };
    let swapped = match base.split_once("://") {
        Some(("https", rest)) => format!("http://{rest}"),
        Some((_, rest)) => format!("https://{rest}"),
        None => return Vec::new(),
    };
    let slashed = |base: &str| match base.strip_suffix('/') {
        Some(bare) => bare.to_owned(),
        None => format!("{base}/"),
    };
    [swapped.clone(), slashed(base), slashed(&swapped)].map(|base| format!("{base}{query}")).into()
}

fn nothing_found(scheme: &Scheme) -> String {
    let url = if scheme.needs_url() { ", or the URL is not the one that the provider was given" } else { "" };
    format!(
        "none of the usual mistakes explains it: either the secret is another source's or has been rotated, or the file \
         does not hold the body byte for byte as it came (many frameworks hand out a body that they have parsed){url}"
    )
}

fn is_url_alone(scheme: &Scheme) -> bool {
    scheme.methods().iter().any(|method| matches!(method, Method::Url(_)))
}

/// Other presets under which the request is genuine with the same secret.
fn other_schemes(case: &Case) -> Option<String> {
    let names: Vec<&str> = presets()
        .filter(|preset| case.own.is_some() || preset.name != case.preset.name)
        .filter(|preset| preset.scheme(&case.params).is_ok_and(|scheme| !is_url_alone(&scheme)))
        .filter(|preset| accepted(&Case { preset, own: None, ..case.clone() }))
        .map(|preset| preset.name.as_str())
        .collect();
    (!names.is_empty())
        .then(|| format!("with the same secret it is genuine under another scheme: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use creel_webhook::preset::preset;
    use creel_webhook::signature::sign::Outgoing;

    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
    const URL: &str = "https://h.test/in/a";

    fn case(name: &str, secret: &str, body: &str) -> Case {
        let preset = preset(name).unwrap();
        let scheme = preset.scheme(&Default::default()).unwrap();
        let body = Bytes::from(body.to_owned());
        let out = Outgoing { method: "POST", url: URL, content_type: "application/json", body: &body, id: "msg_1" };
        let credentials = signature::sign(&scheme, &out, secret.as_bytes(), NOW).unwrap();
        let header = |(name, value): (String, String)| (name.into(), Bytes::from(value));
        let request = RawRequest {
            method: "POST".into(),
            path: "/in/a".into(),
            query: None,
            headers: credentials.headers.into_iter().map(header).collect(),
            body,
            received_at: NOW,
        };
        let (secret, url) = (Some(secret.to_owned()), URL.to_owned());
        Case { preset, own: None, params: Default::default(), secret, public_key: None, url, request, now: NOW }
    }

    fn told(case: &Case) -> String {
        let scheme = case.scheme().unwrap();
        let refusal =
            case.with_material(|material| signature::verify(&scheme, &case.request, material, case.now)).unwrap_err();
        let told = hints(case, &scheme, &refusal, None).join("\n");
        assert!(!told.contains(case.secret.as_deref().unwrap().trim()), "{told}");
        told
    }

    #[test]
    fn usual_mistakes_are_found() {
        let genuine = case("stripe", "whsec_canary", r#"{"a":1}"#);
        let body = |text: &'static str| Case {
            request: RawRequest { body: Bytes::from_static(text.as_bytes()), ..genuine.request.clone() },
            ..genuine.clone()
        };
        assert!(told(&body("{\"a\":1}\n")).contains("ends with a newline"));
        assert!(told(&body("{\n  \"a\": 1\n}")).contains("another layout"));
        assert!(told(&body(r#"{"a":2}"#)).contains("none of the usual mistakes"));
        assert!(told(&Case { secret: Some("whsec_canary ".into()), ..genuine.clone() }).contains("blanks"));
        let late = Timestamp::from_secs(NOW.as_secs() + 4_000);
        assert!(told(&Case { now: late, ..genuine.clone() }).contains("--now 1767225600"));
        assert!(told(&Case { now: late, ..body("{\"a\":1}\n") }).contains("ends with a newline"));
        let square = case("square", "canary-square", "{}");
        let moved = Case { url: "http://h.test/in/a/".into(), ..square };
        assert!(told(&moved).contains("another URL: https://h.test/in/a;"));
    }

    #[test]
    fn another_scheme_is_found() {
        let github = case("github", "canary-github", "{}");
        let wrong = Case { preset: preset("stripe").unwrap(), ..github };
        let told = told(&wrong);
        assert!(told.contains("under another scheme: meta, github"), "{told}");
    }
}
