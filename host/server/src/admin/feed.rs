//! Events with their payloads in the order of their ids, page by page: for whoever wants each of them once.
//!
//! A page goes no further than everything that came is stored ([`crate::settled`]), so that an event which is stored later
//! than another with a greater id is not missed. Reports of calls' ends are not in it: they belong to the host that sent the
//! calls.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use creel_store::contract::{FeedFilter, StoredEvent};

use super::access::Scope;
use super::payloads::Payloads;
use super::problem::Refusal;
use super::query::Query;
use super::source;
use super::state::Desk;
use super::views::{self, Names};
use crate::fed::{FedEvent, FeedView};

/// Bytes of bodies on one page, unless one body alone is larger: what a client holds in memory at a time.
const PAGE_BODY_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// `GET …/feed?source=&after=&limit=`: events behind `after`, oldest first.
pub async fn feed(
    State(desk): State<Desk>,
    scope: Scope,
    payloads: Payloads,
    mut query: Query,
) -> Result<Json<FeedView>, Refusal> {
    let (source, after, limit) = (query.text("source"), query.parsed("after"), query.limit());
    query.done()?;
    let tenant = scope.tenant.id;
    let control = desk.control().await?;
    let source = source.map(|name| source::named(&control, tenant, &name).map(|source| source.id)).transpose()?;
    let until = desk.admin.settled.until(tenant);
    let filter = FeedFilter { source, after, until, limit, bytes_max: PAGE_BODY_BYTES_MAX };
    let page = desk.store().event_feed(tenant, filter).await?;
    let names = Names::new(&control, tenant);
    let items = page.events.into_iter().map(|event| fed(event, names, payloads)).collect();
    Ok(Json(FeedView { items, cursor: page.reached.or(after), more: page.more }))
}

fn fed(event: StoredEvent, names: Names<'_>, payloads: Payloads) -> FedEvent {
    let (body, erased) = (event.body.clone(), event.erased);
    let event = views::event(event, names, payloads);
    let (body, body_base64) = match String::from_utf8(body.into()) {
        _ if erased => (None, None),
        Ok(text) => (Some(text), None),
        Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
    };
    FedEvent { event, body: payloads.show(body), body_base64: payloads.show(body_base64) }
}
