//! Inspects an upload and turns it into machine code, in a process of its own.
//!
//! These are the steps whose cost an upload decides, so they happen in a child that limits its own memory and
//! CPU time, steps back behind everything else, allocates on demand, and is killed at a deadline; one child at a time. The child is a command of the
//! caller's choice that calls [`child_main`]: the server passes its own binary with a hidden argument, a test passes
//! nothing and compiles in its own process.
//!
//! The protocol: the upload on standard input, its end; on standard output a [`Compiled`] and status 0, or a
//! [`Refusal`] and status 2; otherwise a reason on standard error and status 1. The limits are in the child's
//! environment, which holds nothing else.
//!
//! What comes back is machine code that the host will run: this wall keeps a hostile upload from exhausting the
//! host, not a hostile compiler from lying to it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::compiled::Compiled;
use super::inspection::inspect;
use super::refusal::Refusal;
use crate::engine::{Data, EngineError, fingerprint, for_compiling};
use crate::limits::Limits;
use crate::slices;

/// Environment variable of the child: bytes of address space.
const MEMORY_BYTES_VAR: &str = "CREEL_COMPILE_MEMORY_BYTES";

/// Environment variable of the child: seconds of CPU time.
const CPU_SECONDS_VAR: &str = "CREEL_COMPILE_CPU_SECONDS";

/// Threads of the child: compiling must leave room for serving.
const THREADS_MAX: usize = 4;

/// How far the child steps back behind the host, as `nice` counts: it gets what nobody else wants.
const NICE: i32 = 19;

/// Longest reason that a child may give, bytes.
const REASON_BYTES_MAX: u64 = 8 << 10;

/// The child's status when what it says is a [`Refusal`].
const STATUS_REFUSED: i32 = 2;

/// Where and within which bounds to compile.
#[derive(Debug, Clone)]
pub struct CompilerOptions {
    /// The command that calls [`child_main`], with its arguments. None compiles in this process, without bounds: for
    /// tests and for tools that compile their own user's code.
    pub command: Option<(PathBuf, Vec<OsString>)>,
    /// Kill the child after this, milliseconds. Default 60 s: a Python component takes 8.
    pub deadline_ms: u64,
    /// Address space of the child, bytes. Default 4 GiB: Python components peak above one.
    pub memory_bytes_max: u64,
    /// Largest artifact, bytes. Default 512 MiB.
    pub artifact_bytes_max: u64,
}

impl Default for CompilerOptions {
    fn default() -> Self {
        CompilerOptions { command: None, deadline_ms: 60_000, memory_bytes_max: 4 << 30, artifact_bytes_max: 512 << 20 }
    }
}

/// Why there is no machine code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It does not pass inspection.
    #[error(transparent)]
    Gate(#[from] Refusal),
    /// The compiler does not accept the component.
    #[error("the component does not compile: {0}")]
    Refused(String),
    /// Longer than allowed.
    #[error(
        "compiling took longer than {deadline_ms} ms; make the component smaller, or ask the operator to raise \
         `runtime.compile_deadline_ms`"
    )]
    Deadline {
        /// The limit.
        deadline_ms: u64,
    },
    /// The child died: mostly by its own limits.
    #[error(
        "the compiler ended with {status} ({stderr}); most likely the component nests too deeply for it, or \
         `runtime.compile_memory_bytes_max` = {memory_bytes_max} was not enough"
    )]
    Died {
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
        /// The memory limit that it had.
        memory_bytes_max: u64,
    },
    /// Too much machine code.
    #[error("the compiled component has more than {bytes_max} bytes; make the component smaller")]
    TooBig {
        /// The limit.
        bytes_max: u64,
    },
    /// The child did not say what it should.
    #[error("the compiler answered with what is no compiled component ({bytes} bytes); this is a fault of the host")]
    Garbage {
        /// How much it said.
        bytes: usize,
    },
    /// The child could not be started or talked to.
    #[error("the compiler could not be run: {0}")]
    Io(#[from] std::io::Error),
    /// No engine on this machine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl CompileError {
    /// Whether another component would have fared no better.
    pub fn is_hosts(&self) -> bool {
        matches!(self, CompileError::Garbage { .. } | CompileError::Io(_) | CompileError::Engine(_))
    }
}

/// Compiles, one component at a time.
#[derive(Debug)]
pub struct Compiler {
    options: CompilerOptions,
    turn: Mutex<()>,
}

impl Compiler {
    /// A compiler with these bounds.
    pub fn new(options: CompilerOptions) -> Self {
        Compiler { options, turn: Mutex::new(()) }
    }

    /// A compiler in this process, for tests.
    pub fn in_process() -> Self {
        Self::new(CompilerOptions::default())
    }

    /// Inspects and compiles an upload.
    ///
    /// # Errors
    /// [`CompileError`].
    pub async fn compile(&self, upload: Bytes) -> Result<Compiled, CompileError> {
        let _turn = self.turn.lock().await;
        let Some((program, arguments)) = &self.options.command else {
            return tokio::task::spawn_blocking(move || compile(&upload))
                .await
                .map_err(|panic| CompileError::Refused(panic.to_string()))?;
        };
        let child = self.spawn(program, arguments)?;
        let deadline_ms = self.options.deadline_ms;
        tokio::time::timeout(Duration::from_millis(deadline_ms), self.converse(child, upload))
            .await
            .map_err(|_| CompileError::Deadline { deadline_ms })?
    }

    fn spawn(&self, program: &PathBuf, arguments: &[OsString]) -> std::io::Result<Child> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let cpu_seconds = self.options.deadline_ms.div_ceil(1_000) * threads as u64;
        Command::new(program)
            .args(arguments)
            .env_clear()
            .env(MEMORY_BYTES_VAR, self.options.memory_bytes_max.to_string())
            .env(CPU_SECONDS_VAR, cpu_seconds.to_string())
            .env("RAYON_NUM_THREADS", threads.to_string())
            // Each of glibc's arenas reserves 64 MiB of the address space that is limited.
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    async fn converse(&self, mut child: Child, upload: Bytes) -> Result<Compiled, CompileError> {
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (mut said, mut reason) = (Vec::new(), Vec::new());
        let bytes_max = self.options.artifact_bytes_max;
        let write = async move {
            // A child that refuses early closes its end; its reason says more than the broken pipe.
            let _ = stdin.write_all(&upload).await;
            drop(stdin);
        };
        let mut stdout = stdout.take(bytes_max + 1);
        let mut stderr = stderr.take(REASON_BYTES_MAX);
        let ((), read, complained) =
            tokio::join!(write, stdout.read_to_end(&mut said), stderr.read_to_end(&mut reason));
        read?;
        complained?;
        if said.len() as u64 > bytes_max {
            return Err(CompileError::TooBig { bytes_max });
        }
        let status = child.wait().await?;
        let stderr = String::from_utf8_lossy(&reason).trim().to_owned();
        match status.code() {
            Some(0) => {
                let bytes = said.len();
                Compiled::read(said.into()).ok_or(CompileError::Garbage { bytes })
            }
            Some(STATUS_REFUSED) => match serde_json::from_slice::<Refusal>(&said) {
                Ok(refusal) => Err(refusal.into()),
                Err(_) => Err(CompileError::Garbage { bytes: said.len() }),
            },
            Some(1) => Err(CompileError::Refused(stderr)),
            _ => Err(CompileError::Died {
                status: status.to_string(),
                stderr,
                memory_bytes_max: self.options.memory_bytes_max,
            }),
        }
    }
}

/// Inspects and compiles in this process. The size was looked at by whoever has the limits.
fn compile(upload: &Bytes) -> Result<Compiled, CompileError> {
    let inspected = inspect(upload, &Limits { component_bytes_max: u64::MAX, ..Limits::default() })?;
    let engine = for_compiling(Data::of(inspected.data_bytes))?;
    let code = engine.precompile_component(&inspected.component);
    let code = code.map_err(|error| CompileError::Refused(format!("{error:#}")))?;
    Ok(Compiled::of(&fingerprint(&engine), inspected.imports, &code))
}

/// What the child does: the whole of a hidden command. Gives the exit status.
pub fn child_main() -> i32 {
    match child() {
        Ok(()) => 0,
        Err(CompileError::Gate(refusal)) => {
            let told = serde_json::to_writer(std::io::stdout().lock(), &refusal);
            if told.is_ok() { STATUS_REFUSED } else { 1 }
        }
        Err(error) => {
            let message = match error {
                CompileError::Refused(reason) => reason,
                other => other.to_string(),
            };
            eprintln!("{}", &message[..message.floor_char_boundary(REASON_BYTES_MAX as usize)]);
            1
        }
    }
}

fn child() -> Result<(), CompileError> {
    limit(Resource::As, MEMORY_BYTES_VAR)?;
    limit(Resource::Cpu, CPU_SECONDS_VAR)?;
    limit_to(Resource::Core, 0)?;
    // It is a wish: where it is not granted uploads are compiled all the same.
    let _ = rustix::process::setpriority_process(None, NICE);
    slices::make_way();
    let mut upload = Vec::new();
    std::io::stdin().lock().read_to_end(&mut upload)?;
    let compiled = compile(&upload.into())?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(compiled.bytes())?;
    stdout.flush()?;
    Ok(())
}

fn limit(resource: Resource, variable: &str) -> std::io::Result<()> {
    match std::env::var(variable).ok().and_then(|value| value.parse().ok()) {
        Some(value) => limit_to(resource, value),
        None => Err(std::io::Error::other(format!("{variable} is not set: this command is started by the host only"))),
    }
}

fn limit_to(resource: Resource, value: u64) -> std::io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Compiler {
        let command = Some(("/bin/sh".into(), vec!["-c".into(), script.into()]));
        Compiler::new(CompilerOptions {
            command,
            deadline_ms: 400,
            artifact_bytes_max: 300,
            ..CompilerOptions::default()
        })
    }

    async fn error(script: &str) -> CompileError {
        shell(script).compile(Bytes::from_static(b"component")).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_child_reads_the_component_and_writes_the_artifact() {
        let compiler = shell("cat; test -z \"$HOME\" || exit 3; test -n \"$CREEL_COMPILE_MEMORY_BYTES\"");
        let given = Compiled::of(&[7; 32], vec![], b"code");
        assert_eq!(compiler.compile(given.bytes().clone()).await.unwrap(), given);
    }

    #[tokio::test]
    async fn each_way_to_fail_has_its_words() {
        assert!(matches!(error("echo too odd >&2; exit 1").await, CompileError::Refused(why) if why == "too odd"));
        let refusal = r#"printf '"NotWasm"'; exit 2"#;
        assert!(matches!(error(refusal).await, CompileError::Gate(Refusal::NotWasm)));
        assert!(matches!(error("echo no").await, CompileError::Garbage { bytes: 3 }));
        assert!(matches!(error("echo no; exit 2").await, CompileError::Garbage { bytes: 3 }));
        assert!(matches!(error("exec sleep 10").await, CompileError::Deadline { deadline_ms: 400 }));
        assert!(matches!(error("kill -9 $$").await, CompileError::Died { .. }));
        assert!(matches!(error("printf %301d 0").await, CompileError::TooBig { bytes_max: 300 }));
        let missing = CompilerOptions { command: Some(("/nonexistent".into(), vec![])), ..CompilerOptions::default() };
        let error = Compiler::new(missing).compile(Bytes::new()).await.unwrap_err();
        assert!(matches!(error, CompileError::Io(_)));
    }
}
