//! The program itself as a process, on a data directory that outlives it: started, killed, started again.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use creel_server::datadir::DataDir;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::host::{client, in_memory};
use super::receiver::Receiver;
use super::tenant::Api;
use super::wait::until;

/// A data directory with an operator's key, made by `creel init`.
pub(crate) struct Place {
    directory: TempDir,
    operator: String,
    egress: String,
}

/// A host in a process of its own; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    /// Where webhooks arrive.
    pub(crate) ingress: SocketAddr,
    admin: SocketAddr,
    /// Its admin API as the operator.
    pub(crate) api: Api,
}

/// What a process that has ended logged.
pub(crate) struct Log(Arc<Mutex<Vec<Value>>>);

impl Log {
    /// The entry whose message begins so.
    pub(crate) async fn said(&self, message: &str) -> Value {
        said(&self.0, message).await
    }
}

async fn said(log: &Mutex<Vec<Value>>, message: &str) -> Value {
    let begins = |entry: &&Value| entry["message"].as_str().is_some_and(|text| text.starts_with(message));
    let entries = || async { log.lock().unwrap_or_else(PoisonError::into_inner).clone() };
    let entries = until(message, entries, |entries| entries.iter().any(|entry| begins(&entry))).await;
    entries.iter().find(begins).cloned().expect("it was there")
}

impl Place {
    /// A new directory for hosts that may call this receiver.
    pub(crate) async fn new(receiver: &Receiver) -> Place {
        let directory = in_memory().map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
        let mut place = Place { directory, operator: String::new(), egress: receiver.address().to_string() };
        let output = place.command(&[], &["--json", "init"]).output().await.expect("the program runs");
        let text = String::from_utf8(output.stdout).expect("it speaks UTF-8");
        let said: Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("`creel init` said {text:?}, {}", String::from_utf8_lossy(&output.stderr)));
        place.operator = said["operator_key"].as_str().expect("a key is shown once").to_owned();
        place
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its database.
    pub(crate) fn database(&self) -> std::path::PathBuf {
        DataDir::create(self.path()).expect("the directory is nobody's").database()
    }

    /// Starts a host here, behind another program if there is one, and waits until it serves.
    pub(crate) async fn start(&self, behind: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = self.command(behind, &["serve"]);
        command.envs(environment.iter().copied()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it has a standard error")).lines();
        let mut said = Vec::new();
        let serving = loop {
            let line = lines.next_line().await.expect("it speaks UTF-8");
            let line = line.unwrap_or_else(|| panic!("the host ended before it served: {said:#?}"));
            match serde_json::from_str::<Value>(&line) {
                Ok(entry) if entry["message"] == "serving" => break entry,
                _ => said.push(line),
            }
        };
        // Its log must not fill the pipe.
        let log = Arc::<Mutex<Vec<Value>>>::default();
        let book = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
                book.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
            }
        });
        let address = |name: &str| serving[name].as_str().and_then(|text| text.parse().ok()).expect("an address");
        let (ingress, admin): (SocketAddr, SocketAddr) = (address("ingress"), address("admin"));
        let api = Api::new(client(), format!("http://{admin}"), self.operator.clone());
        Process { child, log, ingress, admin, api }
    }

    fn command(&self, behind: &[&str], arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_creel");
        let mut command = match behind.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let settings = [
            ("CREEL_DATA_DIR", self.path().to_str().expect("a path in UTF-8")),
            ("CREEL_INGRESS_LISTEN", "127.0.0.1:0"),
            ("CREEL_ADMIN_LISTEN", "127.0.0.1:0"),
            ("CREEL_EGRESS_ALLOW", self.egress.as_str()),
            ("CREEL_LOG_FORMAT", "json"),
        ];
        command.envs(settings);
        command
    }
}

impl Process {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends it a signal by its name, for example `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.id());
        let status = Command::new("sh").args(["-c", &script]).status().await.expect("a shell");
        assert!(status.success(), "{script}: {status}");
    }

    /// Where its admin API listens.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Every line that it logged so far.
    pub(crate) fn everything_said(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Value::to_string).collect()
    }

    /// Waits until it has logged a message that begins so, and gives the entry.
    pub(crate) async fn said(&self, message: &str) -> Value {
        said(&self.log, message).await
    }

    /// Waits until it has ended by itself; gives how, and its log.
    pub(crate) async fn ended(mut self) -> (ExitStatus, Log) {
        let bound = std::time::Duration::from_secs(60);
        let status = tokio::time::timeout(bound, self.child.wait()).await.expect("it ends").expect("a child");
        (status, Log(self.log))
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it is killed");
    }
}
