//! RSA with PKCS#1 v1.5 signatures (RFC 8017 section 8.2), and the public key inside a certificate.
//!
//! Only the key is taken out of a certificate: whether the certificate is to be trusted is decided by where it came
//! from and by whoever fetched it.

use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, PublicKey};
use sha1::Sha1;
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::signature::hash::Algorithm;

/// Smallest modulus in bytes: 2048 bits.
pub const MODULUS_BYTES_MIN: usize = 256;

/// Whether a signature over a hash is by the key in a SubjectPublicKeyInfo.
pub fn accepts(algorithm: Algorithm, spki: &[u8], hash: &[u8], signature: &[u8]) -> bool {
    let scheme = match algorithm {
        Algorithm::RsaPkcs1Sha1 => Pkcs1v15Sign::new::<Sha1>(),
        Algorithm::RsaPkcs1Sha256 => Pkcs1v15Sign::new::<Sha256>(),
        _ => return false,
    };
    let Ok(key) = PublicKey::from_public_key_der(spki) else { return false };
    key.size() >= MODULUS_BYTES_MIN && key.verify(scheme, hash, signature).is_ok()
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The SubjectPublicKeyInfo of an X.509 certificate in DER (RFC 5280 section 4.1).
pub fn certificate_key(certificate: &[u8]) -> Option<&[u8]> {
    let mut rest = sequence(sequence(certificate)?)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // serial number, algorithm, issuer, validity, subject
    for _ in 0..5 {
        rest = element(rest)?.2;
    }
    let (tag, _, after) = element(rest)?;
    (tag == SEQUENCE).then(|| &rest[..rest.len() - after.len()])
}

const UTC_TIME: u8 = 0x17;

/// The moment after which an X.509 certificate in DER is no longer valid (RFC 5280 section 4.1.2.5).
pub fn certificate_end(certificate: &[u8]) -> Option<Timestamp> {
    let mut rest = sequence(sequence(certificate)?)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // serial number, algorithm, issuer
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, _, after_begin) = element(sequence(rest)?)?;
    let (tag, end, _) = element(after_begin)?;
    let end = std::str::from_utf8(end).ok()?;
    // Two digits of a year are those of 1950 to 2049.
    let century = match tag {
        UTC_TIME if end.as_bytes().first()? >= &b'5' => "19",
        UTC_TIME => "20",
        _ => "",
    };
    let end = format!("{century}{end}");
    let part = |from, to| end.get(from..to);
    let (date, time) = (part(4, 6).zip(part(6, 8))?, part(8, 10).zip(part(10, 12))?);
    let moment = format!("{}-{}-{}T{}:{}:{}", part(0, 4)?, date.0, date.1, time.0, time.1, part(12, 15)?);
    Some(Timestamp::from_millis(moment.parse::<jiff::Timestamp>().ok()?.as_millisecond()))
}

fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    element(bytes).filter(|(tag, ..)| *tag == SEQUENCE).map(|(_, content, _)| content)
}

/// The tag and content of the first DER element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((*tag, content, after))
}
