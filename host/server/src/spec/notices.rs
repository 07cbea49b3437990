//! Where a tenant's notices go, and what of a source is worth one.

use creel_webhook::destination::{DestinationSpec, Signing};
use creel_webhook::notice::{REFUSALS_MIN_DEFAULT, REFUSALS_PERCENT_DEFAULT};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{Fields, Mistake};

/// More refusals in five minutes than a host of this size records.
const REFUSALS_MIN_MAX: u64 = 1_000_000;

/// What is written about a tenant's notices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NoticesSpec {
    /// Name of the destination that they go to.
    pub destination: String,
    /// Percent of a source's requests in five minutes that may be refused.
    pub refusals_percent: u32,
    /// Refusals in five minutes below which nothing is told.
    pub refusals_min: u32,
}

/// Reads where notices go.
///
/// # Errors
/// All mistakes with their pointers.
pub fn read(document: Value) -> Result<NoticesSpec, Vec<Mistake>> {
    let mut fields = Fields::of(document);
    let destination = fields.required::<String>("destination");
    let percent = fields.number("refusals_percent", 1..=100);
    let min = fields.number("refusals_min", 1..=REFUSALS_MIN_MAX);
    let narrow = |number: Option<u64>, default: u32| number.and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    fields.done(destination.map(|destination| NoticesSpec {
        destination,
        refusals_percent: narrow(percent, REFUSALS_PERCENT_DEFAULT),
        refusals_min: narrow(min, REFUSALS_MIN_DEFAULT),
    }))
}

/// Why notices cannot go to a destination: whoever gets them must be able to tell that they are ours.
pub fn objection(destination: &DestinationSpec) -> Option<String> {
    let is_standard =
        matches!(destination.signing, Some(Signing::StandardWebhooks { .. } | Signing::StandardWebhooksV1a { .. }));
    (!is_standard).then(|| {
        format!(
            "the destination `{}` does not sign by Standard Webhooks; give it `signing = {{ type = \"standard_webhooks\", \
             secret = \"…\" }}`, so that its receiver can tell our notices from others'",
            destination.name
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_destination_is_enough_and_every_mistake_is_told() {
        let spec = read(json!({ "destination": "ops" })).unwrap();
        assert_eq!((spec.refusals_percent, spec.refusals_min), (20, 20));
        let mistakes = read(json!({ "refusals_percent": 101, "refusals_min": 0, "colour": 1 })).unwrap_err();
        let mut pointers: Vec<_> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/colour", "/destination", "/refusals_min", "/refusals_percent"]);
    }
}
