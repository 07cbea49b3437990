//! What `creel doctor` asks a host for: an address that tells what arrives at it.

use creel_webhook::clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address that is good for one request, to see what of it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeView {
    /// Its path on the public listener.
    pub path: String,
    /// Base of the URLs that the host gives away.
    pub url: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// What arrived of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArrivalView {
    /// Its method.
    pub method: String,
    /// Its path, as it came.
    pub path: String,
    /// Its query, as it came; empty when there was none.
    pub query: String,
    /// Its headers, in order.
    pub headers: Vec<(String, String)>,
    /// SHA-256 of its body, hexadecimal.
    pub body_sha256: String,
    /// The other end of the connection that it came over.
    pub hop: std::net::IpAddr,
    /// Whom it comes from, as far as trusted proxies tell.
    pub sender: std::net::IpAddr,
}
