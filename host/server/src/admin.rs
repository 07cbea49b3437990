//! The admin API: everything that people and the command line do to a host, over HTTP and JSON.
//!
//! # Shape
//!
//! A tenant's things live under `/v1/tenants/{tenant}/…` (the tenant by name or id) and are called by their names. PUT by name
//! makes or replaces and says which (`created`, `changed`, `unchanged`), so that saying the same thing twice is harmless
//! and a plan can be made with `?dry_run=true`. All addresses stand in [`routes::TABLE`].
//!
//! # Guarantees
//!
//! * Every row but health and metrics wants a key; a tenant's key sees its own tenant and nothing else: 404.
//! * Every refusal is `application/problem+json`; a wrong document is told all its mistakes at once.
//! * No secret's value leaves: the shapes in [`crate::api`] have no place for one.
//! * Nothing here sends calls: it writes what people want into the store, and worker and sender see it. The only thing that
//!   has guests run is a rehearsal (`rehearsing`), and nothing of it is stored.
//!
//! # Floors
//!
//! `routes` (the table) over the resources (`tenant`, `source`, `destination`, `plugin`, `route`, `secret`, `history`,
//! `replay`, `health`) over `rehearsing` over `access` over `views`, `body`, `query` over `state`, `problem`, `key`.

use axum::Router;

use crate::spec::tenant::Ceilings;

pub mod access;
pub mod body;
pub mod destination;
pub mod health;
pub mod history;
pub mod key;
pub mod notices;
pub mod plugin;
pub mod problem;
pub mod query;
pub mod rehearsing;
pub mod replay;
pub mod route;
pub mod routes;
pub mod secret;
pub mod source;
pub mod state;
pub mod tenant;
pub mod views;

/// The admin API over these pieces; tenants' limits go as far as any setting does.
pub fn router(admin: state::Admin) -> Router {
    router_within(admin, Ceilings::default())
}

/// The same with tenants' limits kept below the operator's own.
pub fn router_within(admin: state::Admin, ceilings: Ceilings) -> Router {
    routes::build(state::Desk::new(admin, ceilings))
}
