//! Compares what a run left behind with what a case expects, and says each difference in a sentence.

use super::file::{Expected, ExpectedCall, ExpectedContent, ExpectedReply};
use crate::testing::Run;
use crate::{Body, Call, Failure, Outcome, Reply};
use std::fmt::Debug;
use std::time::Duration;

pub(super) fn differences(expected: &Expected, run: &Run<Result<Outcome, Failure>>) -> Vec<String> {
    let mut found = Differences(Vec::new());
    match (&run.result, &expected.reject, &expected.retry) {
        (Err(Failure::Reject { reason }), Some(part), _) => found.contains("the rejection", reason, part),
        (Err(Failure::Retry { reason, after }), _, Some(retry)) => {
            found.contains("the retry's reason", reason, &retry.reason);
            found.optional("the retry's after_ms", Some(millis(after)), retry.after_ms);
        }
        (Ok(outcome), None, None) => found.outcome(outcome, expected),
        (got, ..) => found.0.push(format!("the verdict is another one: {got:?}")),
    }
    let mut lines = run.log.iter();
    for part in &expected.log {
        if !lines.any(|(_, line)| line.contains(part.as_str())) {
            found.0.push(format!("no log line with {part:?} (in this order) among {:?}", run.log));
        }
    }
    for (key, value) in &expected.state {
        let stored = run.state.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        found.equal(&format!("the stored value {key:?}"), &stored, value);
    }
    found.0
}

fn millis(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

struct Differences(Vec<String>);

impl Differences {
    fn outcome(&mut self, outcome: &Outcome, expected: &Expected) {
        let destinations = |calls: &mut dyn Iterator<Item = &String>| calls.cloned().collect::<Vec<_>>();
        let got = destinations(&mut outcome.calls.iter().map(|call| &call.destination));
        let wanted = destinations(&mut expected.calls.iter().map(|call| &call.destination));
        self.equal("the list of calls", &got, &wanted);
        for (index, (call, expected)) in outcome.calls.iter().zip(&expected.calls).enumerate() {
            self.call(&format!("call {index} to {}", call.destination), call, expected);
        }
        match (&outcome.reply, &expected.reply) {
            (Some(reply), Some(expected)) => self.reply(reply, expected),
            (None, None) => {}
            (got, _) => self.0.push(format!("the reply is another one: {got:?}")),
        }
    }

    fn call(&mut self, name: &str, call: &Call, expected: &ExpectedCall) {
        self.equal(&format!("{name}: method"), &call.method, &expected.method);
        self.equal(&format!("{name}: path"), &call.path, &expected.path);
        self.optional(&format!("{name}: order_key"), call.order_key.clone(), expected.order_key.clone());
        self.optional(
            &format!("{name}: idempotency_key"),
            call.idempotency_key.clone(),
            expected.idempotency_key.clone(),
        );
        self.optional(&format!("{name}: delay_ms"), call.delay.as_ref().map(millis), expected.delay_ms);
        self.optional(&format!("{name}: expires_ms"), call.expiry.as_ref().map(millis), expected.expires_ms);
        let tag = call.report.as_ref().map(|report| report.tag.clone());
        self.optional(&format!("{name}: on_result"), tag, expected.on_result.clone());
        self.content(name, &call.headers, call.body.as_ref(), &expected.content);
    }

    fn reply(&mut self, reply: &Reply, expected: &ExpectedReply) {
        self.equal("the reply's status", &reply.status, &expected.status);
        self.content("the reply", &reply.headers, reply.body.as_ref(), &expected.content);
    }

    fn content(&mut self, name: &str, headers: &[(String, String)], body: Option<&Body>, expected: &ExpectedContent) {
        for (header, value) in &expected.headers {
            let got = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(header)).map(|(_, value)| value);
            self.equal(&format!("{name}: header {header}"), &got, &Some(value));
        }
        let body = body.map(Body::as_bytes).unwrap_or_default();
        if let Some(json) = &expected.json {
            match serde_json::from_slice::<serde_json::Value>(body) {
                Ok(got) => self.equal(&format!("{name}: json"), &got, json),
                Err(error) => self.0.push(format!("{name}: the body is not JSON: {error}")),
            }
        }
        if let Some(form) = &expected.form {
            let got: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
            self.equal(&format!("{name}: form"), &got, form);
        }
        if let Some(text) = &expected.text {
            self.equal(&format!("{name}: text"), &String::from_utf8_lossy(body).as_ref(), &text.as_str());
        }
    }

    fn equal<T: PartialEq + Debug>(&mut self, name: &str, got: &T, wanted: &T) {
        if got != wanted {
            self.0.push(format!("{name}\n  is       {got:?}\n  expected {wanted:?}"));
        }
    }

    fn optional<T: PartialEq + Debug>(&mut self, name: &str, got: Option<T>, wanted: Option<T>) {
        if wanted.is_some() {
            self.equal(name, &got, &wanted);
        }
    }

    fn contains(&mut self, name: &str, got: &str, part: &str) {
        if !got.contains(part) {
            self.0.push(format!("{name} is {got:?}, which does not hold {part:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;
    use crate::testing::cases::Case;

    fn differences(expect: Value, result: Result<Outcome, Failure>) -> Vec<String> {
        let case = Case::parse(&json!({ "event": {}, "expect": expect }).to_string()).unwrap();
        case.differences(|_| result.clone())
    }

    #[test]
    fn a_misspelt_key_is_an_error_wherever_it_stands() {
        for case in [
            json!({ "event": {}, "expect": {}, "cofnig": {} }),
            json!({ "event": { "boddy": "" }, "expect": {} }),
            json!({ "event": {}, "expect": { "cals": [] } }),
            json!({ "event": {}, "expect": { "calls": [{ "destination": "crm", "jsno": {} }] } }),
            json!({ "event": {}, "expect": { "reply": { "statsu": 200 } } }),
        ] {
            assert!(Case::parse(&case.to_string()).is_err(), "{case}");
        }
    }

    #[test]
    fn what_differs_is_said() {
        let call = Call::to("crm").path("/a").json(&json!({ "a": 1 })).unwrap();
        let outcome = Outcome::new().call(call);
        let same = json!({ "calls": [{ "destination": "crm", "path": "/a", "json": { "a": 1 } }] });
        assert_eq!(differences(same, Ok(outcome.clone())), Vec::<String>::new());
        for other in [
            json!({ "calls": [] }),
            json!({ "calls": [{ "destination": "slack", "path": "/a" }] }),
            json!({ "calls": [{ "destination": "crm" }] }),
            json!({ "calls": [{ "destination": "crm", "path": "/a", "method": "PUT" }] }),
            json!({ "calls": [{ "destination": "crm", "path": "/a", "json": { "a": 2 } }] }),
            json!({ "calls": [{ "destination": "crm", "path": "/a", "order_key": "k" }] }),
            json!({ "calls": [{ "destination": "crm", "path": "/a", "headers": { "x": "y" } }] }),
            json!({ "calls": [{ "destination": "crm", "path": "/a" }], "reply": { "status": 200 } }),
            json!({ "calls": [{ "destination": "crm", "path": "/a" }], "log": ["nothing was logged"] }),
            json!({ "reject": "" }),
        ] {
            assert_eq!(differences(other.clone(), Ok(outcome.clone())).len(), 1, "{other}");
        }
    }

    #[test]
    fn a_reply_and_a_failure_must_be_expected() {
        assert_eq!(differences(json!({}), Ok(Outcome::new().reply(Reply::status(204)))).len(), 1);
        assert_eq!(differences(json!({}), Err(Failure::reject("no"))).len(), 1);
        let later = Failure::retry("not yet", Duration::from_secs(1));
        assert!(differences(json!({ "retry": { "reason": "yet", "after_ms": 1000 } }), Err(later)).is_empty());
    }
}
