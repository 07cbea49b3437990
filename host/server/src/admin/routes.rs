//! The table of the admin API: every address, who may call it, whether it has payloads, and what answers. One line each; there
//! are no others.
//!
//! The router is made from the table, and so are the tests that call every row as somebody who may not: a row can't be
//! forgotten by either.

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::access::{Access, Payload, Rule, admit};
use super::problem::Refusal;
use super::state::Desk;
use super::{
    audit, destination, feed, health, history, keys, master_key, notices, openapi, plugin, probe, remembered, replay,
    route, secret, source, tenant, usage,
};

/// One address with one method.
pub struct Row {
    /// The method.
    pub method: Method,
    /// The path; names in braces stand for any one part.
    pub path: &'static str,
    /// Who may: the least role.
    pub access: Access,
    /// Whether its answer has payloads.
    pub payload: Payload,
    handler: fn() -> MethodRouter<Desk>,
}

macro_rules! table {
    ($($method:ident $path:literal $access:ident $payload:ident $module:ident :: $handler:ident;)*) => {
        /// All rows.
        pub const TABLE: &[Row] = &[$(Row {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            payload: Payload::$payload,
            handler: || on(MethodFilter::$method, $module::$handler),
        }),*];
    };
}

#[rustfmt::skip]
table! {
    GET    "/healthz"                                                                   Open     Never  health::healthz;
    GET    "/readyz"                                                                    Open     Never  health::readyz;
    GET    "/metrics"                                                                   Open     Never  health::metrics;
    GET    "/v1/openapi.json"                                                           AnyKey   Never  openapi::document;
    GET    "/v1/whoami"                                                                 AnyKey   Never  health::whoami;

    POST   "/v1/probes"                                                                 Operator Never  probe::create;
    GET    "/v1/keys"                                                                   Operator Never  keys::operator_list;
    POST   "/v1/keys"                                                                   Operator Never  keys::operator_create;
    DELETE "/v1/keys/{key}"                                                             Operator Never  keys::operator_delete;
    GET    "/v1/audit"                                                                  Operator Never  audit::whole;
    POST   "/v1/master-key/rotate"                                                      Operator Never  master_key::rotate;
    GET    "/v1/tenants"                                                                Operator Never  tenant::list;
    PUT    "/v1/tenants/{tenant}"                                                       Operator Never  tenant::put;
    DELETE "/v1/tenants/{tenant}"                                                       Operator Never  tenant::delete;
    GET    "/v1/tenants/{tenant}"                                                       Reader   Never  tenant::get;
    GET    "/v1/tenants/{tenant}/keys"                                                  Admin    Never  keys::list;
    POST   "/v1/tenants/{tenant}/keys"                                                  Admin    Never  keys::create;
    DELETE "/v1/tenants/{tenant}/keys/{key}"                                            Admin    Never  keys::delete;
    GET    "/v1/tenants/{tenant}/audit"                                                 Admin    Never  audit::of;
    GET    "/v1/tenants/{tenant}/usage"                                                 Reader   Never  usage::list;
    GET    "/v1/tenants/{tenant}/quotas"                                                Reader   Never  usage::quotas;

    GET    "/v1/tenants/{tenant}/secrets"                                               Reader   Never  secret::list;
    GET    "/v1/tenants/{tenant}/secrets/{secret}"                                      Reader   Never  secret::get;
    PUT    "/v1/tenants/{tenant}/secrets/{secret}"                                      Admin    Never  secret::put;
    DELETE "/v1/tenants/{tenant}/secrets/{secret}"                                      Admin    Never  secret::delete;

    GET    "/v1/tenants/{tenant}/sources"                                               Reader   Never  source::list;
    GET    "/v1/tenants/{tenant}/sources/{source}"                                      Reader   Never  source::get;
    PUT    "/v1/tenants/{tenant}/sources/{source}"                                      Admin    Never  source::put;
    DELETE "/v1/tenants/{tenant}/sources/{source}"                                      Admin    Never  source::delete;
    POST   "/v1/tenants/{tenant}/sources/{source}/pause"                                Admin    Never  source::pause;
    POST   "/v1/tenants/{tenant}/sources/{source}/resume"                               Admin    Never  source::resume;
    POST   "/v1/tenants/{tenant}/sources/{source}/rotate-token"                         Admin    Never  source::rotate_token;

    GET    "/v1/tenants/{tenant}/destinations"                                          Reader   Never  destination::list;
    GET    "/v1/tenants/{tenant}/destinations/{destination}"                            Reader   Never  destination::get;
    PUT    "/v1/tenants/{tenant}/destinations/{destination}"                            Admin    Never  destination::put;
    DELETE "/v1/tenants/{tenant}/destinations/{destination}"                            Admin    Never  destination::delete;
    POST   "/v1/tenants/{tenant}/destinations/{destination}/pause"                      Admin    Never  destination::pause;
    POST   "/v1/tenants/{tenant}/destinations/{destination}/resume"                     Admin    Never  destination::resume;

    GET    "/v1/tenants/{tenant}/notices"                                               Reader   Never  notices::get;
    PUT    "/v1/tenants/{tenant}/notices"                                               Admin    Never  notices::put;
    DELETE "/v1/tenants/{tenant}/notices"                                               Admin    Never  notices::delete;

    GET    "/v1/tenants/{tenant}/plugins"                                               Reader   Never  plugin::list;
    GET    "/v1/tenants/{tenant}/plugins/{plugin}"                                      Reader   Never  plugin::get;
    PUT    "/v1/tenants/{tenant}/plugins/{plugin}"                                      Deployer Never  plugin::put;
    DELETE "/v1/tenants/{tenant}/plugins/{plugin}"                                      Admin    Never  plugin::delete;
    PUT    "/v1/tenants/{tenant}/plugins/{plugin}/versions"                             Deployer Never  plugin::upload;
    GET    "/v1/tenants/{tenant}/plugins/{plugin}/versions/{digest}"                    Deployer Never  plugin::download;
    GET    "/v1/tenants/{tenant}/plugins/{plugin}/deployments"                          Reader   Never  plugin::deployments;
    POST   "/v1/tenants/{tenant}/plugins/{plugin}/deployments"                          Deployer Never  plugin::deploy;
    POST   "/v1/tenants/{tenant}/plugins/{plugin}/deployments/{number}/activate"        Deployer Never  plugin::activate;

    GET    "/v1/tenants/{tenant}/plugins/{plugin}/state"                                Reader   Never  remembered::keys;
    DELETE "/v1/tenants/{tenant}/plugins/{plugin}/state"                                Admin    Never  remembered::remove;
    GET    "/v1/tenants/{tenant}/plugins/{plugin}/state/value"                          Reader   Only   remembered::value;

    GET    "/v1/tenants/{tenant}/routes"                                                Reader   Never  route::list;
    GET    "/v1/tenants/{tenant}/routes/{route}"                                        Reader   Never  route::get;
    PUT    "/v1/tenants/{tenant}/routes/{route}"                                        Admin    Never  route::put;
    DELETE "/v1/tenants/{tenant}/routes/{route}"                                        Admin    Never  route::delete;
    POST   "/v1/tenants/{tenant}/routes/{route}/pause"                                  Deployer Never  route::pause;
    POST   "/v1/tenants/{tenant}/routes/{route}/resume"                                 Deployer Never  route::resume;

    GET    "/v1/tenants/{tenant}/events"                                                Reader   Never  history::events;
    GET    "/v1/tenants/{tenant}/events/{event}"                                        Reader   Partly history::event;
    GET    "/v1/tenants/{tenant}/events/{event}/body"                                   Reader   Only   history::event_body;
    DELETE "/v1/tenants/{tenant}/events/{event}/payload"                                Admin    Never  history::event_erase;
    POST   "/v1/tenants/{tenant}/events/{event}/replay"                                 Deployer Partly replay::event;
    GET    "/v1/tenants/{tenant}/feed"                                                  Reader   Only   feed::feed;
    GET    "/v1/tenants/{tenant}/runs"                                                  Reader   Never  history::runs;
    POST   "/v1/tenants/{tenant}/runs/replay"                                           Deployer Never  replay::runs;
    POST   "/v1/tenants/{tenant}/runs/{run}/replay"                                     Deployer Partly replay::run;
    GET    "/v1/tenants/{tenant}/deliveries"                                            Reader   Never  history::deliveries;
    POST   "/v1/tenants/{tenant}/deliveries/replay"                                     Deployer Never  replay::deliveries;
    GET    "/v1/tenants/{tenant}/deliveries/{delivery}"                                 Reader   Partly history::delivery;
    POST   "/v1/tenants/{tenant}/deliveries/{delivery}/replay"                          Deployer Never  replay::delivery;
    GET    "/v1/tenants/{tenant}/refusals"                                              Reader   Never  history::refusals;
}

/// The description of the table.
pub fn described() -> serde_json::Value {
    let known = |row: &'static Row| {
        let Row { method, path, access, payload, .. } = row;
        openapi::Known { method: method.as_str(), path, access: *access, payload: *payload }
    };
    openapi::describe(TABLE.iter().map(known))
}

/// The router over the table; every row passes [`admit`] first.
pub fn build(desk: Desk) -> Router {
    TABLE
        .iter()
        .fold(Router::new(), |router, row| {
            let rule = Rule { path: row.path, access: row.access, payload: row.payload };
            let gate = from_fn_with_state((desk.clone(), rule), admit);
            router.route(row.path, (row.handler)().route_layer(gate))
        })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .fallback(|| async { Refusal::NotFound("this address is not one of the API's".to_owned()) })
        .with_state(desk)
}
