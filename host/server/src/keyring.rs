//! The master keys that count: one that seals, and after a rotation the one before it, which still opens.
//!
//! Who holds a keyring shares it: a rotation is seen by all at once. The key before is kept until the process ends or rotates
//! again, because whoever read sealed values just before a rotation opens them just after.

use std::sync::{Arc, PoisonError, RwLock};

use creel_webhook::id::TenantId;
use creel_webhook::secret::{MasterKey, Purpose, SecretBytes, SecretError};

/// Master keys, shared.
#[derive(Debug, Clone)]
pub struct Keyring(Arc<RwLock<Keys>>);

#[derive(Debug, Clone)]
struct Keys {
    current: MasterKey,
    previous: Option<MasterKey>,
}

impl Keyring {
    /// With one key.
    pub fn of(current: MasterKey) -> Self {
        Keyring(Arc::new(RwLock::new(Keys { current, previous: None })))
    }

    /// From now on `next` seals; what seals now still opens.
    pub fn turn_to(&self, next: MasterKey) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let previous = std::mem::replace(&mut keys.current, next);
        keys.previous = Some(previous);
    }

    /// A key of its own for one purpose.
    pub fn derive(&self, purpose: Purpose) -> SecretBytes {
        self.keys().current.derive(purpose)
    }

    /// Seals a value for one row; `nonce` is never used twice.
    pub fn seal(&self, tenant: TenantId, name: &str, value: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        self.keys().current.seal(tenant, name, value, nonce)
    }

    /// Opens what was sealed for the same row, by this key or the one before.
    ///
    /// # Errors
    /// [`SecretError::Damaged`] and [`SecretError::WrongKey`].
    pub fn open(&self, tenant: TenantId, name: &str, sealed: &[u8]) -> Result<SecretBytes, SecretError> {
        let Keys { current, previous } = self.keys();
        match (current.open(tenant, name, sealed), previous) {
            (Err(SecretError::WrongKey), Some(previous)) => previous.open(tenant, name, sealed),
            (opened, _) => opened,
        }
    }

    /// A keyed hash by which the same value of the same row is known again.
    pub fn fingerprint(&self, tenant: TenantId, name: &str, value: &[u8]) -> [u8; 32] {
        self.keys().current.fingerprint(tenant, name, value)
    }

    fn keys(&self) -> Keys {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_before_opens_and_seals_no_more() {
        let keyring = Keyring::of(MasterKey::from_bytes([1; 32]));
        let shared = keyring.clone();
        let tenant = TenantId::from_bytes([7; 16]);
        let old = keyring.seal(tenant, "crm", b"hunter2", [1; 12]);
        keyring.turn_to(MasterKey::from_bytes([2; 32]));
        assert_eq!(shared.open(tenant, "crm", &old).unwrap().expose(), b"hunter2");
        let new = shared.seal(tenant, "crm", b"hunter2", [2; 12]);
        assert_eq!(MasterKey::from_bytes([2; 32]).open(tenant, "crm", &new).unwrap().expose(), b"hunter2");
        keyring.turn_to(MasterKey::from_bytes([3; 32]));
        assert_eq!(shared.open(tenant, "crm", &old).unwrap_err(), SecretError::WrongKey);
        assert_eq!(shared.open(tenant, "crm", &[]).unwrap_err(), SecretError::Damaged);
    }
}
