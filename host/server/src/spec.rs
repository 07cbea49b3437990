//! What people write about their sources, destinations, plugins, routes, secrets and tenants, read from JSON.
//!
//! The admin API reads request bodies with it and `creel apply` reads its file with it, so that the same mistake is
//! told in the same words in both places. Reading is parse, then build: every mistake of a document is collected with
//! its JSON pointer before anything is refused. What needs other things to exist (a secret's name, a route's plugin) is
//! not looked at here: these modules are pure.

pub mod destination;
pub mod fields;
pub mod key;
pub mod notices;
pub mod plugin;
pub mod route;
pub mod secret;
pub mod source;
pub mod tenant;
