//! The gate's own parts fail: each time the uploader is told what happened, and what is deployed goes on deciding.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use creel_webhook::plugin::Digest;
use creel_webhook::run::Verdict;
use serde_json::{Value, json};

use crate::harness::guests::guest;
use crate::harness::host::{Home, Host, real_compiler};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// A compiler that does what its script says at the time.
struct Script(PathBuf);

impl Script {
    fn write(&self, text: &str) {
        let [program, argument] = real_compiler().try_into().expect("program and argument");
        let text = text.replace("REAL", &format!("{} {}", program.display(), argument.display()));
        fs::write(&self.0, text).unwrap();
    }
}

/// A tenant whose plugin `handler` decides what comes to `source`.
struct Served {
    tenant: Tenant,
    source: String,
    sent: u32,
}

impl Served {
    async fn on(host: &Host) -> Served {
        let tenant = host.tenant("acme").await;
        let source = tenant.source("orders", "standard-webhooks", SECRET).await;
        tenant.receiver(host).await;
        tenant.deploy("handler", "echo", json!({})).await;
        tenant.route("orders", "handler").await;
        Served { tenant, source, sent: 0 }
    }

    /// Another event is decided by what is deployed.
    async fn still_decides(&mut self, host: &Host, after: &str) {
        self.sent += 1;
        let webhook =
            Webhook::json("standard-webhooks", SECRET, &format!("msg_{}", self.sent), r#"{"type":"order.paid"}"#);
        assert_eq!(host.send(&self.source, &webhook).await.status, 200, "{after}");
        let run = self.tenant.decided().await;
        assert_eq!((run.verdict, run.deployment), (Some(Verdict::Done), Some(1)), "{after}: {:?}", run.reason);
    }

    async fn refused(&self, status: u16, words: &[&str], upload: Bytes) {
        let (got, problem) = self.tenant.upload("handler", upload).await;
        assert_eq!(got, status, "{problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(words.iter().all(|word| detail.contains(word)), "{words:?} in: {detail}");
    }
}

/// The file that a component is kept in.
fn kept(host: &Path, upload: &Bytes) -> PathBuf {
    let engine = fs::read_dir(host.join("cache")).unwrap().next().expect("a directory of this engine").unwrap().path();
    engine.join(format!("{}.aot", hex::encode(Digest::of(upload).as_bytes())))
}

/// From now on the disk is full for the file that this component is to be kept in.
fn fill_the_disk(host: &Path, upload: &Bytes) {
    for number in 0..50 {
        let beside = kept(host, upload).with_extension(format!("{}-{number}.tmp", std::process::id()));
        std::os::unix::fs::symlink("/dev/full", beside).unwrap();
    }
}

/// A component of one nested type, so deep that whoever reads it by recursion runs out of stack.
fn nested() -> Bytes {
    let types = [&[1][..], &[0x41, 1, 1].repeat(200_000), &[0x41, 0]].concat();
    let mut bytes = b"\0asm\x0d\0\x01\0\x07".to_vec();
    bytes.extend([types.len() as u8 | 0x80, (types.len() >> 7) as u8 | 0x80, (types.len() >> 14) as u8]);
    bytes.extend(types);
    bytes.into()
}

async fn open(script: &Script) -> Home {
    script.write("exec REAL");
    Home::new(|_| {}).with_compiler(vec!["/bin/sh".into(), script.0.clone().into()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_that_fails_is_told_to_the_uploader_only() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script(directory.path().join("compiler.sh"));
    let host = open(&script).await.serve(Arc::new(Receiver::start().await)).await;
    let mut served = Served::on(&host).await;
    served.still_decides(&host, "at first").await;
    served.refused(422, &["the compiler ended with signal", "nests too deeply"], nested()).await;
    served.still_decides(&host, "a parser's stack overflowed").await;
    script.write("exec REAL > /dev/null; exit 0");
    served.refused(503, &["no compiled component", "fault of the host"], guest("loops")).await;

    let other_engine = r#"{"engine":"00","imports":[]}"#;
    let cases: [(String, u16, &[&str]); 6] = [
        ("kill -9 $$".into(), 422, &["the compiler ended with signal: 9", "compile_memory_bytes_max"]),
        ("CREEL_COMPILE_MEMORY_BYTES=4000000 exec REAL".into(), 422, &["the compiler ended with"]),
        ("echo no room >&2; exit 1".into(), 422, &["the component does not compile: no room"]),
        ("echo garbage".into(), 503, &["no compiled component (8 bytes)", "fault of the host"]),
        ("exec /nonexistent/compiler 2> /dev/null".into(), 422, &["the compiler ended with exit status: 127"]),
        (
            format!("printf '\\034\\0\\0\\0{other_engine}code'"),
            503,
            &["does not take (it was made for another one)", "restart"],
        ),
    ];
    assert_eq!(other_engine.len(), 0o34);
    for (text, status, words) in cases {
        script.write(&text);
        served.refused(status, words, guest("panics")).await;
        served.still_decides(&host, &text).await;
    }

    let (home, receiver) = host.stop().await;
    let host = home.changed(|config| config.runtime.compile_deadline_ms = 400).serve(receiver).await;
    served.tenant = served.tenant.at(&host);
    script.write("exec sleep 100");
    served.refused(422, &["longer than 400 ms", "`runtime.compile_deadline_ms`"], guest("panics")).await;
    served.still_decides(&host, "a compiler that hangs").await;
    host.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_uploads_and_forged_or_broken_files_are_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let script = Script(directory.path().join("compiler.sh"));
    let host = open(&script).await.serve(Arc::new(Receiver::start().await)).await;
    let mut served = Served::on(&host).await;
    served.still_decides(&host, "at first").await;
    fill_the_disk(host.path(), &guest("panics"));
    served.refused(503, &["the cache of compiled components", "No space left"], guest("panics")).await;
    served.still_decides(&host, "a full disk").await;

    let path = kept(host.path(), &guest("echo"));
    let good = fs::read(&path).unwrap();
    let (status, problem): (u16, Value) = served.tenant.upload("handler", Bytes::from(good.clone())).await;
    assert_eq!((status, &problem["title"]), (422, &json!("the upload was refused: kind")), "{problem}");
    let code = good.windows(4).position(|window| window == b"\x7fELF").expect("machine code is an object file");
    served.refused(422, &["precompiled machine code"], Bytes::copy_from_slice(&good[code..])).await;

    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let unsealed = [&good[..8], &[0; 32], &good[40..]].concat();
    let (mut home, mut receiver) = host.stop().await;
    for bad in [flipped, unsealed, good[..good.len() / 2].to_vec(), Vec::new()] {
        fs::write(&path, &bad).unwrap();
        let host = home.serve(receiver).await;
        served.tenant = served.tenant.at(&host);
        // Nor does a full disk keep what was accepted once from running.
        if bad.is_empty() {
            fill_the_disk(host.path(), &guest("echo"));
        }
        served.still_decides(&host, "a broken file").await;
        let anew = fs::read(&path).is_ok_and(|kept| kept == good);
        assert_eq!(anew, !bad.is_empty(), "made anew, but for the disk that is full");
        (home, receiver) = host.stop().await;
    }
    home.serve(receiver).await.finish().await;
}
