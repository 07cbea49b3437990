//! What proves a claim.

/// A claim's proof. Tokens never repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimToken(pub u64);

/// The claim of a run that is made together with the run.
///
/// Its token is known before the run is stored, so its commit may be asked for right behind the accept: if the accept
/// stores the run and claims it, the commit finds the claim; if not, it is stale.
#[derive(Debug, Clone, Copy)]
pub struct NewClaim {
    /// From [`Store::claim_token`](crate::contract::Store::claim_token).
    pub token: ClaimToken,
    /// How long it holds.
    pub lease_ms: u64,
}
