//! The call control objects (NCCO) that Vonage wants as the answer to a call: a JSON list of actions.
//!
//! ```
//! use creel_guest::Reply;
//! use creel_guest::vonage::{Connect, Endpoint, Input, Ncco};
//! let menu = Input::digits("https://e.test/menu").max_digits(1);
//! let ncco = Ncco::new().talk("Press one").input(menu).connect(Connect::to(Endpoint::phone("15550100")));
//! assert_eq!(
//!     Reply::from(ncco).body.unwrap().as_bytes(),
//!     br#"[{"action":"talk","text":"Press one"},{"action":"input","dtmf":{"maxDigits":1},"eventUrl":["https://e.test/menu"],"type":["dtmf"]},{"action":"connect","endpoint":[{"number":"15550100","type":"phone"}]}]"#
//! );
//! ```

mod connect;
mod input;
mod record;
mod talk;

use crate::Reply;
use crate::object::Object;
use serde_json::Value;
use std::time::Duration;

pub use connect::{Connect, Endpoint};
pub use input::Input;
pub use record::{Format, Record};
pub use talk::Talk;

/// A whole answer. An empty one ends the call.
///
/// ```
/// use creel_guest::{Reply, vonage::Ncco};
/// let reply = Reply::from(Ncco::new());
/// assert_eq!((reply.headers[0].1.as_str(), reply.body.unwrap().as_bytes()), ("application/json", &b"[]"[..]));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ncco {
    actions: Vec<Value>,
}

impl Ncco {
    /// Without actions.
    ///
    /// ```
    /// assert_eq!(creel_guest::vonage::Ncco::new(), Default::default());
    /// ```
    pub fn new() -> Ncco {
        Ncco::default()
    }

    /// Adds any action.
    ///
    /// ```
    /// use creel_guest::{prelude::*, vonage::Ncco};
    /// assert_ne!(Ncco::new().action(json!({ "action": "transfer", "conversationId": "CON-1" })), Ncco::new());
    /// ```
    pub fn action(mut self, action: impl Into<Value>) -> Ncco {
        self.actions.push(action.into());
        self
    }

    /// Speaks a text.
    ///
    /// ```
    /// use creel_guest::vonage::{Ncco, Talk};
    /// assert_eq!(Ncco::new().talk("Hello"), Ncco::new().talk(Talk::new("Hello")));
    /// ```
    pub fn talk(self, talk: impl Into<Talk>) -> Ncco {
        self.action(talk.into())
    }

    /// Plays a recording.
    ///
    /// ```
    /// use creel_guest::{prelude::*, vonage::Ncco};
    /// let streamed = Ncco::new().stream("https://e.test/a.mp3");
    /// assert_eq!(streamed, Ncco::new().action(json!({ "action": "stream", "streamUrl": ["https://e.test/a.mp3"] })));
    /// ```
    pub fn stream(self, url: impl Into<String>) -> Ncco {
        self.action(Object::of("action", "stream").with("streamUrl", vec![url.into()]))
    }

    /// Takes digits or speech; the answer to its URL says how the call goes on.
    ///
    /// ```
    /// use creel_guest::vonage::{Input, Ncco};
    /// let _ = Ncco::new().talk("How can I help?").input(Input::speech("https://e.test/said"));
    /// ```
    pub fn input(self, input: Input) -> Ncco {
        self.action(input)
    }

    /// Connects the caller.
    ///
    /// ```
    /// use creel_guest::vonage::{Connect, Endpoint, Ncco};
    /// let _ = Ncco::new().connect(Connect::to(Endpoint::sip("sip:desk@e.test")));
    /// ```
    pub fn connect(self, connect: Connect) -> Ncco {
        self.action(connect)
    }

    /// Records the call from here on.
    ///
    /// ```
    /// use creel_guest::vonage::{Ncco, Record};
    /// let _ = Ncco::new().record(Record::new("https://e.test/recorded"));
    /// ```
    pub fn record(self, record: Record) -> Ncco {
        self.action(record)
    }

    /// Joins a named conversation, which is made by the first who joins.
    ///
    /// ```
    /// use creel_guest::{prelude::*, vonage::Ncco};
    /// let joined = Ncco::new().conversation("standup");
    /// assert_eq!(joined, Ncco::new().action(json!({ "action": "conversation", "name": "standup" })));
    /// ```
    pub fn conversation(self, name: impl Into<String>) -> Ncco {
        self.action(Object::of("action", "conversation").with("name", name.into()))
    }

    /// Tells a URL something; its answer may say how the call goes on.
    ///
    /// ```
    /// use creel_guest::{prelude::*, vonage::Ncco};
    /// let _ = Ncco::new().notify(json!({ "step": "greeted" }), "https://e.test/step");
    /// ```
    pub fn notify(self, payload: Value, url: impl Into<String>) -> Ncco {
        let notify = Object::of("action", "notify").with("payload", payload).with("eventUrl", vec![url.into()]);
        self.action(notify)
    }

    /// Waits, between a tenth of a second and two hours.
    ///
    /// ```
    /// use creel_guest::{prelude::*, vonage::Ncco};
    /// let waited = Ncco::new().wait(Duration::from_millis(500));
    /// assert_eq!(waited, Ncco::new().action(json!({ "action": "wait", "timeout": 0.5 })));
    /// ```
    pub fn wait(self, time: Duration) -> Ncco {
        self.action(Object::of("action", "wait").with("timeout", time.as_secs_f64().clamp(0.1, 7_200.0)))
    }
}

impl From<Ncco> for Reply {
    fn from(ncco: Ncco) -> Reply {
        Reply::of_json(&Value::Array(ncco.actions))
    }
}
