//! Amazon SNS: signed by a certificate that the message names.
//!
//! The text is `Name\nValue\n` for a fixed list of fields, in alphabetical order, absent ones skipped
//! (<https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>). The certificate's URL comes with
//! the message, so it is checked to be Amazon's before anybody fetches it. Fetching is the host's work: without the
//! certificate the refusal is [`Reason::KeyNeeded`] with the URL, and the host verifies again with the PEM text as the
//! only public key. What makes a certificate Amazon's is the TLS connection that it was fetched over. Raw delivery is
//! not signed and is refused.
//!
//! Every topic of every customer of Amazon is signed by the same certificates. So the parameter `topic_arns` says which
//! topics a source takes; it is asked before anything is fetched. A host takes no source without it.

use std::collections::BTreeMap;

use crate::excerpt::{self, Field, Written};
use crate::request::RawRequest;
use crate::signature::decode::{Encoding, pem_bytes};
use crate::signature::hash::Algorithm;
use crate::signature::rsa;
use crate::signature::verdict::{Material, Reason, Refusal, Verified};

/// The parameter that holds the topics of a source, separated by commas.
pub const TOPICS_PARAM: &str = "topic_arns";

/// What is read of a message.
const FIELDS: &[&str] = &[
    "Message",
    "MessageId",
    "Signature",
    "SignatureVersion",
    "SigningCertURL",
    "Subject",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
];

const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: &[&str] = &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// The fields of a message, their texts as they are written in the body.
type Message<'b> = BTreeMap<&'static str, Field<'b>>;

/// Verifies a request.
pub fn verify(request: &RawRequest, material: &Material<'_>) -> Result<Verified, Refusal> {
    let message = excerpt::fields(&request.body, FIELDS);
    let message =
        message.ok_or_else(|| Refusal::new(Reason::MalformedSignature, "the body is not a message of SNS"))?;
    let text = |name| field(&message, name).map(Written::text);
    let signed = match &*text("Type")? {
        "Notification" => NOTIFICATION,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => CONFIRMATION,
        _ => return Err(Refusal::new(Reason::MalformedSignature, "the message has an unknown type")),
    };
    let algorithm = match &*text("SignatureVersion")? {
        "1" => Algorithm::RsaPkcs1Sha1,
        "2" => Algorithm::RsaPkcs1Sha256,
        _ => return Err(Refusal::new(Reason::WrongAlgorithm, "the signature has an unknown version")),
    };
    check_topic(&text("TopicArn")?, material)?;
    let url = text("SigningCertURL")?;
    if !is_amazons(&url) {
        return Err(Refusal::new(Reason::UnknownKey, "the certificate's URL is not one of Amazon SNS"));
    }
    let Some(pem) = material.public_keys.first() else {
        let refusal = Refusal::new(Reason::KeyNeeded, "the signing certificate is not in the cache");
        return Err(Refusal { key_url: Some(url.into_owned()), ..refusal });
    };
    let signature = Encoding::Base64.decode(&text("Signature")?);
    let signature = signature.ok_or_else(|| Refusal::new(Reason::MalformedSignature, "the signature is not base64"))?;
    let hash = hash(algorithm, &message, signed)?;
    let certificate = pem_bytes(pem);
    let key = certificate.as_deref().and_then(rsa::certificate_key);
    let key = key.ok_or_else(|| Refusal::new(Reason::UnknownKey, "the certificate cannot be read"))?;
    if !rsa::accepts(algorithm, key, &hash, &signature) {
        return Err(Refusal::new(Reason::NoMatch, "the message is not signed by the certificate"));
    }
    // Fields are signed, not bytes: `UnsubscribeURL` is none of them.
    Ok(Verified { body_covered: false, signature: Some(signature), ..Verified::default() })
}

/// Nothing is said of topics where a captured request is judged by itself.
fn check_topic(topic: &str, material: &Material<'_>) -> Result<(), Refusal> {
    let Some(topics) = material.params.get(TOPICS_PARAM) else { return Ok(()) };
    if topics.split(',').any(|known| known.trim() == topic) {
        return Ok(());
    }
    Err(Refusal::new(Reason::NotAllowed, format!("the message's topic is not one of the source's `{TOPICS_PARAM}`")))
}

fn field<'b>(message: &Message<'b>, name: &str) -> Result<Written<'b>, Refusal> {
    match message.get(name) {
        Some(Field::Text(text)) => Ok(*text),
        _ => Err(Refusal::new(Reason::MalformedSignature, format!("the message has no text `{name}`"))),
    }
}

fn hash(algorithm: Algorithm, message: &Message<'_>, signed: &[&str]) -> Result<Vec<u8>, Refusal> {
    let mut hasher = algorithm.hasher(&[]);
    for name in signed {
        // The subject is the only field that may be absent.
        if *name == "Subject" && matches!(message.get(name), None | Some(Field::Null)) {
            continue;
        }
        let text = field(message, name)?;
        hasher.feed(name.as_bytes());
        hasher.feed(b"\n");
        let is_read = text.each_piece(|piece| hasher.feed(piece.as_bytes()));
        is_read.ok_or_else(|| Refusal::new(Reason::MalformedSignature, "the message is not JSON"))?;
        hasher.feed(b"\n");
    }
    Ok(hasher.finish())
}

/// Whether a URL is `https://sns.<region>.amazonaws.com[.cn]/….pem`, with nothing else in it.
pub fn is_amazons(url: &str) -> bool {
    let path = path_at_amazon(url);
    path.is_some_and(|path| path.ends_with(".pem") && !path.contains(['?', '#', '\\', ' ']))
}

/// Whether a URL is one by which Amazon lets a subscription be confirmed: `https://sns.<region>.amazonaws.com[.cn]/?…`.
pub fn is_confirmation(url: &str) -> bool {
    let query = path_at_amazon(url).and_then(|path| path.strip_prefix('?'));
    query.is_some_and(|query| query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\'))
}

/// What follows `https://sns.<region>.amazonaws.com[.cn]/`; `None` for every other place.
fn path_at_amazon(url: &str) -> Option<&str> {
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let region = host.strip_prefix("sns.").and_then(|rest| rest.strip_suffix(".amazonaws.com"));
    let is_region = |region: &str| region.len() >= 3 && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    region.is_some_and(is_region).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amazons_own_urls_are_fetched() {
        assert!(is_amazons("https://sns.us-west-2.amazonaws.com/SimpleNotificationService-abc.pem"));
        assert!(is_amazons("https://sns.cn-north-1.amazonaws.com.cn/x.pem"));
        for url in [
            "http://sns.us-west-2.amazonaws.com/x.pem",
            "https://sns.us-west-2.amazonaws.com.evil.test/x.pem",
            "https://sns.us-west-2.amazonaws.com@evil.test/x.pem",
            "https://sns.us-west-2.amazonaws.com:8443/x.pem",
            "https://sns.evil.test/x.amazonaws.com/x.pem",
            "https://sns..amazonaws.com/x.pem",
            "https://sns.us-west-2.amazonaws.com/x.pem?y",
            "https://s3.us-west-2.amazonaws.com/x.pem",
        ] {
            assert!(!is_amazons(url), "{url}");
        }
    }

    #[test]
    fn only_amazon_is_told_that_a_subscription_is_wanted() {
        assert!(is_confirmation("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37"));
        for url in [
            "http://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription",
            "https://evil.test/?Action=ConfirmSubscription",
            "https://sns.us-west-2.amazonaws.com@evil.test/?Action=ConfirmSubscription",
            "https://sns.us-west-2.amazonaws.com/other?Action=ConfirmSubscription",
            "https://sns.us-west-2.amazonaws.com/?Action=Confirm Subscription",
        ] {
            assert!(!is_confirmation(url), "{url}");
        }
    }
}
