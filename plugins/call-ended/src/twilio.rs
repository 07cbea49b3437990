//! Twilio's status callback: form fields, once a call reached a final status.

use crate::finished_call::{Disposition, FinishedCall};
use creel_guest::{Event, Failure, Form};

pub fn read(event: &Event) -> Result<FinishedCall, Failure> {
    let form = event.form();
    let status = form.require("CallStatus")?;
    let outbound = form.get("Direction").is_some_and(|direction| direction.starts_with("outbound"));
    let text = |name: &str| form.get(name).map(str::to_owned);
    Ok(FinishedCall {
        provider: "twilio",
        id: form.require("CallSid")?.to_owned(),
        contact: text(if outbound { "To" } else { "From" }),
        disposition: disposition(status, &form)?,
        reason: status.to_owned(),
        sentiment: None,
        successful: None,
        summary: None,
        duration_seconds: form.parse_as("CallDuration")?,
        recording_url: text("RecordingUrl"),
        is_first_report: true,
    })
}

fn disposition(status: &str, form: &Form) -> Result<Disposition, Failure> {
    let machine = form.get("AnsweredBy").is_some_and(|by| by.starts_with("machine"));
    match status {
        "completed" if machine => Ok(Disposition::Voicemail),
        "completed" => Ok(Disposition::Answered),
        "busy" | "no-answer" | "canceled" => Ok(Disposition::Missed),
        "failed" => Ok(Disposition::Failed),
        other => Err(Failure::reject(format!("a call that is `{other}` has not ended"))),
    }
}
