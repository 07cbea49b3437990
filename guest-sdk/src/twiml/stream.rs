//! `<Stream>`: the call's audio over a WebSocket.

use crate::xml::Element;

/// The call's audio over a WebSocket.
///
/// ```
/// use creel_guest::{twiml::Stream, xml::Element};
/// let stream = Stream::new("wss://e.test/audio").parameter("caller", "+15550100");
/// assert_eq!(
///     Element::from(stream).to_string(),
///     r#"<Stream url="wss://e.test/audio"><Parameter name="caller" value="+15550100"/></Stream>"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream(Element);

impl Stream {
    /// To a `wss:` URL. Twilio cuts off its query: what the other side is to know goes into [`parameter`](Stream::parameter)s.
    ///
    /// ```
    /// # use creel_guest::{twiml::Stream, xml::Element};
    /// assert_eq!(Element::from(Stream::new("wss://e.test/a")).to_string(), r#"<Stream url="wss://e.test/a"/>"#);
    /// ```
    pub fn new(url: impl Into<String>) -> Stream {
        Stream(Element::new("Stream").attribute("url", url))
    }

    /// A value that the other side is told when the stream starts.
    ///
    /// ```
    /// # use creel_guest::{twiml::Stream, xml::Element};
    /// assert!(Element::from(Stream::new("wss://e.test/a").parameter("a", "1")).to_string().contains("<Parameter"));
    /// ```
    pub fn parameter(self, name: impl Into<String>, value: impl Into<String>) -> Stream {
        Stream(self.0.child(Element::new("Parameter").attribute("name", name).attribute("value", value)))
    }
}

impl From<Stream> for Element {
    fn from(stream: Stream) -> Element {
        stream.0
    }
}
