//! An address for `creel doctor` to send a request to, the way that providers do.

use axum::Json;
use axum::extract::State;

use super::state::Desk;
use crate::api::probed::ProbeView;

/// `POST /v1/probes`: opens an address on the public listener; the first request to it is told what of it arrived.
pub async fn create(State(desk): State<Desk>) -> Json<ProbeView> {
    let token = format!("probe-{}", hex::encode(desk.admin.entropy.bytes::<16>()));
    let path = format!("/in/{token}");
    let expires_at = desk.admin.probes.open(token, desk.now());
    Json(ProbeView { path, url: desk.admin.public_url.clone(), expires_at })
}
