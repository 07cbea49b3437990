//! Why a handler gives no outcome, and how ordinary errors become such a reason.
//!
//! There are two answers: *reject* (this event will never make sense, stop) and *retry* (something is not ready, come
//! back). Every error that reading an event can produce converts into a rejection that names what was expected, so
//! that `?` is all an author writes. Errors of [`fetch`](crate::fetch) convert by their nature: what may pass by
//! itself asks for another run, the rest rejects.

use std::fmt;
use std::time::Duration;

/// How long `?` on a failed look-up waits before the event is run again.
const LOOKUP_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Why there is no outcome.
///
/// ```
/// use creel_guest::prelude::*;
/// let failure = Failure::reject("only orders are handled here");
/// assert_eq!(failure.to_string(), "rejected: only orders are handled here");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The event is not for this plugin, or malformed. Final, but it can be replayed.
    Reject {
        /// For the operator's eyes.
        reason: String,
    },
    /// Something is not ready: run the same event again.
    Retry {
        /// For the operator's eyes.
        reason: String,
        /// Not before this time has passed; the host bounds it.
        after: Duration,
    },
}

impl Failure {
    /// Ends the event for good.
    ///
    /// ```
    /// use creel_guest::prelude::*;
    /// fn handle(event: Event) -> Result<Outcome, Failure> {
    ///     let call = event.subject().ok_or_else(|| Failure::reject("the event names no call"))?;
    ///     Ok(Outcome::new().call(Call::to("crm").path(format!("/calls/{call}"))))
    /// }
    /// # let _ = handle;
    /// ```
    pub fn reject(reason: impl Into<String>) -> Failure {
        Failure::Reject { reason: reason.into() }
    }

    /// Asks to run the event again, not before `after` has passed.
    ///
    /// ```
    /// use creel_guest::prelude::*;
    /// let failure = Failure::retry("the recording is not there yet", Duration::from_secs(30));
    /// assert!(matches!(failure, Failure::Retry { .. }));
    /// ```
    pub fn retry(reason: impl Into<String>, after: Duration) -> Failure {
        Failure::Retry { reason: reason.into(), after }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Reject { reason } => write!(f, "rejected: {reason}"),
            Failure::Retry { reason, after } => write!(f, "to be retried after {after:?}: {reason}"),
        }
    }
}

/// An event that does not hold what was asked of it. Says what was expected.
///
/// ```
/// use creel_guest::testing::EventBuilder;
/// let event = EventBuilder::new("ping").text("hello").build();
/// let error = event.json::<u32>().unwrap_err();
/// assert_eq!(error.to_string(), "the event's body is not the JSON expected: expected value at line 1 column 1");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    message: String,
}

impl Malformed {
    pub(crate) fn new(message: impl Into<String>) -> Malformed {
        Malformed { message: message.into() }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Failure {
        Failure::reject(error.message)
    }
}

/// So that `.ok_or("the call has no id")?` reads well.
impl From<&str> for Failure {
    fn from(reason: &str) -> Failure {
        Failure::reject(reason)
    }
}

/// So that `.map_err(|error| format!("…: {error}"))?` reads well.
impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::reject(reason)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::reject(format!("a JSON value is not as expected: {error}"))
    }
}

impl From<std::str::Utf8Error> for Failure {
    fn from(error: std::str::Utf8Error) -> Failure {
        Failure::reject(format!("text was expected, but the bytes are not UTF-8: {error}"))
    }
}

impl From<std::string::FromUtf8Error> for Failure {
    fn from(error: std::string::FromUtf8Error) -> Failure {
        error.utf8_error().into()
    }
}

impl From<std::num::ParseIntError> for Failure {
    fn from(error: std::num::ParseIntError) -> Failure {
        Failure::reject(format!("a whole number was expected: {error}"))
    }
}

impl From<std::num::ParseFloatError> for Failure {
    fn from(error: std::num::ParseFloatError) -> Failure {
        Failure::reject(format!("a number was expected: {error}"))
    }
}

impl From<crate::config::Error> for Failure {
    fn from(error: crate::config::Error) -> Failure {
        Failure::reject(error.to_string())
    }
}

impl From<crate::state::Error> for Failure {
    fn from(error: crate::state::Error) -> Failure {
        Failure::reject(error.to_string())
    }
}

impl From<crate::fetch::Error> for Failure {
    fn from(error: crate::fetch::Error) -> Failure {
        use crate::fetch::Error;
        match error {
            Error::Timeout | Error::Unreachable(_) => Failure::retry(error.to_string(), LOOKUP_RETRY_AFTER),
            Error::Denied(_) | Error::Invalid(_) | Error::TooLarge(_) => Failure::reject(error.to_string()),
        }
    }
}
