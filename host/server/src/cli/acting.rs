//! The commands that change something of a tenant, asking before what can't be undone.

use std::io::IsTerminal as _;

use std::path::Path;

use anyhow::bail;

use super::access::{client, tenant, tenant_name};
use super::args::{self, Command, Globals, Switch, SwitchKind};
use super::client::{Client, ClientError, TenantClient};
use super::console::{Usage, confirmed, counted, patiently, progress, say, strangers};
use super::{apply, build, deploy, manifest, plain, preview, replay, tell};
use crate::api::{Change, DestinationView, PluginView, RouteView, SourceView};

/// What to say where nobody can be asked whether a plan shall be carried out.
const UNASKED: &str = "--yes, or --dry-run to see what it would do";

/// The commands that change one thing.
///
/// # Errors
/// When the host can't be asked or says no, or a person does.
pub async fn act(globals: &Globals, tenant: &TenantClient, command: Command) -> anyhow::Result<()> {
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
        Command::Plugins { delete: Some(name), yes } => remove_plugin(globals, tenant, &name, yes).await,
        Command::Dead(wanted) => dead(globals, tenant, &wanted).await,
        Command::State(wanted) => remembered(globals, tenant, &wanted).await,
        Command::Notices(wanted) => notices(globals, tenant, &wanted).await,
        Command::RotateUrl { source, overlap_hours } => {
            let now = tenant.rotate_url(&source, overlap_hours).await?;
            say(globals, &now, || tell::rotated(&now))
        }
        Command::Pause(what) => switch(globals, tenant, &what, true).await,
        Command::Resume(what) => switch(globals, tenant, &what, false).await,
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
        bail!(Usage::new(
            "a call is sent again as it is, which `creel delivery` shows; --dry-run is for runs and events"
        ));
    }
    if kind != "deliveries" && (wanted.dry_run || !globals.json) {
        match tenant.rehearse(kind, id, wanted.new_keys, wanted.deployment).await {
            Ok(rehearsed) if wanted.dry_run => return say(globals, &rehearsed, || preview::rehearsed(&rehearsed)),
            Ok(rehearsed) => anstream::println!("{}", preview::rehearsed(&rehearsed)),
            Err(ClientError::Refused(why)) if why.status == 403 && !wanted.dry_run => {
                anstream::println!("what it would do is not shown: {}", plain::lines(&why.detail));
            }
            Err(error) => return Err(error.into()),
        }
        if !wanted.yes && !confirmed("replay this?", UNASKED)? {
            bail!("nothing was replayed, as you said; `creel replay` asks again");
        }
    } else if kind != "deliveries" && !wanted.yes {
        bail!(Usage::new(format!("with --json nobody is asked; say {UNASKED}")));
    }
    let replayed = tenant.replay(kind, id, wanted.new_keys).await?;
    say(globals, &replayed, || tell::replayed(&replayed))
}

/// A plugin that nothing runs any more.
async fn remove_plugin(globals: &Globals, tenant: &TenantClient, name: &str, yes: bool) -> anyhow::Result<()> {
    if !yes {
        if globals.json {
            bail!(Usage::new("with --json nobody is asked; say --yes to remove the plugin"));
        }
        if !confirmed(&format!("remove `{name}` with its deployments and all that it remembers, for good?"), "--yes")? {
            bail!("nothing was removed, as you said");
        }
    }
    tenant.delete::<PluginView>(name).await?;
    say(globals, &serde_json::json!({ "removed": name }), || format!("{name} is gone; what it decided stays"))
}

/// Dead letters, listed or replayed.
async fn dead(globals: &Globals, tenant: &TenantClient, wanted: &args::Dead) -> anyhow::Result<()> {
    if wanted.replay {
        let asks = !wanted.yes && !globals.json && std::io::stdin().is_terminal();
        if asks && !confirmed("replay all of these that there are?", UNASKED)? {
            bail!("nothing was replayed, as you said; without --replay they are listed");
        }
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
            say(globals, &list, || tell::deliveries(&list.items, &[]))
        }
        args::DeadKind::Runs => {
            filter.push(("dead", "true".to_owned()));
            let list = tenant.runs(&filter).await?;
            say(globals, &list, || tell::runs(&list.items))
        }
    }
}

/// Where notices go: shown, named or nowhere.
async fn notices(globals: &Globals, tenant: &TenantClient, wanted: &args::Notices) -> anyhow::Result<()> {
    if wanted.off {
        let were_sent = tenant.notices_delete().await?;
        return say(globals, &serde_json::json!({ "destination": null }), || {
            let told =
                if were_sent { "no notices are sent any more" } else { "none were sent, so nothing was changed" };
            told.to_owned()
        });
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

/// Makes a tenant look like a file says; shows what that means and asks first.
///
/// # Errors
/// When the file is wrong, or the host or the person says no.
#[allow(clippy::disallowed_methods, reason = "a file may name variables of the environment for its secrets")]
pub async fn apply_file(globals: &Globals, wanted: &args::Apply) -> anyhow::Result<()> {
    if globals.json && !wanted.yes && !wanted.dry_run {
        bail!(Usage::new(format!("with --json nobody is asked; say {UNASKED}")));
    }
    let manifest = manifest::load(&wanted.file, &|name| std::env::var(name).ok())?;
    let client = client(globals)?;
    let named = manifest.tenant.is_some();
    agree(globals, manifest.tenant.as_deref(), &wanted.file)?;
    let tenant = if named { String::new() } else { tenant_name(globals, &client).await? };
    let options = apply::Options { tenant, dry_run: wanted.dry_run, prune: wanted.prune };
    let mut plan = patiently("comparing with what the host has", apply::plan(&client, manifest, &options)).await?;
    if !globals.json {
        anstream::println!("{}", tell::plan(&plan));
    }
    if !wanted.dry_run && plan.changes() > 0 {
        if !wanted.yes && !confirmed("apply this?", UNASKED)? {
            bail!("nothing was changed, as you said; `creel apply` asks again");
        }
        carry_out(globals, &client, &mut plan).await?;
    }
    if !globals.json && !wanted.dry_run {
        let sources = client.tenant(&plan.tenant).list::<SourceView>().await?;
        anstream::println!("\n{}", tell::sources(&sources));
    }
    if globals.json { say(globals, &plan, String::new) } else { Ok(()) }
}

/// A file that names its tenant is applied to that one, so whoever types another means another file.
fn agree(globals: &Globals, named: Option<&str>, file: &Path) -> anyhow::Result<()> {
    match (named, globals.tenant.as_deref().filter(|_| globals.tenant_typed)) {
        (Some(named), Some(typed)) if named != typed => bail!(Usage::new(format!(
            "{} is about the tenant `{named}`, and --tenant says `{typed}`; change one of them, or leave --tenant out",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// Does what a plan says, step by step; the host compiles plugins, so a step may take long.
async fn carry_out(globals: &Globals, client: &Client, plan: &mut apply::Plan) -> anyhow::Result<()> {
    let all = plan.changes();
    for (done, at) in plan.to_do().into_iter().enumerate() {
        let step = &plan.steps[at];
        let doing = format!("{} of {all}: {} {}", done + 1, step.kind, plain::plain(&step.name));
        patiently(&doing, apply::carry_out(client, plan, at)).await?;
        if !globals.json {
            anstream::println!("done {}", tell::step(&plan.steps[at]));
        }
    }
    Ok(())
}

/// What a plugin remembers: its keys, one value, or a removal.
async fn remembered(globals: &Globals, tenant: &TenantClient, wanted: &args::PluginState) -> anyhow::Result<()> {
    let plugin = &wanted.plugin;
    match &wanted.key {
        _ if wanted.delete => forget(globals, tenant, wanted).await,
        Some(key) => strangers(&tenant.state_value(plugin, key).await?),
        None => {
            let mut filter = vec![("limit", wanted.limit.to_string())];
            filter.extend(wanted.prefix.clone().map(|prefix| ("prefix", prefix)));
            filter.extend(wanted.after.clone().map(|after| ("after", after)));
            let keys = tenant.state(plugin, &filter).await?;
            say(globals, &keys, || tell::remembered(&keys))
        }
    }
}

async fn forget(globals: &Globals, tenant: &TenantClient, wanted: &args::PluginState) -> anyhow::Result<()> {
    let plugin = &wanted.plugin;
    if wanted.key.is_none() && !wanted.yes {
        if globals.json {
            bail!(Usage::new("with --json nobody is asked; say --yes to remove all keys, or name one"));
        }
        if !confirmed(
            &format!("remove everything that `{plugin}` remembers?"),
            "--yes to remove all keys, or name one",
        )? {
            bail!("nothing was removed, as you said");
        }
    }
    let removed = tenant.state_delete(plugin, wanted.key.as_deref()).await?;
    say(globals, &removed, || {
        format!("removed {} of {plugin}; it holds {}", counted(removed.removed, "key"), removed.left)
    })
}

/// Uploads a plugin and deploys it.
///
/// # Errors
/// When it doesn't build or the host says no.
pub async fn deploy_one(globals: &Globals, wanted: &args::Deploy) -> anyhow::Result<()> {
    let tenant = tenant(globals).await?;
    let component =
        build::component_of(&wanted.path, wanted.build_dir.as_deref(), &mut progress).map_err(build::brief)?;
    let others = tenant.list::<PluginView>().await?;
    let waiting = format!("uploading {}, which the host compiles", wanted.name);
    let put = patiently(&waiting, deploy::deploy(&tenant, &component, wanted)).await?;
    say(globals, &put, || {
        let (name, number) = (&wanted.name, put.resource.number);
        let state = match (put.result, put.resource.active) {
            (Change::Unchanged, true) => "runs already; nothing was changed".to_owned(),
            (_, true) => "runs".to_owned(),
            (_, false) => format!("waits; `creel rollback {name} {number}` activates it"),
        };
        let mut done = format!("{name} deployment {number} of {} {state}", put.resource.digest);
        if !others.is_empty() && others.iter().all(|one| one.name != *name) {
            let known: Vec<_> = others.iter().map(|one| plain::plain(&one.name)).collect();
            let new = format!(
                "{name} is a new plugin beside {}; a route has to lead to it (`creel plugins --delete {name}` removes it)",
                known.join(", ")
            );
            done = format!("{done}\n{}", tell::note(&new));
        }
        put.resource.warnings.iter().fold(done, |said, warning| format!("{said}\n{}", tell::note(warning)))
    })
}
