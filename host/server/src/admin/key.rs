//! API keys: `creel_<id>_<secret>`, shown once, kept as a SHA-256.
//!
//! The id stands in front so that a leaked key can be found and ended by whoever sees it. The secret is 32 random
//! bytes, which need no slow hash.

use creel_webhook::clock::Timestamp;
use creel_webhook::id::{KeyId, TenantId};
use creel_webhook::tenant::{ApiKey, Role};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A key at the one moment when its text is known.
pub struct Minted {
    /// What people get; wiped when dropped.
    pub text: Zeroizing<String>,
    /// What is stored.
    pub key: ApiKey,
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct KeyFor {
    /// The tenant; `None` for an operator.
    pub tenant: Option<TenantId>,
    /// What it may do.
    pub role: Role,
    /// Whether it may read payloads.
    pub payload_read: bool,
    /// What people call it.
    pub name: String,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

impl KeyFor {
    /// An operator's key that may do everything and does not expire.
    pub fn operator(name: &str) -> Self {
        KeyFor { tenant: None, role: Role::Operator, payload_read: true, name: name.to_owned(), expires_at: None }
    }
}

/// Makes a key from 42 random bytes.
pub fn mint(wanted: KeyFor, now: Timestamp, entropy: [u8; 42]) -> Minted {
    let mut id = [0; 10];
    id.copy_from_slice(&entropy[..10]);
    let id = KeyId::new(now, id);
    let text = Zeroizing::new(format!("creel_{id}_{}", hex::encode(&entropy[10..])));
    let key = ApiKey {
        id,
        tenant: wanted.tenant,
        role: wanted.role,
        payload_read: wanted.payload_read,
        name: wanted.name,
        hash: hash(&text),
        created_at: now,
        expires_at: wanted.expires_at,
        last_used_at: None,
    };
    Minted { text, key }
}

/// The hash by which a key is found.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Whether a text has the form of a key; only those are looked up.
pub fn is_key(text: &str) -> bool {
    text.strip_prefix("creel_").and_then(|rest| rest.rsplit_once('_')).is_some_and(|(id, secret)| {
        id.parse::<KeyId>().is_ok() && secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_key_has_the_form_of_a_key() {
        let minted = mint(KeyFor::operator("first"), Timestamp::from_millis(0), [7; 42]);
        assert!(is_key(&minted.text) && minted.key.hash == hash(&minted.text));
        assert!(minted.text.starts_with("creel_key_"));
        for bad in ["", "creel_", "creel_key_x_y", "Bearer x", &minted.text[..minted.text.len() - 1]] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
