//! The command line as a program: what it judges, what it explains, what it sends. What it says is checked against the
//! vectors' own expectations, and for secrets.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use creel_webhook::signature::hash::{Algorithm, mac};
use serde_json::{Value, json};

use crate::harness::host::Host;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/vectors")
}

fn load(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn creel(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_creel")).args(arguments).env_clear().output().unwrap()
}

/// The lines of JSON that it prints.
fn lines(arguments: &[&str]) -> Vec<Value> {
    let output = creel(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_vector_file_is_judged_line_by_line() {
    let events = load(&folder().join("_events.json"));
    let events = events["cases"].as_array().unwrap();
    let (mut judged, mut wrong, mut told) = (0, Vec::new(), 0);
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if stem.starts_with('_') || path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let vectors = load(&path)["vectors"].as_array().unwrap().clone();
        let verdicts = lines(&["verify", "--requests", text(&path)]);
        assert_eq!(verdicts.len(), vectors.len(), "{stem}");
        for (vector, verdict) in vectors.iter().zip(&verdicts) {
            judged += 1;
            assert_eq!(verdict["id"], vector["id"]);
            if verdict["verdict"] != vector["expected"]
                || verdict["reason"].is_null() != (vector["expected"] == "accept")
            {
                wrong.push(format!("{stem}/{}: {verdict}", vector["id"]));
            }
            let of_vector = |case: &&Value| case["provider"] == *stem && case["vector"] == vector["id"];
            if let Some(case) = events.iter().find(of_vector) {
                told += 1;
                let bare = |event: &Value| json!({ "id": event["id"], "type": event["type"], "time": event["time"] });
                let wanted: Vec<Value> = case["events"].as_array().unwrap().iter().map(bare).collect();
                if verdict["events"] != json!(wanted) {
                    wrong.push(format!("{stem}/{}: {verdict}, wanted {wanted:?}", vector["id"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((judged, told), (265, events.len()));
}

#[test]
fn every_greeting_is_answered() {
    let path = folder().join("_handshakes.json");
    let cases = load(&path)["cases"].as_array().unwrap().clone();
    let answers = lines(&["verify", "--handshakes", text(&path)]);
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(&answers) {
        let (wanted, id) = (&case["response"], &case["id"]);
        assert_eq!((&answer["id"], &answer["status"]), (id, &wanted["status"]));
        assert_eq!(answer["delivered_to_handler"], false, "{id}");
        if wanted["content_type"].is_string() {
            assert_eq!(answer["content_type"], wanted["content_type"], "{id}");
        }
        if wanted["body"].is_string() {
            assert_eq!(answer["body"], wanted["body"], "{id}");
        }
        if wanted["json"].is_object() {
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!(body, wanted["json"], "{id}");
        }
    }
}

#[test]
fn a_stuck_person_is_told_what_is_wrong_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    };
    let vectors = load(&folder().join("stripe.json"));
    let vector = vectors["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == "gen-basic").unwrap();
    let signature = vector["headers"]["Stripe-Signature"].as_str().unwrap();
    let request = |body: &str| {
        let head = format!("POST /in/ep_1 HTTP/1.1\nHost: hooks.example.test\nStripe-Signature: {signature}\n");
        file("request.txt", &format!("{head}Content-Type: application/json\n\n{body}"))
    };
    let secret_text = vector["secret"].as_str().unwrap();
    let secret = file("secret", &format!("{secret_text}\n"));
    let body = vector["body"].as_str().unwrap();
    let explain = |body: &str, now: &str| {
        let request = request(body);
        let output = creel(&[
            "verify",
            "--scheme",
            "stripe",
            "--secret-file",
            text(&secret),
            "--request",
            text(&request),
            "--now",
            now,
        ]);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains(secret_text) && !said.contains(&signature[20..]), "{said}");
        (output.status.code(), said)
    };

    let (code, said) = explain(body, "1767225600");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("+ the signature is right") && said.contains("event evt_1 of type payment_intent.succeeded"));
    let (code, said) = explain(&format!("{body}\n"), "1767225600");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("no_match") && said.contains("ends with a newline that the signature does not cover"),
        "{said}"
    );
    let (code, said) = explain(body, "1767229200");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("timestamp_too_old") && said.contains("as of then (--now 1767225600) it is accepted"),
        "{said}"
    );
}

#[test]
fn a_scheme_of_ones_own_is_checked_and_explained() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    };
    let signature = hex::encode(mac(Algorithm::HmacSha512, b"a secret of these tests", b"1767225600|{}"));
    let request = file("request", &format!("POST /in/a HTTP/1.1\nX-Time: 1767225600\nX-Sig: mac={signature}\n\n{{}}"));
    let secret = file("secret", "a secret of these tests");
    let judge = |scheme: Value| {
        let scheme = file("scheme.json", &scheme.to_string());
        let output = creel(&[
            "verify",
            "--scheme-file",
            text(&scheme),
            "--secret-file",
            text(&secret),
            "--request",
            text(&request),
            "--now",
            "1767225600",
        ]);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    let mut own = json!({
        "kind": "mac", "alg": "hmac-sha512", "sig": {"from": "header:x-sig", "prefix": "mac=", "enc": "hex"},
        "ts": {"from": "header:x-time", "unit": "s", "past": 60, "future": 60}, "content": "{ts}|{body}"
    });
    let (code, said) = judge(own.clone());
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = judge(json!({ "preset": "custom", "scheme": own.clone() }));
    assert_eq!(code, Some(0), "{said}");
    own["content"] = json!("{body}|{ts}");
    let (code, said) = judge(own.clone());
    assert_eq!(code, Some(1));
    assert!(said.contains("no_match") && said.contains("not genuine under `custom`"), "{said}");
    own["alg"] = json!("md5");
    own["sig"]["enc"] = json!("base32");
    own["windw"] = json!(5);
    let (code, said) = judge(own);
    assert_eq!(code, Some(1));
    for part in ["`alg`: unknown variant `md5`", "`sig/enc`: unknown variant `base32`", "`windw`: unknown field"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    let (_, said) = judge(
        json!({"kind": "mac", "alg": "hmac-sha256", "sig": {"from": "header:x-sig", "enc": "hex"}, "content": "{url}"}),
    );
    assert!(said.contains("nothing covers the body"), "{said}");
}

#[test]
fn a_wrong_command_line_says_what_to_do() {
    let told = |arguments: &[&str]| {
        let output = creel(arguments);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(told(&["verify"]).contains("--scheme"));
    assert!(told(&["verify", "--requests", "/nowhere.json"]).contains("reading /nowhere.json"));
    assert!(told(&["trigger", "slack", "nonsense", "--to", "http://127.0.0.1:9/"]).contains("app_mention, message"));
    assert!(told(&["trigger", "github", "push", "--to", "http://127.0.0.1:9/"]).contains("--secret-file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_triggered_sample_is_taken_by_a_host() {
    let host = Host::open().await;
    let tenant = host.tenant("shop").await;
    let secret = "a secret of these tests";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret).unwrap();
    for (index, (provider, event, kind)) in
        [("github", "push", "push"), ("twilio", "received", "received"), ("vapi", "tool-calls", "tool-calls")]
            .into_iter()
            .enumerate()
    {
        let preset = if provider == "vapi" { "vapi-hmac" } else { provider };
        let url = host.url(&tenant.source(provider, preset, secret).await);
        let path = file.path().to_owned();
        let send = move || creel(&["trigger", provider, event, "--to", &url, "--secret-file", text(&path)]);
        let output = tokio::task::spawn_blocking(send).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.starts_with("200"), "{said} {output:?}");
        let events = tenant.events().await;
        assert_eq!((events.len(), events[0].kind.as_str()), (index + 1, kind));
    }
    host.finish().await;
}
