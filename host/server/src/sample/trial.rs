//! What to sign with where nothing is at stake: for a host of one's own, and for tests.
//!
//! Secrets are made anew. Key pairs are not: a signature proves nothing to anybody here, so two pairs that everybody knows
//! will do. A host that strangers reach is never given them.

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use creel_webhook::pointer::Params;
use creel_webhook::preset::Preset;
use creel_webhook::signature::decode::KeyEncoding;
use creel_webhook::signature::hash::Algorithm;
use creel_webhook::signature::model::{Method, Signed};
use creel_webhook::signature::scheme::Scheme;

use crate::system::Entropy;

/// RFC 8032 section 7.1, test 1.
const ED25519_PRIVATE: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const ED25519_PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// A pair of Creel's own (PKCS#8, SubjectPublicKeyInfo), never used for anything else.
const ECDSA_PRIVATE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6O7sDm9KKoIEgR8EvQELjlk2dDQxtlvAcV60XVMU9q6hRANCAARzaHzDlKq1kK0QLW0dLopWlMFmi+fauAqkvwaFRyLwvyiT94XoHkR34VPosTqZBBn8Vj0q8cj19mlna8EwU6PO";
const ECDSA_PUBLIC: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEc2h8w5SqtZCtEC1tHS6KVpTBZovn2rgKpL8GhUci8L8ok/eF6B5Ed+FT6LE6mQQZ/FY9KvHI9fZpZ2vBMFOjzg==";

/// A secret, or a private key with its public one, as a scheme wants them written.
#[derive(Debug, Clone)]
pub struct Keys {
    /// What is signed with.
    pub secret: String,
    /// What is verified with where that is something else.
    pub public_keys: Vec<String>,
}

/// Keys for a scheme.
///
/// # Errors
/// When there is nothing to sign with: the key is somebody's who can't be played.
pub fn keys(scheme: &Scheme, entropy: &Entropy) -> anyhow::Result<Keys> {
    let secret = |secret: String| Ok(Keys { secret, public_keys: Vec::new() });
    let made = || STANDARD.encode(entropy.bytes::<32>());
    match scheme.methods().first() {
        Some(Method::Mac(Signed { key, .. })) => {
            secret(format!("{}{}", key.strip_prefix.as_deref().unwrap_or_default(), made()))
        }
        Some(Method::Sig(signed)) if signed.alg == Algorithm::Ed25519 => Ok(ed25519(signed)),
        Some(Method::Sig(signed)) if signed.alg == Algorithm::EcdsaP256Sha256 => {
            Ok(Keys { secret: ECDSA_PRIVATE.to_owned(), public_keys: vec![ECDSA_PUBLIC.to_owned()] })
        }
        Some(Method::Sig(_)) => {
            bail!("its events are signed with a key that only the provider has")
        }
        Some(Method::Basic(_)) => secret(format!("user:{}", entropy.token())),
        _ => secret(made()),
    }
}

fn ed25519(signed: &Signed) -> Keys {
    let prefix = signed.key.strip_prefix.as_deref().unwrap_or_default();
    let write = |text: &str| match signed.key.enc {
        KeyEncoding::Hex => text.to_owned(),
        _ => format!("{prefix}{}", STANDARD.encode(hex::decode(text).unwrap_or_default())),
    };
    Keys { secret: write(ED25519_PRIVATE), public_keys: vec![write(ED25519_PUBLIC)] }
}

/// Values for the parameters that a preset wants, each called after itself.
pub fn params(preset: &Preset) -> Params {
    let required = preset.params.iter().filter(|spec| spec.default.is_none() && !spec.optional);
    required.map(|spec| (spec.name.clone(), format!("x-{}", spec.name.replace('_', "-")))).collect()
}
