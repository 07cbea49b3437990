//! The plugin `appointment` in a real host: a caller asks for a time, the calendar decides, the caller is told.

use creel_store::contract::DeliveryState;
use serde_json::{Value, json};

use crate::harness::guests::plugin;
use crate::harness::host::Host;
use crate::harness::receiver::Arrived;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;

const SECRET: &str = "a secret of Vapi's";
const TOOL_CALL: &str = "toolu_01DTPAzUm5Gk3zxrpJ969oMF";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// A clinic whose calendar, CRM and other services are all the receiver.
async fn clinic(host: &Host) -> (Tenant, String) {
    let tenant = host.tenant("clinic").await;
    let source = tenant.source("vapi", "vapi-hmac", SECRET).await;
    tenant.secret_for("twilio", "a token", &host.receiver.url("")).await;
    let auth = json!({ "type": "basic", "username": "AC1", "secret": "twilio" });
    let destinations = ["calendar", "crm", "tickets", "twilio"];
    for name in destinations {
        let auth = if name == "twilio" { auth.clone() } else { json!({ "type": "none" }) };
        let document = json!({ "url": host.receiver.url(&format!("/{name}")), "kind": "api", "auth": auth });
        tenant.destination(name, document).await;
    }
    let config = json!({ "time-zone": "America/Chicago", "twilio-account-sid": "AC1", "sms-from": "+15125550100" });
    tenant.deploy_component("appointment", plugin("appointment"), config, &destinations).await;
    tenant.route_with("vapi", "appointment", json!({ "mode": "reply", "pattern": "tool-calls" })).await;
    (tenant, source)
}

/// Ada asks for a Tuesday far away, and is told at once that it was asked for.
async fn ask(host: &Host, source: &str) {
    let arguments = json!({ "start": "2099-01-06T10:00", "name": "Ada" });
    let body = json!({ "message": {
        "type": "tool-calls",
        "call": { "id": "call-7" },
        "customer": { "number": "+15125550143" },
        "toolCallList": [{ "id": TOOL_CALL, "name": "book_appointment", "arguments": arguments }],
    }});
    let answer = host.send(source, &Webhook::json("vapi-hmac", SECRET, "msg_1", body.to_string())).await;
    let said = "Tuesday, 6 January at 10:00 is asked for. A text message to +15125550143 tells whether it is booked.";
    let result = json!({ "name": "book_appointment", "result": said, "toolCallId": TOOL_CALL });
    assert_eq!((answer.status, answer.body.parse::<Value>().unwrap()), (200, json!({ "results": [result] })));
}

fn booking() -> Value {
    json!({
        "start": "2099-01-06T16:00:00Z",
        "time_zone": "America/Chicago",
        "attendee": { "name": "Ada", "phone": "+15125550143" },
        "external_id": "call-7",
    })
}

/// What arrived, by path; calls of one outcome come in any order.
fn by_path(host: &Host) -> Vec<Arrived> {
    let mut arrived = host.receiver.arrived();
    arrived.sort_by(|one, other| one.request.path.cmp(&other.request.path));
    arrived
}

fn paths(arrived: &[Arrived]) -> Vec<&str> {
    arrived.iter().map(|call| call.request.path.as_str()).collect()
}

fn document(call: &Arrived) -> Value {
    serde_json::from_slice(&call.request.body).unwrap()
}

fn form(call: &Arrived) -> Vec<(String, String)> {
    form_urlencoded::parse(&call.request.body).into_owned().collect()
}

fn text_message(text: &str) -> Vec<(String, String)> {
    let fields = [("To", "+15125550143"), ("From", "+15125550100"), ("Body", text)];
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

const SMS: &str = "/twilio/2010-04-01/Accounts/AC1/Messages.json";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_calendar_booked_is_confirmed_to_the_caller() {
    let host = Host::open().await;
    let (tenant, source) = clinic(&host).await;
    // The calendar had to move it by half an hour.
    host.receiver.answer("/calendar/bookings", 201, JSON, r#"{"id":"bk_7","start":"2099-01-06T16:30:00Z"}"#);
    ask(&host, &source).await;
    let stories = tenant.stories(2).await;
    let arrived = by_path(&host);
    assert_eq!(paths(&arrived), ["/calendar/bookings", "/crm/timeline", SMS]);
    assert_eq!(document(&arrived[0]), booking());
    let note = json!({
        "type": "appointment.booked",
        "contact": "+15125550143",
        "name": "Ada",
        "call": "call-7",
        "start": "2099-01-06T16:30:00Z",
        "booking": "bk_7",
    });
    assert_eq!(document(&arrived[1]), note);
    assert_eq!(form(&arrived[2]), text_message("You are booked for Tuesday, 6 January at 10:30."));
    assert_eq!(arrived[2].header("content-type"), "application/x-www-form-urlencoded");
    assert!(arrived[2].header("authorization").starts_with("Basic "));
    assert_eq!(
        (stories[1].event.kind.as_str(), stories[1].event.subject.as_deref()),
        ("call.delivered", Some("call-7"))
    );
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_is_taken_is_answered_with_others() {
    let host = Host::open().await;
    let (tenant, source) = clinic(&host).await;
    let others = r#"{"alternatives":["2099-01-06T17:00:00Z","2099-01-07T15:00:00Z"]}"#;
    host.receiver.answer("/calendar/bookings", 409, JSON, others);
    ask(&host, &source).await;
    let stories = tenant.stories(2).await;
    let arrived = by_path(&host);
    assert_eq!(paths(&arrived), ["/calendar/bookings", "/crm/timeline", SMS], "a conflict is asked about once");
    let said = "Sorry, Tuesday, 6 January at 10:00 is taken. Still free: Tuesday, 6 January at 11:00; Wednesday, 7 January \
                at 09:00. Call us again to book.";
    assert_eq!(form(&arrived[2]), text_message(said));
    assert_eq!(document(&arrived[1])["type"], "appointment.taken");
    assert_eq!(stories[0].deliveries[0].state, DeliveryState::Dead);
    assert_eq!(stories[1].event.kind, "call.dead");
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_without_another_time_becomes_a_ticket() {
    let host = Host::open().await;
    let (tenant, source) = clinic(&host).await;
    host.receiver.answer("/calendar/bookings", 409, &[], "the slot is taken");
    ask(&host, &source).await;
    let stories = tenant.stories(2).await;
    let arrived = by_path(&host);
    assert_eq!(paths(&arrived), ["/calendar/bookings", "/tickets/tickets"]);
    let reason = stories[0].deliveries[0].reason.as_deref().expect("it says why");
    let ticket = json!({
        "subject": "Ada (+15125550143) wants Tuesday, 6 January at 10:00",
        "description": format!("Call back: {reason}"),
        "priority": "high",
        "requester": { "name": "Ada", "phone": "+15125550143" },
        "external_id": "call-7",
    });
    assert_eq!(document(&arrived[1]), ticket);
    host.finish().await;
}
