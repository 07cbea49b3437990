//! A component to be kept, with the room that its tenant has.

use bytes::Bytes;
use creel_webhook::clock::Timestamp;
use creel_webhook::id::TenantId;
use creel_webhook::plugin::Digest;

/// A component to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewComponent {
    /// Whose.
    pub tenant: TenantId,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The upload as it came.
    pub bytes: Bytes,
    /// Bytes that all components of the tenant may hold together.
    pub room_bytes: u64,
    /// When it was uploaded.
    pub now: Timestamp,
}
