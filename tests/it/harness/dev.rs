//! `creel dev` as a program: what it says, line by line, and how it ends.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::guests::build_dir;

/// How long a line may take: a plugin's first build compiles the SDK, and others build beside it.
const BOUND: Duration = Duration::from_secs(400);

/// A development host; killed when dropped.
pub(crate) struct Dev {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<Value>,
}

impl Dev {
    /// Starts it for the plugin in a directory, on ports of its own.
    pub(crate) fn start(plugin: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Dev {
        let mut command = Command::new(env!("CARGO_BIN_EXE_creel"));
        command.args(["--json", "dev", "--port", "0"]).args(arguments).arg(plugin).arg("--build-dir").arg(build_dir());
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the program runs");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Dev { child, lines, said: Vec::new() }
    }

    /// The next thing of this kind that it says; things of other kinds are passed over, except failures.
    pub(crate) async fn said(&mut self, what: &str) -> Value {
        loop {
            let line = tokio::time::timeout(BOUND, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("no `{what}` after {:#?}", self.said)).expect("it speaks UTF-8");
            let line = line.unwrap_or_else(|| panic!("it ended before `{what}`: {:#?}", self.said));
            let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.said.push(said.clone());
            if said["what"] == what {
                return said;
            }
            assert!(said["what"] != "failed", "no `{what}`: {}", said["text"].as_str().unwrap_or_default());
        }
    }

    /// Everything that it has said so far.
    pub(crate) fn heard(&self) -> &[Value] {
        &self.said
    }

    /// Ctrl-C; gives how it ended.
    pub(crate) async fn interrupt(mut self) -> ExitStatus {
        let script = format!("kill -INT {}", self.child.id().expect("it runs"));
        let status = Command::new("sh").args(["-c", &script]).status().await.expect("a shell");
        assert!(status.success(), "{script}: {status}");
        self.said("ended").await;
        self.ended().await
    }

    /// How it ended by itself.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        tokio::time::timeout(BOUND, self.child.wait()).await.expect("it ends").expect("a child")
    }
}
