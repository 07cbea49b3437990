//! The action `connect`: whom the caller is connected to.

use crate::object::Object;
use serde_json::Value;

/// Who is called.
///
/// ```
/// use creel_guest::{prelude::*, vonage::Endpoint};
/// let socket = Endpoint::websocket("wss://e.test/audio", 16_000).header("caller", "15550100");
/// assert_eq!(
///     Value::from(socket),
///     json!({
///         "type": "websocket",
///         "uri": "wss://e.test/audio",
///         "content-type": "audio/l16;rate=16000",
///         "headers": { "caller": "15550100" },
///     })
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint(Object);

impl Endpoint {
    /// A phone number, without `+`.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Endpoint};
    /// assert_eq!(Value::from(Endpoint::phone("+15550100"))["number"], "15550100", "Vonage wants no plus sign");
    /// ```
    pub fn phone(number: &str) -> Endpoint {
        Endpoint(Object::of("type", "phone").with("number", number.trim_start_matches('+')))
    }

    /// A SIP address.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Endpoint};
    /// assert_eq!(Value::from(Endpoint::sip("sip:desk@e.test"))["uri"], "sip:desk@e.test");
    /// ```
    pub fn sip(uri: impl Into<String>) -> Endpoint {
        Endpoint(Object::of("type", "sip").with("uri", uri.into()))
    }

    /// A user of the application.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Endpoint};
    /// assert_eq!(Value::from(Endpoint::app("ada"))["user"], "ada");
    /// ```
    pub fn app(user: impl Into<String>) -> Endpoint {
        Endpoint(Object::of("type", "app").with("user", user.into()))
    }

    /// A WebSocket that gets and gives the audio, 16-bit linear at this rate: 8000 or 16000.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Endpoint};
    /// assert_eq!(Value::from(Endpoint::websocket("wss://e.test/a", 8_000))["content-type"], "audio/l16;rate=8000");
    /// ```
    pub fn websocket(uri: impl Into<String>, rate_hz: u32) -> Endpoint {
        let socket = Object::of("type", "websocket").with("uri", uri.into());
        Endpoint(socket.with("content-type", format!("audio/l16;rate={rate_hz}")))
    }

    /// A value that the other side is told; of WebSockets and SIP only.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::Endpoint};
    /// assert_eq!(Value::from(Endpoint::sip("sip:a@e.test").header("x", "1"))["headers"]["x"], "1");
    /// ```
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Endpoint {
        self.0.set_in(&["headers"], name, value);
        self
    }
}

impl From<Endpoint> for Value {
    fn from(endpoint: Endpoint) -> Value {
        endpoint.0.into()
    }
}

/// Whom the caller is connected to, and how.
///
/// ```
/// use creel_guest::{prelude::*, vonage::{Connect, Endpoint}};
/// let connect = Connect::to(Endpoint::phone("15550100")).from("15550199").timeout(20).then_ask("https://e.test/after");
/// assert_eq!(
///     Value::from(connect),
///     json!({
///         "action": "connect",
///         "endpoint": [{ "type": "phone", "number": "15550100" }],
///         "from": "15550199",
///         "timeout": 20,
///         "eventType": "synchronous",
///         "eventUrl": ["https://e.test/after"],
///     })
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Connect(Object);

impl Connect {
    /// To one endpoint: Vonage takes no more.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::{Connect, Endpoint}};
    /// assert_eq!(Value::from(Connect::to(Endpoint::app("ada")))["endpoint"][0]["type"], "app");
    /// ```
    pub fn to(endpoint: Endpoint) -> Connect {
        Connect(Object::of("action", "connect").with("endpoint", vec![Value::from(endpoint)]))
    }

    /// The number that the called one sees: one of the account.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::{Connect, Endpoint}};
    /// assert_eq!(Value::from(Connect::to(Endpoint::phone("1")).from("+2"))["from"], "2");
    /// ```
    pub fn from(self, number: &str) -> Connect {
        Connect(self.0.with("from", number.trim_start_matches('+')))
    }

    /// Seconds that it rings.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::{Connect, Endpoint}};
    /// assert_eq!(Value::from(Connect::to(Endpoint::phone("1")).timeout(15))["timeout"], 15);
    /// ```
    pub fn timeout(self, seconds: u32) -> Connect {
        Connect(self.0.with("timeout", seconds))
    }

    /// The longest call, seconds.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::{Connect, Endpoint}};
    /// assert_eq!(Value::from(Connect::to(Endpoint::phone("1")).time_limit(600))["limit"], 600);
    /// ```
    pub fn time_limit(self, seconds: u32) -> Connect {
        Connect(self.0.with("limit", seconds))
    }

    /// When nobody answers, the answer of this URL says how the call goes on.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vonage::{Connect, Endpoint}};
    /// assert_eq!(Value::from(Connect::to(Endpoint::phone("1")).then_ask("https://e.test/a"))["eventType"], "synchronous");
    /// ```
    pub fn then_ask(self, url: impl Into<String>) -> Connect {
        Connect(self.0.with("eventType", "synchronous").with("eventUrl", vec![url.into()]))
    }
}

impl From<Connect> for Value {
    fn from(connect: Connect) -> Value {
        connect.0.into()
    }
}
