//! A scheme: data that says how a provider proves its requests, parsed and found sound.
//!
//! Whatever a tenant writes passes the same door as our own presets: [`Scheme::parse`] refuses a scheme that would
//! leave the body unproven, sign a timestamp that is not covered, or name what does not exist; each refusal names the
//! field. So the engines that run schemes need no doubts of their own.

use serde_json::Value;

use crate::pointer::{Place, Pointer};
use crate::signature::decode::KeyEncoding;
use crate::signature::draft::unreadable;
use crate::signature::field::{CANDIDATES_MAX, SignatureField};
use crate::signature::hash::Algorithm;
use crate::signature::model::{Jwt, Method, QueryHash, Signed, Token};
use crate::signature::template::Segment;
use crate::signature::window::{TimestampRule, WINDOW_SECS_MAX};

/// Most alternatives of `any_of`: each may cost a hash of the body.
pub const ALTERNATIVES_MAX: usize = 4;

/// One or several ways to prove a request; one that holds is enough.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheme {
    methods: Vec<Method>,
}

/// Why a scheme was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("scheme: `{field}`: {problem}")]
pub struct SchemeError {
    /// The field, such as `any_of/1/sig/field`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What was found wrong so far; a writer is told all of it.
#[derive(Default)]
struct Mistakes(Vec<SchemeError>);

impl Mistakes {
    fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.0.push(SchemeError { field: field.to_owned(), problem: problem.into() });
    }

    fn ensure(&mut self, holds: bool, field: &str, problem: &str) {
        if !holds {
            self.add(field, problem);
        }
    }
}

impl Scheme {
    /// Reads and checks a scheme; `providers` in the presets are written in the same words.
    ///
    /// # Errors
    /// The first of the mistakes.
    pub fn parse(value: &Value) -> Result<Scheme, SchemeError> {
        Scheme::parse_telling_all(value).map_err(|mistakes| {
            let nothing = || SchemeError { field: String::new(), problem: "is no scheme".to_owned() };
            mistakes.into_iter().next().unwrap_or_else(nothing)
        })
    }

    /// The same for people who write one.
    ///
    /// # Errors
    /// All mistakes, at least one. Where a field can't be read, what it would mean is not looked at.
    pub fn parse_telling_all(value: &Value) -> Result<Scheme, Vec<SchemeError>> {
        let mut said = Mistakes::default();
        let methods = match value.get("any_of") {
            None => method(value, &mut said).into_iter().collect(),
            Some(Value::Array(items)) => {
                let alone = value.as_object().is_some_and(|map| map.len() == 1);
                said.ensure((1..=ALTERNATIVES_MAX).contains(&items.len()), "any_of", "1 to 4 alternatives are allowed");
                said.ensure(alone, "any_of", "nothing may stand beside it");
                items.iter().enumerate().filter_map(|(index, item)| alternative(index, item, &mut said)).collect()
            }
            Some(_) => {
                said.add("any_of", "must be a list of schemes");
                Vec::new()
            }
        };
        if said.0.is_empty() { Ok(Scheme { methods }) } else { Err(said.0) }
    }

    /// The alternatives, in the order in which they are tried.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// Whether some alternative needs a secret; a source without one fails closed.
    pub fn needs_secret(&self) -> bool {
        self.methods.iter().any(|method| match method {
            Method::Mac(_) | Method::Digest(_) | Method::Token(_) | Method::Basic(_) | Method::Jwt(_) => true,
            Method::Sig(_) | Method::Url(_) | Method::Code(_) => false,
        })
    }

    /// Whether some alternative needs a public key.
    pub fn needs_public_key(&self) -> bool {
        self.methods.iter().any(|method| matches!(method, Method::Sig(_)))
    }

    /// Whether a secret is written as some alternative wants it: asked when an operator sets one, not at each request.
    pub fn reads_secret(&self, secret: &[u8]) -> bool {
        self.methods.iter().any(|method| match method {
            Method::Mac(signed) | Method::Digest(signed) => signed.key.read(secret).is_some(),
            Method::Jwt(jwt) => jwt.key.read(secret).is_some(),
            Method::Token(_) => !secret.is_empty() && secret.iter().all(u8::is_ascii_graphic),
            Method::Basic(_) => secret.contains(&b':'),
            Method::Sig(_) | Method::Url(_) | Method::Code(_) => false,
        })
    }

    /// Whether some alternative signs the public URL, so that the source must know it.
    pub fn needs_url(&self) -> bool {
        self.methods.iter().any(|method| match method {
            Method::Mac(signed) | Method::Sig(signed) | Method::Digest(signed) => signed.content.needs_url(),
            _ => false,
        })
    }
}

fn alternative(index: usize, value: &Value, said: &mut Mistakes) -> Option<Method> {
    let mut own = Mistakes::default();
    let method = method(value, &mut own);
    let placed = |error: SchemeError| SchemeError { field: format!("any_of/{index}/{}", error.field), ..error };
    said.0.extend(own.0.into_iter().map(placed));
    method
}

fn method(value: &Value, said: &mut Mistakes) -> Option<Method> {
    let method: Method = match serde_json::from_value(value.clone()) {
        Ok(method) => method,
        Err(error) => {
            unreadable(value).into_iter().for_each(|(field, problem)| said.add(&field, problem));
            if said.0.is_empty() {
                said.add("kind", error.to_string());
            }
            return None;
        }
    };
    match &method {
        Method::Mac(signed) => check_signed(signed, "mac", Algorithm::is_mac, said),
        Method::Sig(signed) => check_signed(signed, "sig", Algorithm::is_asymmetric, said),
        Method::Digest(signed) => check_signed(signed, "digest", |alg| alg == Algorithm::Sha256, said),
        Method::Token(token) => check_token(token, said),
        Method::Jwt(jwt) => check_jwt(jwt, said),
        Method::Code(code) => said.ensure(code.name == "aws-sns", "name", "the only scheme with code is `aws-sns`"),
        Method::Basic(_) | Method::Url(_) => {}
    }
    Some(method)
}

fn check_signed(signed: &Signed, kind: &str, fits: fn(Algorithm) -> bool, said: &mut Mistakes) {
    said.ensure(fits(signed.alg), "alg", &format!("is not an algorithm of the kind `{kind}`"));
    check_key(signed, said);
    check_field(&signed.sig, said);
    check_template(signed, kind, said);
    if let Some(rule) = &signed.ts {
        check_timestamp(rule, signed, said);
    }
    if let Some(hash) = &signed.body_hash {
        check_query_hash(hash, signed, said);
    }
    for (name, required) in &signed.require_header {
        said.ensure(is_lower_name(name), "require_header", "header names are lower case");
        said.ensure(!required.equals.is_empty(), "require_header", "an empty value proves nothing");
    }
    check_coverage(signed, said)
}

fn check_key(signed: &Signed, said: &mut Mistakes) {
    use KeyEncoding::{Base64, Hex, Pem, SpkiDerBase64, Utf8};
    let fits = match signed.alg {
        Algorithm::Ed25519 => matches!(signed.key.enc, Base64 | Hex | SpkiDerBase64 | Pem),
        Algorithm::EcdsaP256Sha256 | Algorithm::RsaPkcs1Sha1 | Algorithm::RsaPkcs1Sha256 => {
            matches!(signed.key.enc, SpkiDerBase64 | Pem)
        }
        _ => matches!(signed.key.enc, Utf8 | Base64 | Hex),
    };
    said.ensure(fits, "key/enc", "does not fit the algorithm")
}

fn check_field(sig: &SignatureField, said: &mut Mistakes) {
    said.ensure(matches!(sig.from.place, Place::Header(_)), "sig/from", "must be a header");
    said.ensure((1..=CANDIDATES_MAX).contains(&sig.max), "sig/max", "1 to 16 signatures are looked at");
    said.ensure(sig.split.as_deref() != Some(""), "sig/split", "an empty separator separates nothing");
    said.ensure(sig.kv.as_deref() != Some(""), "sig/kv", "an empty separator separates nothing");
    said.ensure(sig.kv.is_some() == sig.field.is_some(), "sig/field", "`kv` and `field` go together");
    said.ensure(sig.field.as_deref() != Some(""), "sig/field", "an empty label labels nothing");
    match &sig.exact {
        None => {}
        Some(exact) => said.ensure(
            sig.split.is_some() && sig.field.as_ref().is_some_and(|field| exact.contains(field)),
            "sig/exact",
            "needs `split`, `kv` and a list that holds `field`",
        ),
    }
}

fn check_template(signed: &Signed, kind: &str, said: &mut Mistakes) {
    let content = &signed.content;
    let secret = content.has(&Segment::Secret);
    said.ensure(secret == (kind == "digest"), "content", "`{secret}` belongs in a digest, and only there");
    said.ensure(!content.has(&Segment::Timestamp) || signed.ts.is_some(), "ts", "`content` uses {ts}, so it is needed");
    for name in content.vars() {
        said.ensure(signed.vars.contains_key(name), "vars", &format!("`content` uses {{{name}}}, which is not there"));
    }
    for (name, pointer) in &signed.vars {
        said.ensure(content.vars().any(|used| used == name), "vars", &format!("{{{name}}} is not used in `content`"));
        let fits = matches!(pointer.place, Place::Header(_) | Place::Query(_) | Place::Param(_));
        said.ensure(fits, "vars", "a variable comes from header:, query: or param:");
    }
    said.ensure(signed.url_forms.is_empty() || content.has(&Segment::Url), "url_forms", "`content` has no {url}")
}

fn check_timestamp(rule: &TimestampRule, signed: &Signed, said: &mut Mistakes) {
    let body_signed = signed.content.has(&Segment::Body);
    let listed = signed.sig.split.is_some() && signed.sig.kv.is_some();
    let covered = signed.content.has(&Segment::Timestamp);
    match &rule.from.place {
        Place::Json(_) => said.ensure(body_signed, "ts/from", "a timestamp in the body needs {body} in `content`"),
        Place::Header(_) => said.ensure(covered, "content", "the timestamp is not signed: put {ts} into it"),
        Place::Sig(name) => {
            said.ensure(covered, "content", "the timestamp is not signed: put {ts} into it");
            said.ensure(listed, "ts/from", "sig: needs a signature header with `split` and `kv`");
            said.ensure(signed.sig.field.as_ref() != Some(name), "ts/from", "is the signature's own label");
        }
        _ => said.add("ts/from", "must be header:, sig: or json:"),
    }
    said.ensure(rule.past.is_some() == rule.future.is_some(), "ts", "`past` and `future` go together");
    let widest = rule.past.max(rule.future).unwrap_or(0);
    said.ensure(widest <= WINDOW_SECS_MAX, "ts/past", "a window has at most 86400 s on each side")
}

fn check_query_hash(hash: &QueryHash, signed: &Signed, said: &mut Mistakes) {
    said.ensure(matches!(hash.from.place, Place::Query(_)), "body_hash/from", "must be query:");
    said.ensure(hash.alg == Algorithm::Sha256, "body_hash/alg", "must be sha256");
    said.ensure(signed.content.has(&Segment::Url), "body_hash", "the query is not signed: `content` has no {url}")
}

fn check_coverage(signed: &Signed, said: &mut Mistakes) {
    let covers = signed.content.has(&Segment::Body) || signed.content.form().is_some() || signed.body_hash.is_some();
    said.ensure(
        covers || signed.allow_uncovered_body,
        "content",
        "nothing covers the body: use {body}, a form, `body_hash`, or say `allow_uncovered_body`",
    )
}

fn check_token(token: &Token, said: &mut Mistakes) {
    match &token.from.place {
        Place::Header(_) => {}
        Place::Query(_) | Place::JsonAll(_) => said.ensure(token.prefix.is_none(), "prefix", "belongs to a header"),
        _ => said.add("from", "a token comes from header:, query: or json_all:"),
    }
}

fn check_jwt(jwt: &Jwt, said: &mut Mistakes) {
    said.ensure(matches!(jwt.from.place, Place::Header(_)), "from", "must be a header");
    said.ensure(jwt.algs == ["HS256"], "algs", "the only algorithm is HS256");
    let ends = jwt.iat_max_age.is_some() || jwt.require.iter().any(|claim| claim == "exp");
    said.ensure(ends, "require", "a token must end: require `exp` or set `iat_max_age`");
    said.ensure(jwt.leeway <= 300, "leeway", "at most 300 s");
    said.ensure(jwt.iss.as_deref() != Some(""), "iss", "an empty issuer matches nothing");
    let enc = matches!(jwt.key.enc, KeyEncoding::Utf8 | KeyEncoding::Base64 | KeyEncoding::Hex);
    said.ensure(enc, "key/enc", "does not fit the algorithm");
    let hashed = jwt.body_hash.as_ref();
    said.ensure(hashed.is_none_or(|hash| hash.alg == Algorithm::Sha256), "body_hash/alg", "must be sha256");
    said.ensure(
        hashed.is_some_and(|hash| hash.required) || jwt.allow_uncovered_body,
        "body_hash",
        "must be there and `required`, or say `allow_uncovered_body`",
    )
}

fn is_lower_name(name: &str) -> bool {
    let pointer = format!("header:{name}").parse::<Pointer>();
    pointer.is_ok_and(|pointer| pointer.place == Place::Header(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(value: Value) -> String {
        Scheme::parse(&value).unwrap_err().to_string()
    }

    fn mac(content: &str) -> Value {
        let sig = json!({"from": "header:x-sig", "enc": "hex"});
        json!({"kind": "mac", "alg": "hmac-sha256", "sig": sig, "content": content})
    }

    #[test]
    fn unsound_schemes_are_refused_with_the_field() {
        let with = |content: &str, key: &str, value: Value| {
            let mut scheme = mac(content);
            scheme[key] = value;
            refusal(scheme)
        };
        assert!(Scheme::parse(&mac("{body}")).is_ok());
        assert!(refusal(mac("{url}")).contains("nothing covers the body"));
        assert!(refusal(mac("{ts}{body}")).contains("`ts`"));
        assert!(refusal(mac("{id}{body}")).contains("{id}"));
        assert!(refusal(mac("{secret}{body}")).contains("{secret}"));
        assert!(with("{body}", "alg", json!("ed25519")).contains("`alg`"));
        assert!(with("{body}", "tpyo", json!(1)).contains("tpyo"));
        assert!(with("{body}", "vars", json!({"id": "header:x"})).contains("not used"));
        let ts = json!({"from": "header:t", "unit": "s", "past": 300, "future": 300});
        assert!(with("{body}", "ts", ts).contains("not signed"));
        assert!(with("{body}", "url_forms", json!(["no_port"])).contains("url_forms"));
        assert!(refusal(json!({"any_of": [mac("{body}"), mac("{url}")]})).contains("any_of/1/content"));
        assert!(refusal(json!({"kind": "jwt", "from": "header:a", "algs": ["none"]})).contains("algs"));
        assert!(refusal(json!({"kind": "code", "name": "x"})).contains("aws-sns"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let fields = |value: Value| -> Vec<String> {
            Scheme::parse_telling_all(&value).unwrap_err().into_iter().map(|mistake| mistake.field).collect()
        };
        let unsound = json!({
            "kind": "mac", "alg": "ed25519", "key": {"enc": "pem"}, "content": "{id}{url}", "vars": {"x": "form:x"},
            "sig": {"from": "query:sig", "enc": "hex", "max": 99}, "require_header": {"X-Mode": {"equals": ""}}
        });
        let expected =
            ["alg", "sig/from", "sig/max", "vars", "vars", "vars", "require_header", "require_header", "content"];
        assert_eq!(fields(unsound), expected);
        let unreadable = json!({
            "kind": "mac", "alg": "md5", "sig": {"from": "x-sig", "enc": "hax", "spilt": ","}, "content": "{body",
            "ts": {"from": "header:t", "unit": "h"}, "typo": 1
        });
        assert_eq!(fields(unreadable), ["alg", "sig/from", "sig/enc", "sig/spilt", "content", "ts/unit", "typo"]);
        assert_eq!(fields(json!({"kind": "mac", "alg": "hmac-sha256"})), ["sig", "content"]);
        assert_eq!(
            fields(json!({"any_of": [mac("{url}"), {"kind": "tokn"}], "x": 1})),
            ["any_of", "any_of/0/content", "any_of/1/kind"]
        );
        assert_eq!(fields(json!({})), ["kind"]);
        assert_eq!(fields(json!("hmac")), ["kind"]);
    }
}
