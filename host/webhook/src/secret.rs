//! Secrets: sealed at rest, opened only where they are used, never shown.
//!
//! A secret is sealed with ChaCha20-Poly1305 ([RFC 8439]) under a key derived from the master key by HKDF-SHA-256
//! ([RFC 5869]), one key per purpose. The associated data names tenant and secret, so a sealed value copied into
//! another row does not open. The sealed form is `1 || nonce (12 bytes) || ciphertext and tag`; the leading byte is
//! its version.
//!
//! [RFC 8439]: https://www.rfc-editor.org/rfc/rfc8439
//! [RFC 5869]: https://www.rfc-editor.org/rfc/rfc5869

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::TenantId;

/// Bytes that are wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes ownership of the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        SecretBytes(bytes)
    }

    /// The bytes, for the moment of use.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The key under which everything else is sealed: 32 random bytes from a file or the environment.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[master key]")
    }
}

/// Why a master key could not be read or a value not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not 64 hexadecimal digits.
    #[error("a master key is 64 hexadecimal digits (32 bytes); `creel init` makes one")]
    BadMasterKey,
    /// The sealed bytes are too short or of an unknown version.
    #[error("a sealed value is damaged or was written by a newer version")]
    Damaged,
    /// The seal does not fit: another master key, another row, or changed bytes.
    #[error("a sealed value does not open with this master key; restore the key it was sealed with")]
    WrongKey,
}

/// What a derived key is for; each purpose has a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Sealing the values of secrets.
    SealSecrets,
    /// Fingerprints by which an unchanged secret is recognised without opening it.
    Fingerprint,
    /// Authenticating compiled components on disk.
    CompiledCache,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::SealSecrets => b"creel seal secrets 1",
            Purpose::Fingerprint => b"creel fingerprint 1",
            Purpose::CompiledCache => b"creel compiled cache 1",
        }
    }
}

const SEALED_VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

impl MasterKey {
    /// Takes 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        MasterKey(bytes)
    }

    /// Reads 64 hexadecimal digits, white space around them allowed.
    ///
    /// # Errors
    /// [`SecretError::BadMasterKey`].
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| SecretError::BadMasterKey)?;
        Ok(MasterKey(bytes))
    }

    /// A key of its own for one purpose.
    pub fn derive(&self, purpose: Purpose) -> SecretBytes {
        let mut key = vec![0; 32];
        Hkdf::<Sha256>::new(None, &self.0)
            .expand(purpose.label(), &mut key)
            .expect("32 bytes are fewer than HKDF-SHA-256 can give");
        SecretBytes::new(key)
    }

    /// Seals a value for one row; `nonce` is 12 bytes of entropy, never used twice.
    pub fn seal(&self, tenant: TenantId, name: &str, value: &[u8], nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        let aad = associated(tenant, name);
        let payload = Payload { msg: value, aad: &aad };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).expect("a secret is shorter than 256 GiB");
        [&[SEALED_VERSION], nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`MasterKey::seal`] gave for the same row.
    ///
    /// # Errors
    /// [`SecretError::Damaged`] and [`SecretError::WrongKey`].
    pub fn open(&self, tenant: TenantId, name: &str, sealed: &[u8]) -> Result<SecretBytes, SecretError> {
        let (&version, rest) = sealed.split_first().ok_or(SecretError::Damaged)?;
        if version != SEALED_VERSION || rest.len() < NONCE_BYTES {
            return Err(SecretError::Damaged);
        }
        let (nonce, ciphertext) = rest.split_at(NONCE_BYTES);
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| SecretError::Damaged)?;
        let aad = associated(tenant, name);
        self.cipher()
            .decrypt(&Nonce::from(nonce), Payload { msg: ciphertext, aad: &aad })
            .map(SecretBytes::new)
            .map_err(|_| SecretError::WrongKey)
    }

    /// A keyed hash by which the same value of the same row is known again.
    pub fn fingerprint(&self, tenant: TenantId, name: &str, value: &[u8]) -> [u8; 32] {
        let key = self.derive(Purpose::Fingerprint);
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
        mac.update(&associated(tenant, name));
        mac.update(value);
        mac.finalize().into_bytes().into()
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        let key = self.derive(Purpose::SealSecrets);
        let bytes: [u8; 32] = key.expose().try_into().expect("a derived key has 32 bytes");
        ChaCha20Poly1305::new(&Key::from(bytes))
    }
}

/// The row that a sealed value belongs to. Lengths come first, so no two rows give the same bytes.
fn associated(tenant: TenantId, name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24 + name.len());
    bytes.extend_from_slice(tenant.as_bytes());
    bytes.extend_from_slice(&(name.len() as u64).to_be_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn tenant(byte: u8) -> TenantId {
        TenantId::new(Timestamp::from_millis(0), [byte; 10])
    }

    #[test]
    fn a_value_opens_only_in_its_own_row_and_with_its_own_key() {
        let key = MasterKey::from_bytes([1; 32]);
        let sealed = key.seal(tenant(1), "crm", b"hunter2", [9; 12]);
        assert_eq!(key.open(tenant(1), "crm", &sealed).unwrap().expose(), b"hunter2");
        assert_eq!(key.open(tenant(2), "crm", &sealed), Err(SecretError::WrongKey));
        assert_eq!(key.open(tenant(1), "crm2", &sealed), Err(SecretError::WrongKey));
        assert_eq!(MasterKey::from_bytes([2; 32]).open(tenant(1), "crm", &sealed), Err(SecretError::WrongKey));
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn damage_is_told_from_a_wrong_key() {
        let key = MasterKey::from_bytes([1; 32]);
        let mut sealed = key.seal(tenant(1), "crm", b"x", [9; 12]);
        assert_eq!(key.open(tenant(1), "crm", &[]), Err(SecretError::Damaged));
        *sealed.last_mut().unwrap() ^= 1;
        assert_eq!(key.open(tenant(1), "crm", &sealed), Err(SecretError::WrongKey));
        sealed[0] = 2;
        assert_eq!(key.open(tenant(1), "crm", &sealed), Err(SecretError::Damaged));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let shown = format!("{:?} {:?}", SecretBytes::new(b"hunter2".to_vec()), MasterKey::from_bytes([7; 32]));
        assert_eq!(shown, "[secret] [master key]");
        assert_eq!(MasterKey::from_hex("abc").unwrap_err(), SecretError::BadMasterKey);
    }
}
