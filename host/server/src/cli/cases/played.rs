//! The SDK's played host behind the sandbox's seam, and the words of both sides for the same things.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use creel_guest::testing::{Host, Run};
use creel_guest::{Body, Call, Event, Failure, Outcome, Reply, Report, fetch, log};
use creel_runtime::capability::seam::{Capabilities, FetchError, StateError};
use creel_runtime::run::RunReport;
use creel_webhook::clock::Timestamp;
use creel_webhook::outcome::{self, GuestEvent, Pair};
use creel_webhook::record::{FetchFailure, FetchRequest, FetchResponse};
use creel_webhook::run::{LogLevel, Verdict};

/// A played host, of which one half goes into the sandbox.
#[derive(Clone)]
pub(super) struct Played(Arc<Mutex<Host>>);

impl Played {
    pub(super) fn new(host: Host) -> Self {
        Played(Arc::new(Mutex::new(host)))
    }

    fn host(&self) -> MutexGuard<'_, Host> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the run left behind; none when the plugin neither decided nor declined.
    pub(super) fn ended(&self, report: RunReport) -> Option<Run<Result<Outcome, Failure>>> {
        let reason = report.reason.unwrap_or_default();
        let result = match report.verdict {
            Verdict::Done => Ok(outcome_of(report.outcome?)),
            Verdict::Rejected => Err(Failure::reject(reason)),
            Verdict::Retry => {
                Err(Failure::retry(reason, Duration::from_millis(report.retry_after_ms.unwrap_or_default())))
            }
            _ => return None,
        };
        let mut host = self.host().clone();
        for line in &report.log {
            host.note(level(line.level), &line.message);
        }
        Some(host.ended(result))
    }
}

#[async_trait]
impl Capabilities for Played {
    fn config_get(&mut self, key: &str) -> Option<String> {
        self.host().settings().get(key).cloned()
    }

    fn config_all(&mut self) -> Vec<Pair> {
        self.host().settings().clone().into_iter().collect()
    }

    async fn state_get(&mut self, key: &str) -> Result<Option<Bytes>, StateError> {
        Ok(self.host().read(key).map(Bytes::copy_from_slice))
    }

    async fn state_set(&mut self, key: &str, value: Bytes) -> Result<(), StateError> {
        self.host().write(key, Some(&value));
        Ok(())
    }

    async fn state_delete(&mut self, key: &str) -> Result<(), StateError> {
        self.host().write(key, None);
        Ok(())
    }

    async fn fetch(&mut self, request: FetchRequest) -> Result<FetchResponse, FetchError> {
        let request = fetch::Request {
            destination: request.destination,
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body.map(|body| Body::from(Vec::from(body))),
            timeout: request.timeout_ms.map(Duration::from_millis),
        };
        match self.host().look_up(request) {
            Ok(fetch::Response { status, headers, body }) => Ok(FetchResponse { status, headers, body: bytes(body) }),
            Err(fetch::Error::Denied(reason)) => Err(FetchFailure::Denied(reason).into()),
            Err(fetch::Error::Invalid(reason)) => Err(FetchFailure::Invalid(reason).into()),
            Err(fetch::Error::Timeout) => Err(FetchFailure::Timeout.into()),
            Err(fetch::Error::Unreachable(reason)) => Err(FetchFailure::Unreachable(reason).into()),
            Err(fetch::Error::TooLarge(reason)) => Err(FetchFailure::TooLarge(reason).into()),
        }
    }
}

/// An event of the SDK as a guest is given it.
pub(super) fn event(event: &Event) -> GuestEvent {
    let pairs = |pairs: &mut dyn Iterator<Item = (&str, &str)>| -> Vec<Pair> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    GuestEvent {
        id: event.id().to_owned(),
        request_id: event.request_id().to_owned(),
        index: event.index(),
        count: event.count(),
        source: event.source().to_owned(),
        scheme: event.scheme().to_owned(),
        kind: event.kind().to_owned(),
        provider_id: event.provider_id().map(str::to_owned),
        subject: event.subject().map(str::to_owned),
        received_at: Timestamp::from_millis(i64::try_from(event.received_at_ms()).unwrap_or(i64::MAX)),
        method: event.method().to_owned(),
        query: pairs(&mut event.queries()),
        headers: pairs(&mut event.headers()),
        attributes: pairs(&mut event.attributes()),
        body: Bytes::copy_from_slice(event.body().as_bytes()),
    }
}

fn outcome_of(outcome: outcome::Outcome) -> Outcome {
    Outcome { calls: outcome.calls.into_iter().map(call).collect(), reply: outcome.reply.map(reply) }
}

fn call(call: outcome::Call) -> Call {
    Call {
        destination: call.destination,
        method: call.method,
        path: call.path,
        headers: call.headers,
        body: call.body.map(body),
        idempotency_key: call.idempotency_key,
        order_key: call.order_key,
        delay: call.delay_ms.map(Duration::from_millis),
        expiry: call.expires_ms.map(Duration::from_millis),
        report: call.on_result.map(|wanted| Report {
            tag: wanted.tag,
            delivered: wanted.on_delivered,
            dead: wanted.on_dead,
        }),
        attributes: call.attributes,
    }
}

fn reply(reply: outcome::Reply) -> Reply {
    Reply { status: reply.status, headers: reply.headers, body: reply.body.map(body) }
}

fn body(bytes: Bytes) -> Body {
    Body::from(Vec::from(bytes))
}

fn bytes(body: Body) -> Bytes {
    match body {
        Body::Text(text) => Bytes::from(text),
        Body::Bytes(bytes) => Bytes::from(bytes),
    }
}

fn level(level: LogLevel) -> log::Level {
    match level {
        LogLevel::Trace => log::Level::Trace,
        LogLevel::Debug => log::Level::Debug,
        LogLevel::Info => log::Level::Info,
        LogLevel::Warn => log::Level::Warn,
        LogLevel::Error => log::Level::Error,
    }
}
