//! The program is replaced by one with another engine: code is made anew before it is asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use creel_webhook::plugin::Digest;
use creel_webhook::run::Verdict;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::guests::guest;
use crate::harness::host::{Home, Host, real_compiler};
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// The real compiler behind a script that notes what it is given, waits while it is held, and refuses what it is told to.
struct Slow(TempDir);

impl Slow {
    fn new() -> Slow {
        let slow = Slow(tempfile::tempdir().unwrap());
        let [program, argument] = real_compiler().try_into().expect("program and argument");
        let script = format!(
            "cd {}; cat > in.$$; sum=$(sha256sum < in.$$ | cut -d' ' -f1); echo $sum >> given\n\
             while test -e hold; do sleep 0.01; done\n\
             if test -e refused && grep -q $sum refused; then echo odd >&2; exit 1; fi\n\
             exec {} {} < in.$$",
            slow.0.path().display(),
            program.display(),
            argument.display()
        );
        fs::write(slow.0.path().join("compiler.sh"), script).unwrap();
        slow
    }

    async fn open(&self) -> Host {
        let command = vec!["/bin/sh".into(), self.0.path().join("compiler.sh").into()];
        Home::new(|_| {}).with_compiler(command).serve(Arc::new(Receiver::start().await)).await
    }

    fn hold(&self) {
        fs::write(self.0.path().join("hold"), "").unwrap();
    }

    fn go(&self) {
        fs::remove_file(self.0.path().join("hold")).unwrap();
    }

    fn refuse(&self, upload: &Bytes) {
        fs::write(self.0.path().join("refused"), hex::encode(Digest::of(upload).as_bytes())).unwrap();
    }

    /// What it was given so far, as digests.
    fn given(&self) -> Vec<String> {
        let text = fs::read_to_string(self.0.path().join("given")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// The directory of this engine's code.
fn engine(home: &Path) -> PathBuf {
    let mut engines: Vec<_> = fs::read_dir(home.join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(engines.len(), 1, "{engines:?}");
    engines.remove(0)
}

fn digest(name: &str) -> String {
    hex::encode(Digest::of(&guest(name)).as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_upgrade_code_is_made_anew_first_where_senders_wait_and_old_code_stays_until_then() {
    let slow = Slow::new();
    let host = slow.open().await;
    let tenant = host.tenant("acme").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    tenant.receiver(&host).await;
    for (plugin, fixture) in [("aside", "logs"), ("broken", "panics"), ("background", "echo"), ("waiting", "rejects")] {
        tenant.deploy(plugin, fixture, json!({})).await;
    }
    tenant.route("orders", "background").await;
    tenant.reply_route("orders", "waiting").await;
    let (home, receiver) = host.stop().await;

    let (own, old) = (engine(home.path()), home.path().join("cache/engine-00"));
    fs::rename(&own, &old).unwrap();
    slow.refuse(&guest("panics"));
    slow.hold();
    let before = slow.given().len();
    let host = home.serve(receiver).await;
    let tenant = tenant.at(&host);
    let given = || async { slow.given().split_off(before) };
    until("the first of them", given, |given| given.len() == 1).await;
    assert!(old.exists() && fs::read_dir(&own).unwrap().count() == 0);
    slow.go();
    until("the end of old code", || async { old.exists() }, |exists| !exists).await;
    let mut given = given().await;
    let routed = [digest("rejects"), digest("echo")];
    assert_eq!(given[..2], routed, "those first whose senders wait");
    let mut rest = [digest("logs"), digest("panics")];
    given[2..].sort();
    rest.sort();
    assert_eq!(given[2..], rest, "then what no route leads to; what does not compile holds nobody up");
    let made: Vec<bool> = ["rejects", "echo", "logs", "panics"]
        .iter()
        .map(|name| own.join(digest(name)).with_extension("aot").exists())
        .collect();
    assert_eq!(made, [true, true, true, false]);

    let webhook = Webhook::json("standard-webhooks", SECRET, "msg_1", r#"{"type":"order.paid"}"#);
    host.send(&source, &webhook).await;
    let runs = tenant.settled().await.runs;
    let verdicts: Vec<_> = runs.iter().map(|run| run.verdict).collect();
    assert!(verdicts.contains(&Some(Verdict::Done)) && verdicts.contains(&Some(Verdict::Rejected)), "{runs:#?}");
    assert_eq!(slow.given().len(), before + 4, "nobody waited for a compiler");
    host.finish().await;
}
