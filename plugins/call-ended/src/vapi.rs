//! Vapi's `end-of-call-report`.

use crate::finished_call::{Disposition, FinishedCall};
use creel_guest::{Event, Failure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Report {
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    ended_reason: String,
    call: Call,
    customer: Option<Customer>,
    duration_seconds: Option<f64>,
    #[serde(default)]
    analysis: Analysis,
    #[serde(default)]
    artifact: Artifact,
}

#[derive(Deserialize)]
struct Call {
    id: String,
    customer: Option<Customer>,
}

#[derive(Deserialize)]
struct Customer {
    number: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Analysis {
    summary: Option<String>,
    success_evaluation: Option<String>,
    structured_data: Structured,
}

/// What the assistant's own extraction schema may name; `sentiment` is a convention, not Vapi's.
#[derive(Default, Deserialize)]
struct Structured {
    sentiment: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Artifact {
    recording_url: Option<String>,
}

pub fn read(event: &Event) -> Result<FinishedCall, Failure> {
    let Report { message } = event.json()?;
    let customer = message.customer.or(message.call.customer);
    Ok(FinishedCall {
        provider: "vapi",
        id: message.call.id,
        contact: customer.and_then(|customer| customer.number),
        disposition: disposition(&message.ended_reason),
        reason: message.ended_reason,
        sentiment: message.analysis.structured_data.sentiment.map(|word| word.to_lowercase()),
        successful: message.analysis.success_evaluation.and_then(|word| word.parse().ok()),
        summary: message.analysis.summary,
        duration_seconds: message.duration_seconds.map(|seconds| seconds.round() as u64),
        recording_url: message.artifact.recording_url,
        is_first_report: true,
    })
}

fn disposition(reason: &str) -> Disposition {
    match reason {
        "voicemail" => Disposition::Voicemail,
        "customer-busy" | "customer-did-not-answer" => Disposition::Missed,
        "assistant-forwarded-call" => Disposition::Transferred,
        reason if reason.contains("error") || reason.contains("failed") => Disposition::Failed,
        _ => Disposition::Answered,
    }
}
