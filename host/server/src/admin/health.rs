//! What machines ask: is it alive, is it ready, how is it doing, and whose key is this.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::access::Caller;
use super::problem::Refusal;
use super::state::Desk;
use crate::api::WhoAmI;

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: it can take requests, or 503 with the reason.
pub async fn readyz(State(desk): State<Desk>) -> Response {
    match (desk.admin.ready)().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

/// `GET /metrics`: OpenMetrics text.
pub async fn metrics(State(desk): State<Desk>) -> Response {
    let text = (desk.admin.metrics)();
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

/// `GET /v1/whoami`: whose key it is.
pub async fn whoami(State(desk): State<Desk>, caller: Caller) -> Result<Json<WhoAmI>, Refusal> {
    let control = desk.control().await?;
    let tenant = control.tenants.iter().find(|tenant| Some(tenant.id) == caller.tenant);
    let tenant = tenant.map(|tenant| tenant.name.clone());
    let Caller { key, role, payload_read, .. } = caller;
    Ok(Json(WhoAmI { key, role, payload_read, tenant }))
}
