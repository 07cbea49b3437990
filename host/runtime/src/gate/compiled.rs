//! What an upload is once it was compiled: as bytes, and as code that the engine took.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wasmtime::component::Component;

use crate::engine::Data;

/// What is said about machine code beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    /// Fingerprint of the engine that it was made for, hex.
    engine: String,
    /// Interfaces that the component imports, in its own order.
    imports: Vec<String>,
}

/// An upload that passed inspection, compiled: what the child hands over and the cache keeps, as one run of bytes.
///
/// ```text
/// length of the label (4 bytes, little endian) || label, JSON || machine code
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    bytes: Bytes,
    label: Label,
    code_at: usize,
}

impl Compiled {
    /// Takes what was handed over; none when it is not of this form.
    pub fn read(bytes: Bytes) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let text = rest.get(..u32::from_le_bytes(*length) as usize)?;
        let label = serde_json::from_slice(text).ok()?;
        let code_at = length.len() + text.len();
        Some(Compiled { bytes, label, code_at })
    }

    /// Code that the engine of this fingerprint made.
    pub(super) fn of(engine: &[u8; 32], imports: Vec<String>, code: &[u8]) -> Self {
        let label = Label { engine: hex::encode(engine), imports };
        let text = serde_json::to_vec(&label).expect("names are JSON");
        let length = u32::try_from(text.len()).expect("the names in an upload are fewer bytes than it may have");
        let bytes = Bytes::from([&length.to_le_bytes(), text.as_slice(), code].concat());
        Compiled { bytes, label, code_at: 4 + text.len() }
    }

    /// Whether it was made for the engine of this fingerprint.
    pub fn is_for(&self, engine: &[u8; 32]) -> bool {
        self.label.engine == hex::encode(engine)
    }

    /// Interfaces that the component imports, in its own order.
    pub fn imports(&self) -> &[String] {
        &self.label.imports
    }

    /// The machine code.
    pub fn code(&self) -> &[u8] {
        &self.bytes[self.code_at..]
    }

    /// All of it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Compiled code that the engine took.
pub(crate) struct Loaded {
    /// The code.
    pub(crate) component: Component,
    /// How its data comes into a memory, which says whose code it is.
    pub(crate) data: Data,
    /// Its size on disk, bytes.
    pub(crate) bytes: u64,
    /// Interfaces that it imports.
    pub(crate) imports: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let compiled = Compiled::of(&[7; 32], vec!["wasi:io/poll@0.2.6".to_owned()], b"code");
        assert_eq!(compiled.imports(), ["wasi:io/poll@0.2.6"]);
        assert_eq!(compiled.code(), b"code");
        assert!(compiled.is_for(&[7; 32]) && !compiled.is_for(&[8; 32]));
        assert_eq!(Compiled::read(compiled.bytes().clone()), Some(compiled));
        for bad in [&b""[..], b"\x02\0\0", b"\xff\xff\xff\xff[]", b"\x02\0\0\0{}", b"no compiled component"] {
            assert_eq!(Compiled::read(Bytes::copy_from_slice(bad)), None);
        }
    }
}
