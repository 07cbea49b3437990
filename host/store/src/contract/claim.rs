//! What proves a claim.

/// A claim's proof. Tokens never repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimToken(pub u64);
