//! `creel:plugin/{config,state,fetch}`: the guest's side of the seam.
//!
//! Translates, charges the meter, and takes the time spent waiting. A failure of the host becomes [`HostFailed`],
//! which ends the run.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use creel_webhook::outcome::Pair;
use creel_webhook::record::{FetchFailure, FetchRequest};

use super::meter::Meter;
use super::seam::{Capabilities, FetchError, StateError};
use crate::bindings::creel::plugin::{config, fetch, state};
use crate::bindings::{body_in, body_out};

/// The host could not serve the guest; carries the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostFailed(pub(crate) String);

/// The capabilities of one run, with their bookkeeping.
pub(crate) struct Lookup {
    capabilities: Box<dyn Capabilities>,
    meter: Arc<Meter>,
    waited: Duration,
}

impl Lookup {
    /// Wraps what the server provides.
    pub(crate) fn new(capabilities: Box<dyn Capabilities>, meter: Arc<Meter>) -> Self {
        Lookup { capabilities, meter, waited: Duration::ZERO }
    }

    /// Time spent waiting so far.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }
}

/// Awaits and adds the time to `waited`.
async fn timed<T>(waited: &mut Duration, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let value = work.await;
    *waited += start.elapsed();
    value
}

impl config::Host for Lookup {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        let value = self.capabilities.config_get(&key);
        self.meter.charge(key.len() + value.as_ref().map_or(0, String::len))?;
        Ok(value)
    }

    fn all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        let all = self.capabilities.config_all();
        self.meter.charge(all.iter().map(|(key, value)| key.len() + value.len()).sum())?;
        Ok(all)
    }
}

/// What the guest is told, or the end of the run.
fn state_answer<T>(result: Result<T, StateError>) -> wasmtime::Result<Result<T, state::Error>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(StateError::Denied(reason)) => Ok(Err(state::Error::Denied(reason))),
        Err(StateError::TooLarge(reason)) => Ok(Err(state::Error::TooLarge(reason))),
        Err(StateError::Broken(reason)) => Err(HostFailed(reason).into()),
    }
}

impl state::Host for Lookup {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, state::Error>> {
        self.meter.charge(key.len())?;
        let value = timed(&mut self.waited, self.capabilities.state_get(&key)).await;
        if let Ok(Some(value)) = &value {
            self.meter.charge(value.len())?;
        }
        state_answer(value.map(|value| value.map(Vec::from)))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), state::Error>> {
        self.meter.charge(key.len() + value.len())?;
        state_answer(timed(&mut self.waited, self.capabilities.state_set(&key, Bytes::from(value))).await)
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), state::Error>> {
        self.meter.charge(key.len())?;
        state_answer(timed(&mut self.waited, self.capabilities.state_delete(&key)).await)
    }
}

/// A failure in the guest's words.
fn told(failure: FetchFailure) -> fetch::Error {
    match failure {
        FetchFailure::Denied(reason) => fetch::Error::Denied(reason),
        FetchFailure::Invalid(reason) => fetch::Error::Invalid(reason),
        FetchFailure::Timeout => fetch::Error::Timeout,
        FetchFailure::Unreachable(reason) => fetch::Error::Unreachable(reason),
        FetchFailure::TooLarge(reason) => fetch::Error::TooLarge(reason),
    }
}

fn bytes_of(pairs: &[Pair]) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
}

impl fetch::Host for Lookup {
    async fn send(&mut self, request: fetch::Request) -> wasmtime::Result<Result<fetch::Response, fetch::Error>> {
        let request = FetchRequest {
            destination: request.destination,
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body.map(body_out),
            timeout_ms: request.timeout_ms,
        };
        let body_bytes = request.body.as_ref().map_or(0, Bytes::len);
        self.meter.charge(request.path.len() + bytes_of(&request.headers) + body_bytes)?;
        let answer = match timed(&mut self.waited, self.capabilities.fetch(request)).await {
            Ok(response) => {
                self.meter.charge(bytes_of(&response.headers) + response.body.len())?;
                let body = body_in(response.body);
                Ok(fetch::Response { status: response.status, headers: response.headers, body })
            }
            Err(FetchError::Failed(failure)) => Err(told(failure)),
            Err(FetchError::Broken(reason)) => return Err(HostFailed(reason).into()),
        };
        Ok(answer)
    }
}
