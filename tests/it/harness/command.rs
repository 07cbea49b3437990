//! The command line as a program, against a host of the test.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use super::tenant::Tenant;

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
    let mut command = Command::new(env!("CARGO_BIN_EXE_creel"));
    command.args(arguments).env_clear().env("CREEL_URL", tenant.api.base()).env("CREEL_KEY", tenant.api.key());
    let Output { status, stdout, stderr } =
        command.stdin(std::process::Stdio::null()).output().await.expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}
