//! Every vector through the real ingress: one source each, the request byte for byte over a socket, at its own time.
//!
//! The rules judge the same vectors in `host/webhook/tests/vectors/main.rs`; here is what lies between them and a sender:
//! sources made over the admin API, sealed secrets, HTTP as it is spoken, the answer.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use creel_webhook::clock::{ManualClock, Timestamp};
use creel_webhook::preset::preset;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::host::{Home, Host};
use crate::harness::receiver::Receiver;
use crate::harness::tenant::Tenant;

/// Sources that are made, or requests that are sent, at a time.
const AT_A_TIME: usize = 16;

fn load(name: &str) -> Value {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/vectors");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// All vectors, by their time: a host's clock only goes forward.
fn vectors() -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/vectors");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.filter(|name| name.ends_with(".json") && !name.starts_with('_')).collect();
    files.sort();
    let mut all: Vec<Value> = files
        .iter()
        .flat_map(|file| {
            let mut list = load(file)["vectors"].as_array().unwrap().clone();
            list.iter_mut().for_each(|vector| vector["file"] = json!(file));
            list
        })
        .collect();
    all.sort_by_key(|vector| vector["now"].as_i64());
    all
}

/// A source that knows what the vector's does; gives its path.
async fn source(tenant: &Tenant, name: &str, preset_name: &str, vector: &Value, url: &str) -> String {
    let known = |param: &&String| preset(preset_name).unwrap().params.iter().any(|spec| spec.name == **param);
    let given = vector["params"].as_object().cloned().unwrap_or_default();
    let mut params: Value = given.keys().filter(known).map(|name| (name.clone(), given[name].clone())).collect();
    if preset_name == "aws-sns" {
        params["topic_arns"] = json!("arn:aws:sns:us-west-2:123456789012:MyTopic");
    }
    let key = vector["public_key"].as_str().or(vector["params"]["cert_pem"].as_str());
    let base = url.split('?').next().unwrap();
    // Some greetings need no secret, but no source is without one.
    let secret = vector["secret"].as_str().unwrap_or(if key.is_some() { "" } else { "bm90LW5lZWRlZA==" });
    let more = json!({ "params": params, "public_keys": key.as_slice(), "public_urls": [base] });
    tenant.source_with(name, preset_name, secret, more).await
}

/// The request's bytes, for a source's path: its own method, query, headers in their own spelling, body.
fn bytes(request: &Value, path: &str) -> Vec<u8> {
    let query =
        request["url"].as_str().unwrap().split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
    let body = match request["body_b64"].as_str() {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => request["body"].as_str().unwrap_or_default().as_bytes().to_vec(),
    };
    let mut head = format!("{} {path}{query} HTTP/1.1\r\nHost: creel.test\r\n", request["method"].as_str().unwrap());
    for (name, value) in request["headers"].as_object().unwrap() {
        head.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap()));
    }
    head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    [head.into_bytes(), body].concat()
}

/// What a sender reads.
struct Told {
    status: u64,
    content_type: Option<String>,
    body: String,
}

async fn send(ingress: SocketAddr, request: &[u8]) -> Told {
    let mut socket = TcpStream::connect(ingress).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("an answer has a status");
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let content_type = head.lines().filter_map(header).find(|(name, _)| name == "content-type").map(|(_, value)| value);
    Told { status, content_type, body: body.to_owned() }
}

async fn host_at(clock: &Arc<ManualClock>) -> Host {
    let many = |config: &mut creel_server::config::Config| config.ingress.connections_per_address_max = 64;
    Home::new(many).with_clock(clock.clone()).serve(Arc::new(Receiver::start().await)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_vector_is_judged_over_http_as_by_the_rules() {
    let vectors = vectors();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(vectors[0]["now"].as_i64().unwrap())));
    let host = host_at(&clock).await;
    let tenant = host.tenant("vectors").await;
    let make = |(index, vector): (usize, &Value)| {
        let (tenant, vector) = (tenant.clone(), vector.clone());
        async move {
            let (name, url) = (vector["preset"].as_str().unwrap(), vector["url"].as_str().unwrap());
            source(&tenant, &format!("v{index}"), name, &vector, url).await
        }
    };
    let paths: Vec<String> = stream::iter(vectors.iter().enumerate().map(make)).buffered(AT_A_TIME).collect().await;
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (vector, path) in vectors.iter().zip(&paths) {
        clock.set(Timestamp::from_secs(vector["now"].as_i64().unwrap()));
        let told = send(host.ingress, &bytes(vector, path)).await;
        judged += 1;
        let as_expected = match vector["expected"].as_str() {
            Some("accept") => (200..300).contains(&told.status),
            _ => told.status == 401 && told.body.is_empty(),
        };
        if !as_expected {
            wrong.push(format!("{} {}: {} {}", vector["file"], vector["id"], told.status, told.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(judged, 265);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_greeting_is_answered_over_http_and_no_event_comes_of_it() {
    let cases = load("_handshakes.json");
    let cases = cases["cases"].as_array().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_767_225_600)));
    let host = host_at(&clock).await;
    let tenant = host.tenant("greetings").await;
    for (index, case) in cases.iter().enumerate() {
        let id = case["id"].as_str().unwrap();
        let name = match id {
            "extra-twitter-crc" => "twitter",
            "extra-okta-verification" => "okta",
            _ => case["preset"].as_str().unwrap(),
        };
        let own = &case["request"];
        let path = source(&tenant, &format!("g{index}"), name, case, own["url"].as_str().unwrap()).await;
        let told = send(host.ingress, &bytes(own, &path)).await;
        let wanted = &case["response"];
        assert_eq!(told.status, wanted["status"].as_u64().unwrap(), "{id}: {}", told.body);
        if let Some(media_type) = wanted["content_type"].as_str() {
            assert_eq!(told.content_type.as_deref(), Some(media_type), "{id}");
        }
        if let Some(body) = wanted["body"].as_str() {
            assert_eq!(told.body, body, "{id}");
        }
        if wanted["json"].is_object() {
            assert_eq!(serde_json::from_str::<Value>(&told.body).unwrap(), wanted["json"], "{id}");
        }
    }
    assert!(tenant.events().await.is_empty());
    host.finish().await;
}
