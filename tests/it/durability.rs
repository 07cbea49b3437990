//! Nothing is acknowledged before it is on the disk: read from the system calls of the program itself.
//!
//! Under `strace` a host takes messages on several connections at once. Each carries a mark in its body; the mark is
//! seen when the request is read from its socket, when the row is written to the write-ahead log, and the answer is
//! seen leaving by the same socket. Between the write and the answer a sync of that log must have begun and ended.
//!
//! [`judge`] is the rule as a function over lines of a trace, so that traces in which it is broken can be shown to it;
//! and a host whose commits do not wait for the disk (a bug planted on purpose) breaks it for real.

use std::collections::HashMap;
use std::io::Write as _;

use serde_json::json;

use crate::harness::host::client;
use crate::harness::process::Place;
use crate::harness::receiver::Receiver;
use crate::harness::sender::Webhook;
use crate::harness::tenant::Tenant;
use crate::harness::wait::until;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnMtMDAwMDE=";

/// What a mark begins with; letters, a number and an end follow.
const MARK: &str = "mark-";

/// Messages of one trace.
const MESSAGES: usize = 40;

/// Messages on their way at the same time.
const AT_ONCE: usize = 8;

/// One system call of one line; a call that another interrupts has two.
struct Call<'a> {
    process: &'a str,
    name: &'a str,
    /// Its arguments, or what is known of them at this line.
    text: &'a str,
    /// Whether it begins, and whether it ends, on this line.
    begins: bool,
    ends: bool,
}

/// Reads a line of `strace -f`.
fn parse(line: &str) -> Option<Call<'_>> {
    let (process, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    if let Some(resumed) = rest.strip_prefix("<... ") {
        let (name, text) = resumed.split_once(" resumed>")?;
        return Some(Call { process, name, text, begins: false, ends: true });
    }
    let (name, text) = rest.split_once('(')?;
    Some(Call { process, name, text, begins: true, ends: !text.ends_with("<unfinished ...>") })
}

/// The marks in what was read or written.
fn marks(text: &str) -> Vec<String> {
    let found = text.match_indices(MARK).map(|(at, _)| &text[at + MARK.len()..]);
    let number = |rest: &str| rest.split_once('.').map(|(number, _)| number.to_owned());
    found.filter_map(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())).collect()
}

/// Judges a trace: gives how many answers it saw.
fn judge(trace: &str) -> Result<usize, String> {
    let (mut asked, mut written, mut synced) = (HashMap::new(), HashMap::new(), Vec::new());
    let (mut syncing, mut begun, mut answers) = (HashMap::new(), HashMap::new(), 0);
    for (at, line) in trace.lines().enumerate() {
        let Some(call) = parse(line) else { continue };
        // The second half of an interrupted call does not repeat its first argument.
        let first = if call.begins { call.text.split([',', ')', ' ']).next().unwrap_or_default() } else { "" };
        let file = if call.begins { first } else { begun.remove(call.process).unwrap_or_default() };
        if !call.ends {
            begun.insert(call.process, file);
        }
        match call.name {
            "read" | "recvfrom" | "readv" if call.ends => {
                asked.extend(marks(call.text).into_iter().map(|mark| (file, mark)));
            }
            "pwrite64" | "write" | "pwritev" if file.contains("-wal") => {
                for mark in marks(call.text) {
                    written.entry(mark).or_insert(at);
                }
            }
            "fdatasync" | "fsync" if file.contains("-wal") => {
                let began = if call.begins { at } else { syncing.remove(call.process).unwrap_or(at) };
                if !call.ends {
                    syncing.insert(call.process, began);
                } else if call.text.trim_end().ends_with("= 0") {
                    synced.push((began, at));
                }
            }
            "write" | "writev" | "sendto" | "sendmsg" if call.begins && call.text.contains("HTTP/1.1 2") => {
                let Some(mark) = asked.remove(file) else { continue };
                let wrote =
                    written.get(&mark).ok_or_else(|| format!("line {at}: {mark} is answered and nowhere written"))?;
                let is_safe = synced.iter().any(|(began, ended)| began > wrote && *ended < at);
                if !is_safe {
                    return Err(format!("line {at}: {mark}, written at {wrote}, is answered and was not synced"));
                }
                answers += 1;
            }
            _ => {}
        }
    }
    Ok(answers)
}

/// Has a host take messages under `strace`; gives the trace.
async fn trace(environment: &[(&str, &str)]) -> String {
    let receiver = Receiver::start().await;
    let place = Place::new(&receiver).await;
    let file = place.path().join("trace");
    let file = file.to_str().expect("a path in UTF-8");
    // The program is the child and strace its tracer (-D), so that killing the child ends both.
    let calls = "trace=read,readv,recvfrom,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync";
    let strace = ["strace", "-D", "-f", "-y", "-s", "100000", "-e", calls, "-o", file];
    let host = place.start(&strace, environment).await;
    let tenant = Tenant::make_over(&host.api, "shop").await;
    let source = tenant.source("orders", "standard-webhooks", SECRET).await;
    let (http, url) = (client(), format!("http://{}{source}", host.ingress));
    for first in (0..MESSAGES).step_by(AT_ONCE) {
        let sending = (first..first + AT_ONCE).map(|number| {
            let body = json!({ "type": "order.paid", "note": format!("{MARK}{number}.") }).to_string();
            let order = Webhook::json("standard-webhooks", SECRET, &format!("msg_{number}"), body);
            tokio::spawn(order.request(&http, &url).send())
        });
        for answer in sending.collect::<Vec<_>>() {
            assert_eq!(answer.await.unwrap().expect("the host answers").status(), 200);
        }
    }
    let id = host.id();
    host.kill().await;
    let read =
        || async { std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default() };
    let last = format!("{id} +++ killed by SIGKILL +++");
    until(
        "the trace's end",
        || async { Tail(read().await) },
        |trace| trace.0.lines().any(|line| squeezed(line) == last),
    )
    .await
    .0
}

/// A trace that is not printed whole when it is wrong.
struct Tail(String);

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<&str> = self.0.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(5)).map(|line| &line[..line.len().min(200)]);
        f.debug_list().entries(last).finish()
    }
}

/// A line with single spaces: strace aligns process ids.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether `strace` is installed; says so where nobody can overlook it when it is not.
fn has_strace() -> bool {
    let has = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("strace").is_file()));
    if !has {
        // To the stream itself: what a passing test prints is kept from view.
        let why = "SKIPPED: `strace` is not installed, so nobody saw when this host syncs; install it (Debian: strace)";
        writeln!(std::io::stderr(), "{why}").expect("there is a standard error");
    }
    has
}

#[tokio::test(flavor = "multi_thread")]
async fn a_2xx_leaves_after_the_sync_of_its_row() {
    if has_strace() {
        assert_eq!(judge(&trace(&[]).await), Ok(MESSAGES));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_wait_for_the_disk_is_found_out() {
    if has_strace() {
        let broken = judge(&trace(&[("CREEL_TEST_PLANTED", "synchronous-off")]).await);
        assert!(broken.as_ref().is_err_and(|why| why.contains("was not synced")), "{broken:?}");
    }
}

const ASKED: &str = r#"7 recvfrom(9<socket:[1]>, "POST /in\r\n\r\n{\"note\":\"mark-3.\"}", 8192, 0, NULL, NULL) = 40"#;
const WRITTEN: &str = r#"8 pwrite64(12</d/creel.db-wal>, "\0\1{\"note\":\"mark-3.\"}\0", 8192, 32) = 8192"#;
const SYNCED: &str = "8 fdatasync(12</d/creel.db-wal>) = 0";
const ANSWERED: &str = r#"7 writev(9<socket:[1]>, [{iov_base="HTTP/1.1 200 OK\r\n", iov_len=17}], 1) = 17"#;

#[test]
fn the_rule_holds_of_a_good_trace_and_of_no_bad_one() {
    let judged = |lines: &[&str]| judge(&lines.join("\n"));
    assert_eq!(judged(&[ASKED, WRITTEN, SYNCED, ANSWERED]), Ok(1));
    let (begun, resumed) = ("8 fdatasync(12</d/creel.db-wal> <unfinished ...>", "8 <... fdatasync resumed>) = 0");
    assert_eq!(judged(&[ASKED, WRITTEN, begun, "7 read(3, \"\", 1) = 0", resumed, ANSWERED]), Ok(1));

    let not_synced = Err("line 2: 3, written at 1, is answered and was not synced".to_owned());
    assert_eq!(judged(&[ASKED, WRITTEN, ANSWERED]), not_synced);
    assert_eq!(judged(&[ASKED, WRITTEN, ANSWERED, SYNCED]), not_synced);
    let elsewhere = "8 fdatasync(12</d/creel.db>) = 0";
    assert!(judged(&[ASKED, WRITTEN, elsewhere, ANSWERED]).is_err(), "a sync of another file");
    let failed = "8 fdatasync(12</d/creel.db-wal>) = -1 EIO (Input/output error)";
    assert!(judged(&[ASKED, WRITTEN, failed, ANSWERED]).is_err(), "a sync that failed");
    assert!(judged(&[ASKED, begun, WRITTEN, resumed, ANSWERED]).is_err(), "a sync that began before the write");
    assert!(judged(&[ASKED, WRITTEN, begun, ANSWERED, resumed]).is_err(), "a sync that ended after the answer");
    assert!(judged(&[ASKED, ANSWERED]).is_err(), "nothing was written");
}
