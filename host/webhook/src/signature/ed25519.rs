//! Ed25519 (RFC 8032), strictly, over a message that comes in pieces.
//!
//! A verifier reads its message once, so there is no need to have it in one piece. The library's `verify_strict` wants
//! it so all the same; its verifier of streams takes pieces but is less strict. What is left over is done here: keys
//! and R of small order are refused, with which one signature would fit many messages. S out of range is refused by
//! both, and an R that is not written in its canonical form equals none that is computed.

use ed25519_dalek::{Signature, StreamVerifier, VerifyingKey};

use crate::signature::hash::Sink;

/// Bytes before the key in a SubjectPublicKeyInfo of Ed25519 (RFC 8410 section 4).
const SPKI_HEAD_BYTES: usize = 12;

/// One signature by one key, being compared with a message.
pub struct Check(StreamVerifier);

/// Begins to compare; `None` when no message would do. The key is 32 bytes or a SubjectPublicKeyInfo.
pub fn check(key: &[u8], signature: &[u8]) -> Option<Check> {
    let raw = if key.len() == SPKI_HEAD_BYTES + 32 { &key[SPKI_HEAD_BYTES..] } else { key };
    let key = large_order_point(raw.try_into().ok()?)?;
    let signature = Signature::from_slice(signature).ok()?;
    large_order_point(signature.r_bytes())?;
    key.verify_stream(&signature).ok().map(Check)
}

/// A point of the curve that is not of small order. The library reads R as it reads a key.
fn large_order_point(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(bytes).ok().filter(|point| !point.is_weak())
}

impl Sink for Check {
    fn feed(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

impl Check {
    /// Whether the signature is the key's over all that was fed.
    pub fn holds(self) -> bool {
        self.0.finalize_and_verify().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey, Verifier};

    const MESSAGE: [&[u8]; 2] = [b"1767225600", b"{}"];

    /// Every point of small order in every encoding that a reader takes: the canonical ones, those of p and p + 1, and
    /// those with the sign of a zero.
    const SMALL: [&str; 14] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];

    /// The base point, S = 1 and S = 0: with a key that is the neutral element, the first two sign every message.
    const BASE: &str = "5866666666666666666666666666666666666666666666666666666666666666";
    const ONE: &str = "0100000000000000000000000000000000000000000000000000000000000000";
    const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    /// With R the neutral element, the S that fits the key of the seed 7… and the message: its hash times the key's scalar.
    const S_OF_SMALL_R: &str = "2dd0d74966d4b60ebe646c955f0083c697b3472d0923dd29b36829840b5ef109";

    /// The group's order, little-endian.
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

    fn bytes(text: &str) -> [u8; 32] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    fn accepts(key: &[u8], signature: &[u8]) -> bool {
        check(key, signature).is_some_and(|mut check| {
            MESSAGE.iter().for_each(|piece| check.feed(piece));
            check.holds()
        })
    }

    /// The sum of two numbers, little-endian.
    fn sum(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
        let mut carry = 0;
        std::array::from_fn(|at| {
            let digit = u16::from(left[at]) + u16::from(right[at]) + carry;
            carry = digit >> 8;
            digit as u8
        })
    }

    #[test]
    fn it_is_as_strict_as_the_library() {
        let pair = SigningKey::from_bytes(&[7; 32]);
        let genuine = pair.sign(&MESSAGE.concat());
        let (own_r, own_s) = (*genuine.r_bytes(), *genuine.s_bytes());
        let small = SMALL.map(bytes);
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
        let keys: Vec<_> = [pair.verifying_key().to_bytes(), other, [2; 32]].into_iter().chain(small).collect();
        let rs: Vec<_> = [own_r, bytes(BASE), other, [2; 32]].into_iter().chain(small).collect();
        let past_order = sum(own_s, bytes(ORDER));
        let ss = [own_s, past_order, bytes(ONE), bytes(ZERO), bytes(ORDER), bytes(S_OF_SMALL_R), [0xff; 32]];
        let (mut strict, mut lax) = (0, 0);
        for key in &keys {
            for (r, s) in rs.iter().flat_map(|r| ss.iter().map(move |s| (r, s))) {
                let signature = Signature::from_components(*r, *s);
                let by_library = VerifyingKey::from_bytes(key).map(|key| {
                    lax += u32::from(key.verify(&MESSAGE.concat(), &signature).is_ok());
                    key.verify_strict(&MESSAGE.concat(), &signature).is_ok()
                });
                let ours = accepts(key, &signature.to_bytes());
                assert_eq!(ours, by_library.unwrap_or(false), "{} {signature}", hex::encode(key));
                strict += u32::from(ours);
            }
        }
        assert_eq!(strict, 1, "the genuine one");
        assert!(lax > 10, "{lax} forgeries would have been taken");
    }

    #[test]
    fn what_fits_many_messages_is_refused() {
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let taken_by_many = [
            (VerifyingKey::from_bytes(&bytes(SMALL[0])).unwrap(), bytes(BASE), bytes(ONE)),
            (VerifyingKey::from_bytes(&bytes(SMALL[12])).unwrap(), bytes(BASE), bytes(ONE)),
            (key, bytes(SMALL[0]), bytes(S_OF_SMALL_R)),
        ];
        for (key, r, s) in taken_by_many {
            let signature = Signature::from_components(r, s);
            assert!(key.verify(&MESSAGE.concat(), &signature).is_ok(), "the vector is one");
            assert!(!accepts(key.as_bytes(), &signature.to_bytes()));
        }
    }

    #[test]
    fn lengths_are_exact() {
        let pair = SigningKey::from_bytes(&[7; 32]);
        let (key, signature) = (pair.verifying_key().to_bytes(), pair.sign(&MESSAGE.concat()).to_bytes());
        let spki = [&[0; SPKI_HEAD_BYTES][..], &key].concat();
        assert!(accepts(&key, &signature) && accepts(&spki, &signature));
        assert!(!accepts(&key[1..], &signature) && !accepts(&spki[1..], &signature) && !accepts(&[], &signature));
        assert!(!accepts(&key, &signature[1..]) && !accepts(&key, &[&signature[..], b"x"].concat()));
    }
}
