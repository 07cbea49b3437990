//! What a run reaches while it decides: the server's side of [`creel_runtime::capability::seam`].
//!
//! | file | what |
//! |---|---|
//! | [`asking`] | which look-ups a run may make; the same for both below |
//! | [`fetch`] | look-ups, sent |
//! | [`state`] | what the plugin remembers |
//! | [`recorded`] | everything answered from what an earlier run read, and nothing sent |
//!
//! [`Live`] is what a run for good reaches. It keeps what it was answered ([`Record`]), so that the run can be repeated.

pub mod asking;
pub mod fetch;
pub mod recorded;
pub mod state;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use creel_runtime::capability::granted::Granted;
use creel_runtime::capability::seam::{Capabilities, FetchError, StateError};
use creel_webhook::outcome::Pair;
use creel_webhook::record::{FetchRequest, FetchResponse, Record};
use creel_webhook::state::StateWrite;

use self::fetch::Fetch;
use self::state::State;

/// What a run reaches that decides for good.
pub struct Live {
    /// Settings.
    pub settings: Granted,
    /// What the plugin remembers.
    pub state: State,
    /// Look-ups.
    pub fetch: Fetch,
    /// What the run was answered; whoever runs it reads it afterwards, however the run ended.
    pub record: Arc<Mutex<Record>>,
}

#[async_trait]
impl Capabilities for Live {
    fn begin(&mut self, run_ms: u64) {
        self.fetch.begin(run_ms);
    }

    fn config_get(&mut self, key: &str) -> Option<String> {
        self.settings.config_get(key)
    }

    fn config_all(&mut self) -> Vec<Pair> {
        self.settings.config_all()
    }

    async fn state_get(&mut self, key: &str) -> Result<Option<Bytes>, StateError> {
        self.state.get(key, &self.record, None).await
    }

    async fn state_set(&mut self, key: &str, value: Bytes) -> Result<(), StateError> {
        let write = StateWrite { key: key.to_owned(), value: Some(value) };
        self.state.write(write, &self.record, None).await
    }

    async fn state_delete(&mut self, key: &str) -> Result<(), StateError> {
        let write = StateWrite { key: key.to_owned(), value: None };
        self.state.write(write, &self.record, None).await
    }

    async fn fetch(&mut self, request: FetchRequest) -> Result<FetchResponse, FetchError> {
        self.fetch.send(request, &self.record).await
    }
}
