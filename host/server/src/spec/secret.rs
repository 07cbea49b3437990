//! Secrets: a value that is written and never read back, and the origins that it may be sent to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use creel_webhook::secret::SecretBytes;
use serde_json::Value;
use url::{Origin, Url};
use zeroize::Zeroizing;

use super::fields::{Fields, Mistake};

/// A PEM file with a chain fits; a video does not.
pub const VALUE_BYTES_MAX: usize = 64 * 1_024;

/// One secret serves a handful of hosts.
const ORIGINS_MAX: usize = 32;

/// A day: long enough for requests on their way and for caches, short enough to matter.
pub const OVERLAP_MS_DEFAULT: u64 = 24 * 60 * 60 * 1_000;

/// Thirty days at most: longer is no rotation.
const OVERLAP_MS_MAX: u64 = 30 * OVERLAP_MS_DEFAULT;

/// What is written about a secret.
#[derive(Debug)]
pub struct SecretSpec {
    /// Its name, unique in the tenant.
    pub name: String,
    /// Its value; `None` keeps the one that is there.
    pub value: Option<SecretBytes>,
    /// Origins that it may be sent to, in their one written form; `None` keeps them.
    pub origins: Option<Vec<String>>,
    /// How long the value before still counts, milliseconds.
    pub overlap_ms: u64,
}

/// Reads for how long what is rotated still counts, milliseconds.
pub fn read_overlap(fields: &mut Fields) -> u64 {
    fields.number("overlap_ms", 0..=OVERLAP_MS_MAX).unwrap_or(OVERLAP_MS_DEFAULT)
}

/// Reads a secret.
///
/// # Errors
/// All mistakes with their pointers; never the value.
pub fn read(name: &str, document: Value) -> Result<SecretSpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let name = fields.name(name);
    let text = fields.optional::<String>("value").map(|text| SecretBytes::new(text.into_bytes()));
    let encoded = fields.optional::<String>("value_base64").map(Zeroizing::new);
    let value = match (text, encoded) {
        (Some(_), Some(_)) => {
            fields.mistake("value_base64", "give either `value` or `value_base64`");
            None
        }
        (Some(text), None) => Some(text),
        (None, Some(encoded)) => decode(&mut fields, &encoded),
        (None, None) => None,
    };
    if let Some(value) = &value {
        check_value(&mut fields, value.expose());
    }
    let origins = fields.optional::<Vec<String>>("origins").map(|origins| read_origins(&mut fields, &origins));
    let overlap_ms = read_overlap(&mut fields);
    fields.done(Some(SecretSpec { name, value, origins, overlap_ms }))
}

/// The origin of a URL in the one form in which origins are compared: `https://crm.example`, the port only where it
/// is not the scheme's own.
///
/// # Errors
/// What is wrong, for people.
pub fn origin_of(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no absolute URL: {error}"))?;
    match url.origin() {
        origin @ Origin::Tuple(..) if matches!(url.scheme(), "http" | "https") => Ok(origin.ascii_serialization()),
        _ => Err(format!("`{text}` has no origin of the form https://host or https://host:port")),
    }
}

fn decode(fields: &mut Fields, encoded: &str) -> Option<SecretBytes> {
    let mut bytes = Zeroizing::new(vec![0; encoded.len()]);
    match STANDARD.decode_slice(encoded, &mut bytes) {
        Ok(length) => Some(SecretBytes::new(bytes[..length].to_vec())),
        Err(_) => {
            fields.mistake("value_base64", "this is not base64 with padding");
            None
        }
    }
}

fn check_value(fields: &mut Fields, bytes: &[u8]) {
    if bytes.is_empty() {
        fields.mistake("value", "an empty value proves nothing");
    }
    if bytes.len() > VALUE_BYTES_MAX {
        fields.mistake("value", format!("the value has {} bytes; {VALUE_BYTES_MAX} are allowed", bytes.len()));
    }
}

fn read_origins(fields: &mut Fields, origins: &[String]) -> Vec<String> {
    if origins.len() > ORIGINS_MAX {
        fields.mistake("origins", format!("{} origins are named; {ORIGINS_MAX} are allowed", origins.len()));
    }
    let mut read = Vec::with_capacity(origins.len());
    for (index, text) in origins.iter().enumerate() {
        let bare = Url::parse(text).is_ok_and(|url| {
            url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty()
        });
        match origin_of(text) {
            Ok(origin) if bare => read.push(origin),
            Ok(origin) => {
                fields.mistake(&format!("origins/{index}"), format!("this is more than an origin; write `{origin}`"))
            }
            Err(detail) => fields.mistake(&format!("origins/{index}"), detail),
        }
    }
    read.sort();
    read.dedup();
    read
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn origins_have_one_form() {
        let spec = read("crm", json!({ "value": "x", "origins": ["https://CRM.example:443", "http://h:8080/"] }));
        assert_eq!(spec.unwrap().origins.unwrap(), ["http://h:8080", "https://crm.example"]);
        assert_eq!(origin_of("https://crm.example/v1/x?y").unwrap(), "https://crm.example");
        assert!(origin_of("file:///etc/passwd").is_err());
    }

    #[test]
    fn mistakes_never_repeat_the_value() {
        let mistakes = read("crm", json!({ "value_base64": "hunter2!", "origins": ["https://x/path", "y"] }));
        let text = format!("{:?}", mistakes.unwrap_err());
        assert!(!text.contains("hunter2") && text.contains("/origins/0") && text.contains("/origins/1"), "{text}");
    }
}
