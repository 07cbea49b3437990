//! The seam to whoever runs the plugin: the real host inside the sandbox, the played one of `testing` everywhere else.
//! Both sides offer the same functions.

#[cfg(target_arch = "wasm32")]
mod sandbox;

#[cfg(target_arch = "wasm32")]
pub(crate) use sandbox::{
    body, config_all, config_get, fetch_send, log_write, millis, state_delete, state_get, state_set, wire_body,
};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::stage::{
    config_all, config_get, fetch_send, log_write, state_delete, state_get, state_set,
};
