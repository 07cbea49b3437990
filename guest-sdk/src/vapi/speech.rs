//! The answers to `voice-request` and `call.endpointing.request`: audio, and when a caller has finished.

use crate::Reply;
use crate::object::Object;
use std::time::Duration;

/// The answer to `voice-request`: raw audio, one channel, 16 bits, at the rate that the request names. It is not JSON.
///
/// ```
/// use creel_guest::{Reply, vapi::Speech};
/// let reply = Reply::from(Speech::samples([0, -1, 256]));
/// assert_eq!(reply.headers[0].1, "application/octet-stream");
/// assert_eq!(reply.body.unwrap().as_bytes(), [0, 0, 0xff, 0xff, 0, 1], "little-endian");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speech(Vec<u8>);

impl Speech {
    /// From samples.
    ///
    /// ```
    /// # use creel_guest::vapi::Speech;
    /// assert_eq!(Speech::samples([1]), Speech::pcm(vec![1, 0]));
    /// ```
    pub fn samples(samples: impl IntoIterator<Item = i16>) -> Speech {
        Speech(samples.into_iter().flat_map(i16::to_le_bytes).collect())
    }

    /// From bytes that are samples already, little-endian; half a sample at the end is dropped.
    ///
    /// ```
    /// # use creel_guest::vapi::Speech;
    /// assert_eq!(Speech::pcm(vec![1, 0, 9]), Speech::pcm(vec![1, 0]));
    /// ```
    pub fn pcm(mut bytes: Vec<u8>) -> Speech {
        bytes.truncate(bytes.len() & !1);
        Speech(bytes)
    }
}

impl From<Speech> for Reply {
    fn from(speech: Speech) -> Reply {
        Reply::with_body("application/octet-stream", speech.0)
    }
}

/// The answer to `call.endpointing.request`: how long to wait before the caller's words are taken as finished.
///
/// ```
/// use creel_guest::{prelude::*, vapi::Endpointing};
/// let reply = Reply::from(Endpointing::after(Duration::from_millis(500)));
/// assert_eq!(reply.body.unwrap().as_bytes(), br#"{"timeoutSeconds":0.5}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpointing(Duration);

impl Endpointing {
    /// After so much silence.
    ///
    /// ```
    /// # use creel_guest::{prelude::*, vapi::Endpointing};
    /// let _ = Endpointing::after(Duration::from_secs(1));
    /// ```
    pub fn after(silence: Duration) -> Endpointing {
        Endpointing(silence)
    }
}

impl From<Endpointing> for Reply {
    fn from(endpointing: Endpointing) -> Reply {
        Object::of("timeoutSeconds", endpointing.0.as_secs_f64()).into()
    }
}
