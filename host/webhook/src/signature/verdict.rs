//! What goes into a verification besides the request, and what comes out of it.
//!
//! A refusal is data, not an error of ours: it is counted, kept and shown to the operator. Its `reason` is one of a
//! closed list with stable texts (metrics and the API use them); its `detail` is for people and never holds a secret,
//! an expected value or a received credential. The sender learns neither: every refusal is the same empty 401.

use std::fmt;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::pointer::Params;

static NO_PARAMS: Params = Params::new();

/// What a source knows that a stranger does not.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The active secrets as the provider shows them, current first; encodings such as `whsec_` are the scheme's affair.
    pub secrets: &'a [&'a [u8]],
    /// Public keys or certificates, as text in the scheme's encoding.
    pub public_keys: &'a [&'a str],
    /// The public URLs that providers were configured with; schemes that sign the URL use these, never `Host`.
    pub urls: &'a [&'a str],
    /// Parameters of the source.
    pub params: &'a Params,
}

impl Default for Material<'_> {
    fn default() -> Self {
        Material { secrets: &[], public_keys: &[], urls: &[], params: &NO_PARAMS }
    }
}

impl fmt::Debug for Material<'_> {
    /// Counts only: secrets have no text form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("secrets", &self.secrets.len())
            .field("public_keys", &self.public_keys.len())
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// A request that proved genuine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verified {
    /// Which secret (or public key) matched, as an index into the material.
    pub secret_index: usize,
    /// Which alternative of an `any_of` scheme matched.
    pub method_index: usize,
    /// Whether the proof covers every byte of the body.
    pub body_covered: bool,
    /// The signed timestamp, when the scheme has one.
    pub signed_at: Option<Timestamp>,
    /// The signature that matched, decoded, the same for every way to write it; `None` for tokens.
    pub signature: Option<Vec<u8>>,
    /// The fields of the signature header, such as `t`.
    pub sig_fields: Vec<(String, String)>,
    /// The claims of a JWT.
    pub claims: Option<Value>,
    /// Headers that another alternative of the scheme signs and this one does not: anybody could have put them there,
    /// so nothing is read from them.
    pub unproven: Vec<String>,
}

/// A request that did not prove genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, as one of a closed list.
    pub reason: Reason,
    /// Why, for the operator.
    pub detail: String,
    /// With [`Reason::KeyNeeded`]: where the key is to be fetched from, already checked against the provider's hosts.
    pub key_url: Option<String>,
}

impl Refusal {
    /// A refusal with a sentence for the operator.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Refusal { reason, detail: detail.into(), key_url: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Why a request was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for metrics and documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];

            /// The stable text of a reason.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// A header that the scheme needs is absent.
    MissingHeader = "missing_header";
    /// A header that must occur once occurs several times.
    DuplicateHeader = "duplicate_header";
    /// A header has bytes outside visible ASCII, or a value that the scheme rules out.
    MalformedHeader = "malformed_header";
    /// The signature cannot be read.
    MalformedSignature = "malformed_signature";
    /// The signature, or the token, is not ours.
    NoMatch = "no_match";
    /// The scheme's timestamp is absent.
    TimestampMissing = "timestamp_missing";
    /// The timestamp is not a number of 1 to 16 digits.
    TimestampMalformed = "timestamp_malformed";
    /// The timestamp is older than the window allows.
    TimestampTooOld = "timestamp_too_old";
    /// The timestamp is further ahead than the window allows.
    TimestampInFuture = "timestamp_in_future";
    /// Nothing in the request proves the body.
    BodyNotCovered = "body_not_covered";
    /// The body's hash is not the one that was signed.
    BodyHashMismatch = "body_hash_mismatch";
    /// A token is absent.
    MissingToken = "missing_token";
    /// A JWT is not three strict parts, or lacks what its reader needs.
    MalformedToken = "malformed_token";
    /// A JWT has expired, or was issued too long ago.
    TokenExpired = "token_expired";
    /// A JWT is not valid yet.
    TokenNotYetValid = "token_not_yet_valid";
    /// A claim is absent or not the expected one.
    ClaimMismatch = "claim_mismatch";
    /// The request asks for another algorithm than the source's.
    WrongAlgorithm = "wrong_algorithm";
    /// The signing key is not one that we may trust.
    UnknownKey = "unknown_key";
    /// The signing certificate must be fetched first.
    KeyNeeded = "key_needed";
    /// The signing certificate could not be fetched; the sender is asked to try again.
    KeyUnavailable = "key_unavailable";
    /// It concerns what the source does not take: a topic that is not on its list, a secret when it has one.
    NotAllowed = "not_allowed";
    /// A subscription could not be confirmed at its URL; the sender is asked to try again.
    ConfirmationFailed = "confirmation_failed";
    /// Turned away before verification: too many requests of this sender were refused.
    RateLimited = "rate_limited";
    /// Turned away before verification: its body is compressed, and the host undoes no compression.
    Compressed = "compressed";
    /// The source has no usable secret: it fails closed.
    NoSecretConfigured = "no_secret_configured";
    /// The scheme signs the URL and the source has no public URL.
    NoUrlConfigured = "no_url_configured";
    /// The scheme needs code that this build does not have.
    Unsupported = "unsupported";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
