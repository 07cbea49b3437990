//! The one way to look something up during a run: an HTTP request to a destination that the deployment is granted for
//! it, recorded by the host, so that a replay is answered from the record.
//!
//! Use it for what the decision needs now, such as the caller's record for a live call. What only has to be *done* is a
//! [`Call`](crate::Call): it is retried, and costs the run no time.
//!
//! A look-up is tried once and answered soon, one way or the other: within its [`timeout`](Request::timeout), the host's own
//! bound (3 s unless the operator set another) and a little before the run must end. So decide what holds without the
//! answer: `?` on [`send`](Request::send) asks for another run later, which is too late for a caller who waits.
//!
//! ```
//! use creel_guest::prelude::*;
//! fn caller_name(phone: &str) -> Result<String, Failure> {
//!     let contact: Value = fetch::Request::get("crm", format!("/contacts/{phone}")).send()?.ok()?.json()?;
//!     Ok(contact["name"].as_str().unwrap_or("there").to_owned())
//! }
//! # use creel_guest::testing::Host;
//! # let host = Host::new().answer("crm", "/contacts/7", fetch::Response::new(200, r#"{"name":"Ada"}"#));
//! # assert_eq!(host.run(|| caller_name("7")).result.unwrap(), "Ada");
//! ```

use crate::{Body, Failure, Malformed};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::time::Duration;

/// What to look up.
///
/// ```
/// use creel_guest::prelude::*;
/// let request = fetch::Request::get("crm", "/contacts/7").header("Accept", "application/json");
/// assert_eq!(request.method, "GET");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Name of a destination that the deployment may fetch from.
    pub destination: String,
    /// HTTP method; GET and HEAD unless the deployment is granted more.
    pub method: String,
    /// As in a call.
    pub path: String,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// What to send.
    pub body: Option<Body>,
    /// Give up after this time; the host bounds it.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A request with any method.
    ///
    /// ```
    /// # use creel_guest::fetch::Request;
    /// assert_eq!(Request::new("HEAD", "crm", "/").method, "HEAD");
    /// ```
    pub fn new(method: &str, destination: impl Into<String>, path: impl Into<String>) -> Request {
        Request {
            destination: destination.into(),
            method: method.to_ascii_uppercase(),
            path: path.into(),
            headers: Vec::new(),
            body: None,
            timeout: None,
        }
    }

    /// A GET request.
    ///
    /// ```
    /// # use creel_guest::fetch::Request;
    /// assert_eq!(Request::get("crm", "/contacts/7").path, "/contacts/7");
    /// ```
    pub fn get(destination: impl Into<String>, path: impl Into<String>) -> Request {
        Request::new("GET", destination, path)
    }

    /// Adds a header.
    ///
    /// ```
    /// # use creel_guest::fetch::Request;
    /// assert_eq!(Request::get("crm", "/").header("Accept", "*/*").headers[0].0, "accept");
    /// ```
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Sends `value` as JSON.
    ///
    /// ```
    /// # use creel_guest::fetch::Request;
    /// assert!(Request::new("POST", "crm", "/search").json(&["a"]).unwrap().body.is_some());
    /// ```
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Request, serde_json::Error> {
        self.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        self.body = Some(Body::Text(serde_json::to_string(value)?));
        Ok(self)
    }

    /// Gives up after this time.
    ///
    /// ```
    /// # use creel_guest::{fetch::Request, prelude::Duration};
    /// assert!(Request::get("crm", "/").timeout(Duration::from_secs(2)).timeout.is_some());
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Request {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and waits. A response with an error status is a response.
    ///
    /// ```
    /// # use creel_guest::fetch::{Error, Request};
    /// assert!(matches!(Request::get("crm", "/").send(), Err(Error::Denied(_)))); // nothing was granted
    /// ```
    pub fn send(self) -> Result<Response, Error> {
        crate::host::fetch_send(self)
    }
}

/// What came back.
///
/// ```
/// # use creel_guest::fetch::Response;
/// let response = Response::new(404, "");
/// assert!(!response.is_success());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// A response, for tests.
    ///
    /// ```
    /// # use creel_guest::fetch::Response;
    /// assert_eq!(Response::new(200, "hi").text(), Ok("hi"));
    /// ```
    pub fn new(status: u16, body: impl Into<Body>) -> Response {
        Response { status, headers: Vec::new(), body: body.into() }
    }

    /// Whether the status is 2xx.
    ///
    /// ```
    /// # use creel_guest::fetch::Response;
    /// assert!(Response::new(204, "").is_success());
    /// ```
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Turns a status other than 2xx into a failure: 408, 425, 429 and 5xx ask for another run, the rest rejects.
    ///
    /// ```
    /// # use creel_guest::{Failure, fetch::Response};
    /// assert!(Response::new(200, "").ok().is_ok());
    /// assert!(matches!(Response::new(503, "").ok(), Err(Failure::Retry { .. })));
    /// assert!(matches!(Response::new(404, "").ok(), Err(Failure::Reject { .. })));
    /// ```
    pub fn ok(self) -> Result<Response, Failure> {
        let reason = format!("a look-up was answered with status {}", self.status);
        match self.status {
            200..=299 => Ok(self),
            408 | 425 | 429 | 500.. => Err(Failure::retry(reason, Duration::from_secs(10))),
            _ => Err(Failure::reject(reason)),
        }
    }

    /// The first value of a header; upper and lower case do not matter.
    ///
    /// ```
    /// # use creel_guest::fetch::Response;
    /// assert_eq!(Response::new(200, "").header("etag"), None);
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// ```
    /// # use creel_guest::fetch::Response;
    /// assert!(Response::new(200, vec![0xff]).text().is_err());
    /// ```
    pub fn text(&self) -> Result<&str, Malformed> {
        match &self.body {
            Body::Text(text) => Ok(text),
            Body::Bytes(_) => Err(Malformed::new("the response's body is not the text expected: it is not UTF-8")),
        }
    }

    /// The body as JSON of type `T`.
    ///
    /// ```
    /// # use creel_guest::fetch::Response;
    /// assert_eq!(Response::new(200, "[1,2]").json::<Vec<u8>>(), Ok(vec![1, 2]));
    /// ```
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_slice(self.body.as_bytes())
            .map_err(|error| Malformed::new(format!("the response's body is not the JSON expected: {error}")))
    }
}

/// Why there is no response.
///
/// ```
/// # use creel_guest::{Failure, fetch::Error};
/// assert!(matches!(Failure::from(Error::Timeout), Failure::Retry { .. }));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The deployment is not granted this, or the run made as many look-ups as it may; the text says what to grant.
    Denied(String),
    /// The request itself is not valid; the text says why.
    Invalid(String),
    /// No answer in time.
    Timeout,
    /// The destination could not be reached, is paused or failed too often just now; the text says why.
    Unreachable(String),
    /// The response is over its limit.
    TooLarge(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Denied(text) => write!(f, "the look-up is denied: {text}"),
            Error::Invalid(text) => write!(f, "the look-up is not valid: {text}"),
            Error::Timeout => f.write_str("the look-up was not answered in time"),
            Error::Unreachable(text) => write!(f, "the look-up's destination was not reached: {text}"),
            Error::TooLarge(text) => write!(f, "the look-up's answer is over its limit: {text}"),
        }
    }
}

impl std::error::Error for Error {}
