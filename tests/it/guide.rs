//! `docs/guide.md` and `docs/recipes.md`, walked as they stand: each line behind `$` is typed into one shell, in an empty
//! folder, and what comes back has to look like the lines below it.
//!
//! `…` in a page stands for what is different each time: in what comes back it matches anything (a line of it, any number of
//! lines), in what is typed it is completed by the last word that came back and fits. Three things are done for the reader:
//! the host listens on ports that are free, which is why the page's addresses are exchanged for them; Slack is the receiver of
//! the test; and what needs a moment (a call on its way) is looked at again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::harness::command::shipped;
use crate::harness::guests::{build_dir, checkout};
use crate::harness::receiver::Receiver;
use crate::harness::wait::until;

/// When it is set, tools that can't be installed fail the test.
const REQUIRED: &str = "CREEL_TEST_LANGUAGES";

/// What stands below a line that was typed when it has ended.
const ENDED: &str = "walked with";

/// A program that was built for tests takes its time over an interpreter, the more beside other tests.
const COMPILE_MS: &str = "600000";

/// What is typed again until it shows what it should.
const LOOKS: &[&str] = &["cat dev.log", "creel event ", "creel events", "creel refusals", "creel deliveries"];

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long that may take: a save is built in between, and others build beside it.
const LOOK_MAX: Duration = Duration::from_secs(400);

/// Where the page says that the host listens.
const INGRESS: &str = "127.0.0.1:8080";

/// One line that is typed, and the lines that are shown below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    typed: String,
    shown: Vec<String>,
}

/// The steps of a page in a language: blocks of all languages, and of this one.
fn steps(page: &str, language: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(info) => {
                let mut words = info.split_whitespace();
                inside = words.next() == Some("console") && words.next().is_none_or(|word| word == language);
            }
            None if inside => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(typed), _) => steps.push(Step { typed: typed.to_owned(), shown: Vec::new() }),
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => panic!("nothing was typed before `{line}`"),
            },
            None => {}
        }
    }
    steps
}

/// Whether a text looks like a pattern: in it `…` is anything, and blanks are as many as there are.
fn looks_like(text: &str, pattern: &str) -> bool {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let pattern = pattern.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts: Vec<&str> = pattern.split('…').map(str::trim).collect();
    let Some(mut rest) = text.strip_prefix(parts[0]) else { return false };
    let (last, between) = parts[1..].split_last().unwrap_or((&"", &[]));
    for part in between {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    if parts.len() == 1 { rest.is_empty() } else { rest.ends_with(last) }
}

/// Whether lines look like those shown; a line that is nothing but `…` stands for any number of them.
fn all_look_like(lines: &[String], shown: &[String]) -> bool {
    match (lines, shown.split_first()) {
        (lines, None) => lines.is_empty(),
        (lines, Some((any, rest))) if any == "…" => {
            (0..=lines.len()).any(|skipped| all_look_like(&lines[skipped..], rest))
        }
        ([line, after @ ..], Some((pattern, rest))) => looks_like(line, pattern) && all_look_like(after, rest),
        ([], Some(_)) => false,
    }
}

/// A shell in a folder, and all that came back so far.
struct Walk {
    folder: tempfile::TempDir,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
    /// Where the host listens, when there is one.
    ingress: Option<String>,
    receiver: Receiver,
    // Ends, and all that it began with it, when its input does.
    _shell: Child,
}

impl Walk {
    async fn begin() -> Walk {
        let folder = tempfile::tempdir().unwrap();
        assert!(!folder.path().starts_with(checkout()), "nothing of the checkout is in reach");
        let receiver = Receiver::start().await;
        let program = shipped();
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(program.parent().unwrap().to_owned()).chain(std::env::split_paths(&inherited));
        let mut shell = Command::new("bash")
            .args(["--norc", "-c", "trap 'kill $(jobs -p) 2>/dev/null' EXIT; exec 2>&1; while read -r step; do . \"$step\" </dev/null; echo \"walked with $?\"; done"])
            .current_dir(folder.path())
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("CREEL_BUILD_DIR", build_dir())
            .env("CARGO_TARGET_DIR", build_dir().join("native"))
            .env("CREEL_INGRESS_LISTEN", "127.0.0.1:0")
            .env("CREEL_ADMIN_LISTEN", "127.0.0.1:0")
            .env("CREEL_EGRESS_ALLOW", receiver.address().to_string())
            .env("CREEL_LOG_FORMAT", "json")
            .env("CREEL_RUNTIME_COMPILE_DEADLINE_MS", COMPILE_MS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(false)
            .spawn()
            .expect("there is a shell");
        let input = shell.stdin.take().expect("it is piped");
        let output = BufReader::new(shell.stdout.take().expect("it is piped")).lines();
        Walk { folder, input, output, seen: Vec::new(), ingress: None, receiver, _shell: shell }
    }

    /// Types a line: what comes back, and the code.
    async fn typed(&mut self, line: &str) -> (Vec<String>, String) {
        let step = self.folder.path().join("step.sh");
        std::fs::write(&step, format!("{line}\n")).unwrap();
        self.input.write_all(format!("{}\n", step.display()).as_bytes()).await.unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.output.next_line().await.expect("it speaks UTF-8").expect("the shell has not ended");
            match line.strip_prefix(ENDED) {
                Some(code) => return (lines, code.trim().to_owned()),
                None => lines.push(line),
            }
        }
    }

    /// A line with its words completed by what came back.
    fn completed(&self, line: &str) -> String {
        let words = line.split(' ').map(|word| {
            if !word.contains('…') {
                return word.to_owned();
            }
            let (before, pattern) = word.split_once('=').unwrap_or(("", word));
            let (pattern, shortest) = (self.own(pattern), pattern.len() - '…'.len_utf8());
            let known = self.seen.iter().rev().flat_map(|line| line.split_whitespace());
            let fits = known.into_iter().find(|word| looks_like(word, &pattern) && word.len() > shortest);
            let fits = fits.unwrap_or_else(|| panic!("nothing like `{pattern}` came back before `{line}`"));
            if before.is_empty() { fits.to_owned() } else { format!("{before}={fits}") }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The page's address of the host is this host's.
    fn own(&self, text: &str) -> String {
        self.ingress.as_ref().map_or_else(|| text.to_owned(), |own| text.replace(INGRESS, own))
    }

    async fn step(&mut self, step: &Step) {
        let line = self.completed(&step.typed);
        let shown: Vec<String> = step.shown.iter().map(|line| self.own(line)).collect();
        if line.starts_with("creel apply") {
            self.slack_is_the_receiver();
        }
        let (mut lines, mut code) = self.typed(&line).await;
        let began = std::time::Instant::now();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while LOOKS.iter().any(|look| line.starts_with(look)) && !all_look_like(&lines, &shown) {
            assert!(began.elapsed() < LOOK_MAX, "{line}: {lines:#?} is not {shown:#?}");
            looks.tick().await;
            (lines, code) = self.typed(&line).await;
        }
        assert_eq!(code, "0", "{line}: {lines:#?}");
        assert!(shown.is_empty() || all_look_like(&lines, &shown), "{line}: {lines:#?} is not {shown:#?}");
        self.seen.extend(lines);
        if line.starts_with("creel serve") {
            self.host_is_up().await;
        }
    }

    /// The tenant's file in the directory where the reader is, as the reader is told to change it.
    fn slack_is_the_receiver(&self) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let file: PathBuf = entry.unwrap().path().join("tenant.toml");
            if let Ok(text) = std::fs::read_to_string(&file) {
                let url = self.receiver.url("/services/T1");
                std::fs::write(file, text.replace("https://hooks.slack.com/services/…", &url)).unwrap();
            }
        }
    }

    /// Waits until the host serves, and lets the commands know where.
    async fn host_is_up(&mut self) {
        let (here, _) = self.typed("pwd").await;
        let log = Path::new(&here[0]).join("creel.log");
        let serving = |text: &String| {
            let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            entries.into_iter().find(|entry| entry["message"] == "serving")
        };
        let read = || async { std::fs::read_to_string(&log).unwrap_or_default() };
        let entry = until("the host", read, |text| serving(text).is_some()).await;
        let entry = serving(&entry).expect("it serves");
        self.ingress = entry["ingress"].as_str().map(str::to_owned);
        self.typed(&format!("export CREEL_URL=http://{}", entry["admin"].as_str().expect("an address"))).await;
    }

    /// Whether the tools of a language can be had; a reader is not helped by a page that needs what is not there.
    async fn can_be_walked(&mut self, language: &str) -> bool {
        let probe = match language {
            "javascript" => "npm view componentize-qjs version",
            "python" => "python3 -m venv probe && probe/bin/pip download --quiet --no-deps -d probe componentize-py",
            _ => return true,
        };
        let (said, code) = self.typed(probe).await;
        if code != "0" {
            assert!(std::env::var_os(REQUIRED).is_none(), "`{probe}`: {said:#?}");
            println!("the walk in {language} is left out: {said:#?}");
        }
        code == "0"
    }
}

fn page(name: &str) -> String {
    std::fs::read_to_string(checkout().join("docs").join(name)).unwrap()
}

async fn guide(language: &str) {
    let page = page("guide.md");
    let mut walk = Walk::begin().await;
    if !walk.can_be_walked(language).await {
        return;
    }
    for step in steps(&page, language) {
        walk.step(&step).await;
    }
    let call = walk.receiver.arrivals(1).await.remove(0);
    let told: Value = serde_json::from_slice(&call.request.body).unwrap();
    let text = told["text"].as_str().unwrap_or_default();
    assert!(call.request.path == "/services/T1" && text.starts_with("A new pull request: https://"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_is_walked_in_rust() {
    guide("rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_is_walked_in_javascript() {
    guide("javascript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_is_walked_in_python() {
    guide("python").await;
}

/// Each recipe in a folder and a shell of its own, on a host that the guide's lines have started.
#[tokio::test(flavor = "multi_thread")]
async fn the_recipes_are_walked() {
    let (guide, recipes) = (page("guide.md"), page("recipes.md"));
    let host = steps(&guide, "").into_iter().filter(|step| {
        ["creel init", "creel serve", "export CREEL_"].iter().any(|begin| step.typed.starts_with(begin))
    });
    let host: Vec<Step> = host.collect();
    let walked = recipes.split("\n## ").skip(1).map(|recipe| steps(recipe, ""));
    let walked: Vec<Vec<Step>> = walked.collect();
    assert!(walked.len() >= 4 && walked.iter().all(|steps| steps.len() > 5), "{walked:?}");
    for recipe in walked {
        let mut walk = Walk::begin().await;
        for step in host.iter().chain(&recipe) {
            walk.step(step).await;
        }
    }
}

#[test]
fn a_page_is_read_and_compared_as_it_says() {
    let page = "```console\n$ one\nthis …\n```\n```console python\n$ two\n```\n```console rust\n$ three\n```\n```toml\n$ no\n```";
    let typed: Vec<String> = steps(page, "python").into_iter().map(|step| step.typed).collect();
    assert_eq!(typed, ["one", "two"]);
    assert!(looks_like("evt_1   github  done", "evt_… github … done"));
    assert!(!looks_like("evt_1 github done", "evt_… gitlab …") && !looks_like("one two", "one"));
    let lines = ["a", "b", "c"].map(str::to_owned);
    let shown = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    assert!(all_look_like(&lines, &shown(&["…", "c"])) && all_look_like(&lines, &shown(&["a", "…"])));
    assert!(!all_look_like(&lines, &shown(&["a", "b"])) && !all_look_like(&lines, &shown(&["…", "b"])));
}
