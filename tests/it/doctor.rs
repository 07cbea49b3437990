//! `creel doctor`: everything that can be wrong is said, with what to do, and a host that is well is told so.

use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use creel_server::config::Config;
use creel_server::datadir::{DataDir, make_master_key};
use creel_server::system::Entropy;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::harness::authority::Authority;
use crate::harness::host::{Host, client};

/// Where a host could be: a directory, and settings of its own.
struct Ward {
    directory: TempDir,
    settings: Vec<(String, String)>,
}

/// What the doctor said, and how it ended.
struct Said {
    code: i32,
    found: Vec<Value>,
}

impl Said {
    /// What was found about a thing, with what to do: of everything that is not well, if a state is named.
    fn about(&self, check: &str, state: &str) -> Vec<String> {
        let about = self.found.iter().filter(|one| one["check"] == check && one["state"] == state);
        about
            .map(|one| {
                assert_eq!(one["todo"].is_null(), state == "ok", "what to do is said where there is something: {one}");
                format!("{} -> {}", one["says"].as_str().unwrap(), one["todo"].as_str().unwrap_or_default())
            })
            .collect()
    }

    /// The one thing that was found so, which holds all these words.
    fn says(&self, check: &str, state: &str, words: &[&str]) {
        let about = self.about(check, state);
        let holds = about.iter().any(|one| words.iter().all(|word| one.contains(word)));
        assert!(holds, "{check} {state} {words:?} is not among {:#?}", self.found);
        assert_eq!(self.code, i32::from(self.found.iter().any(|one| one["state"] == "no")), "{:#?}", self.found);
    }
}

impl Ward {
    /// A directory with a master key and a database, as `creel init` makes them.
    async fn new() -> Ward {
        let ward = Ward { directory: tempfile::tempdir().unwrap(), settings: Vec::new() };
        let said = ward.run(&["--json", "init"]).await;
        assert!(said.status.success(), "{said:?}");
        ward.set("CREEL_INGRESS_LISTEN", "127.0.0.1:0").set("CREEL_ADMIN_LISTEN", "127.0.0.1:0")
    }

    fn set(mut self, name: &str, value: &str) -> Ward {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    async fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_creel"));
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CREEL_DATA_DIR", self.data()).env("CREEL_URL", "http://127.0.0.1:1");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(std::process::Stdio::null()).output().await.expect("the program runs")
    }

    async fn examined(&self, more: &[&str]) -> Said {
        let arguments = [&["--json", "doctor"], more].concat();
        let output = self.run(&arguments).await;
        let out = String::from_utf8(output.stdout).unwrap();
        let found = serde_json::from_str(&out)
            .unwrap_or_else(|_| panic!("{out:?} {}", String::from_utf8_lossy(&output.stderr)));
        Said { code: output.status.code().expect("it ends by itself"), found }
    }
}

#[tokio::test]
async fn a_directory_that_is_well_is_told_so() {
    let ward = Ward::new().await;
    let said = ward.examined(&[]).await;
    assert_eq!(said.code, 0, "{:#?}", said.found);
    for check in ["config", "data_dir", "disk", "database", "master_key", "ingress.listen", "admin.listen", "clock"] {
        said.says(check, "ok", &[]);
    }
    said.says("key", "warn", &["no key is given", "CREEL_KEY"]);
    let text = String::from_utf8(ward.run(&["doctor"]).await.stdout).unwrap();
    assert!(text.contains("ok   data_dir: ") && text.contains("warn key: ") && !text.contains("no   "), "{text}");
}

#[tokio::test]
async fn what_builds_plugins_is_told_or_how_to_get_it() {
    let ward = Ward::new().await;
    let tools = ward.directory.path().join("tools");
    // Written by a process of its own: a file that this one still had open could not be run.
    let rustup = |says: &str| {
        let file = tools.join("rustup");
        let file = file.to_str().unwrap();
        let script =
            format!("mkdir -p \"${{0%/*}}\" && printf '#!/bin/sh\\n%s\\n' '{says}' > \"$0\" && chmod 755 \"$0\"");
        let written = std::process::Command::new("sh").args(["-c", &script, file]).status().unwrap();
        assert!(written.success(), "{written}");
    };
    let ward = ward.set("PATH", tools.to_str().unwrap());
    rustup("echo wasm32-wasip2");
    ward.examined(&[]).await.says("toolchain", "ok", &["wasm32-wasip2"]);
    rustup("exit 0");
    let said = ward.examined(&[]).await;
    // Debian's own is at a place of its own, whatever the path says.
    match said.about("toolchain", "ok").as_slice() {
        [] => said.says("toolchain", "warn", &["no toolchain here", "creel build", "rustup target add"]),
        found => assert!(found[0].contains("Debian"), "{found:?}"),
    }
}

#[tokio::test]
async fn a_configuration_that_does_not_hold_is_the_only_thing_said() {
    let said = Ward::new().await.set("CREEL_LOG_FORMAT", "xml").examined(&[]).await;
    said.says("config", "no", &["CREEL_LOG_FORMAT: log.format: `xml` is not `text` or `json`", "creel settings"]);
    assert_eq!(said.found.len(), 1, "{:#?}", said.found);
    let said = Ward::new().await.examined(&["--config", "/nowhere/creel.toml"]).await;
    said.says("config", "no", &["could not read the configuration /nowhere/creel.toml"]);
}

#[tokio::test]
async fn a_directory_that_is_not_there_or_not_private_is_told() {
    let ward = Ward { directory: tempfile::tempdir().unwrap(), settings: Vec::new() };
    ward.examined(&[]).await.says("data_dir", "no", &["there is no data directory at", "`creel init` makes one"]);
    let ward = Ward::new().await;
    std::fs::set_permissions(ward.data(), Permissions::from_mode(0o755)).unwrap();
    ward.examined(&[]).await.says("data_dir", "no", &["has mode 0755", "run `chmod 700"]);
    let mode = std::fs::metadata(ward.data()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o755, "looking changes nothing");
}

#[tokio::test]
async fn a_database_that_is_not_ours_is_told() {
    let ward = Ward::new().await;
    let database = ward.data().join("creel.db");
    std::fs::remove_file(&database).unwrap();
    ward.examined(&[]).await.says("database", "no", &["there is no database", "`creel init`"]);
    std::fs::write(&database, "something else").unwrap();
    ward.examined(&[]).await.says("database", "no", &["is no SQLite database", "restore a backup"]);
    std::fs::remove_file(&database).unwrap();
    let conn = rusqlite::Connection::open(&database).unwrap();
    conn.execute_batch("PRAGMA application_id = 0x4352454c; PRAGMA user_version = 9999; CREATE TABLE t (a)").unwrap();
    drop(conn);
    ward.examined(&[]).await.says("database", "no", &["was written by a newer Creel", "the version of Creel"]);
}

#[tokio::test]
async fn a_master_key_that_is_lost_open_or_another_is_told() {
    let ward = Ward::new().await;
    let key = ward.data().join("master.key");
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    ward.examined(&[]).await.says("master_key", "no", &["has mode 0644", "chmod 600"]);
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, "not hexadecimal").unwrap();
    let said = ward.examined(&[]).await;
    said.says("master_key", "no", &["holds no master key", "restore it from your backup"]);
    assert!(!format!("{:?}", said.found).contains("not hexadecimal"));
    std::fs::remove_file(&key).unwrap();
    ward.examined(&[]).await.says("master_key", "no", &["there is no master key at", "restore it from your backup"]);

    // A secret that was sealed with one key, and another key.
    let host = Host::open().await;
    host.tenant("shop").await.secret("crm", "hunter2").await;
    let (home, _) = host.stop().await;
    let file = home.path().join("master.key");
    let right = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    make_master_key(&file, &Entropy::seeded(3)).unwrap();
    let ward = ward.set("CREEL_DATA_DIR", home.path().to_str().unwrap());
    ward.examined(&[]).await.says("master_key", "no", &["does not open 1 of 1 secrets", "save these secrets anew"]);

    // A rotation that is not over: whichever of the two a secret is sealed with.
    let next = home.path().join("master.key.next");
    std::fs::write(&next, &right).unwrap();
    std::fs::set_permissions(&next, Permissions::from_mode(0o600)).unwrap();
    ward.examined(&[]).await.says("master_key", "warn", &["a rotation is under way", "the next start"]);
    std::fs::write(&next, "12").unwrap();
    ward.examined(&[]).await.says("master_key", "no", &["does not open 1 of 1 secrets"]);
    assert!(next.exists(), "the doctor changes nothing");
}

#[tokio::test]
async fn a_port_that_is_taken_or_not_to_be_had_is_told() {
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ward = Ward::new().await.set("CREEL_INGRESS_LISTEN", &address);
    let said = ward.examined(&[]).await;
    said.says("ingress.listen", "no", &["somebody else listens", "ss -ltnp", "another `ingress.listen`"]);
    let ward = ward.set("CREEL_INGRESS_LISTEN", "203.0.113.9:8080");
    ward.examined(&[]).await.says("ingress.listen", "no", &["nobody can listen at 203.0.113.9:8080"]);
    // A host that works in the directory, and a configuration that is not its own.
    let held = DataDir::open(&ward.data()).unwrap();
    let free = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = ward.set("CREEL_INGRESS_LISTEN", &free).examined(&[]).await;
    said.says("ingress.listen", "no", &["nobody listens at", "the host was started with"]);
    said.says("data_dir", "ok", &[&format!("process {} works in it", std::process::id())]);
    drop(held);
}

#[tokio::test]
async fn a_clock_that_is_behind_what_is_kept_or_off_is_told() {
    let ward = Ward::new().await;
    let database = std::fs::File::open(ward.data().join("creel.db")).unwrap();
    let before = database.metadata().unwrap().modified().unwrap();
    database.set_modified(before + std::time::Duration::from_secs(3_600)).unwrap();
    ward.examined(&[]).await.says("clock", "no", &["the last change of creel.db", " s later", "NTP"]);
    database.set_modified(before).unwrap();

    let dated = |date: &'static str| Router::new().fallback(move || async move { [("date", date)] });
    let off = serve(dated("Thu, 01 Jan 2026 00:00:00 GMT")).await;
    let said = ward.examined(&["--against", &format!("http://{off}")]).await;
    said.says("clock", "no", &["it differs from that of", "NTP"]);
    let none = serve(dated("no date")).await;
    let said = ward.examined(&["--against", &format!("http://{none}")]).await;
    said.says("clock", "warn", &["tells no time", "--against"]);
}

#[tokio::test]
async fn a_certificate_that_ends_or_is_anothers_is_told() {
    let authority = Authority::new("the shop's own");
    let ward = Ward::new().await;
    let files = authority.issue("creel", &["127.0.0.1"]).files(ward.directory.path());
    let path = |file: &Path| file.to_str().unwrap().to_owned();
    let ward = ward
        .set("CREEL_ADMIN_TLS_CERTIFICATE_FILE", &path(&files.certificate))
        .set("CREEL_ADMIN_TLS_KEY_FILE", &path(&files.key));
    ward.examined(&[]).await.says("admin.tls", "ok", &["belong together"]);
    authority.issue_until("creel", &["127.0.0.1"], (2020, 1, 1)).files(ward.directory.path());
    let said = ward.examined(&[]).await;
    said.says("admin.tls", "no", &["ended on 2020-01-01T00:00:00", "renew it"]);
    authority.issue_days("creel", 3).files(ward.directory.path());
    ward.examined(&[]).await.says("admin.tls", "warn", &["ends in 2 days", "renew it"]);
    std::fs::write(&files.key, authority.issue("other", &[]).key).unwrap();
    ward.examined(&[]).await.says("admin.tls", "no", &["is not that of the certificate", "put both files"]);
    std::fs::remove_file(&files.certificate).unwrap();
    ward.examined(&[]).await.says("admin.tls", "no", &["could not read", "put both files"]);
}

/// Serves on a port of its own for as long as the test lasts.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// A request on its way through a proxy.
struct Passing {
    target: String,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

/// What a proxy does to a request.
type Change = fn(&mut Passing);

/// A proxy before `ingress` that changes requests on their way.
fn proxy(ingress: SocketAddr, change: Change) -> Router {
    let http = client();
    Router::new().fallback(move |request: Request| {
        let http = http.clone();
        async move {
            let (parts, body) = request.into_parts();
            let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
            let mut passing = Passing { target, headers: parts.headers, body };
            passing.headers.remove("content-length");
            change(&mut passing);
            let url = format!("http://{ingress}{}", passing.target);
            let passed = http.request(parts.method, url).headers(passing.headers).body(passing.body);
            let answer = passed.send().await.unwrap();
            let response = Response::builder().status(answer.status());
            response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
        }
    })
}

/// A host that is known by a URL at which something else answers.
async fn known_by(change: impl Fn(&mut Config) + Send + Sync + 'static) -> (Host, Ward) {
    let host = Host::with(change).await;
    let ward = Ward { directory: tempfile::tempdir().unwrap(), settings: Vec::new() };
    let ward = ward.set("CREEL_DATA_DIR", host.path().to_str().unwrap());
    let ward = ward.set("CREEL_URL", host.api.base()).set("CREEL_KEY", host.api.key());
    let admin = host.api.base().trim_start_matches("http://").to_owned();
    let ward = ward.set("CREEL_INGRESS_LISTEN", &host.ingress.to_string()).set("CREEL_ADMIN_LISTEN", &admin);
    (host, ward)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_works_is_looked_at_from_outside() {
    let (host, ward) = known_by(|_| {}).await;
    let said = ward.examined(&[]).await;
    assert_eq!(said.code, 0, "{:#?}", said.found);
    said.says("ingress.listen", "ok", &["in use, as it should be"]);
    said.says("key", "ok", &["as operator"]);
    said.says("public_url", "ok", &["nothing is changed on the way"]);

    let tenant = host.tenant("shop").await;
    let said = ward.set("CREEL_KEY", tenant.api.key()).examined(&[]).await;
    said.says("key", "warn", &["the public URL can't be looked at", "operator's key"]);
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_taken_and_an_api_that_is_not_there_are_told() {
    let (host, ward) = known_by(|_| {}).await;
    let unknown = format!("{}x", &host.api.key()[..host.api.key().len() - 1]);
    let ward = ward.set("CREEL_KEY", &unknown);
    ward.examined(&[]).await.says("key", "no", &["does not take the key", "give another one"]);
    let ward = ward.set("CREEL_URL", "http://127.0.0.1:1");
    ward.examined(&[]).await.says("api", "no", &["no host answers at http://127.0.0.1:1", "--url"]);
    let nobody = serve(Router::new()).await;
    let ward = ward.set("CREEL_URL", &format!("http://{nobody}"));
    ward.examined(&[]).await.says("api", "no", &["not as a Creel host would", "--url"]);
    host.finish().await;
    let ward = Ward::new().await.set("CREEL_KEY", &unknown);
    ward.examined(&[]).await.says("api", "warn", &["no host runs", "creel serve"]);
}

/// What the doctor says of a public URL that leads over something else.
async fn by_way_of(way: impl FnOnce(SocketAddr) -> Router, state: &str, words: &[&str]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public = format!("http://{}", listener.local_addr().unwrap());
    let (host, ward) = known_by(move |config| config.public_url = Some(public.clone())).await;
    let router = way(host.ingress);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    ward.examined(&[]).await.says("public_url", state, words);
    serving.abort();
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_proxy_changes_is_told() {
    let cases: [(Change, &str, &[&str]); 6] = [
        (|_| {}, "ok", &["nothing is changed"]),
        (|passing| drop(passing.headers.insert("via", "1.1 x".parse().unwrap())), "ok", &["nothing is changed"]),
        (|passing| passing.body.retain(|byte| *byte != b'\r'), "no", &["the body is changed", "byte for byte"]),
        (|passing| passing.target.push_str("&added=1"), "no", &["the query is changed", "added=1", "byte for byte"]),
        (|passing| drop(passing.headers.remove("stripe-signature")), "no", &["`stripe-signature`", "pass all headers"]),
        (|passing| passing.target.insert_str(0, "/hooks"), "no", &["answered 404", "path prefix cut off"]),
    ];
    for (change, state, words) in cases {
        by_way_of(|ingress| proxy(ingress, change), state, words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_url_that_leads_elsewhere_is_told() {
    let elsewhere = |_| Router::new().fallback(async || (http::StatusCode::NOT_FOUND, "nginx"));
    by_way_of(elsewhere, "no", &["leads to somebody who answered 404", "`ingress.listen`"]).await;
    let moved = |_| Router::new().fallback(async || axum::response::Redirect::permanent("https://new.example/"));
    by_way_of(moved, "no", &["redirects to https://new.example/", "set `public_url`"]).await;
    let (host, ward) = known_by(|config| config.public_url = Some("http://127.0.0.1:1".to_owned())).await;
    ward.examined(&[]).await.says("public_url", "no", &["http://127.0.0.1:1 is not reached", "firewalls"]);
    host.finish().await;
}
