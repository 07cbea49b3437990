//! Nonsense for every row: documents, queries, names and bodies that are nearly right, from seeds. Whatever they are, the
//! answer is never the host's own failure, and every refusal says why.
//!
//! `CREEL_FUZZ_ROUNDS=N` plays N rounds of all rows instead of 8; the seed of a round is its number.

use axum::body::Body;
use axum::http::{Method, Request, header};
use creel_server::admin::routes::{Row, TABLE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::described::Described;
use super::world::World;

/// Rounds of all rows.
const ROUNDS: u64 = 8;

/// Texts where a name, a number, a URL or an id is wanted.
const TEXTS: &[&str] = &[
    "",
    " ",
    "own",
    "theirs",
    ".",
    "..",
    "../..",
    "a/b",
    "%",
    "%00",
    "\0",
    "\u{1b}[2J",
    "ä",
    "💥",
    "\u{202e}x",
    "null",
    "true",
    "-1",
    "0",
    "1",
    "18446744073709551616",
    "1e400",
    "NaN",
    "0x10",
    "evt_",
    "ten_own",
    "key_0000000000000000000000000",
    "sha256:",
    "2026-13-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "-009999-01-01T00:00:00Z",
    "http://",
    "https://[::1",
    "https://a@b:99999/",
    "json:/a/~2",
    "header:",
    "*",
    "?*[",
    "whsec_",
    "whsec_!!!!",
    "$.a",
    "'; DROP TABLE tenant; --",
];

/// Parameters that some row knows.
const PARAMETERS: &[&str] = &[
    "limit",
    "before",
    "after",
    "since",
    "until",
    "reason",
    "kind",
    "source",
    "subject",
    "unrouted",
    "verdict",
    "plugin",
    "dead",
    "state",
    "destination",
    "dry_run",
    "new_keys",
    "deployment",
    "strange",
];

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % (bound.max(1) as u64)).unwrap_or(0)
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn text(&mut self) -> String {
        match self.below(12) {
            0 => "x".repeat(70_000),
            1 => String::from_utf8_lossy(&self.number().to_be_bytes()).into_owned(),
            _ => TEXTS[self.below(TEXTS.len())].to_owned(),
        }
    }

    fn value(&mut self) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(0),
            4 => json!(u64::MAX),
            5 => json!(i64::MIN),
            6 => json!(1e308),
            7 => json!([]),
            8 => json!({}),
            9 => (0..100).fold(json!(1), |inner, _| json!([inner])),
            10 => json!({ "type": self.text(), "secret": self.text(), "url": self.text() }),
            _ => json!(self.text()),
        }
    }

    /// Changes something in a document, somewhere.
    fn change(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) if !map.is_empty() && !self.one_in(5) => self.change_object(map),
            Value::Array(items) if !items.is_empty() && !self.one_in(4) => {
                let at = self.below(items.len());
                if self.one_in(3) { items.extend(vec![items[at].clone(); 50]) } else { self.change(&mut items[at]) }
            }
            Value::String(text) if self.one_in(2) => text.push_str(&self.text()),
            other => *other = self.value(),
        }
    }

    fn change_object(&mut self, map: &mut Map<String, Value>) {
        let names: Vec<String> = map.keys().cloned().collect();
        let name = &names[self.below(names.len())];
        match self.below(6) {
            0 => drop(map.remove(name)),
            1 => drop(map.insert(self.text(), self.value())),
            _ => self.change(&mut map[name.as_str()]),
        }
    }
}

/// A document that the row takes, from which others are made.
fn example(row: &Row, world: &World) -> Value {
    match row.path.rsplit('/').next().unwrap_or_default() {
        "keys" => json!({ "name": "x", "role": "reader", "payload_read": false, "expires_in_s": 60 }),
        "{tenant}" => json!({ "limits": { "pending_runs_max": 10, "fuel_max": 1_000_000, "body_days": 1 } }),
        "{secret}" => json!({ "value": "x", "origins": ["https://crm.example"], "overlap_ms": 1_000 }),
        "{source}" => json!({
            "preset": "generic-hmac", "secrets": ["own"], "params": { "header": "x-signature" }, "dedup": true,
            "public_urls": ["https://hooks.example/in/x"], "reply_deadline_ms": 5_000, "skip_after_ms": 1_000,
            "identity": { "id": ["json:/id"], "kind": "json:/type", "subject": "json:/subject" },
            "fallback": { "status": 200, "content_type": "text/plain", "body": "later" },
            "scheme": { "content": "{body}", "header": "x-signature", "encoding": "hex" },
        }),
        "{destination}" => json!({
            "url": "https://crm.example/v1", "kind": "webhook", "auth": { "type": "bearer", "secret": "own" },
            "signing": { "type": "standard_webhooks", "secret": "own" }, "headers": { "x-test": "1" },
            "secret_headers": { "x-key": "own" }, "retry_ms": [0, 1_000], "concurrency_max": 4, "rate_per_s": 10,
        }),
        "{route}" => json!({ "source": "own", "plugin": "own", "pattern": "call_*,x", "mode": "ack", "late": "drop" }),
        "notices" => json!({ "destination": "own", "refusals_percent": 10, "refusals_min": 5 }),
        "deployments" => json!({
            "digest": world.own.digest, "config": { "a": "b" }, "grants": { "destinations": ["own"] }, "activate": true,
        }),
        "rotate-token" => json!({ "overlap_ms": 60_000 }),
        _ => json!({}),
    }
}

/// A path of the table with names that are right, of another tenant, or nonsense.
fn path(row: &Row, world: &World, dice: &mut Dice) -> String {
    let right = if dice.one_in(6) { world.theirs.path(row.path) } else { world.own.path(row.path) };
    let part = |(template, right): (&str, &str)| {
        let is_name = template.starts_with('{') && template != "{tenant}";
        if is_name && dice.one_in(3) {
            utf8_percent_encode(&dice.text().chars().take(2_000).collect::<String>(), NON_ALPHANUMERIC).to_string()
        } else {
            right.to_owned()
        }
    };
    row.path.split('/').zip(right.split('/')).map(part).collect::<Vec<_>>().join("/")
}

fn query(dice: &mut Dice) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for _ in 0..dice.below(4) {
        let text: String = dice.text().chars().take(2_000).collect();
        query.append_pair(PARAMETERS[dice.below(PARAMETERS.len())], &text);
    }
    query.finish()
}

fn body(row: &Row, world: &World, dice: &mut Dice) -> Vec<u8> {
    match dice.below(12) {
        0 => Vec::new(),
        1 => [vec![b'['; 20_000], vec![b']'; 20_000]].concat(),
        2 => vec![0xff; 100],
        3 => b"{\"name\":\"x\",\"name\":\"y\"}".to_vec(),
        4 => b"{\"value\":\"\\ud800\"}".to_vec(),
        _ => {
            let mut document = example(row, world);
            for _ in 0..dice.below(4) {
                dice.change(&mut document);
            }
            document.to_string().into_bytes()
        }
    }
}

fn request(row: &Row, world: &World, dice: &mut Dice) -> Request<Body> {
    let (path, query) = (path(row, world, dice), query(dice));
    let media_type = if row.path.ends_with("/versions") { "application/wasm" } else { "application/json" };
    let body = if row.method == Method::GET { Vec::new() } else { body(row, world, dice) };
    Request::builder()
        .method(row.method.clone())
        .uri(format!("{path}?{query}"))
        .header(header::AUTHORIZATION, format!("Bearer {}", world.desk.operator))
        .header(header::CONTENT_TYPE, media_type)
        .body(Body::from(body))
        .unwrap_or_else(|error| panic!("{path}?{query}: {error}"))
}

#[allow(clippy::disallowed_methods, reason = "whoever looks for more plays more rounds")]
fn rounds() -> u64 {
    std::env::var("CREEL_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

#[tokio::test]
async fn nonsense_is_refused_and_fails_nothing() {
    let mut world = World::new().await;
    let described = Described::by(&world.desk).await;
    let mut answers = [0_u32; 6];
    for round in 0..rounds() {
        let mut dice = Dice(round);
        if round > 0 && round % 8 == 0 {
            world = World::new().await;
        }
        for row in TABLE {
            let request = request(row, &world, &mut dice);
            let said = format!("round {round}: {} {}", request.method(), request.uri());
            let answer = world.desk.send(request).await;
            let status = answer.status.as_u16();
            assert!(status < 500, "{said}: {}", answer.text());
            if status >= 400 {
                answer.problem(status);
            }
            assert_eq!(described.objection(row, &answer), None, "{said}: {}", answer.text());
            answers[usize::from(status / 100)] += 1;
        }
    }
    assert!(answers[2] > 100 && answers[4] > 100, "most of it was neither good nor bad: {answers:?}");
}
