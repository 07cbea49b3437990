//! How outgoing calls are signed: by the schemes that verify those of others, run backwards.
//!
//! | `type` | what receivers verify with |
//! |---|---|
//! | `standard_webhooks` | the shared secret, `whsec_…`; with two values of a rotation, either of them |
//! | `standard_webhooks_v1a` | the public key `whpk_…` that belongs to the private one, `whsk_…` |
//! | `scheme` | the same scheme, as the `scheme` of a source: content, header, encoding are the operator's |
//!
//! The message id is the call's key outward in every scheme that has one, so it is the same on every attempt.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::destination::Signing;
use crate::outcome::Pair;
use crate::pointer::Place;
use crate::preset::preset;
use crate::signature::hash::Algorithm;
use crate::signature::model::Method;
use crate::signature::scheme::{Scheme, SchemeError};
use crate::signature::sign;
use crate::signature::sign::{Outgoing, SignError};

/// The mark of a private key for `v1a`.
const PRIVATE_KEY_PREFIX: &[u8] = b"whsk_";

/// A destination's signing, ready to sign.
#[derive(Debug, Clone, PartialEq)]
pub struct Signer {
    scheme: Scheme,
    form: Form,
}

/// What is done with the secret's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Each value that counts signs, and the header lists all: receivers may change theirs while both count.
    List,
    /// The current value is a private key of Standard Webhooks.
    PrivateKey,
    /// The current value signs.
    Plain,
}

impl Signer {
    /// Makes what a destination's document says ready.
    ///
    /// # Errors
    /// Everything that is wrong with its scheme; fields as in the document.
    pub fn of(signing: &Signing) -> Result<Signer, Vec<SchemeError>> {
        match signing {
            Signing::StandardWebhooks { .. } => ours("standard-webhooks", Form::List),
            Signing::StandardWebhooksV1a { .. } => ours("standard-webhooks-v1a", Form::PrivateKey),
            Signing::Scheme { scheme, .. } => {
                let scheme = Scheme::parse_telling_all(scheme)?;
                let mistakes = unsignable(&scheme);
                if mistakes.is_empty() { Ok(Signer { scheme, form: Form::Plain }) } else { Err(mistakes) }
            }
        }
    }

    /// Names of the headers that it sets.
    pub fn headers(&self) -> Vec<&str> {
        let Some(Method::Mac(signed) | Method::Sig(signed)) = self.scheme.methods().first() else { return Vec::new() };
        let pointers = signed.vars.values().chain(signed.ts.as_ref().map(|rule| &rule.from)).chain([&signed.sig.from]);
        let named = pointers.filter_map(|pointer| match &pointer.place {
            Place::Header(name) => Some(name.as_str()),
            _ => None,
        });
        named.chain(signed.require_header.keys().map(String::as_str)).collect()
    }

    /// Signs a call; `secrets` are the values that count, the current one first.
    ///
    /// # Errors
    /// [`SignError`]; [`SignError::Key`] also when there is no value.
    pub fn sign(&self, out: &Outgoing<'_>, secrets: &[&[u8]], now: Timestamp) -> Result<Vec<Pair>, SignError> {
        let method = self.scheme.methods().first().ok_or(SignError::Unsupported)?;
        let current = *secrets.first().ok_or(SignError::Key)?;
        match self.form {
            Form::Plain => Ok(sign::sign(method, out, current, now)?.headers),
            Form::PrivateKey => Ok(sign::sign(method, out, seed(current)?.as_bytes(), now)?.headers),
            Form::List => {
                let mut headers = sign::sign(method, out, current, now)?.headers;
                for older in &secrets[1..] {
                    // The signature is the last header; the others are the same for every key.
                    let signed = sign::sign(method, out, older, now)?.headers.pop();
                    if let (Some((_, list)), Some((_, signature))) = (headers.last_mut(), signed) {
                        list.push(' ');
                        list.push_str(&signature);
                    }
                }
                Ok(headers)
            }
        }
    }
}

fn ours(name: &str, form: Form) -> Result<Signer, Vec<SchemeError>> {
    let mistake = |problem: String| vec![SchemeError { field: String::new(), problem }];
    let preset = preset(name).ok_or_else(|| mistake(format!("the preset `{name}` is missing")))?;
    let scheme = preset.scheme(&Default::default()).map_err(|error| mistake(error.to_string()))?;
    Ok(Signer { scheme, form })
}

/// The seed of a private key, as the scheme's own encoding writes keys. The key is the seed alone, or the seed with its
/// public key behind it.
fn seed(key: &[u8]) -> Result<Zeroizing<String>, SignError> {
    let text = key.strip_prefix(PRIVATE_KEY_PREFIX).ok_or(SignError::Key)?;
    let bytes = Zeroizing::new(STANDARD.decode(text.trim_ascii()).map_err(|_| SignError::Key)?);
    let seed = bytes.first_chunk::<32>().ok_or(SignError::Key)?;
    let public = SigningKey::from_bytes(seed).verifying_key();
    let belongs = match &bytes[32..] {
        [] => true,
        behind => behind == public.as_bytes(),
    };
    if belongs { Ok(Zeroizing::new(STANDARD.encode(seed))) } else { Err(SignError::Key) }
}

/// What a request of our own can't carry.
fn unsignable(scheme: &Scheme) -> Vec<SchemeError> {
    let mistake = |field: &str, problem: &str| SchemeError { field: field.to_owned(), problem: problem.to_owned() };
    match scheme.methods() {
        [Method::Mac(signed) | Method::Sig(signed)] => {
            let is_header = |place: &Place| matches!(place, Place::Header(_));
            let in_body = signed.ts.as_ref().is_some_and(|rule| matches!(rule.from.place, Place::Json(_)));
            let rsa = matches!(signed.alg, Algorithm::RsaPkcs1Sha1 | Algorithm::RsaPkcs1Sha256);
            let checks = [
                (rsa, "alg", "calls are signed with hmac-*, ed25519 or ecdsa-p256-sha256"),
                (in_body, "ts/from", "a call's timestamp goes into a header, header: or sig:"),
                (signed.vars.values().any(|var| !is_header(&var.place)), "vars", "a call's variables go into headers"),
                (
                    signed.body_hash.is_some(),
                    "body_hash",
                    "calls are signed over {body}, not over a hash in their query",
                ),
            ];
            checks.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, field, problem)| mistake(field, problem)).collect()
        }
        [_] => vec![mistake("kind", "calls are signed by `mac` or `sig`; tokens and passwords go into `auth`")],
        _ => vec![mistake("any_of", "a call is signed in one way; write that one")],
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::request::RawRequest;
    use crate::signature::verdict::Material;
    use crate::signature::verify;

    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

    fn signed(signing: &Signing, secrets: &[&[u8]]) -> Result<RawRequest, SignError> {
        let body = Bytes::from_static(b"{}");
        let url = "https://receiver.test/hook";
        let out = Outgoing { method: "POST", url, content_type: "", body: &body, id: "msg_1" };
        let headers = Signer::of(signing).unwrap().sign(&out, secrets, NOW)?;
        Ok(RawRequest {
            method: "POST".to_owned(),
            path: "/hook".to_owned(),
            query: None,
            headers: headers.into_iter().map(|(name, value)| (name.into(), Bytes::from(value))).collect(),
            body,
            received_at: NOW,
        })
    }

    fn standard(version: &str) -> Scheme {
        preset(version).unwrap().scheme(&Default::default()).unwrap()
    }

    #[test]
    fn both_values_of_a_rotation_sign() {
        let signing = Signing::StandardWebhooks { secret: "s".to_owned() };
        let (new, old): (&[u8], &[u8]) = (b"whsec_bmV3", b"whsec_b2xk");
        let request = signed(&signing, &[new, old]).unwrap();
        assert_eq!(request.header("webhook-id"), Some("msg_1"));
        for known in [new, old] {
            let material = Material { secrets: &[known], ..Material::default() };
            assert!(verify(&standard("standard-webhooks"), &request, &material, NOW).is_ok());
        }
        let other = Material { secrets: &[b"whsec_b3RoZXI="], ..Material::default() };
        assert!(verify(&standard("standard-webhooks"), &request, &other, NOW).is_err());
    }

    #[test]
    fn a_private_key_is_a_seed_with_or_without_its_public_key() {
        let signing = Signing::StandardWebhooksV1a { secret: "s".to_owned() };
        let pair = SigningKey::from_bytes(&[7; 32]);
        let public = format!("whpk_{}", STANDARD.encode(pair.verifying_key().as_bytes()));
        let whole = pair.to_keypair_bytes();
        for key in [&whole[..32], &whole[..]] {
            let request = signed(&signing, &[format!("whsk_{}", STANDARD.encode(key)).as_bytes()]).unwrap();
            let material = Material { public_keys: &[public.as_str()], ..Material::default() };
            assert!(verify(&standard("standard-webhooks-v1a"), &request, &material, NOW).is_ok());
        }
        let mixed = [&[8; 32], pair.verifying_key().as_bytes().as_slice()].concat();
        for bad in [STANDARD.encode(&whole[..31]), STANDARD.encode(mixed), "*".to_owned()] {
            assert_eq!(signed(&signing, &[format!("whsk_{bad}").as_bytes()]).unwrap_err(), SignError::Key);
        }
        assert_eq!(signed(&signing, &[public.as_bytes()]).unwrap_err(), SignError::Key);
        assert_eq!(signed(&signing, &[]).unwrap_err(), SignError::Key);
    }

    #[test]
    fn a_scheme_that_a_call_cannot_carry_is_refused_with_its_field() {
        let fields = |scheme: serde_json::Value| -> Vec<String> {
            let signing = Signing::Scheme { secret: "s".to_owned(), scheme };
            Signer::of(&signing).unwrap_err().into_iter().map(|mistake| mistake.field).collect()
        };
        let sig = json!({ "from": "header:x-signature", "enc": "hex" });
        let mac = json!({ "kind": "mac", "alg": "hmac-sha256", "content": "{n}{body}", "sig": sig,
            "vars": { "n": "query:nonce" } });
        assert_eq!(fields(mac.clone()), ["vars"]);
        assert_eq!(fields(json!({ "any_of": [mac, { "kind": "basic" }] })), ["any_of"]);
        assert_eq!(fields(json!({ "kind": "basic" })), ["kind"]);
        assert_eq!(fields(json!({ "kind": "mac", "alg": "md5" })), ["alg", "sig", "content"]);
    }
}
