//! The end of a call in this plugin's own words: what the CRM's timeline gets.

use serde::Serialize;

/// A call that ended. Its JSON is the timeline's entry.
#[derive(Debug, Serialize)]
pub struct FinishedCall {
    pub provider: &'static str,
    pub id: String,
    /// The number of the person, whoever called whom.
    pub contact: Option<String>,
    pub disposition: Disposition,
    /// The provider's own word for why the call ended.
    pub reason: String,
    /// `positive`, `neutral`, `negative`, or what else the provider found.
    pub sentiment: Option<String>,
    /// Whether the call reached its aim, by the provider's judgement.
    pub successful: Option<bool>,
    pub summary: Option<String>,
    pub duration_seconds: Option<u64>,
    pub recording_url: Option<String>,
    /// Whether the provider had not reported this end before.
    #[serde(skip)]
    pub is_first_report: bool,
}

/// How a call ended, as few words as a timeline needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    Answered,
    Voicemail,
    Transferred,
    Missed,
    Failed,
}

impl Disposition {
    pub fn name(self) -> &'static str {
        match self {
            Disposition::Answered => "answered",
            Disposition::Voicemail => "voicemail",
            Disposition::Transferred => "transferred",
            Disposition::Missed => "missed",
            Disposition::Failed => "failed",
        }
    }
}
