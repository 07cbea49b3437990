//! Hashes that are fed piece by piece, and comparison in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// Something that takes a text piece by piece.
pub trait Sink {
    /// Takes the next piece.
    fn feed(&mut self, bytes: &[u8]);
}

/// A sink that ends in a value: a keyed or a plain hash.
pub trait Hasher: Sink {
    /// The value.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

struct Keyed<M>(M);

impl<M: Mac> Sink for Keyed<M> {
    fn feed(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

impl<M: Mac> Hasher for Keyed<M> {
    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().into_bytes().to_vec()
    }
}

struct Plain<D>(D);

impl<D: Digest> Sink for Plain<D> {
    fn feed(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

impl<D: Digest> Hasher for Plain<D> {
    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

/// Collects the pieces: for signing with Ed25519, which reads its message twice.
impl Sink for Vec<u8> {
    fn feed(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Hasher for Vec<u8> {
    fn finish(self: Box<Self>) -> Vec<u8> {
        *self
    }
}

/// How something is signed, hashed or authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC with SHA-1 (RFC 2104).
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
    /// A plain SHA-256, the secret being part of the text.
    Sha256,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// RSA PKCS#1 v1.5 with SHA-1: Amazon SNS still signs so by default.
    RsaPkcs1Sha1,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaPkcs1Sha256,
    /// ECDSA over P-256 with SHA-256, DER signatures.
    EcdsaP256Sha256,
}

impl Algorithm {
    /// The hash that the text is fed to; for Ed25519, whose signatures are made of the text itself, all of it.
    pub fn hasher(self, key: &[u8]) -> Box<dyn Hasher> {
        match self {
            Algorithm::HmacSha1 => keyed::<Hmac<Sha1>>(key),
            Algorithm::HmacSha256 => keyed::<Hmac<Sha256>>(key),
            Algorithm::HmacSha512 => keyed::<Hmac<Sha512>>(key),
            Algorithm::Sha256 | Algorithm::EcdsaP256Sha256 | Algorithm::RsaPkcs1Sha256 => {
                Box::new(Plain(Sha256::new()))
            }
            Algorithm::RsaPkcs1Sha1 => Box::new(Plain(Sha1::new())),
            Algorithm::Ed25519 => Box::new(Vec::new()),
        }
    }

    /// Whether it uses a public key.
    pub fn is_asymmetric(self) -> bool {
        matches!(
            self,
            Algorithm::Ed25519 | Algorithm::EcdsaP256Sha256 | Algorithm::RsaPkcs1Sha1 | Algorithm::RsaPkcs1Sha256
        )
    }

    /// Whether it is a keyed hash.
    pub fn is_mac(self) -> bool {
        matches!(self, Algorithm::HmacSha1 | Algorithm::HmacSha256 | Algorithm::HmacSha512)
    }
}

fn keyed<M: Mac + KeyInit + 'static>(key: &[u8]) -> Box<dyn Hasher> {
    match <M as KeyInit>::new_from_slice(key) {
        Ok(mac) => Box::new(Keyed(mac)),
        // HMAC takes keys of every length; a hash that matches nothing is still better than a panic.
        Err(_) => Box::new(Nothing),
    }
}

/// Ends in no value, which equals none.
struct Nothing;

impl Sink for Nothing {
    fn feed(&mut self, _: &[u8]) {}
}

impl Hasher for Nothing {
    fn finish(self: Box<Self>) -> Vec<u8> {
        Vec::new()
    }
}

/// The keyed hash of one text.
pub fn mac(algorithm: Algorithm, key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut hasher = algorithm.hasher(key);
    hasher.feed(text);
    hasher.finish()
}

/// Whether two values are the same and not empty, in time that depends on their lengths only.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    !left.is_empty() && left.ct_eq(right).into()
}
