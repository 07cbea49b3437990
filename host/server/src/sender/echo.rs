//! What a receiver says is kept for people, but never our own credentials said back to us.
//!
//! Error pages and debugging proxies like to show the request that they got. The head of a response is kept with its
//! attempt and may be handed to a plugin, so each secret of the destination is taken out of it first, in the forms in which it was sent or is
//! usually shown: plain, escaped for URL and JSON, and base64, alone or as the pair of basic authentication.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use creel_webhook::destination::Auth;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use crate::directory::DestinationEntry;

/// What stands where a secret stood.
const MASK: &[u8] = b"[secret]";

/// Shorter ones are words that stand in any text; masking them would only show where they are.
const SECRET_BYTES_MIN: usize = 4;

/// The bytes of a response without the destination's secrets.
pub(super) fn masked(body: &[u8], entry: &DestinationEntry) -> Vec<u8> {
    let mut needles = needles(entry);
    // The longest first: a pair in base64 may hold what a shorter form begins with.
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    mask(body, &needles)
}

fn needles(entry: &DestinationEntry) -> Vec<Vec<u8>> {
    let username = match &entry.destination.spec.auth {
        Auth::Basic { username, .. } => Some(username.as_bytes()),
        _ => None,
    };
    let values = entry.secrets.values().flat_map(|secret| &secret.values).map(|value| value.expose());
    values
        .filter(|value| value.len() >= SECRET_BYTES_MIN)
        .flat_map(|value| {
            let pair = username.map(|name| STANDARD_NO_PAD.encode([name, b":", value].concat()).into_bytes());
            let json = serde_json::to_vec(&String::from_utf8_lossy(value)).unwrap_or_default();
            let forms = [
                value.to_vec(),
                STANDARD_NO_PAD.encode(value).into_bytes(),
                percent_encode(value, NON_ALPHANUMERIC).to_string().into_bytes(),
                json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_vec(),
            ];
            forms.into_iter().chain(pair)
        })
        .filter(|needle| !needle.is_empty())
        .collect()
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
    fn every_occurrence_is_masked_and_nothing_else() {
        let needles = [b"dXNlcjpodW50ZXIy".to_vec(), b"hunter2".to_vec()];
        let said = b"401: hunter2, hunter2 and Basic dXNlcjpodW50ZXIy are wrong; hunter is not";
        let expected = "401: [secret], [secret] and Basic [secret] are wrong; hunter is not";
        assert_eq!(String::from_utf8(mask(said, &needles)).unwrap(), expected);
        assert_eq!(mask(b"", &needles), b"");
    }
}
