//! Every row of the API's table, called by everybody who may not: without a key, with another tenant's, with a role that is too
//! small, without the right to payloads, and with another tenant's things in path, query and document. A row that is not
//! among the [`CASES`] fails.

mod described;
mod fuzz;
mod world;

use axum::http::Method;
use creel_server::admin::access::{Access, Payload};
use creel_server::admin::routes::{Row, TABLE};
use creel_webhook::tenant::Role;
use serde_json::{Value, json};

use self::world::{CANARY, Theirs, World};
use crate::harness::guests::checkout;

/// What a row is called with, of another tenant: a query or a document, and the status that refuses it. Things in the path
/// need no case; they are taken from the path's names.
struct Case {
    row: &'static str,
    foreign: fn(&Theirs) -> Vec<(String, Value, u16)>,
}

/// Nothing in query or document can name a thing.
fn nothing(_: &Theirs) -> Vec<(String, Value, u16)> {
    Vec::new()
}

/// Lists are narrowed by names of sources and the like; places in them may be of any tenant and show nothing of it.
fn narrowed(names: &[&str], theirs: &Theirs) -> Vec<(String, Value, u16)> {
    names.iter().map(|name| (format!("?{name}={}", theirs.name), Value::Null, 404)).collect()
}

fn query(text: String, status: u16) -> (String, Value, u16) {
    (text, Value::Null, status)
}

fn document(value: Value, status: u16) -> (String, Value, u16) {
    (String::new(), value, status)
}

macro_rules! cases {
    ($($row:literal $foreign:expr;)*) => {
        const CASES: &[Case] = &[$(Case { row: $row, foreign: $foreign }),*];
    };
}

cases! {
    "GET /healthz" nothing;
    "GET /readyz" nothing;
    "GET /metrics" nothing;
    "GET /v1/openapi.json" nothing;
    "GET /v1/whoami" nothing;
    "POST /v1/probes" nothing;
    "GET /v1/keys" nothing;
    "POST /v1/keys" nothing;
    "DELETE /v1/keys/{key}" nothing;
    "GET /v1/audit" nothing;
    "POST /v1/master-key/rotate" nothing;
    "GET /v1/tenants" nothing;
    "PUT /v1/tenants/{tenant}" nothing;
    "DELETE /v1/tenants/{tenant}" nothing;
    "GET /v1/tenants/{tenant}" nothing;
    "GET /v1/tenants/{tenant}/keys" nothing;
    "POST /v1/tenants/{tenant}/keys" |_| vec![document(json!({ "name": "x", "role": "operator" }), 422)];
    "DELETE /v1/tenants/{tenant}/keys/{key}" nothing;
    "GET /v1/tenants/{tenant}/audit" |_| vec![query("?before=1000000".to_owned(), 200)];
    "GET /v1/tenants/{tenant}/usage" nothing;
    "GET /v1/tenants/{tenant}/quotas" nothing;
    "GET /v1/tenants/{tenant}/secrets" nothing;
    "GET /v1/tenants/{tenant}/secrets/{secret}" nothing;
    "PUT /v1/tenants/{tenant}/secrets/{secret}" |_| vec![document(json!({ "origins": ["https://evil.example"] }), 422)];
    "DELETE /v1/tenants/{tenant}/secrets/{secret}" nothing;
    "GET /v1/tenants/{tenant}/sources" nothing;
    "GET /v1/tenants/{tenant}/sources/{source}" nothing;
    "PUT /v1/tenants/{tenant}/sources/{source}"
        |theirs| vec![document(json!({ "preset": "vapi-hmac", "secrets": [theirs.name] }), 422)];
    "DELETE /v1/tenants/{tenant}/sources/{source}" nothing;
    "POST /v1/tenants/{tenant}/sources/{source}/pause" nothing;
    "POST /v1/tenants/{tenant}/sources/{source}/resume" nothing;
    "POST /v1/tenants/{tenant}/sources/{source}/rotate-token" nothing;
    "GET /v1/tenants/{tenant}/destinations" nothing;
    "GET /v1/tenants/{tenant}/destinations/{destination}" nothing;
    "PUT /v1/tenants/{tenant}/destinations/{destination}" |theirs| {
        let auth = json!({ "type": "bearer", "secret": theirs.name });
        vec![document(json!({ "url": "https://crm.example", "auth": auth }), 422)]
    };
    "DELETE /v1/tenants/{tenant}/destinations/{destination}" nothing;
    "POST /v1/tenants/{tenant}/destinations/{destination}/pause" nothing;
    "POST /v1/tenants/{tenant}/destinations/{destination}/resume" nothing;
    "GET /v1/tenants/{tenant}/notices" nothing;
    "PUT /v1/tenants/{tenant}/notices" |theirs| vec![document(json!({ "destination": theirs.name }), 422)];
    "DELETE /v1/tenants/{tenant}/notices" nothing;
    "GET /v1/tenants/{tenant}/plugins" nothing;
    "GET /v1/tenants/{tenant}/plugins/{plugin}" nothing;
    "PUT /v1/tenants/{tenant}/plugins/{plugin}" nothing;
    "DELETE /v1/tenants/{tenant}/plugins/{plugin}" nothing;
    "PUT /v1/tenants/{tenant}/plugins/{plugin}/versions" nothing;
    "GET /v1/tenants/{tenant}/plugins/{plugin}/versions/{digest}" nothing;
    "GET /v1/tenants/{tenant}/plugins/{plugin}/deployments" nothing;
    "POST /v1/tenants/{tenant}/plugins/{plugin}/deployments" |theirs| vec![
        document(json!({ "digest": theirs.digest }), 422),
        document(json!({ "digest": theirs.digest, "grants": { "destinations": [theirs.name] } }), 422),
    ];
    "POST /v1/tenants/{tenant}/plugins/{plugin}/deployments/{number}/activate" nothing;
    "GET /v1/tenants/{tenant}/plugins/{plugin}/state" nothing;
    "DELETE /v1/tenants/{tenant}/plugins/{plugin}/state" nothing;
    "GET /v1/tenants/{tenant}/plugins/{plugin}/state/value" nothing;
    "GET /v1/tenants/{tenant}/routes" nothing;
    "GET /v1/tenants/{tenant}/routes/{route}" nothing;
    "PUT /v1/tenants/{tenant}/routes/{route}" |theirs| vec![
        document(json!({ "source": theirs.name, "plugin": "own" }), 422),
        document(json!({ "source": "own", "plugin": theirs.name }), 422),
    ];
    "DELETE /v1/tenants/{tenant}/routes/{route}" nothing;
    "POST /v1/tenants/{tenant}/routes/{route}/pause" nothing;
    "POST /v1/tenants/{tenant}/routes/{route}/resume" nothing;
    "GET /v1/tenants/{tenant}/events"
        |theirs| [narrowed(&["source"], theirs), vec![query(format!("?before={}", theirs.event), 200)]].concat();
    "GET /v1/tenants/{tenant}/events/{event}" nothing;
    "GET /v1/tenants/{tenant}/events/{event}/body" nothing;
    "DELETE /v1/tenants/{tenant}/events/{event}/payload" nothing;
    "POST /v1/tenants/{tenant}/events/{event}/replay" |_| vec![query("?dry_run=true&deployment=1".to_owned(), 404)];
    "GET /v1/tenants/{tenant}/feed"
        |theirs| [narrowed(&["source"], theirs), vec![query(format!("?after={}", theirs.event), 200)]].concat();
    "GET /v1/tenants/{tenant}/runs"
        |theirs| [narrowed(&["source", "plugin"], theirs), vec![query(format!("?before={}", theirs.run), 200)]].concat();
    "POST /v1/tenants/{tenant}/runs/replay"
        |theirs| [narrowed(&["source", "plugin"], theirs), vec![query(format!("?after={}", theirs.run), 200)]].concat();
    "POST /v1/tenants/{tenant}/runs/{run}/replay" |_| vec![query("?dry_run=true&deployment=1".to_owned(), 404)];
    "GET /v1/tenants/{tenant}/deliveries" |theirs| [
        narrowed(&["source", "destination"], theirs),
        vec![query(format!("?before={}", theirs.delivery), 200)],
    ].concat();
    "POST /v1/tenants/{tenant}/deliveries/replay" |theirs| [
        narrowed(&["source", "destination"], theirs),
        vec![query(format!("?after={}", theirs.delivery), 200)],
    ].concat();
    "GET /v1/tenants/{tenant}/deliveries/{delivery}" nothing;
    "POST /v1/tenants/{tenant}/deliveries/{delivery}/replay" nothing;
    "GET /v1/tenants/{tenant}/refusals" nothing;
}

/// The rows as `docs/tenants.md` shows them.
fn told() -> String {
    let mut text = "\n| row | least role | payloads |\n|---|---|---|\n".to_owned();
    for row in TABLE {
        let role = match row.access {
            Access::Open => "no key",
            Access::AnyKey => "any key",
            other => other.role().map_or("", Role::as_str),
        };
        let payloads = match row.payload {
            Payload::Never => "",
            Payload::Partly => "left out without the right",
            Payload::Only => "refused without the right",
        };
        text.push_str(&format!("| `{}` | {role} | {payloads} |\n", name(row)));
    }
    text
}

#[test]
fn the_page_shows_the_table() {
    let page = std::fs::read_to_string(checkout().join("docs/tenants.md")).unwrap();
    let (_, behind) = page.split_once("<!-- rows -->\n").expect("a mark");
    let (shown, _) = behind.split_once("<!-- /rows -->").expect("a mark");
    let told = told();
    assert!(shown == told, "put this between the marks of docs/tenants.md:\n{told}");
}

fn name(row: &Row) -> String {
    format!("{} {}", row.method, row.path)
}

fn tenants_rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(|row| row.access.is_tenants())
}

#[test]
fn every_row_has_a_case_and_every_case_a_row() {
    let rows: Vec<String> = TABLE.iter().map(name).collect();
    let cases: Vec<&str> = CASES.iter().map(|case| case.row).collect();
    let missing: Vec<&String> = rows.iter().filter(|row| !cases.contains(&row.as_str())).collect();
    assert!(missing.is_empty(), "say in `CASES` what of another tenant these rows can be given: {missing:#?}");
    let gone: Vec<_> = cases.iter().filter(|case| !rows.iter().any(|row| row == *case)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn rows_about_a_tenant_name_it_in_their_path() {
    for row in TABLE {
        let names_one = row.path.starts_with("/v1/tenants/{tenant}");
        assert!(row.access == Access::Operator || row.access.is_tenants() == names_one, "{}", name(row));
        assert!(row.payload == Payload::Never || row.access.is_tenants(), "{}", name(row));
    }
}

#[tokio::test]
async fn every_row_wants_a_key_but_health_and_metrics() {
    let world = World::new().await;
    let open: Vec<&str> = TABLE.iter().filter(|row| row.access == Access::Open).map(|row| row.path).collect();
    assert_eq!(open, ["/healthz", "/readyz", "/metrics"]);
    let wrong = world.desk.operator.replace("creel_key_0", "creel_key_1");
    for row in TABLE {
        for key in [None, Some("nonsense"), Some(wrong.as_str())] {
            // So that no address waits.
            world.desk.clock.advance_ms(60_000);
            let answer = world.call(key, row, &world.own.path(row.path), Value::Null).await;
            if row.access == Access::Open {
                assert_eq!(answer.status, 200, "{}", row.path);
                continue;
            }
            answer.problem(401);
            assert!(answer.authenticate.is_some(), "{}", row.path);
        }
    }
}

#[tokio::test]
async fn another_tenants_key_finds_nothing() {
    let world = World::new().await;
    let before = world.snapshot().await;
    let key = world.key(Role::TenantAdmin, true).await;
    for row in tenants_rows() {
        let answer = world.call(Some(&key), row, &world.theirs.path(row.path), Value::Null).await;
        answer.problem(404);
        assert!(!answer.text().contains(CANARY), "{}", name(row));
    }
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn a_role_that_is_too_small_is_refused_and_the_least_is_not() {
    let world = World::new().await;
    let before = world.snapshot().await;
    for role in [Role::Reader, Role::Deployer, Role::TenantAdmin] {
        let key = world.key(role, true).await;
        for row in TABLE.iter().filter(|row| row.access.role().is_some_and(|needed| needed > role)) {
            world.call(Some(&key), row, &world.own.path(row.path), Value::Null).await.problem(403);
        }
    }
    assert_eq!(world.snapshot().await, before);
    // Its things are not there, so that whoever passes the gate changes nothing.
    for row in tenants_rows().filter(|row| row.payload != Payload::Only) {
        let key = world.key(row.access.role().expect("a tenant's row has a role"), false).await;
        let path = world.own.path(row.path).replace("evt_", "evt_0").replace("run_", "run_0");
        let (tenant, rest) = path.split_at("/v1/tenants/own".len());
        let path = format!("{tenant}{}", rest.replace("/own", "/none"));
        let answer = world.call(Some(&key), row, &path, json!({ "nonsense": 1 })).await;
        assert!(![401, 403].contains(&answer.status.as_u16()), "{}: {}", name(row), answer.text());
    }
}

#[tokio::test]
async fn without_the_right_no_payload_is_shown() {
    let world = World::new().await;
    let (with, without) = (world.key(Role::TenantAdmin, true).await, world.key(Role::TenantAdmin, false).await);
    for row in tenants_rows().filter(|row| row.method == Method::GET || row.payload != Payload::Never) {
        let shows = row.payload != Payload::Never;
        let mut path = world.own.path(row.path);
        if row.method == Method::POST {
            path.push_str("?dry_run=true");
        }
        let shown = world.call(Some(&with), row, &path, Value::Null).await;
        let hidden = world.call(Some(&without), row, &path, Value::Null).await;
        assert!(!hidden.text().contains(CANARY), "{}: {}", name(row), hidden.text());
        match row.payload {
            Payload::Never => assert!(!shown.text().contains(CANARY), "{}", name(row)),
            Payload::Partly if row.method == Method::GET => {
                assert!(shown.text().contains(CANARY) && shown.json()["left_out"].is_null(), "{}", name(row));
                assert!(hidden.json()["left_out"].as_str().is_some_and(|text| text.contains("`payload_read`")));
                let fields = |answer: Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
                let same: Vec<String> = fields(hidden.json()).into_iter().filter(|name| name != "left_out").collect();
                assert_eq!(same, fields(shown.json()), "{}", name(row));
            }
            Payload::Partly | Payload::Only => {
                hidden.problem(403);
            }
        }
        assert!(shows || hidden.status == shown.status, "{}", name(row));
    }
}

#[tokio::test]
async fn another_tenants_things_are_not_to_be_had_in_path_query_and_document() {
    let world = World::new().await;
    let before = world.snapshot().await;
    let key = world.key(Role::TenantAdmin, true).await;
    for row in tenants_rows() {
        // In the path they are not found, by id and by name; what would make one of its own is told no.
        let path = world.theirs.path(row.path).replacen("/tenants/theirs", "/tenants/own", 1);
        let names_more = row.path.matches('{').count() > 1;
        let told = if row.method == Method::PUT { json!({ "nonsense": 1 }) } else { Value::Null };
        let answer = world.call(Some(&key), row, &path, told).await;
        // A list of payloads that names nothing more is the own tenant's.
        let shows_own = row.payload == Payload::Only && !names_more;
        assert!(shows_own || !answer.text().contains(CANARY), "{}: {}", name(row), answer.text());
        assert!(!answer.text().contains(&format!("\"{}\"", world.theirs.event)), "{}", name(row));
        if names_more && row.method != Method::PUT {
            // Or it wants a query before it looks.
            let status = answer.status.as_u16();
            assert!([404, 422].contains(&status), "{}: {status}", name(row));
        }
        for (query, document, status) in (case(row).foreign)(&world.theirs) {
            let path = if row.path.contains("/{event}") || row.path.contains("/{run}") {
                format!("{path}{query}")
            } else {
                format!("{}{query}", world.own.path(row.path))
            };
            let answer = world.call(Some(&key), row, &path, document).await;
            assert_eq!(answer.status.as_u16(), status, "{} {path}: {}", name(row), answer.text());
            assert!(!answer.text().contains(CANARY), "{}: {}", name(row), answer.text());
        }
    }
    assert_eq!(world.snapshot().await, before);
}

fn case(row: &Row) -> &'static Case {
    CASES.iter().find(|case| case.row == name(row)).expect("another test says what is missing")
}
