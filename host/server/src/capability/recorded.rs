//! A run that is only shown: what it reads is answered from the record of the run that it repeats, and nothing is sent.
//!
//! The same deployment asks the same and is answered the same, to the byte, so it decides the same, logs the same and
//! burns the same fuel. Another deployment may ask for something else. It is refused what it is not granted, as ever; what
//! it is granted and the record does not have, it is told so, and so is whoever looks at the rehearsal ([`Missing`]).
//!
//! State is the exception: what the record does not have is answered from what is committed now, and told as missing too.
//! To read it changes nothing, and an event that never ran can be rehearsed with what its plugin remembers.
//!
//! A look-up is found by what was asked, in the order in which it was asked: the like asked twice is answered as it was
//! the first time and the second. How long it may take makes it no other.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use creel_runtime::capability::granted::Granted;
use creel_runtime::capability::seam::{Capabilities, FetchError, StateError};
use creel_webhook::outcome::Pair;
use creel_webhook::record::{FetchFailure, FetchRequest, FetchResponse, Fetched, Record};
use creel_webhook::state::StateWrite;

use super::asking::Asking;
use super::state::State;

/// Most reads that are listed as missing: who looks wants to know which, not all of a flood.
const MISSING_MAX: usize = 64;

/// What was asked for and is not in the record, in order, as people read it.
pub type Missing = Arc<Mutex<Vec<String>>>;

/// What a run reaches that is only shown.
pub struct Recorded {
    settings: Granted,
    state: State,
    asking: Asking,
    record: Record,
    /// What this run reads itself; nobody keeps it.
    seen: Mutex<Record>,
    /// Which of the record's fetches have been answered again.
    used: Vec<bool>,
    missing: Missing,
}

impl Recorded {
    /// Answers from `record`; what it does not have is noted in `missing`.
    pub fn new(settings: Granted, state: State, asking: Asking, record: Record, missing: Missing) -> Self {
        let used = vec![false; record.fetches().len()];
        Recorded { settings, state, asking, record, seen: Mutex::default(), used, missing }
    }

    fn miss(&self, what: String) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.len() < MISSING_MAX {
            missing.push(what);
        }
    }
}

#[async_trait]
impl Capabilities for Recorded {
    fn config_get(&mut self, key: &str) -> Option<String> {
        self.settings.config_get(key)
    }

    fn config_all(&mut self) -> Vec<Pair> {
        self.settings.config_all()
    }

    async fn state_get(&mut self, key: &str) -> Result<Option<Bytes>, StateError> {
        let known = |record: &Record| record.state_of(key).is_some();
        let seen = known(&self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        if self.state.is_granted() && !seen && !known(&self.record) {
            self.miss(format!("state {:?}, answered from what is committed now", key.get(..64).unwrap_or(key)));
        }
        self.state.get(key, &self.seen, Some(&self.record)).await
    }

    async fn state_set(&mut self, key: &str, value: Bytes) -> Result<(), StateError> {
        let write = StateWrite { key: key.to_owned(), value: Some(value) };
        self.state.write(write, &self.seen, Some(&self.record)).await
    }

    async fn state_delete(&mut self, key: &str) -> Result<(), StateError> {
        let write = StateWrite { key: key.to_owned(), value: None };
        self.state.write(write, &self.seen, Some(&self.record)).await
    }

    async fn fetch(&mut self, request: FetchRequest) -> Result<FetchResponse, FetchError> {
        self.asking.admit(&request)?;
        let fetches = self.record.fetches();
        let found = fetches.iter().zip(&self.used).position(|(one, used)| !used && is_like(one, &request));
        let Some(at) = found else {
            let FetchRequest { method, destination, path, .. } = &request;
            self.miss(format!("fetch {method} {path} at {destination}"));
            let reason = "this look-up is not in the record of the run that is repeated, and a rehearsal sends nothing";
            return Err(FetchFailure::Unreachable(reason.to_owned()).into());
        };
        self.used[at] = true;
        Ok(fetches[at].answer.clone()?)
    }
}

/// Whether the same was asked.
fn is_like(one: &Fetched, request: &FetchRequest) -> bool {
    let timeout_ms = one.request.timeout_ms;
    one.request == FetchRequest { timeout_ms, ..request.clone() }
}

#[cfg(test)]
mod tests {
    use creel_store::sqlite::{Options, SqliteStore};
    use creel_webhook::fetch::FetchLimits;
    use creel_webhook::id::{DeploymentId, PluginId, TenantId};
    use creel_webhook::plugin::{Deployment, Digest, Grants};
    use creel_webhook::state::StateLimits;
    use futures_util::FutureExt as _;

    use super::*;

    fn get(path: &str) -> FetchRequest {
        FetchRequest {
            destination: "crm".to_owned(),
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: vec![],
            body: None,
            timeout_ms: None,
        }
    }

    fn recorded(grants: Grants, fetches: &[(&str, Result<u16, FetchFailure>)]) -> (Recorded, Missing) {
        let deployment = Deployment {
            id: DeploymentId::from_bytes([0; 16]),
            tenant: TenantId::from_bytes([0; 16]),
            plugin: PluginId::from_bytes([0; 16]),
            number: 1,
            digest: Digest::of(b""),
            config: Default::default(),
            grants,
            created_at: Default::default(),
        };
        let mut record = Record::default();
        for (path, answer) in fetches {
            let answer = answer.clone().map(|status| FetchResponse { status, headers: vec![], body: Bytes::new() });
            record.add_fetch(Fetched { request: get(path), answer, duration_ms: 1 }).unwrap();
        }
        let asking = Asking { deployment: Arc::new(deployment), limits: FetchLimits::default(), asked: 0 };
        let missing = Missing::default();
        let state = state_of_nothing();
        (Recorded::new(Granted::default(), state, asking, record, missing.clone()), missing)
    }

    /// It is not granted, so its store is never asked.
    fn state_of_nothing() -> State {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("creel.db"), Options::default()).unwrap();
        let plugin = (TenantId::from_bytes([0; 16]), PluginId::from_bytes([0; 16]));
        State::of_run(Arc::new(store), plugin, false, StateLimits::default())
    }

    fn ask(recorded: &mut Recorded, request: FetchRequest) -> Result<u16, FetchFailure> {
        match recorded.fetch(request).now_or_never().expect("nothing is waited for") {
            Ok(response) => Ok(response.status),
            Err(FetchError::Failed(failure)) => Err(failure),
            Err(FetchError::Broken(why)) => panic!("{why}"),
        }
    }

    fn crm() -> Grants {
        Grants { fetch: [("crm".to_owned(), vec![])].into(), ..Grants::default() }
    }

    #[test]
    fn the_like_is_answered_in_its_order_and_what_was_not_asked_is_missing() {
        let timeout = Err(FetchFailure::Timeout);
        let (mut run, missing) = recorded(crm(), &[("/a", Ok(200)), ("/b", timeout.clone()), ("/a", Ok(404))]);
        assert_eq!(ask(&mut run, get("/a")), Ok(200));
        assert_eq!(ask(&mut run, FetchRequest { timeout_ms: Some(5), ..get("/a") }), Ok(404));
        assert_eq!(ask(&mut run, get("/b")), timeout);
        assert!(matches!(ask(&mut run, get("/a")), Err(FetchFailure::Unreachable(why)) if why.contains("record")));
        assert!(ask(&mut run, FetchRequest { method: "HEAD".to_owned(), ..get("/b") }).is_err());
        assert_eq!(*missing.lock().unwrap(), ["fetch GET /a at crm", "fetch HEAD /b at crm"]);
    }

    #[test]
    fn what_is_not_granted_is_denied_whatever_the_record_says() {
        let (mut run, missing) = recorded(Grants::default(), &[("/a", Ok(200))]);
        assert!(matches!(ask(&mut run, get("/a")), Err(FetchFailure::Denied(_))));
        assert!(missing.lock().unwrap().is_empty(), "a refusal is no gap");
    }
}
