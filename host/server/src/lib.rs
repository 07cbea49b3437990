//! stub

pub mod admin;
pub mod api;
pub mod spec;
pub mod system;
