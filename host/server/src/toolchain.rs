//! Builds plugins: finds a Rust toolchain that can make WebAssembly, gets one when there is none, and runs cargo.
//!
//! It serves `creel build`, the demonstration and the tests alike, so that there is one way in which a plugin comes to
//! be, and one digest for one source tree.
//!
//! **Finding.** What is installed comes before what must be fetched, and what belongs to the user alone (rustup) before
//! what changes the machine (packages):
//!
//! 1. a WebAssembly target of the rustup toolchain, `wasm32-wasip2` or else `wasm32-unknown-unknown`;
//! 2. Debian's compiler with the sources of its standard library, which is then built along;
//! 3. `rustup target add wasm32-wasip2`, given up after 20 seconds, because some networks swallow its packets;
//! 4. `apt-get install` of those Debian packages, only as root on Debian;
//! 5. an error that holds the command to type.
//!
//! **Building.** Cargo runs in an environment of its own making: nothing that an outer cargo, an IDE or a shell profile
//! exported reaches it (`environment`), while the configuration of registries and proxies does. All compiler flags are
//! set here in one variable, since that variable silences those of every `config.toml`: the stack size and the prefixes
//! to be cut from paths. `--locked` always holds: a missing lock file is written first, as a step of its own.
//!
//! **Guarantees.** Two processes never build into one target directory at once (a file lock). An unchanged tree returns
//! without running cargo (a fingerprint over the bytes of all sources and the kind of toolchain). The files returned are
//! copies that the next build of *another* workspace leaves alone, and nothing of one workspace is taken for a part of
//! another (`forget_other_workspace`), though both share the standard library and the crates of registries.
//!
//! It never makes a component out of a core module (the host does that to every upload), never edits sources, and never
//! builds in a `build.rs`.

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A workspace of guests and where to build it.
#[derive(Debug, Clone)]
pub struct Build {
    /// The directory of the workspace's (or the only crate's) `Cargo.toml`.
    pub workspace: PathBuf,
    /// Further directories whose files the build reads: the guest SDK and the contract, where they lie outside.
    pub sources: Vec<PathBuf>,
    /// A common parent of workspace and sources. It is cut from every path that the compiler writes into the module, so
    /// that a digest does not depend on the place of a checkout. Workspaces built into one target directory share the
    /// standard library that is built along when they have one root, or when each is its own root.
    pub root: PathBuf,
    /// Cargo's target directory; used for guests only.
    pub target: PathBuf,
}

/// One built plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The crate's name, with dashes.
    pub name: String,
    /// A component, or a core module that carries its component type.
    pub wasm: PathBuf,
}

/// A toolchain that can build guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// Rustup's, with this target installed.
    Rustup(&'static str),
    /// Debian's, which builds the standard library along.
    Debian,
}

/// Where progress is reported: one line per step.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// The targets in order of preference: the first gives components at once.
const TARGETS: [&str; 2] = ["wasm32-wasip2", "wasm32-unknown-unknown"];

/// The packages that make Debian's toolchain build guests.
const PACKAGES: [&str; 6] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld", "wasi-libc"];

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld";
const DEBIAN_STANDARD_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// The minor version of Rust that the guest SDK needs.
const RUST_MINOR_MIN: u32 = 95;

/// How long `rustup target add` may take: a network that answers is done in a fraction of it.
const TARGET_ADD_MAX: Duration = Duration::from_secs(20);

/// The guest's shadow stack. It lies at the bottom of the memory that the host clears after a run, so Rust's 1 MiB would
/// double the cost of a fresh instance; 64 KiB may overflow in deeply nested JSON.
const STACK_BYTES: u32 = 128 * 1024;

/// How many lines of a failed build the error holds.
const ERROR_LINES_MAX: usize = 60;

/// Makes sure that guests can be built, and builds the workspace unless nothing changed since the last time.
pub fn build(job: &Build, progress: Progress<'_>) -> Result<Vec<Guest>> {
    let job = &absolute(job)?;
    let _lock = locked(job)?;
    let toolchain = find(&job.workspace, progress)?;
    if !job.workspace.join("Cargo.lock").exists() {
        progress("writing Cargo.lock");
        run(toolchain.cargo(job).arg("generate-lockfile"), progress)?;
    }
    let fingerprint = fingerprint(job, &format!("{toolchain:?} {STACK_BYTES}"), |_| true)?;
    let kept = Kept::of(job);
    if let Some(guests) = kept.guests_if(&fingerprint) {
        return Ok(guests);
    }
    progress(&format!("building {} with {}", job.workspace.display(), toolchain.describe()));
    let output = job.target.join(toolchain.target()).join("release");
    remove_modules(&output)?;
    forget_other_workspace(job, toolchain)?;
    run(&mut toolchain.build_command(job), progress)?;
    kept.replace(&output, &fingerprint)
}

/// Keeps other processes from building into the same target directory until it is dropped.
pub(crate) fn locked(job: &Build) -> Result<fs::File> {
    let lock_path = job.target.join("guests.lock");
    let lock = fs::File::create(&lock_path).with_context(|| format!("cannot create {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", lock_path.display()))?;
    Ok(lock)
}

/// The toolchain that is there already, if one is.
pub fn installed(workspace: &Path) -> Option<Toolchain> {
    choose(installed_rustup_targets(workspace).as_deref(), debian_is_complete())
}

/// Finds a toolchain that can build guests, and installs one when there is none.
pub fn find(workspace: &Path, progress: Progress<'_>) -> Result<Toolchain> {
    let rustup = installed_rustup_targets(workspace);
    if let Some(found) = choose(rustup.as_deref(), debian_is_complete()) {
        return Ok(found);
    }
    if rustup.is_some() {
        progress("installing the WebAssembly target: rustup target add wasm32-wasip2");
        match add_rustup_target(workspace) {
            Ok(()) => return Ok(Toolchain::Rustup(TARGETS[0])),
            Err(error) => progress(&format!("rustup target add wasm32-wasip2 failed: {error:#}")),
        }
    }
    if is_root_on_debian() {
        install_debian_packages(progress)?;
        ensure!(debian_is_complete(), "the Debian packages are installed, but a part of the toolchain is missing");
        return Ok(Toolchain::Debian);
    }
    bail!("{}", advice(rustup.is_some(), Path::new("/etc/debian_version").exists()))
}

/// The choice among what is installed.
fn choose(rustup_targets: Option<&str>, debian: bool) -> Option<Toolchain> {
    let installed = |target: &&str| rustup_targets.is_some_and(|list| list.lines().any(|line| line.trim() == *target));
    let rustup = TARGETS.into_iter().find(installed).map(Toolchain::Rustup);
    rustup.or(debian.then_some(Toolchain::Debian))
}

/// What to tell someone whose machine cannot build guests and where nothing may be installed unasked.
fn advice(has_rustup: bool, is_debian: bool) -> String {
    let command = match (has_rustup, is_debian) {
        (true, false) => "rustup target add wasm32-wasip2".to_owned(),
        (true, true) => format!("rustup target add wasm32-wasip2\nor, without its server:\n  {}", apt_command("sudo ")),
        (false, true) => apt_command("sudo "),
        (false, false) => "rustup target add wasm32-wasip2   (after installing rustup)".to_owned(),
    };
    format!("no Rust toolchain here can build WebAssembly. Type:\n  {command}")
}

fn apt_command(prefix: &str) -> String {
    let packages = PACKAGES.join(" ");
    format!("{prefix}apt-get update && {prefix}apt-get install -y --no-install-recommends {packages}")
}

impl Toolchain {
    /// The target that it builds for.
    pub fn target(self) -> &'static str {
        match self {
            Toolchain::Rustup(target) => target,
            Toolchain::Debian => "wasm32-unknown-unknown",
        }
    }

    /// What it is, for people.
    pub fn describe(self) -> String {
        match self {
            Toolchain::Rustup(target) => format!("rustup's toolchain for {target}"),
            Toolchain::Debian => {
                "Debian's toolchain (once per target directory it makes the standard library too, a minute or two)"
                    .to_owned()
            }
        }
    }

    /// Cargo in the workspace, in a clean environment, without a verb.
    fn cargo(self, job: &Build) -> Command {
        let program = match self {
            Toolchain::Rustup(_) => "cargo",
            Toolchain::Debian => DEBIAN_CARGO,
        };
        let mut command = clean(program, &job.workspace);
        command.env("CARGO_TERM_COLOR", "never");
        if self == Toolchain::Debian {
            command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER);
        }
        command
    }

    fn build_command(self, job: &Build) -> Command {
        let mut command = self.cargo(job);
        command.args(["build", "--release", "--locked", "--workspace", "--target", self.target(), "--target-dir"]);
        command.arg(&job.target);
        if self == Toolchain::Debian {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", flags(job, &cargo_home()));
        command
    }
}

/// All flags of the compiler, in cargo's encoding, which survives spaces in paths.
fn flags(job: &Build, cargo_home: &Path) -> OsString {
    let mut flags = OsString::from(format!("-Clink-arg=-zstack-size={STACK_BYTES}"));
    let prefixes = [(cargo_home, "/cargo"), (&job.target, "/target"), (&job.root, "/plugin")];
    for (prefix, shown) in prefixes {
        if prefix == job.workspace {
            continue; // cargo names the files of a workspace from its root; other flags would mean another standard library
        }
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(prefix);
        flags.push("=");
        flags.push(shown);
    }
    flags
}

fn cargo_home() -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_default().join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

// ---- the environment ----

/// Variables of this kind configure where crates come from; they are kept.
const KEPT_PREFIXES: [&str; 5] = ["CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_SOURCE_", "CARGO_NET_", "CARGO_HTTP_"];

/// Variables of this kind change what is built, or come from an outer cargo or make; they are dropped.
const DROPPED_PREFIXES: [&str; 6] = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "__CARGO", "DEP_"];

/// Dropped by their whole name. An outer cargo puts its own compiler's libraries into the first.
const DROPPED: [&str; 12] = [
    "LD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_TOOLCHAIN_SOURCE",
    "RUST_RECURSION_COUNT",
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "NUM_JOBS",
    "OUT_DIR",
    "TARGET",
    "PROFILE",
];

/// Whether a variable reaches the guest's build.
fn is_kept(name: &str) -> bool {
    if name == "CARGO_HOME" || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return true;
    }
    !DROPPED.contains(&name) && !DROPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The variables of this process that a guest's build may see.
fn environment(all: impl IntoIterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (OsString, OsString)> {
    all.into_iter().filter(|(name, _)| name.to_str().is_none_or(is_kept))
}

/// A command in a directory, in the environment of a guest's build.
pub(crate) fn clean(program: impl AsRef<OsStr>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).env_clear().envs(environment(std::env::vars_os())).stdin(Stdio::null());
    command
}

// ---- what is there, and getting what is not ----

/// The output of `rustup target list --installed`; none when there is no rustup.
fn installed_rustup_targets(workspace: &Path) -> Option<String> {
    let mut command = clean("rustup", workspace);
    let output = command.args(["target", "list", "--installed"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn add_rustup_target(workspace: &Path) -> Result<()> {
    let mut command = clean("rustup", workspace);
    command.args(["target", "add", TARGETS[0]]).stdout(Stdio::null()).stderr(Stdio::null());
    let status = wait_at_most(command.spawn()?, TARGET_ADD_MAX)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Waits for a child, and kills it when it takes longer.
fn wait_at_most(mut child: Child, limit: Duration) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            bail!("no end after {} seconds", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn debian_is_complete() -> bool {
    let parts = [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_LINKER, DEBIAN_STANDARD_LIBRARY];
    parts.iter().all(|part| Path::new(part).exists()) && debian_is_recent()
}

fn debian_is_recent() -> bool {
    let output = Command::new(DEBIAN_RUSTC).arg("--version").env_remove("LD_LIBRARY_PATH").output();
    output.is_ok_and(|output| {
        minor_version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|minor| minor >= RUST_MINOR_MIN)
    })
}

/// 96 of `rustc 1.96.0 (…)`.
fn minor_version(text: &str) -> Option<u32> {
    text.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}

fn is_root_on_debian() -> bool {
    Path::new("/etc/debian_version").exists() && Path::new("/usr/bin/apt-get").exists() && is_root()
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    use std::os::linux::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.st_uid() == 0)
}

#[cfg(not(target_os = "linux"))]
fn is_root() -> bool {
    false
}

fn install_debian_packages(progress: Progress<'_>) -> Result<()> {
    progress(&format!("installing Debian's compiler, which can build WebAssembly: {}", apt_command("")));
    let mut update = apt_get(&["update"]);
    run(&mut update, progress)?;
    let mut install = apt_get(&["install", "-y", "--no-install-recommends"]);
    run(install.args(PACKAGES), progress).with_context(|| format!("try it yourself: {}", apt_command("")))
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = clean("/usr/bin/apt-get", Path::new("/"));
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    command
}

// ---- running cargo ----

/// Runs a command, reports its lines as they come, and puts the last of them into the error when it fails.
pub(crate) fn run(command: &mut Command, progress: Progress<'_>) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let mut last = VecDeque::new();
    for line in BufReader::new(child.stderr.take().expect("stderr is piped")).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        progress(&line);
        last.push_back(line);
        if last.len() > ERROR_LINES_MAX {
            last.pop_front();
        }
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(Failed { program, status, said: last.into() }.into()) }
}

/// A program that was run and did not do what it should.
#[derive(Debug, thiserror::Error)]
#[error("{program} ended with {status}:\n{}", .said.join("\n"))]
pub struct Failed {
    /// The program.
    pub program: String,
    /// How it ended.
    pub status: ExitStatus,
    /// The last of what it said.
    pub said: Vec<String>,
}

/// Cargo leaves the modules of removed crates and of other workspaces where they are; what is there after a build must
/// be of this build. It links what is missing anew, without compiling.
fn remove_modules(directory: &Path) -> Result<()> {
    modules(directory)?.into_iter().try_for_each(|path| Ok(fs::remove_file(path)?))
}

/// Makes cargo compile a workspace's own crates anew, when another workspace was built into the directory before.
///
/// Cargo knows a crate of a path by name, version and place *within* its workspace. To it, `hello` of one workspace and
/// `hello` of another, and two ages of the SDK, are one crate, which is up to date when its files are older than what
/// was compiled last. The standard library and crates of a registry are what they are called; they are kept.
fn forget_other_workspace(job: &Build, toolchain: Toolchain) -> Result<()> {
    let mark = job.target.join("guests/last-workspace");
    let own = job.workspace.as_os_str().as_encoded_bytes();
    if fs::read(&mark).is_ok_and(|last| last == own) {
        return Ok(());
    }
    let names = local_crates(&fs::read_to_string(job.workspace.join("Cargo.lock"))?)?;
    for built in [job.target.join(toolchain.target()), job.target.clone()] {
        let fingerprints = built.join("release/.fingerprint");
        if !fingerprints.exists() {
            continue;
        }
        for entry in fs::read_dir(fingerprints)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.rsplit_once('-').is_some_and(|(name, _)| names.iter().any(|own| own == name)) {
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
    }
    fs::create_dir_all(job.target.join("guests"))?;
    fs::write(&mark, own).with_context(|| format!("cannot write {}", mark.display()))
}

/// The crates of a lock file that come from no registry.
fn local_crates(lock: &str) -> Result<Vec<String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock is not what cargo writes; remove it")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let local = packages.iter().filter(|package| package.get("source").is_none());
    Ok(local.filter_map(|package| Some(package.get("name")?.as_str()?.to_owned())).collect())
}

/// The modules in a directory, sorted; none when there is no directory.
fn modules(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("wasm")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

// ---- what is kept of a build ----

/// The modules of a workspace's last build and the fingerprint they were built from.
pub(crate) struct Kept {
    directory: PathBuf,
}

impl Kept {
    pub(crate) fn of(job: &Build) -> Kept {
        let place = hex::encode(Sha256::digest(job.workspace.as_os_str().as_encoded_bytes()));
        let name = job.workspace.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Kept { directory: job.target.join("guests").join(format!("{name}-{}", &place[..12])) }
    }

    fn stamp(&self) -> PathBuf {
        self.directory.join("fingerprint")
    }

    pub(crate) fn guests_if(&self, fingerprint: &str) -> Option<Vec<Guest>> {
        let stamp = fs::read_to_string(self.stamp()).ok()?;
        let guests = self.guests().ok()?;
        let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
        (stamp == format!("{fingerprint}\n{}\n", names.join("\n"))).then_some(guests)
    }

    fn guests(&self) -> Result<Vec<Guest>> {
        Ok(modules(&self.directory)?.into_iter().map(|wasm| Guest { name: crate_name(&wasm), wasm }).collect())
    }

    /// The stamp is removed first and written last: a build that is interrupted leaves none.
    pub(crate) fn replace(&self, output: &Path, fingerprint: &str) -> Result<Vec<Guest>> {
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory)?;
        }
        fs::create_dir_all(&self.directory)?;
        for module in modules(output)? {
            fs::copy(&module, self.directory.join(module.file_name().expect("a module has a name")))?;
        }
        let guests = self.guests()?;
        ensure!(!guests.is_empty(), "the build made no module: does Cargo.toml say crate-type = [\"cdylib\"]?");
        let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
        fs::write(self.stamp(), format!("{fingerprint}\n{}\n", names.join("\n")))?;
        Ok(guests)
    }
}

/// Cargo writes underscores where the crate's name has dashes.
fn crate_name(module: &Path) -> String {
    module.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-")
}

/// A digest over everything that the modules depend on: all bytes of all source files that count, by their path below the
/// root, and the kind of toolchain.
pub(crate) fn fingerprint(job: &Build, toolchain: &str, counts: impl Fn(&Path) -> bool) -> Result<String> {
    let mut files = Vec::new();
    for directory in std::iter::once(&job.workspace).chain(&job.sources) {
        collect_files(directory, &job.target, &mut files)?;
    }
    files.retain(|file| counts(file));
    files.sort();
    files.dedup();
    let mut digest = Sha256::new();
    digest.update(format!("{toolchain}\n"));
    for path in files {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        digest.update(path.strip_prefix(&job.root).unwrap_or(&path).as_os_str().as_encoded_bytes());
        digest.update([0]);
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    Ok(hex::encode(digest.finalize()))
}

/// Directories that hold results and tools, not sources.
const NO_SOURCES: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// All files below a directory, without build results, tools and hidden directories other than cargo's.
fn collect_files(directory: &Path, target: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let entry = entry?;
        let path = entry.path();
        let kind = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".") && name != ".cargo";
        if kind.is_file() {
            files.push(path);
        } else if kind.is_dir() && !hidden && !NO_SOURCES.iter().any(|other| name == *other) && path != target {
            collect_files(&path, target, files)?;
        }
    }
    Ok(())
}

/// The same job with canonical paths: the compiler cuts prefixes from canonical ones only.
pub(crate) fn absolute(job: &Build) -> Result<Build> {
    let canonical =
        |path: &Path| fs::canonicalize(path).with_context(|| format!("there is no directory {}", path.display()));
    fs::create_dir_all(&job.target).with_context(|| format!("cannot create {}", job.target.display()))?;
    Ok(Build {
        workspace: canonical(&job.workspace)?,
        sources: job.sources.iter().map(|source| canonical(source)).collect::<Result<_>>()?,
        root: canonical(&job.root)?,
        target: canonical(&job.target)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_chosen_in_order() {
        let both = "wasm32-unknown-unknown\nwasm32-wasip2\nx86_64-unknown-linux-gnu\n";
        assert_eq!(choose(Some(both), true), Some(Toolchain::Rustup("wasm32-wasip2")));
        assert_eq!(choose(Some("wasm32-unknown-unknown\n"), true), Some(Toolchain::Rustup("wasm32-unknown-unknown")));
        assert_eq!(choose(Some("x86_64-unknown-linux-gnu\n"), true), Some(Toolchain::Debian));
        assert_eq!(choose(Some("wasm32-wasip2-threads\n"), false), None);
        assert_eq!(choose(None, true), Some(Toolchain::Debian));
        assert_eq!(choose(None, false), None);
    }

    #[test]
    fn an_outer_cargo_is_not_seen_but_registries_and_proxies_are() {
        let kept = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_REGISTRIES_MINE_INDEX", "HTTPS_PROXY"];
        let more = ["CARGO_HTTP_CAINFO", "CARGO_NET_GIT_FETCH_WITH_CLI", "CARGO_SOURCE_MIRROR_REGISTRY"];
        let dropped = ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"];
        let rest = ["RUSTC", "RUSTC_WRAPPER", "RUSTDOCFLAGS", "RUSTUP_TOOLCHAIN", "MAKEFLAGS", "LD_LIBRARY_PATH"];
        assert!(kept.into_iter().chain(more).all(is_kept));
        assert!(!dropped.into_iter().chain(rest).any(is_kept));
        let all = [("RUSTC", "x"), ("HOME", "y")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(environment(all).collect::<Vec<_>>(), [("HOME".into(), "y".into())]);
    }

    #[test]
    fn an_error_holds_the_command_to_type() {
        assert!(advice(true, false).ends_with("rustup target add wasm32-wasip2"));
        assert!(advice(false, true).contains("sudo apt-get install -y --no-install-recommends rustc-web"));
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(minor_version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some(96));
        assert_eq!(minor_version("rustc 2.0.0"), None);
    }

    fn workspace(name: &str) -> Build {
        let root = std::env::temp_dir().join(format!("creel-toolchain-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let job = Build {
            workspace: root.join("plugins"),
            sources: vec![root.join("wit")],
            root: root.clone(),
            target: root.join("plugins/build"),
        };
        fs::create_dir_all(job.workspace.join("target")).unwrap();
        fs::create_dir_all(&job.target).unwrap();
        fs::create_dir_all(&job.sources[0]).unwrap();
        fs::write(job.workspace.join("lib.rs"), "one").unwrap();
        fs::write(job.sources[0].join("plugin.wit"), "two").unwrap();
        job
    }

    #[test]
    fn a_fingerprint_changes_with_every_source_and_with_the_toolchain_only() {
        let job = workspace("fingerprint");
        let of = |toolchain| fingerprint(&job, toolchain, |_| true).unwrap();
        let first = of("Debian");
        assert_ne!(first, of("wasm32-wasip2"));
        fs::write(job.workspace.join("target/x.wasm"), "result").unwrap();
        fs::write(job.target.join("x.wasm"), "result").unwrap();
        assert_eq!(first, of("Debian"), "results are no sources");
        fs::write(job.sources[0].join("plugin.wit"), "TWO").unwrap();
        let second = of("Debian");
        assert_ne!(first, second);
        fs::rename(job.workspace.join("lib.rs"), job.workspace.join("main.rs")).unwrap();
        assert_ne!(second, of("Debian"), "a name counts too");
        fs::remove_dir_all(&job.root).unwrap();
    }

    #[test]
    fn kept_modules_are_found_again_until_something_differs() {
        let job = workspace("kept");
        let output = job.root.join("output");
        fs::create_dir_all(&output).unwrap();
        fs::write(output.join("call_ended.wasm"), "wasm").unwrap();
        let kept = Kept::of(&job);
        assert_eq!(kept.guests_if("f1"), None);
        let guests = kept.replace(&output, "f1").unwrap();
        assert_eq!(guests[0].name, "call-ended");
        assert_eq!(kept.guests_if("f1"), Some(guests.clone()));
        assert_eq!(kept.guests_if("f2"), None);
        fs::remove_file(&guests[0].wasm).unwrap();
        assert_eq!(kept.guests_if("f1"), None, "a module is gone");
        fs::remove_dir_all(&job.root).unwrap();
    }

    #[test]
    fn crates_of_paths_are_compiled_anew_after_another_workspace_and_only_then() {
        let job = workspace("other");
        let lock = "[[package]]\nname = \"hello\"\n[[package]]\nname = \"creel-guest\"\n\
                    [[package]]\nname = \"serde\"\nsource = \"registry\"\n";
        fs::write(job.workspace.join("Cargo.lock"), lock).unwrap();
        let compiled = job.target.join("wasm32-unknown-unknown/release/.fingerprint");
        let all = ["hello-1f", "creel-guest-2f", "serde-3f"];
        let compile = || all.iter().for_each(|name| fs::create_dir_all(compiled.join(name)).unwrap());
        let left = || fs::read_dir(&compiled).unwrap().count();
        compile();
        forget_other_workspace(&job, Toolchain::Debian).unwrap();
        assert_eq!((left(), compiled.join("serde-3f").exists()), (1, true));
        compile();
        forget_other_workspace(&job, Toolchain::Debian).unwrap();
        assert_eq!(left(), 3, "the last workspace was this one");
        let other = Build { workspace: job.root.clone(), ..job.clone() };
        fs::write(other.workspace.join("Cargo.lock"), lock).unwrap();
        forget_other_workspace(&other, Toolchain::Debian).unwrap();
        assert_eq!(left(), 1);
        fs::remove_dir_all(&job.root).unwrap();
    }

    #[test]
    fn a_child_that_hangs_is_killed() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let error = wait_at_most(child, Duration::from_millis(120)).unwrap_err();
        assert!(error.to_string().starts_with("no end after"));
    }

    #[test]
    fn paths_are_cut_and_the_stack_is_set() {
        let job = workspace("flags");
        let flags = flags(&job, Path::new("/home/me/.cargo")).into_string().unwrap();
        assert!(flags.starts_with("-Clink-arg=-zstack-size=131072\u{1f}--remap-path-prefix=/home/me/.cargo=/cargo"));
        fs::remove_dir_all(&job.root).unwrap();
    }
}
