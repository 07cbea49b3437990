//! Text to bytes, strictly.
//!
//! Several texts for one signature make a signature malleable and let two verifiers disagree, so there is one text per
//! value: lower-case hexadecimal, or base64 that encodes back to what was read (canonical padding and trailing bits).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// How a signature or hash is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Lower-case hexadecimal.
    Hex,
    /// Base64 with the standard alphabet and padding (RFC 4648 section 4).
    Base64,
}

impl Encoding {
    /// The bytes of a text; `None` when it is not the one text of its value, or empty.
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        let bytes = match self {
            Encoding::Hex => base16ct::lower::decode_vec(text).ok()?,
            Encoding::Base64 => STANDARD.decode(text).ok().filter(|bytes| self.encode(bytes) == text)?,
        };
        (!bytes.is_empty()).then_some(bytes)
    }

    /// The text of some bytes.
    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Encoding::Hex => hex::encode(bytes),
            Encoding::Base64 => STANDARD.encode(bytes),
        }
    }
}

/// The bytes of a part of a JWT: base64url without padding (RFC 7515 section 2), one text per value.
pub fn base64url(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    (URL_SAFE_NO_PAD.encode(&bytes) == text).then_some(bytes)
}

/// The other direction of [`base64url`].
pub fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyEncoding {
    /// The bytes of the text.
    #[default]
    Utf8,
    /// Base64.
    Base64,
    /// Hexadecimal, either case.
    Hex,
    /// Base64 of a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    SpkiDerBase64,
    /// The same in PEM (RFC 7468).
    Pem,
}

/// How a key is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCoding {
    /// The encoding.
    #[serde(default)]
    pub enc: KeyEncoding,
    /// What may stand before it, such as `whsec_`.
    #[serde(default)]
    pub strip_prefix: Option<String>,
}

impl KeyCoding {
    /// The bytes of a key, wiped when dropped; `None` when it cannot be read or is empty.
    pub fn read(&self, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let prefix = self.strip_prefix.as_deref().unwrap_or_default();
        let key = key.strip_prefix(prefix.as_bytes()).unwrap_or(key);
        let bytes = Zeroizing::new(match self.enc {
            KeyEncoding::Utf8 => key.to_vec(),
            KeyEncoding::Base64 | KeyEncoding::SpkiDerBase64 => STANDARD.decode(key.trim_ascii()).ok()?,
            KeyEncoding::Hex => hex::decode(key.trim_ascii()).ok()?,
            KeyEncoding::Pem => pem_bytes(std::str::from_utf8(key).ok()?)?,
        });
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// The bytes of the first PEM block, whatever its label.
pub fn pem_bytes(text: &str) -> Option<Vec<u8>> {
    let body = text.split_once("-----BEGIN ")?.1.split_once("-----")?.1.split_once("-----END ")?.0;
    let compact: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(compact).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_per_value() {
        assert_eq!(Encoding::Hex.decode("00ff"), Some(vec![0, 255]));
        assert_eq!(Encoding::Base64.decode("AP8="), Some(vec![0, 255]));
        for text in ["00FF", "0", "", " 00", "0x00", "0g"] {
            assert_eq!(Encoding::Hex.decode(text), None, "{text}");
        }
        for text in ["AP8", "AP9=", "AP8=\n", "", "AP8_"] {
            assert_eq!(Encoding::Base64.decode(text), None, "{text}");
        }
        assert_eq!(base64url("AP9"), None);
        assert_eq!(base64url("AP8"), Some(vec![0, 255]));
    }
}
