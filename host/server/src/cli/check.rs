//! `creel check`: what the gate of a host would say to a component, without a host.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use serde::Serialize;

use super::workbench::Workbench;
use crate::config::Config;

/// What is known about a component that passes.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// SHA-256 of the file, as a host names the version.
    pub digest: String,
    /// Size of the file.
    pub bytes: u64,
    /// Size of the machine code that it becomes.
    pub compiled_bytes: u64,
    /// How long checking and compiling took, milliseconds.
    pub compile_ms: u64,
    /// Interfaces that it imports, in its own order.
    pub imports: Vec<String>,
}

/// Puts a file through the gate.
///
/// # Errors
/// When it can't be read, or with the gate's refusal.
pub async fn check(file: &Path, config: &Config) -> anyhow::Result<Checked> {
    let upload = read(file)?;
    let bytes = upload.len() as u64;
    let passed = Workbench::open(config)?.pass(upload).await.with_context(|| file.display().to_string())?;
    let prepared = passed.prepared;
    Ok(Checked {
        digest: prepared.digest.to_string(),
        bytes,
        compiled_bytes: prepared.artifact_bytes,
        compile_ms: u64::try_from(passed.took.as_millis()).unwrap_or(u64::MAX),
        imports: prepared.imports.clone(),
    })
}

/// A component's bytes.
///
/// # Errors
/// When the file can't be read.
pub fn read(file: &Path) -> anyhow::Result<Bytes> {
    Ok(Bytes::from(std::fs::read(file).with_context(|| format!("reading {}", file.display()))?))
}
