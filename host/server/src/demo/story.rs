//! The story that the demo tells: what is sent, how it is (mis)treated, and what must come of it.
//!
//! Each [`Scene`] is one HTTP request to the demo's host, signed as its provider signs (or deliberately not), with
//! everything that must follow: the answer, the verdicts, the calls that reach the receiver. The list is data; telling
//! and checking it is one loop elsewhere.

use creel_webhook::run::Verdict;

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload {
    /// A JSON text.
    Json(&'static str),
    /// A JSON list of pairs, sent as a form.
    Form(&'static str),
    /// So many bytes of JSON.
    Bulk(usize),
}

/// What is done to a request before or after it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Nothing: it is genuine.
    Genuine,
    /// Signed with somebody else's secret.
    Forged,
    /// Signed so many seconds ago.
    Old(i64),
    /// The same request once more: same id, same body.
    Again,
}

/// A source of the demo: its name in `demo.toml`, its preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sender {
    /// Name of the source.
    pub(super) source: &'static str,
    /// How it signs.
    pub(super) preset: &'static str,
    /// Name of the secret it signs with.
    pub(super) secret: &'static str,
}

/// One request and what must come of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene {
    /// A few words, for the timeline.
    pub(super) title: &'static str,
    /// Who sends it.
    pub(super) sender: Sender,
    /// What it carries.
    pub(super) payload: Payload,
    /// Further headers, such as an event's type.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// What is done to it.
    pub(super) treatment: Treatment,
    /// The message id; scenes that repeat another share it.
    pub(super) id: &'static str,
    /// The status that the sender must get.
    pub(super) status: u16,
    /// What the answer's body must contain.
    pub(super) answer: &'static str,
    /// The runs that must be decided, by plugin.
    pub(super) runs: &'static [(&'static str, Verdict)],
    /// The destinations that must each get one call.
    pub(super) calls: &'static [&'static str],
    /// The destinations that must each be asked once, while the sender waits.
    pub(super) look_ups: &'static [&'static str],
    /// One sentence on what it shows.
    pub(super) shows: &'static str,
}

const GITHUB: Sender = Sender { source: "github", preset: "github", secret: "github" };
const VAPI: Sender = Sender { source: "vapi", preset: "vapi-hmac", secret: "vapi" };
const RETELL: Sender = Sender { source: "retell", preset: "retell", secret: "retell" };
const TWILIO_STATUS: Sender = Sender { source: "twilio-status", preset: "twilio", secret: "twilio-token" };
const TWILIO_VOICE: Sender = Sender { source: "twilio-voice", preset: "twilio", secret: "twilio-token" };
const ORDERS: Sender = Sender { source: "orders", preset: "standard-webhooks", secret: "orders" };
const LOOPING: Sender = Sender { source: "looping", preset: "standard-webhooks", secret: "orders" };
const DAWDLING: Sender = Sender { source: "dawdling", preset: "twilio", secret: "twilio-token" };

const PUSH: Payload = Payload::Json(include_str!("../../samples/github/push.json"));
const ORDER: Payload = Payload::Json(include_str!("../../samples/standard-webhooks/order.paid.json"));
const INCOMING: Payload = Payload::Form(include_str!("../../samples/twilio/ringing.json"));
const GITHUB_PUSH: &[(&str, &str)] = &[("x-github-event", "push")];
const EMPTY_TWIML: &str = "<Response/>";

/// What a scene is unless it says otherwise.
const QUIET: Scene = Scene {
    title: "",
    sender: ORDERS,
    payload: ORDER,
    headers: &[],
    treatment: Treatment::Genuine,
    id: "",
    status: 200,
    answer: "",
    runs: &[],
    calls: &[],
    look_ups: &[],
    shows: "",
};

/// The whole story, in order.
pub(super) const SCENES: &[Scene] = &[
    Scene {
        title: "GitHub: push",
        sender: GITHUB,
        payload: PUSH,
        headers: GITHUB_PUSH,
        id: "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        runs: &[("github-to-slack", Verdict::Done)],
        calls: &["slack"],
        shows: "ten lines of Rust tell Slack",
        ..QUIET
    },
    Scene {
        title: "Vapi: end-of-call-report",
        sender: VAPI,
        payload: Payload::Json(include_str!("../../samples/vapi/end-of-call-report.json")),
        id: "vapi-1",
        runs: &[("call-ended", Verdict::Done)],
        calls: &["crm", "twilio"],
        shows: "the CRM is down for a moment: its call is tried again, the SMS is not held up",
        ..QUIET
    },
    Scene {
        title: "Vapi: assistant-request",
        sender: VAPI,
        payload: Payload::Json(include_str!("../../samples/vapi/assistant-request.json")),
        id: "vapi-2",
        answer: "asst-dental",
        runs: &[("assistant-request", Verdict::Done)],
        shows: "a caller waits: the plugin answers which assistant takes the call",
        ..QUIET
    },
    Scene {
        title: "Vapi: tool-calls",
        sender: VAPI,
        payload: Payload::Json(include_str!("../../samples/vapi/tool-calls.json")),
        id: "vapi-3",
        answer: "A colleague has been told",
        runs: &[("escalation", Verdict::Done)],
        calls: &["tickets", "slack", "pagerduty"],
        shows: "ticket, Slack and pager in one decision, stored together or not at all",
        ..QUIET
    },
    Scene {
        title: "Retell: greeted by name",
        sender: RETELL,
        payload: Payload::Json(include_str!("../../samples/retell/call_inbound.json")),
        id: "retell-0",
        answer: "Hello Ada",
        runs: &[("caller-context", Verdict::Done)],
        look_ups: &["crm"],
        shows: "while the phone rings: the CRM is asked, the agent is told who calls, and it is kept for replays",
        ..QUIET
    },
    Scene {
        title: "Retell: call_ended",
        sender: RETELL,
        payload: Payload::Json(include_str!("../../samples/retell/call_ended.json")),
        id: "retell-1",
        status: 204,
        runs: &[("call-ended", Verdict::Done)],
        calls: &["crm", "twilio"],
        shows: "the same plugin, another provider",
        ..QUIET
    },
    Scene {
        title: "Twilio: status callback",
        sender: TWILIO_STATUS,
        payload: Payload::Form(include_str!("../../samples/twilio/completed.json")),
        headers: &[("i-twilio-idempotency-token", "5b1c3c9f-3d9f-4d5e-8f39-3c2f6d3a2a01")],
        id: "twilio-1",
        runs: &[("call-ended", Verdict::Done)],
        calls: &["crm", "twilio"],
        shows: "a form, signed over its URL",
        ..QUIET
    },
    Scene {
        title: "Twilio: incoming call",
        sender: TWILIO_VOICE,
        payload: INCOMING,
        headers: &[("i-twilio-idempotency-token", "0b0f7a52-7d5e-4a39-9a0d-2f6f3c1d8e02")],
        id: "twilio-2",
        answer: "<Say",
        runs: &[("twiml-greeting", Verdict::Done)],
        shows: "answered with TwiML while the phone rings",
        ..QUIET
    },
    Scene {
        title: "Orders: order.paid",
        id: "msg_order_1",
        runs: &[("echo", Verdict::Done)],
        calls: &["receiver"],
        shows: "Standard Webhooks in, Standard Webhooks out: the receiver checks our signature",
        ..QUIET
    },
    Scene {
        title: "the same order again",
        treatment: Treatment::Again,
        id: "msg_order_1",
        shows: "a repetition: told what the first was told, nothing runs twice",
        ..QUIET
    },
    Scene {
        title: "a forged push",
        sender: GITHUB,
        payload: PUSH,
        headers: GITHUB_PUSH,
        treatment: Treatment::Forged,
        id: "72d3162e-cc78-11e3-81ab-4c9367dc0959",
        status: 401,
        shows: "no plugin sees it; the reason is the operator's, not the forger's",
        ..QUIET
    },
    Scene {
        title: "an order from ten minutes ago",
        treatment: Treatment::Old(600),
        id: "msg_order_2",
        status: 401,
        shows: "a genuine signature, replayed too late",
        ..QUIET
    },
    Scene {
        title: "an oversized order",
        payload: Payload::Bulk(200_000),
        id: "msg_order_3",
        status: 413,
        shows: "this source takes 64 KiB",
        ..QUIET
    },
    Scene {
        title: "a plugin that loops for ever",
        sender: LOOPING,
        id: "msg_order_4",
        runs: &[("loops", Verdict::Fuel)],
        shows: "it runs out of fuel, and nobody waits for it",
        ..QUIET
    },
    Scene {
        title: "a plugin that answers too late",
        sender: DAWDLING,
        payload: INCOMING,
        headers: &[("i-twilio-idempotency-token", "9e0c5a1b-4a6e-4a0f-8f5d-6b1e0d7c3f03")],
        id: "twilio-3",
        answer: EMPTY_TWIML,
        runs: &[("late", Verdict::Late)],
        shows: "the caller gets TwiML in time all the same; the late outcome is kept, its calls are not made",
        ..QUIET
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use creel_webhook::preset::preset;

    #[test]
    fn every_scene_has_a_title_an_id_and_a_preset_that_exists() {
        for scene in SCENES {
            assert!(!scene.title.is_empty() && !scene.id.is_empty() && !scene.shows.is_empty(), "{scene:?}");
            assert!(preset(scene.sender.preset).is_some(), "{}", scene.sender.preset);
        }
    }
}
