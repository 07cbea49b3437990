//! The command line: reads arguments, asks the host through [`mod@client`], prints.
//!
//! [`args`] says what can be typed, the other children do it and give values back, [`tell`] turns values into text. Only
//! this module prints, asks and knows exit codes, so that the demo and tests use the rest as a library.
//!
//! # Exit codes
//!
//! 0 done · 1 failed · 2 the command line or a file is wrong · 3 no such thing · 4 the host refused · 5 no host answers ·
//! 130 `creel serve` was told twice to stop and ended at once

pub mod apply;
pub mod args;
pub mod build;
pub mod client;
pub mod deploy;
pub mod init;
pub mod manifest;
pub mod new;
pub mod plain;
pub mod preview;
pub mod replay;
pub mod serve;
pub mod tell;
pub mod trigger;
pub mod verify;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use creel_webhook::catalogue;
use creel_webhook::clock::{Clock as _, Timestamp};
use creel_webhook::preset::{preset, presets};
use serde::Serialize;

use self::args::{Cli, Command, Globals, Switch, SwitchKind};
use self::client::{Client, ClientError, TenantClient};
use self::manifest::ManifestError;
use crate::api::{DestinationView, RouteView, SourceView};
use crate::config::{self, ConfigError};
use crate::demo;
use crate::system::{Entropy, SystemClock};

/// Runs the program that the command line asks for.
pub fn main() -> ExitCode {
    let cli = Cli::read();
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

/// The exit code that belongs to an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ManifestError>() || error.is::<apply::Unknown>() || error.is::<ConfigError>() || error.is::<Usage>() {
        return 2;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused(problem)) if problem.status == 404 => 3,
        Some(ClientError::Refused(problem)) if (400..500).contains(&problem.status) => 4,
        Some(ClientError::Unreachable { .. }) => 5,
        Some(ClientError::Setup(_)) => 2,
        _ => 1,
    }
}

/// An error for programs: its text, and the host's own problem document where it refused.
pub fn error_json(error: &anyhow::Error) -> serde_json::Value {
    let mut object = serde_json::json!({ "error": format!("{error:#}") });
    if let Some(ClientError::Refused(problem)) = error.downcast_ref() {
        object["problem"] = serde_json::json!(problem);
    }
    object
}

/// Something about the command line that clap can't see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(&'static str);

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
        Command::Init(file) => init(&globals, file.config.as_deref()).await,
        Command::Apply(wanted) => apply(&globals, &wanted).await,
        Command::Deploy(wanted) => deploy(&globals, &wanted).await,
        Command::Build { dir, build_dir } => {
            let built = build::build(&dir, build_dir.as_deref(), &mut progress)?;
            say(&globals, &serde_json::json!({ "component": built }), || built.display().to_string())
        }
        Command::New { name } => {
            let made = new::create(Path::new("."), &name)?;
            say(&globals, &serde_json::json!({ "directory": made }), || {
                format!(
                    "made {name}/\nnext: cd {name} && cargo test && creel build, then `creel apply` a file that routes events to it"
                )
            })
        }
        Command::Presets { name: None } => list_presets(&globals),
        Command::Presets { name: Some(name) } => tell_preset(&globals, &name),
        Command::Verify(wanted) => verify(&globals, wanted),
        Command::Trigger(wanted) => trigger(&globals, &wanted).await,
        Command::Tenant(wanted) => set_tenant(&globals, &wanted).await,
        other => ask(&globals, other).await,
    }
}

async fn play(globals: &Globals, wanted: args::Demo) -> anyhow::Result<()> {
    let options = demo::Options { once: wanted.once, json: globals.json, data_dir: wanted.data_dir };
    if demo::run(options).await? { Ok(()) } else { bail!("the demo did not go as it should; see above") }
}

/// The commands that ask the host one question.
async fn ask(globals: &Globals, command: Command) -> anyhow::Result<()> {
    let tenant = tenant(globals).await?;
    match command {
        Command::Event { id, body: true } => {
            let body = tenant.event_body(&id).await?;
            let mut out = std::io::stdout();
            // A pipe gets the bytes; a terminal would obey some of them.
            let shown = if out.is_terminal() { plain::lines(&String::from_utf8_lossy(&body)).into() } else { body };
            out.write_all(&shown).context("writing the body")
        }
        Command::Event { id, .. } => {
            let story = tenant.story(&id).await?;
            say(globals, &story, || tell::story(&story))
        }
        Command::Sources => {
            let list = tenant.list::<SourceView>().await?;
            say(globals, &list, || tell::sources(&list))
        }
        Command::Destinations => {
            let list = tenant.list::<DestinationView>().await?;
            say(globals, &list, || tell::destinations(&list))
        }
        Command::Events(wanted) => {
            let filter = filter(&[
                ("source", wanted.source),
                ("kind", wanted.kind),
                ("subject", wanted.subject),
                ("unrouted", wanted.unrouted.then(|| "true".to_owned())),
                ("before", wanted.before),
                ("limit", Some(wanted.limit.to_string())),
            ]);
            let list = tenant.events(&filter).await?;
            say(globals, &list, || tell::events(&list.items))
        }
        Command::Runs(wanted) => {
            let filter = filter(&[
                ("verdict", wanted.verdict),
                ("plugin", wanted.plugin),
                ("before", wanted.before),
                ("limit", Some(wanted.limit.to_string())),
            ]);
            let list = tenant.runs(&filter).await?;
            say(globals, &list, || tell::runs(&list.items))
        }
        Command::Deliveries(wanted) => {
            let filter = filter(&[
                ("state", wanted.state),
                ("destination", wanted.destination),
                ("before", wanted.before),
                ("limit", Some(wanted.limit.to_string())),
            ]);
            let list = tenant.deliveries(&filter).await?;
            say(globals, &list, || tell::deliveries(&list.items))
        }
        Command::Dead(wanted) => dead(globals, &tenant, &wanted).await,
        Command::Delivery { id } => {
            let letter = tenant.letter(&id).await?;
            say(globals, &letter, || tell::letter(&letter))
        }
        Command::Refusals { limit } => {
            let list = tenant.refusals(&[("limit", limit.to_string())]).await?;
            say(globals, &list, || tell::refusals(&list.items))
        }
        other => act(globals, &tenant, other).await,
    }
}

/// The commands that change one thing.
async fn act(globals: &Globals, tenant: &TenantClient, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Replay(wanted) => replay_one(globals, tenant, &wanted).await,
        Command::Erase { event } => {
            let erased = tenant.erase(&event).await?;
            let reports = match erased.events {
                1 => String::new(),
                all => format!(" and of {} that report its calls' ends", all - 1),
            };
            say(globals, &erased, || format!("erased the payload of {}{reports}; its story stays", erased.event))
        }
        Command::Notices(wanted) => notices(globals, tenant, &wanted).await,
        Command::Pause(what) => switch(globals, tenant, &what, true).await,
        Command::Resume(what) => switch(globals, tenant, &what, false).await,
        Command::Versions { plugin } => {
            let all = tenant.deployments(&plugin).await?;
            say(globals, &all, || tell::deployments(&all))
        }
        Command::Rollback { plugin, number } => {
            let active = tenant.activate(&plugin, number).await?;
            say(globals, &active, || format!("{plugin} runs deployment {}, {}", active.number, active.digest))
        }
        _ => bail!("this command is not one that asks a host"),
    }
}

/// One thing once more. What would run is shown first; a dead call goes out as it is.
async fn replay_one(globals: &Globals, tenant: &TenantClient, wanted: &args::Replay) -> anyhow::Result<()> {
    let (id, kind) = (&wanted.id, replay::kind_of(&wanted.id));
    if kind == "deliveries" && wanted.dry_run {
        bail!(Usage("a call is sent again as it is, which `creel delivery` shows; --dry-run is for runs and events"));
    }
    if kind != "deliveries" && (wanted.dry_run || !globals.json) {
        let rehearsed = tenant.rehearse(kind, id, wanted.new_keys, wanted.deployment).await?;
        if wanted.dry_run {
            return say(globals, &rehearsed, || preview::rehearsed(&rehearsed));
        }
        anstream::println!("{}", preview::rehearsed(&rehearsed));
        if !wanted.yes && !confirmed("replay this?")? {
            bail!("nothing was replayed, as you said; `creel replay` asks again");
        }
    } else if kind != "deliveries" && !wanted.yes {
        bail!(Usage("with --json nobody is asked; say --yes, or --dry-run to see what it would do"));
    }
    let replayed = tenant.replay(kind, id, wanted.new_keys).await?;
    say(globals, &replayed, || tell::replayed(&replayed))
}

/// Dead letters, listed or replayed.
async fn dead(globals: &Globals, tenant: &TenantClient, wanted: &args::Dead) -> anyhow::Result<()> {
    if wanted.replay {
        let mut told = |step: &crate::api::ReplayStep| progress(&tell::replay_step(step));
        let sum = replay::all(tenant, wanted, replay::Patience::default(), &mut told).await?;
        if globals.json {
            say(globals, &sum, String::new)?;
        }
        return match sum.held {
            Some(why) => bail!("not all were replayed: {why}"),
            None => Ok(()),
        };
    }
    let mut filter = replay::filter(wanted);
    match wanted.kind {
        args::DeadKind::Deliveries => {
            filter.push(("state", "dead".to_owned()));
            let list = tenant.deliveries(&filter).await?;
            say(globals, &list, || tell::deliveries(&list.items))
        }
        args::DeadKind::Runs => {
            filter.push(("dead", "true".to_owned()));
            let list = tenant.runs(&filter).await?;
            say(globals, &list, || tell::runs(&list.items))
        }
    }
}

async fn set_tenant(globals: &Globals, wanted: &args::Tenant) -> anyhow::Result<()> {
    let client = client(globals)?;
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

/// Where notices go: shown, named or nowhere.
async fn notices(globals: &Globals, tenant: &TenantClient, wanted: &args::Notices) -> anyhow::Result<()> {
    if wanted.off {
        tenant.notices_delete().await?;
        return say(globals, &serde_json::json!({ "destination": null }), || "no notices are sent any more".to_owned());
    }
    let before = tenant.notices().await?;
    let named = wanted.destination.clone().or_else(|| before.as_ref().map(|before| before.destination.clone()));
    let Some(destination) = named else {
        return say(globals, &serde_json::json!({ "destination": null }), || {
            "no notices are sent; `creel notices DESTINATION` names where they go".to_owned()
        });
    };
    let mut document = serde_json::json!({ "destination": destination });
    for (field, asked, kept) in [
        ("refusals_percent", wanted.refusals_percent, before.as_ref().map(|before| before.refusals_percent)),
        ("refusals_min", wanted.refusals_min, before.as_ref().map(|before| before.refusals_min)),
    ] {
        if let Some(number) = asked.or(kept) {
            document[field] = number.into();
        }
    }
    let now = tenant.notices_put(&document).await?.resource;
    say(globals, &now, || tell::notices(&now))
}

async fn switch(globals: &Globals, tenant: &TenantClient, what: &Switch, pause: bool) -> anyhow::Result<()> {
    let name = &what.name;
    let now = match (what.kind, pause) {
        (SwitchKind::Source, true) => serde_json::to_value(tenant.pause::<SourceView>(name).await?),
        (SwitchKind::Source, false) => serde_json::to_value(tenant.resume::<SourceView>(name).await?),
        (SwitchKind::Route, true) => serde_json::to_value(tenant.pause::<RouteView>(name).await?),
        (SwitchKind::Route, false) => serde_json::to_value(tenant.resume::<RouteView>(name).await?),
        (SwitchKind::Destination, true) => serde_json::to_value(tenant.pause::<DestinationView>(name).await?),
        (SwitchKind::Destination, false) => serde_json::to_value(tenant.resume::<DestinationView>(name).await?),
    };
    let state = if pause { "is paused" } else { "goes on" };
    say(globals, &now?, || format!("{name} {state}"))
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

#[allow(clippy::disallowed_methods, reason = "a file may name variables of the environment for its secrets")]
async fn apply(globals: &Globals, wanted: &args::Apply) -> anyhow::Result<()> {
    if globals.json && !wanted.yes && !wanted.dry_run {
        bail!(Usage("with --json nobody is asked; say --yes, or --dry-run to see what it would do"));
    }
    let manifest = manifest::load(&wanted.file, &|name| std::env::var(name).ok())?;
    let client = client(globals)?;
    let named = manifest.tenant.is_some();
    let tenant = if named { String::new() } else { tenant_name(globals, &client).await? };
    let options = apply::Options { tenant, dry_run: wanted.dry_run, prune: wanted.prune };
    let plan = apply::plan(&client, manifest, &options).await?;
    if !globals.json {
        anstream::println!("{}", tell::plan(&plan));
    }
    if !wanted.dry_run && plan.changes() > 0 {
        if !wanted.yes && !confirmed("apply this?")? {
            bail!("nothing was changed, as you said; `creel apply` asks again");
        }
        apply::carry_out(&client, &plan, &mut |step| {
            if !globals.json {
                anstream::println!("done {}", tell::step(step));
            }
        })
        .await?;
    }
    if !globals.json && !wanted.dry_run {
        let sources = client.tenant(&plan.tenant).list::<SourceView>().await?;
        anstream::println!("\n{}", tell::sources(&sources));
    }
    if globals.json { say(globals, &plan, String::new) } else { Ok(()) }
}

fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(Usage("nobody is there to be asked; say --yes, or --dry-run to see what it would do"));
    }
    anstream::eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("reading the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn deploy(globals: &Globals, wanted: &args::Deploy) -> anyhow::Result<()> {
    let tenant = tenant(globals).await?;
    let component = build::component_of(&wanted.path, wanted.build_dir.as_deref(), &mut progress)?;
    let put = deploy::deploy(&tenant, &component, wanted).await?;
    say(globals, &put, || {
        let state = if put.resource.active { "runs" } else { "waits; `creel rollback` activates it" };
        format!("{} deployment {} of {} {state}", wanted.name, put.resource.number, put.resource.digest)
    })
}

fn list_presets(globals: &Globals) -> anyhow::Result<()> {
    let all: Vec<_> = presets().map(catalogue::facts).collect();
    say(globals, &all, || tell::presets(&all))
}

fn tell_preset(globals: &Globals, name: &str) -> anyhow::Result<()> {
    let preset = preset(name).ok_or(Usage("there is no such preset; `creel presets` lists them"))?;
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
    let answered = trigger::send(wanted, SystemClock::default().now(), &Entropy::system()?).await?;
    say(globals, &answered, || tell::answered(&answered))?;
    if (200..300).contains(&answered.status) { Ok(()) } else { bail!("the receiver did not take the event") }
}

fn line<T: Serialize>(value: &T) -> anyhow::Result<()> {
    anstream::println!("{}", serde_json::to_string(value).context("writing JSON")?);
    Ok(())
}

fn client(globals: &Globals) -> anyhow::Result<Client> {
    let key = match (&globals.key, &globals.key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(file)) => {
            let text =
                std::fs::read_to_string(file).with_context(|| format!("reading the key from {}", file.display()))?;
            text.trim().to_owned()
        }
        (None, None) => bail!(Usage("no key: set CREEL_KEY, or give --key-file; `creel init` makes the first")),
    };
    Ok(Client::new(&globals.url, &key)?)
}

async fn tenant(globals: &Globals) -> anyhow::Result<TenantClient> {
    let client = client(globals)?;
    let name = tenant_name(globals, &client).await?;
    Ok(client.tenant(&name))
}

/// The tenant that is named, or else the key's own.
async fn tenant_name(globals: &Globals, client: &Client) -> anyhow::Result<String> {
    if let Some(name) = &globals.tenant {
        return Ok(name.clone());
    }
    let own = client.whoami().await?.tenant;
    own.ok_or(Usage("this key is an operator's; name the tenant with --tenant or CREEL_TENANT").into())
}

fn filter(wanted: &[(&'static str, Option<String>)]) -> Vec<(&'static str, String)> {
    wanted.iter().filter_map(|(name, value)| Some((*name, value.clone()?))).collect()
}

fn progress(line: &str) {
    anstream::eprintln!("{line}");
}

fn say<T: Serialize>(globals: &Globals, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if globals.json {
        let json = serde_json::to_string(value).context("writing JSON")?;
        anstream::println!("{}", plain::json(&json));
    } else {
        anstream::println!("{}", text());
    }
    Ok(())
}
