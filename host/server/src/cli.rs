//! The command line: reads arguments, asks the host through [`mod@client`], prints.
//!
//! [`args`] says what can be typed, the other children do it and give values back, [`tell`] turns values into text. Only
//! this module, [`looking`] and [`acting`] print and ask, through [`console`], and only this one knows exit codes, so that
//! the demo and tests use the rest as a library.
//!
//! # Exit codes
//!
//! 0 done · 1 failed · 2 the command line or a file is wrong · 3 no such thing · 4 the host refused · 5 no host answers ·
//! 130 `creel serve` was told twice to stop and ended at once

pub mod access;
pub mod acting;
pub mod apply;
pub mod args;
pub mod build;
pub mod cases;
pub mod check;
pub mod client;
pub mod console;
pub mod deploy;
pub mod dev;
pub mod doctor;
pub mod export;
pub mod following;
pub mod hints;
pub mod init;
pub mod keys;
pub mod layout;
pub mod logs;
pub mod looking;
pub mod manifest;
pub mod new;
pub mod plain;
pub mod preview;
pub mod replay;
pub mod serve;
pub mod shell;
pub mod story;
pub mod tell;
pub mod templates;
pub mod trigger;
pub mod verify;
pub mod workbench;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use creel_webhook::catalogue;
use creel_webhook::clock::{Clock as _, Timestamp};
use creel_webhook::preset::{preset, presets};

use self::access::{client, key, own_tenant, tenant};
use self::args::{Cli, Command, Globals, KeyAction};
use self::client::{Client, ClientError, given};
use self::console::{Usage, confirmed, counted, line, patiently, progress, raw, say};
use self::keys::People;
use self::manifest::ManifestError;
use crate::api::{Problem, Rekeyed};
use crate::config::{self, ConfigError};
use crate::demo;
use crate::system::{Entropy, SystemClock};

/// Runs the program that the command line asks for.
#[allow(clippy::disallowed_methods, reason = "the program reads what it was started with")]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::read(&arguments) {
        Ok(cli) => cli,
        Err(error) => return misread(&error, &arguments),
    };
    if matches!(cli.command, Command::CompileComponent) {
        return compile_component();
    }
    let json = cli.globals.json;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = threads.context("starting the program's threads").and_then(|threads| {
        let ended = threads.block_on(run(cli));
        // What still blocks a thread (a read, a compiler) is nobody's any more: a stop has a bound.
        threads.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if json {
                eprintln!("{}", plain::json(&error_json(&error).to_string()));
            } else {
                let style = anstyle::AnsiColor::Red.on_default().bold();
                anstream::eprintln!("{style}creel:{style:#} {error:#}");
            }
            ExitCode::from(exit_code(&error))
        }
    }
}

/// What `clap` has to say: a page, or what is wrong with the command line.
fn misread(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        error.exit();
    }
    let words = error.render().to_string();
    let words =
        words.strip_prefix("error: ").unwrap_or(&words).split("\n\nFor more information").next().unwrap_or_default();
    eprintln!("{}", plain::json(&serde_json::json!({ "error": words }).to_string()));
    ExitCode::from(2)
}

/// The exit code that belongs to an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ManifestError>() || error.is::<ConfigError>() || error.is::<Usage>() {
        return 2;
    }
    if error.is::<trigger::Unanswered>() {
        return 5;
    }
    match error.downcast_ref::<ClientError>() {
        None if error.chain().any(is_no_such_file) => 2,
        Some(ClientError::Refused(problem)) if problem.status == 404 => 3,
        Some(ClientError::Refused(problem)) if is_of_the_command_line(problem) => 2,
        Some(ClientError::Refused(problem)) if (400..500).contains(&problem.status) => 4,
        Some(ClientError::Unreachable { .. }) => 5,
        Some(ClientError::Setup(_)) => 2,
        _ => 1,
    }
}

/// Whether a host refused what was typed: the values of options are parameters of a query.
fn is_of_the_command_line(problem: &Problem) -> bool {
    problem.status == 422
        && !problem.errors.is_empty()
        && problem.errors.iter().all(|mistake| mistake.pointer.starts_with('?'))
}

/// Whether a file that was named is not there, or is a directory.
fn is_no_such_file(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(kind, Some(ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory))
}

/// An error for programs: its text, the host's own problem document where it refused, and a file's mistakes one by one.
pub fn error_json(error: &anyhow::Error) -> serde_json::Value {
    let mut object = serde_json::json!({ "error": format!("{error:#}") });
    if let Some(ClientError::Refused(problem)) = error.downcast_ref() {
        object["problem"] = serde_json::json!(problem);
    }
    if let Some(ManifestError::Wrong { mistakes, .. }) = error.downcast_ref() {
        object["mistakes"] = serde_json::json!(mistakes);
    }
    object
}

fn compile_component() -> ExitCode {
    let code = creel_runtime::gate::compile::child_main();
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let globals = cli.globals;
    match cli.command {
        Command::Demo(wanted) => play(&globals, wanted).await,
        Command::Settings => {
            anstream::print!("{}", config::help());
            Ok(())
        }
        Command::Serve(file) => serve::serve(serve::configuration(file.config.as_deref())?).await,
        Command::Doctor(wanted) => examine(&globals, wanted).await,
        Command::Init(file) => init(&globals, file.config.as_deref()).await,
        Command::Apply(wanted) => acting::apply_file(&globals, &wanted).await,
        Command::Deploy(wanted) => acting::deploy_one(&globals, &wanted).await,
        Command::Build(wanted) => build_one(&globals, &wanted),
        Command::Test(wanted) => test(&globals, &wanted).await,
        Command::Dev(wanted) => develop(&globals, wanted).await,
        Command::Check { file, config } => {
            let config = serve::configuration(config.config.as_deref())?;
            let checked = patiently("compiling", check::check(&file, &config)).await?;
            say(&globals, &checked, || tell::checked(&checked))
        }
        Command::New(wanted) => make(&globals, &wanted),
        Command::Shell(wanted) => integrate(&globals, &wanted),
        Command::Presets { name: None } => list_presets(&globals),
        Command::Presets { name: Some(name) } => tell_preset(&globals, &name),
        Command::Verify(wanted) => verify(&globals, wanted),
        Command::Trigger(wanted) => trigger(&globals, &wanted).await,
        Command::Tenants => {
            let list = client(&globals)?.tenants().await?.items;
            say(&globals, &list, || tell::tenants(&list))
        }
        Command::Tenant(wanted) => set_tenant(&globals, &wanted).await,
        Command::Keys(wanted) => keys(&globals, wanted).await,
        Command::Rekey => {
            let done = client(&globals)?.post::<Rekeyed>("/v1/master-key/rotate", &serde_json::json!({})).await?;
            say(&globals, &done, || {
                let (secrets, are) =
                    (counted(done.secrets as u64, "secret"), if done.secrets == 1 { "is" } else { "are" });
                format!("{secrets} {are} sealed with a new master key; copy its file to where you keep the old one")
            })
        }
        Command::Usage { since, until } => usage(&globals, since, until).await,
        Command::Audit { limit, before } => audit(&globals, limit, before).await,
        other => looking::ask(&globals, other).await,
    }
}

async fn develop(globals: &Globals, wanted: args::dev::Dev) -> anyhow::Result<()> {
    let other = match &wanted.from {
        Some(url) => Some(tenant(&Globals { url: url.clone(), ..globals.clone() }).await?),
        None => None,
    };
    crate::dev::run(dev::options(wanted, other, globals.json).await?).await
}

async fn play(globals: &Globals, wanted: args::Demo) -> anyhow::Result<()> {
    let options = demo::Options { once: wanted.once, json: globals.json, data_dir: wanted.data_dir };
    if demo::run(options).await? { Ok(()) } else { bail!("the demo did not go as it should; see above") }
}

async fn set_tenant(globals: &Globals, wanted: &args::tenant::Tenant) -> anyhow::Result<()> {
    let client = client(globals)?;
    if let Some(directory) = &wanted.export {
        let work = export::export(&client, &wanted.name, directory, SystemClock::new().now());
        let exported = patiently(&format!("writing what the host has of {}", wanted.name), work).await?;
        return say(globals, &exported, || export::told(&exported));
    }
    if wanted.delete {
        return remove_tenant(globals, &client, wanted).await;
    }
    let before = match client.tenant(&wanted.name).about().await {
        Ok(tenant) => Some(tenant),
        Err(ClientError::Refused(problem)) if problem.status == 404 && wanted.names_limits() => None,
        Err(error) => return Err(error.into()),
    };
    let limits = wanted.limits(before.as_ref().map(|tenant| tenant.limits).unwrap_or_default());
    let now = match before {
        Some(tenant) if tenant.limits == limits => tenant,
        _ => client.tenant_put(&wanted.name, &serde_json::json!({ "limits": limits })).await?.resource,
    };
    say(globals, &now, || tell::tenant(&now))
}

/// Removes a tenant and waits until the last of it is gone; whoever does not wait finds it gone later.
async fn remove_tenant(globals: &Globals, client: &Client, wanted: &args::tenant::Tenant) -> anyhow::Result<()> {
    let name = &wanted.name;
    if !wanted.yes {
        if globals.json {
            bail!(Usage::new("with --json nobody is asked; say --yes to remove the tenant"));
        }
        if !confirmed(
            &format!("remove `{name}` with all its events, plugins, secrets, keys and history, for good?"),
            "--yes",
        )? {
            return Ok(());
        }
    }
    let mut leaving = client.tenant_delete(name).await?;
    while leaving.removed_at.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let all = client.tenants().await?;
        match all.items.into_iter().find(|one| one.id == leaving.id) {
            Some(one) => leaving = one,
            None => break,
        }
    }
    say(globals, &serde_json::json!({ "removed": name }), || format!("{name} is gone"))
}

/// Keys: listed, made, ended.
async fn keys(globals: &Globals, wanted: args::Keys) -> anyhow::Result<()> {
    let client = client(globals)?;
    let tenant = own_tenant(globals, &client).await?;
    let people = People::of(&client, tenant.as_deref());
    match wanted.action {
        None | Some(KeyAction::List) => {
            let keys = people.keys().await?;
            say(globals, &keys, || tell::keys(&keys))
        }
        Some(KeyAction::Create(new)) => {
            let made = people.create(&new).await?;
            say(globals, &made, || tell::new_key(&made))
        }
        Some(KeyAction::Revoke { key }) => {
            people.revoke(&key).await?;
            say(globals, &serde_json::json!({ "revoked": key }), || format!("{key} is ended"))
        }
    }
}

async fn usage(globals: &Globals, since: Option<String>, until: Option<String>) -> anyhow::Result<()> {
    let tenant = tenant(globals).await?;
    let days = tenant.usage(&given(&[("since", since), ("until", until)])).await?.items;
    let quotas = tenant.quotas().await?.items;
    say(globals, &serde_json::json!({ "items": days, "quotas": quotas }), || tell::usage(&days, &quotas))
}

async fn audit(globals: &Globals, limit: u32, before: Option<u64>) -> anyhow::Result<()> {
    let client = client(globals)?;
    let tenant = own_tenant(globals, &client).await?;
    let trail = People::of(&client, tenant.as_deref()).audit(limit, before).await?;
    say(globals, &trail, || tell::audit(&trail.items))
}

async fn init(globals: &Globals, file: Option<&Path>) -> anyhow::Result<()> {
    let config = serve::configuration(file)?;
    let key = init::initialise(&config, &Entropy::system()?, &SystemClock::default()).await?;
    say(globals, &serde_json::json!({ "data_dir": config.data_dir, "operator_key": key }), || {
        format!(
            "made {}\nthe first operator key, shown only now:\n\n  {key}\n\nnext: export CREEL_KEY=… and creel serve",
            config.data_dir.display()
        )
    })
}

/// What a shell is given: a script on standard output, or pages in a directory.
fn integrate(globals: &Globals, wanted: &args::Shell) -> anyhow::Result<()> {
    if let Some(shell) = wanted.completions {
        return raw(&shell::completions(shell));
    }
    let Some(directory) = &wanted.man else { return Ok(()) };
    let pages = shell::man(directory)?;
    say(globals, &pages, || {
        format!("wrote {} pages into {}; `man creel` shows the first", pages.len(), directory.display())
    })
}

/// The path is what is printed, so that it can be used; the rest goes to the other stream.
fn build_one(globals: &Globals, wanted: &args::Build) -> anyhow::Result<()> {
    let built = build::build(&wanted.dir, wanted.build_dir.as_deref(), &mut progress);
    let mut component = built.map_err(build::brief)?;
    if let Some(output) = &wanted.output {
        std::fs::copy(&component, output).with_context(|| format!("writing {}", output.display()))?;
        component.clone_from(output);
    }
    let built = build::seen(component)?;
    if !globals.json {
        progress(&tell::built(&built));
    }
    say(globals, &built, || built.component.display().to_string())
}

/// A new plugin, or what can be made.
fn make(globals: &Globals, wanted: &args::New) -> anyhow::Result<()> {
    let Some(name) = &wanted.name else {
        let all = templates::all();
        return say(globals, &all, || tell::templates(&all));
    };
    let made = new::create(Path::new("."), name, &wanted.template)?;
    say(globals, &made, || tell::made(&made))
}

async fn test(globals: &Globals, wanted: &args::Test) -> anyhow::Result<()> {
    if wanted.bless && globals.json && !wanted.yes {
        bail!(Usage::new("with --json nobody is asked; say --yes too"));
    }
    let config = serve::configuration(wanted.config.config.as_deref())?;
    let component = match &wanted.component {
        Some(file) => file.clone(),
        None => build::build(&wanted.dir, wanted.build_dir.as_deref(), &mut progress).map_err(build::brief)?,
    };
    let directory = wanted.cases.clone().unwrap_or_else(|| wanted.dir.join("cases"));
    let tested =
        patiently("compiling and running cases", cases::test(&component, &directory, &wanted.only, &config)).await?;
    say(globals, &tested, || tell::tested(&tested))?;
    let mut failed = tested.failed();
    for case in tested.cases.iter().filter(|case| wanted.bless && !case.differences.is_empty()) {
        failed -= usize::from(bless(case, wanted.yes)?);
    }
    match failed {
        0 => Ok(()),
        failed if wanted.bless => {
            bail!("still not as expected: {failed} of {}", counted(tested.cases.len() as u64, "case"))
        }
        failed => bail!("not as expected: {failed} of {}", counted(tested.cases.len() as u64, "case")),
    }
}

/// Whether the case expects from now on what came of it.
fn bless(case: &cases::Judged, yes: bool) -> anyhow::Result<bool> {
    let blessing = case.run.as_ref().map(|run| cases::bless::blessing(&case.file, run)).transpose()?.flatten();
    let Some(blessing) = blessing else {
        progress(&format!("{} can't expect what came of it: a run has to end with an outcome or a failure", case.name));
        return Ok(false);
    };
    progress(&plain::lines(&blessing.diff));
    let blessed = yes || confirmed(&format!("shall {} expect this?", case.name), "--yes")?;
    if blessed {
        cases::bless::write(&case.file, &blessing)?;
        progress(&format!("{} expects this from now on", case.file.display()));
    }
    Ok(blessed)
}

fn list_presets(globals: &Globals) -> anyhow::Result<()> {
    let all: Vec<_> = presets().map(catalogue::facts).collect();
    say(globals, &all, || tell::presets(&all))
}

fn tell_preset(globals: &Globals, name: &str) -> anyhow::Result<()> {
    let preset =
        preset(name).ok_or_else(|| Usage::new(format!("there is no preset `{name}`; `creel presets` lists them")))?;
    let facts = catalogue::facts(preset);
    say(globals, &facts, || tell::preset(&facts))
}

fn verify(globals: &Globals, mut wanted: args::Verify) -> anyhow::Result<()> {
    if globals.url_typed {
        wanted.sent_to.get_or_insert(globals.url.clone());
    }
    if let Some(file) = &wanted.requests {
        return verify::requests(file)?.iter().try_for_each(line);
    }
    if let Some(file) = &wanted.handshakes {
        return verify::handshakes(file)?.iter().try_for_each(line);
    }
    let now = wanted.now.map_or_else(|| SystemClock::default().now(), Timestamp::from_secs);
    let explained = verify::explained(&wanted, now)?;
    say(globals, &explained, || tell::explained(&explained))?;
    if explained.verdict == "accept" {
        Ok(())
    } else {
        bail!("the request is not genuine under `{}`", explained.scheme)
    }
}

async fn trigger(globals: &Globals, wanted: &args::Trigger) -> anyhow::Result<()> {
    if wanted.list {
        let list = trigger::list(wanted.provider.as_deref())?;
        return say(globals, &list, || tell::samples(&list));
    }
    let answered =
        trigger::send(wanted, globals.ca_file.as_deref(), SystemClock::default().now(), &Entropy::system()?).await?;
    say(globals, &answered, || tell::answered(&answered))?;
    match answered.status {
        200..300 => Ok(()),
        401 | 403 => bail!(
            "the receiver did not believe the event, signed as {}: is this the source's secret, and its preset? A preset may stand \
             in the provider's place. On a host, `creel refusals` says what was wrong",
            answered.preset
        ),
        404 => bail!("the receiver knows no such address; on a host, `creel sources` lists those that it has"),
        _ => bail!("the receiver did not take the event"),
    }
}

/// Looks at everything; fails if one thing does not do.
async fn examine(globals: &Globals, wanted: args::Doctor) -> anyhow::Result<()> {
    let patient = doctor::Patient {
        config: wanted.config,
        url: globals.url.clone(),
        key: key(globals)?,
        ca_file: globals.ca_file.clone(),
        against: wanted.against,
    };
    let found = doctor::examine(&patient).await;
    say(globals, &found, || tell::findings(&found))?;
    match found.iter().filter(|one| one.state == doctor::State::No).count() {
        0 => Ok(()),
        1 => bail!("one thing is not as a host needs it; see above"),
        several => bail!("{several} things are not as a host needs them; see above"),
    }
}
