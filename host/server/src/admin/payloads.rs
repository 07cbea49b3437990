//! Whether an answer may show payloads: bodies, headers and queries of events, calls and answers, which are personal data.
//!
//! A view that has some asks for a [`Payloads`], and only the gate in front of the handlers makes one that shows them: a row
//! of the table that says `Never` shows none, whatever its handler does.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::problem::Refusal;

/// What an answer says in their place.
const LEFT_OUT: &str = "bodies, headers and queries are left out: this key has no right to them (`payload_read`); \
    a tenant admin who has it makes a key with it (`creel keys create NAME --payload-read`)";

/// What is said where nothing is left without them.
const NEEDED: &str = "payloads are personal data, and this key has no right to them (`payload_read`); \
    a tenant admin who has it makes a key with it (`creel keys create NAME --payload-read`)";

/// The right to show payloads, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payloads(bool);

impl Payloads {
    /// No right: for lists and everything else that has no payloads to show.
    pub const NONE: Payloads = Payloads(false);

    /// What the gate found.
    pub(super) fn granted(granted: bool) -> Self {
        Payloads(granted)
    }

    /// Whether they are shown.
    pub fn shown(self) -> bool {
        self.0
    }

    /// The value, if it may be shown.
    pub fn show<T: Default>(self, value: T) -> T {
        if self.0 { value } else { T::default() }
    }

    /// What an answer says about what it leaves out.
    pub fn left_out(self) -> Option<String> {
        (!self.0).then(|| LEFT_OUT.to_owned())
    }

    /// For answers that are nothing without payloads.
    ///
    /// # Errors
    /// 403.
    pub fn need(self) -> Result<(), Refusal> {
        if self.0 { Ok(()) } else { Err(Refusal::Forbidden(NEEDED.to_owned())) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Payloads {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Payloads>().copied().unwrap_or(Payloads::NONE))
    }
}
