//! The simple side of the seam: plain settings, and a refusal that says what to grant for everything else.
//!
//! It is what tests and `creel run` use, and what a deployment without grants gets.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use creel_webhook::outcome::Pair;
use creel_webhook::record::{FetchFailure, FetchRequest, FetchResponse};
use creel_webhook::state::denied;

use super::seam::{Capabilities, FetchError, StateError};

/// Settings and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// The deployment's plain settings.
    pub config: BTreeMap<String, String>,
}

impl Granted {
    fn state_denied(operation: &str, key: &str) -> StateError {
        StateError::Denied(denied(operation, key))
    }
}

#[async_trait]
impl Capabilities for Granted {
    fn config_get(&mut self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }

    fn config_all(&mut self) -> Vec<Pair> {
        self.config.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    async fn state_get(&mut self, key: &str) -> Result<Option<Bytes>, StateError> {
        Err(Self::state_denied("get", key))
    }

    async fn state_set(&mut self, key: &str, _: Bytes) -> Result<(), StateError> {
        Err(Self::state_denied("set", key))
    }

    async fn state_delete(&mut self, key: &str) -> Result<(), StateError> {
        Err(Self::state_denied("delete", key))
    }

    async fn fetch(&mut self, request: FetchRequest) -> Result<FetchResponse, FetchError> {
        let FetchRequest { destination, method, .. } = request;
        let denied = FetchFailure::Denied(format!(
            "fetch {method} at {destination:?}: this deployment may look nothing up there; deploy with the grant \
             `fetch.{destination} = [\"{method}\"]`"
        ));
        Err(denied.into())
    }
}
