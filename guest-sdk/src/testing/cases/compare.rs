//! Compares what a run left behind with what a case expects, and says each difference in a sentence.

use super::file::{Expected, ExpectedCall, ExpectedContent, ExpectedFetch, ExpectedReply};
use crate::log::Level;
use crate::testing::Run;
use crate::{Body, Call, Failure, Outcome, Reply, fetch};
use serde_json::Value;
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
            found.0.push(format!("no log line with {part:?} (in this order) among {}", logged(&run.log)));
        }
    }
    if let Some(expected) = &expected.fetch {
        found.fetched(&run.fetched, expected);
    }
    for (key, value) in &expected.state {
        let stored = run.state.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        found.equal(&format!("the stored value {key:?}"), &stored, value);
    }
    found.0
}

/// What was logged, a line each, as it was written.
fn logged(lines: &[(Level, String)]) -> String {
    let told = lines
        .iter()
        .map(|(level, line)| format!("\n  {:<5} {}", level.to_string(), line.trim_end().replace('\n', "\n        ")));
    if lines.is_empty() { "none".to_owned() } else { format!("these{}", told.collect::<String>()) }
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

    fn fetched(&mut self, asked: &[fetch::Request], expected: &[ExpectedFetch]) {
        let shown = |method: &str, destination: &str, path: &str| format!("{method} {destination} {path}");
        let got: Vec<_> = asked.iter().map(|one| shown(&one.method, &one.destination, &one.path)).collect();
        let wanted: Vec<_> = expected.iter().map(|one| shown(&one.method, &one.destination, &one.path)).collect();
        self.equal("the list of look-ups", &got, &wanted);
        for (index, (request, expected)) in asked.iter().zip(expected).enumerate() {
            self.content(&format!("look-up {index}"), &request.headers, request.body.as_ref(), &expected.content);
        }
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
            match serde_json::from_slice::<Value>(body) {
                Ok(got) => self.json(&format!("{name}: json "), &got, json),
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

    /// JSON is compared value by value, so that what differs is named by its pointer and nothing else is shown.
    fn json(&mut self, name: &str, got: &Value, wanted: &Value) {
        match (got, wanted) {
            (Value::Object(got), Value::Object(wanted)) => {
                for (key, wanted) in wanted {
                    self.member(&format!("{name}/{key}"), got.get(key), Some(wanted));
                }
                for (key, got) in got.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                    self.member(&format!("{name}/{key}"), Some(got), None);
                }
            }
            (Value::Array(got), Value::Array(wanted)) => {
                for index in 0..got.len().max(wanted.len()) {
                    self.member(&format!("{name}/{index}"), got.get(index), wanted.get(index));
                }
            }
            _ => self.member(name, Some(got), Some(wanted)),
        }
    }

    fn member(&mut self, name: &str, got: Option<&Value>, wanted: Option<&Value>) {
        match (got, wanted) {
            (Some(got @ (Value::Object(_) | Value::Array(_))), Some(wanted))
                if std::mem::discriminant(got) == std::mem::discriminant(wanted) =>
            {
                self.json(name, got, wanted);
            }
            (got, wanted) if got != wanted => {
                let shown = |value: Option<&Value>| value.map_or("not there".to_owned(), Value::to_string);
                self.0.push(format!("{}\n  is       {}\n  expected {}", name.trim_end(), shown(got), shown(wanted)));
            }
            _ => {}
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
    fn lines_that_were_logged_are_told_as_they_were_written() {
        let case = Case::parse(&json!({ "event": {}, "expect": { "log": ["greeted"] } }).to_string()).unwrap();
        let said = case.differences(|_| {
            log::info!("dear\nAda");
            log::error!("lost");
            Ok(Outcome::new())
        });
        let expected =
            "no log line with \"greeted\" (in this order) among these\n  info  dear\n        Ada\n  error lost";
        assert_eq!(said, [expected]);
        assert_eq!(
            case.differences(|_| Ok(Outcome::new())),
            ["no log line with \"greeted\" (in this order) among none"]
        );
    }

    #[test]
    fn json_that_differs_is_named_by_its_pointers() {
        let call = Call::to("crm").json(&json!({ "a": { "b": [1, 2], "c": 3 }, "same": true })).unwrap();
        let wanted =
            json!({ "calls": [{ "destination": "crm", "json": { "a": { "b": [1, 5], "d": 4 }, "same": true } }] });
        let said = differences(wanted, Ok(Outcome::new().call(call)));
        assert_eq!(
            said,
            [
                "call 0 to crm: json /a/b/1\n  is       2\n  expected 5",
                "call 0 to crm: json /a/d\n  is       not there\n  expected 4",
                "call 0 to crm: json /a/c\n  is       3\n  expected not there",
            ]
        );
    }

    #[test]
    fn look_ups_are_prepared_and_compared() {
        let case = |expect: Value| {
            let case = json!({
                "fetch": [
                    { "destination": "crm", "path": "/1", "status": 200, "headers": { "ETag": "x" }, "text": "hi" },
                    { "destination": "crm", "path": "/2", "error": "unreachable", "text": "refused" },
                    { "destination": "crm", "path": "/3" },
                ],
                "event": {},
                "expect": { "fetch": expect },
            });
            Case::parse(&case.to_string()).unwrap().differences(|_| {
                let get = |path: &str| fetch::Request::get("crm", path).send();
                assert_eq!(get("/1").unwrap().header("etag"), Some("x"));
                assert_eq!(get("/2"), Err(fetch::Error::Unreachable("refused".to_owned())));
                assert_eq!(get("/3"), Err(fetch::Error::Timeout));
                Ok(Outcome::new())
            })
        };
        let asked = |path: &str| json!({ "destination": "crm", "path": path });
        assert_eq!(case(json!([asked("/1"), asked("/2"), asked("/3")])), Vec::<String>::new());
        assert_eq!(case(json!([asked("/1")])).len(), 1);
    }

    #[test]
    fn a_reply_and_a_failure_must_be_expected() {
        assert_eq!(differences(json!({}), Ok(Outcome::new().reply(Reply::status(204)))).len(), 1);
        assert_eq!(differences(json!({}), Err(Failure::reject("no"))).len(), 1);
        let later = Failure::retry("not yet", Duration::from_secs(1));
        assert!(differences(json!({ "retry": { "reason": "yet", "after_ms": 1000 } }), Err(later)).is_empty());
    }
}
