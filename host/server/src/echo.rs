//! What a receiver says is kept for people, but never our own credentials said back to us.
//!
//! Error pages and debugging proxies like to show the request that they got. A response is kept, with its attempt or with
//! the run that looked something up, and handed to plugins; so each secret of the destination is taken out of it first,
//! in the forms in which it was sent or is usually shown: plain, in hexadecimal, escaped for URLs, forms and JSON, and in
//! both alphabets of base64, alone, as the pair of basic authentication, or with other text around it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use creel_webhook::destination::Auth;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::directory::DestinationEntry;

/// What stands where a secret stood.
const MASK: &[u8] = b"[secret]";

/// What a URL may hold unescaped; most programs escape nothing of it.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Shorter ones are words that stand in any text; masking them would only show where they are.
const SECRET_BYTES_MIN: usize = 4;

/// What takes a destination's secrets out of what it answers.
pub struct Mask(Vec<Vec<u8>>);

impl Mask {
    /// For answers of this destination.
    pub fn of(entry: &DestinationEntry) -> Self {
        let mut needles = needles(entry);
        // The longest first: a pair in base64 may hold what a shorter form begins with.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        Mask(needles)
    }

    /// The bytes without the secrets.
    pub fn apply(&self, bytes: &Bytes) -> Bytes {
        if self.0.is_empty() { bytes.clone() } else { mask(bytes, &self.0).into() }
    }
}

fn needles(entry: &DestinationEntry) -> Vec<Vec<u8>> {
    let username = match &entry.destination.spec.auth {
        Auth::Basic { username, .. } => Some(username.as_bytes()),
        _ => None,
    };
    let values = entry.secrets.values().flat_map(|secret| &secret.values).map(|value| value.expose());
    values.filter(|value| value.len() >= SECRET_BYTES_MIN).flat_map(|value| forms(value, username)).collect()
}

/// The forms in which a secret may be said, none of them empty.
fn forms(value: &[u8], username: Option<&[u8]>) -> Vec<Vec<u8>> {
    let json = serde_json::to_vec(&String::from_utf8_lossy(value)).unwrap_or_default();
    let mut forms = vec![
        value.to_vec(),
        hex::encode(value).into_bytes(),
        hex::encode_upper(value).into_bytes(),
        percent_encode(value, NON_ALPHANUMERIC).to_string().into_bytes(),
        form_urlencoded::byte_serialize(value).collect::<String>().into_bytes(),
        json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_vec(),
    ];
    let escaped = percent_encode(value, UNRESERVED).to_string();
    forms.push(small_escapes(&escaped).into_bytes());
    forms.push(escaped.into_bytes());
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        forms.push(engine.encode(value).into_bytes());
        forms.extend(username.map(|name| engine.encode([name, b":", value].concat()).into_bytes()));
        // In the middle of a text it stands at one of three positions. Of characters that it shares with its neighbours only
        // some bits are its own.
        for (before, cut) in [(0, 0), (1, 2), (2, 3)] {
            let whole = engine.encode([&b"xxx"[..before], value].concat());
            let own = (before + value.len()) * 8 / 6;
            forms.extend(whole.as_bytes().get(cut..own).map(<[u8]>::to_vec));
        }
    }
    forms.retain(|form| form.len() >= SECRET_BYTES_MIN);
    forms
}

/// The same with escapes in small letters.
fn small_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |whole, part| match part.split_at_checked(2) {
        Some((digits, rest)) => format!("{whole}%{}{rest}", digits.to_ascii_lowercase()),
        None => format!("{whole}%{part}"),
    })
}

fn mask(body: &[u8], needles: &[Vec<u8>]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(byte) = rest.first() {
        match needles.iter().find(|needle| rest.starts_with(needle)) {
            Some(needle) => {
                masked.extend_from_slice(MASK);
                rest = &rest[needle.len()..];
            }
            None => {
                masked.push(*byte);
                rest = &rest[1..];
            }
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_in_each_of_its_forms() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        let secret = b"s3cr3t/with+signs=\xc3\xbf\xc3\xbe~_.-?";
        let mut needles = forms(secret, Some(b"user"));
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        let text = String::from_utf8_lossy(secret).into_owned();
        let around = |before: &str| format!("{before}{text} and more").into_bytes();
        let said = [
            text.clone().into_bytes(),
            hex::encode(secret).into_bytes(),
            hex::encode_upper(secret).into_bytes(),
            percent_encode(secret, NON_ALPHANUMERIC).to_string().into_bytes(),
            b"s3cr3t%2fwith%2bsigns%3d%c3%bf%c3%be~_.-%3f".to_vec(),
            form_urlencoded::byte_serialize(secret).collect::<String>().into_bytes(),
            serde_json::to_vec(&text).unwrap(),
            STANDARD.encode(secret).into_bytes(),
            URL_SAFE.encode(secret).into_bytes(),
            STANDARD.encode(format!("user:{text}")).into_bytes(),
            STANDARD.encode(around("")).into_bytes(),
            STANDARD.encode(around("1")).into_bytes(),
            URL_SAFE.encode(around("22")).into_bytes(),
        ];
        for one in said {
            let masked = String::from_utf8(mask(&one, &needles)).unwrap();
            assert!(masked.contains("[secret]"), "{} {masked}", String::from_utf8_lossy(&one));
            assert!(!masked.contains("s3cr3t") && masked.len() < one.len(), "{masked}");
        }
    }

    #[test]
    fn every_occurrence_is_masked_and_nothing_else() {
        let needles = [b"dXNlcjpodW50ZXIy".to_vec(), b"hunter2".to_vec()];
        let said = b"401: hunter2, hunter2 and Basic dXNlcjpodW50ZXIy are wrong; hunter is not";
        let expected = "401: [secret], [secret] and Basic [secret] are wrong; hunter is not";
        assert_eq!(String::from_utf8(mask(said, &needles)).unwrap(), expected);
        assert_eq!(mask(b"", &needles), b"");
    }
}
