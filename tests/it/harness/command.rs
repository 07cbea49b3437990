//! The command line as a program, against a host of the test.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::tenant::Tenant;
use super::wait::BOUND;

/// Names a release build of the program, which `.ci/run` has made by then.
const RELEASE: &str = "CREEL_TEST_RELEASE_BINARY";

/// The program as it is shipped, where there is one; else the one that was built for tests, which takes its time over an
/// interpreter.
#[allow(clippy::disallowed_methods, reason = "another build of the program is somewhere else")]
pub(crate) fn shipped() -> PathBuf {
    std::env::var_os(RELEASE).unwrap_or_else(|| env!("CARGO_BIN_EXE_creel").into()).into()
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Said {
    /// Its one line of JSON.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program, as the tenant's own key sees the host. Nobody is there to be asked.
pub(crate) async fn creel(tenant: &Tenant, arguments: &[&str]) -> Said {
    said(arguments, &[("CREEL_URL", tenant.api.base()), ("CREEL_KEY", tenant.api.key())]).await
}

/// The program, started and left running: its standard output, line by line. It is killed when that is dropped.
pub(crate) fn follow(tenant: &Tenant, arguments: &[&str]) -> Follower {
    let mut command = Command::new(env!("CARGO_BIN_EXE_creel"));
    command.args(arguments).env_clear().env("CREEL_URL", tenant.api.base()).env("CREEL_KEY", tenant.api.key());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut program = command.spawn().expect("the program runs");
    let lines = BufReader::new(program.stdout.take().expect("it is piped")).lines();
    let complaints = BufReader::new(program.stderr.take().expect("it is piped")).lines();
    Follower { program, lines, complaints }
}

/// A program that is running.
pub(crate) struct Follower {
    program: Child,
    lines: Lines<BufReader<ChildStdout>>,
    complaints: Lines<BufReader<ChildStderr>>,
}

impl Follower {
    /// Its next line that holds this text.
    pub(crate) async fn line_with(&mut self, text: &str) -> String {
        next_with(&mut self.lines, text).await
    }

    /// The next line of its standard error that holds this text.
    pub(crate) async fn complaint_with(&mut self, text: &str) -> String {
        next_with(&mut self.complaints, text).await
    }

    /// Ctrl-C; gives the code that it ended with, and the lines that came until then.
    pub(crate) async fn interrupt(mut self) -> (Option<i32>, Vec<String>) {
        let script = format!("kill -INT {}", self.program.id().expect("it runs"));
        assert!(Command::new("sh").args(["-c", &script]).status().await.expect("a shell").success(), "{script}");
        let mut rest = Vec::new();
        let end = async {
            while let Some(line) = self.lines.next_line().await.expect("it can be read") {
                rest.push(line);
            }
            self.program.wait().await.expect("a child")
        };
        let status = tokio::time::timeout(BOUND, end).await.expect("it ends");
        (status.code(), rest)
    }
}

async fn next_with(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, text: &str) -> String {
    let wait = async {
        loop {
            let line = lines.next_line().await.expect("it can be read").expect("it has not ended");
            if line.contains(text) {
                return line;
            }
        }
    };
    tokio::time::timeout(BOUND, wait).await.unwrap_or_else(|_| panic!("no line with `{text}`"))
}

/// The program where there is no host.
pub(crate) async fn alone(arguments: &[&str]) -> Said {
    said(arguments, &[]).await
}

/// The program in an environment of its own.
pub(crate) async fn said(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    within(Path::new("."), arguments, environment).await
}

/// The program in a directory, with nothing else in its environment.
pub(crate) async fn within(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    by(Path::new(env!("CARGO_BIN_EXE_creel")), directory, arguments, environment).await
}

/// The same by this build of the program.
pub(crate) async fn by(program: &Path, directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).env_clear().envs(environment.iter().copied());
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().await.expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}
