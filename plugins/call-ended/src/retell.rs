//! Retell's `call_ended`, and `call_analyzed`, which brings sentiment and summary a little later.

use crate::finished_call::{Disposition, FinishedCall};
use creel_guest::{Event, Failure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Webhook {
    call: Call,
}

#[derive(Deserialize)]
struct Call {
    call_id: String,
    direction: Option<String>,
    from_number: Option<String>,
    to_number: Option<String>,
    disconnection_reason: Option<String>,
    duration_ms: Option<u64>,
    recording_url: Option<String>,
    #[serde(default)]
    call_analysis: Analysis,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Analysis {
    call_summary: Option<String>,
    user_sentiment: Option<String>,
    call_successful: Option<bool>,
    in_voicemail: Option<bool>,
}

pub fn read(event: &Event) -> Result<FinishedCall, Failure> {
    let Webhook { call } = event.json()?;
    let outbound = call.direction.as_deref() == Some("outbound");
    let reason = call.disconnection_reason.unwrap_or_default();
    let voicemail = call.call_analysis.in_voicemail == Some(true);
    Ok(FinishedCall {
        provider: "retell",
        id: call.call_id,
        contact: if outbound { call.to_number } else { call.from_number },
        disposition: if voicemail { Disposition::Voicemail } else { disposition(&reason) },
        reason,
        sentiment: call.call_analysis.user_sentiment.map(|word| word.to_lowercase()),
        successful: call.call_analysis.call_successful,
        summary: call.call_analysis.call_summary,
        duration_seconds: call.duration_ms.map(|duration| duration / 1000),
        recording_url: call.recording_url,
        is_first_report: event.kind() == "call_ended",
    })
}

fn disposition(reason: &str) -> Disposition {
    match reason {
        "voicemail_reached" | "machine_detected" => Disposition::Voicemail,
        "dial_busy" | "dial_no_answer" => Disposition::Missed,
        "call_transfer" => Disposition::Transferred,
        "dial_failed" => Disposition::Failed,
        reason if reason.starts_with("error") => Disposition::Failed,
        _ => Disposition::Answered,
    }
}
