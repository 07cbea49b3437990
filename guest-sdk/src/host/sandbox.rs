//! The real host, through the imports of `wit/plugin.wit`. Values move, nothing is copied.

use crate::bindings::creel::plugin as wire;
use crate::{Body, fetch, log, state};
use std::time::Duration;

pub(crate) fn log_write(level: log::Level, message: &str) {
    let level = match level {
        log::Level::Trace => wire::log::Level::Trace,
        log::Level::Debug => wire::log::Level::Debug,
        log::Level::Info => wire::log::Level::Info,
        log::Level::Warn => wire::log::Level::Warn,
        log::Level::Error => wire::log::Level::Error,
    };
    wire::log::write(level, message);
}

pub(crate) fn config_get(key: &str) -> Option<String> {
    wire::config::get(key)
}

pub(crate) fn config_all() -> Vec<(String, String)> {
    wire::config::all()
}

pub(crate) fn state_get(key: &str) -> Result<Option<Vec<u8>>, state::Error> {
    wire::state::get(key).map_err(state_error)
}

pub(crate) fn state_set(key: &str, value: &[u8]) -> Result<(), state::Error> {
    wire::state::set(key, value).map_err(state_error)
}

pub(crate) fn state_delete(key: &str) -> Result<(), state::Error> {
    wire::state::delete(key).map_err(state_error)
}

fn state_error(error: wire::state::Error) -> state::Error {
    match error {
        wire::state::Error::Denied(text) => state::Error::Denied(text),
        wire::state::Error::TooLarge(text) => state::Error::TooLarge(text),
    }
}

pub(crate) fn fetch_send(request: fetch::Request) -> Result<fetch::Response, fetch::Error> {
    let request = wire::fetch::Request {
        destination: request.destination,
        method: request.method,
        path: request.path,
        headers: request.headers,
        body: request.body.map(wire_body),
        timeout_ms: request.timeout.map(millis),
    };
    let response = wire::fetch::send(&request).map_err(|error| match error {
        wire::fetch::Error::Denied(text) => fetch::Error::Denied(text),
        wire::fetch::Error::Invalid(text) => fetch::Error::Invalid(text),
        wire::fetch::Error::Timeout => fetch::Error::Timeout,
        wire::fetch::Error::Unreachable(text) => fetch::Error::Unreachable(text),
        wire::fetch::Error::TooLarge(text) => fetch::Error::TooLarge(text),
    })?;
    Ok(fetch::Response { status: response.status, headers: response.headers, body: body(response.body) })
}

pub(crate) fn body(body: wire::types::Body) -> Body {
    match body {
        wire::types::Body::Text(text) => Body::Text(text),
        wire::types::Body::Bytes(bytes) => Body::Bytes(bytes),
    }
}

pub(crate) fn wire_body(body: Body) -> wire::types::Body {
    match body {
        Body::Text(text) => wire::types::Body::Text(text),
        Body::Bytes(bytes) => wire::types::Body::Bytes(bytes),
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
