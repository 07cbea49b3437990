//! The answer to the sender, on a route of mode `reply`. The builders set the content type that the body has.

use crate::Body;
use serde::Serialize;

/// What the sender is answered.
///
/// ```
/// use creel_guest::Reply;
/// let reply = Reply::text("ok").header("X-Answered-By", "creel").with_status(202);
/// assert_eq!(reply.status, 202);
/// assert_eq!(reply.headers[1], ("x-answered-by".to_owned(), "creel".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, 200 to 599 except 3xx.
    pub status: u16,
    /// Headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The answer's body.
    pub body: Option<Body>,
}

impl Reply {
    /// An answer without body.
    ///
    /// ```
    /// assert_eq!(creel_guest::Reply::status(204).body, None);
    /// ```
    pub fn status(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: None }
    }

    /// 200 with a JSON body. Fails only when `value` cannot be written as JSON.
    ///
    /// ```
    /// use creel_guest::prelude::*;
    /// let reply = Reply::json(&json!({ "ok": true })).unwrap();
    /// assert_eq!(reply.headers[0].1, "application/json");
    /// ```
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Reply, serde_json::Error> {
        Ok(Reply::with_body("application/json", serde_json::to_string(value)?))
    }

    /// 200 with a value as its JSON body, which always can be written.
    pub(crate) fn of_json(value: &serde_json::Value) -> Reply {
        Reply::with_body("application/json", value.to_string())
    }

    /// 200 with an XML body, sent as `text/xml`. For Twilio's answers see [`twiml`](crate::twiml).
    ///
    /// ```
    /// assert_eq!(creel_guest::Reply::xml("<Response/>").headers[0].1, "text/xml; charset=utf-8");
    /// ```
    pub fn xml(xml: impl Into<String>) -> Reply {
        Reply::with_body("text/xml; charset=utf-8", xml.into())
    }

    /// 200 with a plain text body.
    ///
    /// ```
    /// assert_eq!(creel_guest::Reply::text("ok").status, 200);
    /// ```
    pub fn text(text: impl Into<String>) -> Reply {
        Reply::with_body("text/plain; charset=utf-8", text.into())
    }

    /// 200 with a body of any content type.
    ///
    /// ```
    /// assert_eq!(creel_guest::Reply::with_body("audio/wav", vec![0xff]).headers[0].1, "audio/wav");
    /// ```
    pub fn with_body(content_type: &str, body: impl Into<Body>) -> Reply {
        Reply {
            status: 200,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: Some(body.into()),
        }
    }

    /// Replaces the status.
    ///
    /// ```
    /// assert_eq!(creel_guest::Reply::text("no").with_status(422).status, 422);
    /// ```
    pub fn with_status(mut self, status: u16) -> Reply {
        self.status = status;
        self
    }

    /// Adds a header. Those that the host owns (content-length, connection, …) make the outcome invalid.
    ///
    /// ```
    /// assert_eq!(creel_guest::Reply::status(200).header("X-A", "1").headers.len(), 1);
    /// ```
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Reply {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }
}
