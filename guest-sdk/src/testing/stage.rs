//! The played host. One stands on each thread; `Host::run` puts a prepared one there, runs the work and takes it back.
//!
//! It keeps the rules of the real one that an author can notice: reads of `state` see what was there before the run,
//! writes show up afterwards, a look-up that nobody prepared is denied. Those rules are methods of [`Host`], so that who
//! runs a plugin elsewhere than on this thread (`creel test`, in the sandbox) plays the same host.

use crate::{fetch, log, state};
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    static STAGE: RefCell<Host> = RefCell::new(Host::new());
}

/// A host for tests.
///
/// ```
/// use creel_guest::prelude::*;
/// use creel_guest::testing::Host;
/// let run = Host::new().state("seen", "2").run(|| {
///     let seen: u32 = state::get_json("seen").unwrap().unwrap();
///     state::set_json("seen", &(seen + 1)).unwrap();
/// });
/// assert_eq!(run.state["seen"], b"3");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Host {
    config: BTreeMap<String, String>,
    state: BTreeMap<String, Vec<u8>>,
    writes: BTreeMap<String, Option<Vec<u8>>>,
    answers: Vec<(String, String, Result<fetch::Response, fetch::Error>)>,
    asked: Vec<fetch::Request>,
    log: Vec<(log::Level, String)>,
    playing: bool,
}

/// What a run on a played host left behind.
///
/// ```
/// use creel_guest::{log, testing::Host};
/// let run = Host::new().run(|| log::warn!("odd"));
/// assert_eq!(run.log, [(log::Level::Warn, "odd".to_owned())]);
/// ```
#[derive(Debug, Clone)]
pub struct Run<R> {
    /// What the work returned.
    pub result: R,
    /// The log lines.
    pub log: Vec<(log::Level, String)>,
    /// The state with the run's writes.
    pub state: BTreeMap<String, Vec<u8>>,
    /// The look-ups that were asked for.
    pub fetched: Vec<fetch::Request>,
}

impl Host {
    /// A host without settings, state and answers.
    ///
    /// ```
    /// use creel_guest::{config, testing::Host};
    /// assert!(Host::new().run(config::all).result.is_empty());
    /// ```
    pub fn new() -> Host {
        Host::default()
    }

    /// Sets a setting.
    ///
    /// ```
    /// use creel_guest::{config, testing::Host};
    /// assert!(Host::new().config("a", "1").run(|| config::require("a")).result.is_ok());
    /// ```
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Host {
        self.config.insert(key.into(), value.into());
        self
    }

    /// Sets a stored value.
    ///
    /// ```
    /// use creel_guest::{state, testing::Host};
    /// assert_eq!(Host::new().state("a", "1").run(|| state::get("a")).result, Ok(Some(b"1".to_vec())));
    /// ```
    pub fn state(mut self, key: impl Into<String>, value: impl AsRef<[u8]>) -> Host {
        self.state.insert(key.into(), value.as_ref().to_vec());
        self
    }

    /// Prepares the answer to a look-up, by destination and path.
    ///
    /// ```
    /// use creel_guest::{fetch, testing::Host};
    /// let host = Host::new().answer("crm", "/1", fetch::Response::new(200, "hi"));
    /// assert!(host.run(|| fetch::Request::get("crm", "/1").send()).result.is_ok());
    /// ```
    pub fn answer(self, destination: &str, path: &str, response: fetch::Response) -> Host {
        self.prepared(destination, path, Ok(response))
    }

    /// Prepares a look-up that fails.
    ///
    /// ```
    /// use creel_guest::{fetch, testing::Host};
    /// let host = Host::new().fail("crm", "/1", fetch::Error::Timeout);
    /// assert_eq!(host.run(|| fetch::Request::get("crm", "/1").send()).result, Err(fetch::Error::Timeout));
    /// ```
    pub fn fail(self, destination: &str, path: &str, error: fetch::Error) -> Host {
        self.prepared(destination, path, Err(error))
    }

    fn prepared(mut self, to: &str, path: &str, answer: Result<fetch::Response, fetch::Error>) -> Host {
        self.answers.push((to.to_owned(), path.to_owned(), answer));
        self
    }

    /// Runs `work` on this host.
    ///
    /// ```
    /// use creel_guest::testing::Host;
    /// assert_eq!(Host::new().run(|| 1 + 1).result, 2);
    /// ```
    pub fn run<R>(mut self, work: impl FnOnce() -> R) -> Run<R> {
        self.playing = true;
        let before = STAGE.replace(self);
        let result = work();
        STAGE.replace(before).ended(result)
    }

    /// All settings, by key: what `config` tells.
    ///
    /// ```
    /// use creel_guest::testing::Host;
    /// assert_eq!(Host::new().config("a", "1").settings()["a"], "1");
    /// ```
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.config
    }

    /// What `state` reads: the value from before the run.
    ///
    /// ```
    /// use creel_guest::testing::Host;
    /// let mut host = Host::new().state("a", "1");
    /// host.write("a", Some(b"2"));
    /// assert_eq!(host.read("a"), Some(&b"1"[..]));
    /// ```
    pub fn read(&self, key: &str) -> Option<&[u8]> {
        self.state.get(key).map(Vec::as_slice)
    }

    /// What `state` does with a write, or with a removal (`None`): it shows when the run has ended.
    ///
    /// ```
    /// use creel_guest::testing::Host;
    /// let mut host = Host::new();
    /// host.write("a", Some(b"2"));
    /// assert_eq!(host.ended(()).state["a"], b"2");
    /// ```
    pub fn write(&mut self, key: &str, value: Option<&[u8]>) {
        self.writes.insert(key.to_owned(), value.map(<[u8]>::to_vec));
    }

    /// What `fetch` answers.
    ///
    /// ```
    /// use creel_guest::{fetch, testing::Host};
    /// let mut host = Host::new().answer("crm", "/1", fetch::Response::new(200, "hi"));
    /// assert!(host.look_up(fetch::Request::get("crm", "/1")).is_ok());
    /// assert!(matches!(host.look_up(fetch::Request::get("crm", "/2")), Err(fetch::Error::Denied(_))));
    /// ```
    pub fn look_up(&mut self, request: fetch::Request) -> Result<fetch::Response, fetch::Error> {
        let answer = self.answer_to(&request);
        self.asked.push(request);
        answer
    }

    /// Keeps a log line.
    ///
    /// ```
    /// use creel_guest::{log::Level, testing::Host};
    /// let mut host = Host::new();
    /// host.note(Level::Info, "done");
    /// assert_eq!(host.ended(()).log.len(), 1);
    /// ```
    pub fn note(&mut self, level: log::Level, message: &str) {
        self.log.push((level, message.to_owned()));
    }

    /// The run has ended with this: what it left behind.
    ///
    /// ```
    /// use creel_guest::testing::Host;
    /// assert_eq!(Host::new().state("a", "1").ended(7).state["a"], b"1");
    /// ```
    pub fn ended<R>(self, result: R) -> Run<R> {
        let mut state = self.state;
        for (key, value) in self.writes {
            match value {
                Some(value) => state.insert(key, value),
                None => state.remove(&key),
            };
        }
        Run { result, log: self.log, state, fetched: self.asked }
    }

    fn answer_to(&self, request: &fetch::Request) -> Result<fetch::Response, fetch::Error> {
        let prepared = self.answers.iter().find(|(to, path, _)| *to == request.destination && *path == request.path);
        match prepared {
            Some((_, _, answer)) => answer.clone(),
            None => {
                let fetch::Request { method, destination, path, .. } = request;
                Err(fetch::Error::Denied(format!("no answer was prepared for {method} {destination} {path}")))
            }
        }
    }
}

/// Outside of `Host::run` a line goes to stderr, so that a debugged test shows it.
pub(crate) fn log_write(level: log::Level, message: &str) {
    STAGE.with_borrow_mut(|host| match host.playing {
        true => host.note(level, message),
        false => eprintln!("{level}: {message}"),
    });
}

pub(crate) fn config_get(key: &str) -> Option<String> {
    STAGE.with_borrow(|host| host.config.get(key).cloned())
}

pub(crate) fn config_all() -> Vec<(String, String)> {
    STAGE.with_borrow(|host| host.config.clone().into_iter().collect())
}

pub(crate) fn state_get(key: &str) -> Result<Option<Vec<u8>>, state::Error> {
    Ok(STAGE.with_borrow(|host| host.read(key).map(<[u8]>::to_vec)))
}

pub(crate) fn state_set(key: &str, value: &[u8]) -> Result<(), state::Error> {
    STAGE.with_borrow_mut(|host| host.write(key, Some(value)));
    Ok(())
}

pub(crate) fn state_delete(key: &str) -> Result<(), state::Error> {
    STAGE.with_borrow_mut(|host| host.write(key, None));
    Ok(())
}

pub(crate) fn fetch_send(request: fetch::Request) -> Result<fetch::Response, fetch::Error> {
    STAGE.with_borrow_mut(|host| host.look_up(request))
}
