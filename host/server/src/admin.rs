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
//! * Every row but health and metrics wants a key; a tenant's key sees its own tenant and nothing else: 404. What its role does
//!   not allow is 403.
//! * Bodies and headers of events and calls are shown to keys with the right to them (`payload_read`) and to nobody else.
//! * Every refusal is `application/problem+json`; a wrong document is told all its mistakes at once.
//! * Every change and every reading of payloads stands in the audit trail before it happens.
//! * No secret's value leaves: the shapes in [`crate::api`] have no place for one.
//! * Nothing here sends calls: it writes what people want into the store, and worker and sender see it. The only thing that
//!   has guests run is a rehearsal (`rehearsing`), and nothing of it is stored.
//!
//! # Floors
//!
//! `routes` (the table) over the resources (`tenant`, `keys`, `master_key`, `audit`, `usage`, `source`, `destination`, `plugin`,
//! `route`, `secret`, `history`, `feed`, `replay`, `probe`, `health`, `openapi`) over `rehearsing` over `access` over `deeds`, `views`, `body`,
//! `query` over `payloads`, `state` over `uploads`, `guessing`, `problem`, `key`.

use axum::Router;

use crate::spec::tenant::Ceilings;

pub mod access;
pub mod audit;
pub mod body;
pub mod deeds;
pub mod destination;
pub mod feed;
pub mod guessing;
pub mod health;
pub mod history;
pub mod key;
pub mod keys;
pub mod master_key;
pub mod notices;
pub mod openapi;
pub mod payloads;
pub mod plugin;
pub mod probe;
pub mod problem;
pub mod query;
pub mod rehearsing;
pub mod remembered;
pub mod replay;
pub mod route;
pub mod routes;
pub mod secret;
pub mod source;
pub mod state;
pub mod tenant;
pub mod uploads;
pub mod usage;
pub mod views;
pub mod waiting;

/// The admin API over these pieces; tenants' limits go as far as any setting does.
pub fn router(admin: state::Admin) -> Router {
    router_within(admin, Ceilings::default())
}

/// The same with tenants' limits kept below the operator's own.
pub fn router_within(admin: state::Admin, ceilings: Ceilings) -> Router {
    routes::build(state::Desk::new(admin, ceilings, routes::described))
}
