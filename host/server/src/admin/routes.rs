//! The table of the admin API: every address, who may call it and what answers. One line each; there are no others.
//!
//! The router is made from the table, and so are the tests that call every row without a key: a row can't be
//! forgotten by either.

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::access::{Access, admit};
use super::problem::Refusal;
use super::state::Desk;
use super::{destination, health, history, notices, plugin, replay, route, secret, source, tenant};

/// One address with one method.
pub struct Row {
    /// The method.
    pub method: Method,
    /// The path; names in braces stand for any one part.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    handler: fn() -> MethodRouter<Desk>,
}

macro_rules! table {
    ($($method:ident $path:literal $access:ident $module:ident :: $handler:ident;)*) => {
        /// All rows.
        pub const TABLE: &[Row] = &[$(Row {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            handler: || on(MethodFilter::$method, $module::$handler),
        }),*];
    };
}

#[rustfmt::skip]
table! {
    GET    "/healthz"                                                        Open     health::healthz;
    GET    "/readyz"                                                         Open     health::readyz;
    GET    "/metrics"                                                        Open     health::metrics;
    GET    "/v1/whoami"                                                      AnyKey   health::whoami;

    GET    "/v1/keys"                                                        Operator tenant::operator_keys;
    POST   "/v1/keys"                                                        Operator tenant::operator_key_create;
    DELETE "/v1/keys/{key}"                                                  Operator tenant::operator_key_delete;
    GET    "/v1/tenants"                                                     Operator tenant::list;
    PUT    "/v1/tenants/{tenant}"                                            Operator tenant::put;
    GET    "/v1/tenants/{tenant}"                                            Tenant   tenant::get;
    GET    "/v1/tenants/{tenant}/keys"                                       Tenant   tenant::keys;
    POST   "/v1/tenants/{tenant}/keys"                                       Tenant   tenant::key_create;
    DELETE "/v1/tenants/{tenant}/keys/{key}"                                 Tenant   tenant::key_delete;

    GET    "/v1/tenants/{tenant}/secrets"                                    Tenant   secret::list;
    GET    "/v1/tenants/{tenant}/secrets/{secret}"                           Tenant   secret::get;
    PUT    "/v1/tenants/{tenant}/secrets/{secret}"                           Tenant   secret::put;
    DELETE "/v1/tenants/{tenant}/secrets/{secret}"                           Tenant   secret::delete;

    GET    "/v1/tenants/{tenant}/sources"                                    Tenant   source::list;
    GET    "/v1/tenants/{tenant}/sources/{source}"                           Tenant   source::get;
    PUT    "/v1/tenants/{tenant}/sources/{source}"                           Tenant   source::put;
    DELETE "/v1/tenants/{tenant}/sources/{source}"                           Tenant   source::delete;
    POST   "/v1/tenants/{tenant}/sources/{source}/pause"                     Tenant   source::pause;
    POST   "/v1/tenants/{tenant}/sources/{source}/resume"                    Tenant   source::resume;

    GET    "/v1/tenants/{tenant}/destinations"                               Tenant   destination::list;
    GET    "/v1/tenants/{tenant}/destinations/{destination}"                 Tenant   destination::get;
    PUT    "/v1/tenants/{tenant}/destinations/{destination}"                 Tenant   destination::put;
    DELETE "/v1/tenants/{tenant}/destinations/{destination}"                 Tenant   destination::delete;
    POST   "/v1/tenants/{tenant}/destinations/{destination}/pause"           Tenant   destination::pause;
    POST   "/v1/tenants/{tenant}/destinations/{destination}/resume"          Tenant   destination::resume;

    GET    "/v1/tenants/{tenant}/notices"                                    Tenant   notices::get;
    PUT    "/v1/tenants/{tenant}/notices"                                    Tenant   notices::put;
    DELETE "/v1/tenants/{tenant}/notices"                                    Tenant   notices::delete;

    GET    "/v1/tenants/{tenant}/plugins"                                    Tenant   plugin::list;
    GET    "/v1/tenants/{tenant}/plugins/{plugin}"                           Tenant   plugin::get;
    PUT    "/v1/tenants/{tenant}/plugins/{plugin}"                           Tenant   plugin::put;
    PUT    "/v1/tenants/{tenant}/plugins/{plugin}/versions"                  Tenant   plugin::upload;
    GET    "/v1/tenants/{tenant}/plugins/{plugin}/deployments"               Tenant   plugin::deployments;
    POST   "/v1/tenants/{tenant}/plugins/{plugin}/deployments"               Tenant   plugin::deploy;
    POST   "/v1/tenants/{tenant}/plugins/{plugin}/deployments/{number}/activate" Tenant plugin::activate;

    GET    "/v1/tenants/{tenant}/routes"                                     Tenant   route::list;
    GET    "/v1/tenants/{tenant}/routes/{route}"                             Tenant   route::get;
    PUT    "/v1/tenants/{tenant}/routes/{route}"                             Tenant   route::put;
    DELETE "/v1/tenants/{tenant}/routes/{route}"                             Tenant   route::delete;
    POST   "/v1/tenants/{tenant}/routes/{route}/pause"                       Tenant   route::pause;
    POST   "/v1/tenants/{tenant}/routes/{route}/resume"                      Tenant   route::resume;

    GET    "/v1/tenants/{tenant}/events"                                     Tenant   history::events;
    GET    "/v1/tenants/{tenant}/events/{event}"                             Tenant   history::event;
    GET    "/v1/tenants/{tenant}/events/{event}/body"                        Tenant   history::event_body;
    DELETE "/v1/tenants/{tenant}/events/{event}/payload"                     Tenant   history::event_erase;
    POST   "/v1/tenants/{tenant}/events/{event}/replay"                      Tenant   replay::event;
    GET    "/v1/tenants/{tenant}/runs"                                       Tenant   history::runs;
    POST   "/v1/tenants/{tenant}/runs/replay"                                Tenant   replay::runs;
    POST   "/v1/tenants/{tenant}/runs/{run}/replay"                          Tenant   replay::run;
    GET    "/v1/tenants/{tenant}/deliveries"                                 Tenant   history::deliveries;
    POST   "/v1/tenants/{tenant}/deliveries/replay"                          Tenant   replay::deliveries;
    GET    "/v1/tenants/{tenant}/deliveries/{delivery}"                      Tenant   history::delivery;
    POST   "/v1/tenants/{tenant}/deliveries/{delivery}/replay"               Tenant   replay::delivery;
    GET    "/v1/tenants/{tenant}/refusals"                                   Tenant   history::refusals;
}

/// The router over the table; every row passes [`admit`] first.
pub fn build(desk: Desk) -> Router {
    TABLE
        .iter()
        .fold(Router::new(), |router, row| {
            let gate = from_fn_with_state((desk.clone(), row.access), admit);
            router.route(row.path, (row.handler)().route_layer(gate))
        })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .fallback(|| async { Refusal::NotFound("this address is not one of the API's".to_owned()) })
        .with_state(desk)
}
