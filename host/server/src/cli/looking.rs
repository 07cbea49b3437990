//! The commands that ask a host and change nothing.

use anyhow::Context as _;
use creel_store::contract::DeliveryState;
use serde::Serialize;

use super::access::tenant;
use super::acting::act;
use super::args::{self, Command, Globals};
use super::client::{ClientResult, Resource, TenantClient, given};
use super::console::{progress, say, strangers};
use super::{following, logs, plain, story, tell};
use crate::api::{DestinationView, EventLine, List, PluginView, RouteView, SecretView, SourceView};
use crate::shutdown::Signals;

/// All things of a kind.
async fn things<R: Resource + Serialize>(
    globals: &Globals,
    tenant: &TenantClient,
    told: fn(&[R]) -> String,
) -> anyhow::Result<()> {
    let list = tenant.list::<R>().await?;
    say(globals, &list, || told(&list))
}

/// A command that is about a tenant's things: one question, or else [`act`].
///
/// # Errors
/// When the host can't be asked or says no.
pub async fn ask(globals: &Globals, command: Command) -> anyhow::Result<()> {
    let tenant = tenant(globals).await?;
    match command {
        Command::Event { id, body: true } => strangers(&tenant.event_body(&id).await?),
        Command::Event { id, .. } => {
            let story = tenant.story(&id).await?;
            say(globals, &story, || story::story(&story))
        }
        Command::Sources => things::<SourceView>(globals, &tenant, tell::sources).await,
        Command::Destinations => things::<DestinationView>(globals, &tenant, tell::destinations).await,
        Command::Routes => things::<RouteView>(globals, &tenant, tell::routes).await,
        Command::Plugins { delete: None, .. } => things::<PluginView>(globals, &tenant, tell::plugins).await,
        Command::Secrets => things::<SecretView>(globals, &tenant, tell::secrets).await,
        Command::Events(wanted) if wanted.payloads => follow_events(&tenant, wanted).await,
        Command::Events(wanted) => {
            let list = events(&tenant, wanted).await?;
            say(globals, &list, || tell::events(&list.items))
        }
        Command::Runs(wanted) => {
            let mut filter = given(&wanted.about.parameters());
            filter.extend(given(&[
                ("verdict", wanted.verdict),
                ("plugin", wanted.plugin),
                ("before", wanted.before),
                ("limit", Some(wanted.limit.to_string())),
            ]));
            let list = tenant.runs(&filter).await?;
            say(globals, &list, || tell::runs(&list.items))
        }
        Command::Logs(wanted) => follow(globals, &tenant, wanted).await,
        Command::Deliveries(wanted) => {
            let mut filter = given(&wanted.about.parameters());
            filter.extend(given(&[
                ("state", wanted.state),
                ("destination", wanted.destination),
                ("before", wanted.before),
                ("limit", Some(wanted.limit.to_string())),
            ]));
            let list = tenant.deliveries(&filter).await?;
            let waits = list.items.iter().any(|call| call.state == DeliveryState::Pending);
            let destinations =
                if waits && !globals.json { tenant.list::<DestinationView>().await? } else { Vec::new() };
            say(globals, &list, || tell::deliveries(&list.items, &destinations))
        }
        Command::Delivery { id } => {
            let letter = tenant.letter(&id).await?;
            say(globals, &letter, || story::letter(&letter))
        }
        Command::Refusals { limit } => {
            let list = tenant.refusals(&[("limit", limit.to_string())]).await?;
            say(globals, &list, || tell::refusals(&list.items))
        }
        Command::Versions { plugin } => {
            let all = tenant.deployments(&plugin).await?;
            say(globals, &all, || tell::deployments(&all))
        }
        other => act(globals, &tenant, other).await,
    }
}

/// Events, as many as are wanted: a host looks at so many for one answer, and may find fewer among them.
async fn events(tenant: &TenantClient, wanted: args::Events) -> ClientResult<List<EventLine>> {
    let mut before = wanted.before;
    let mut found = Vec::new();
    loop {
        let left = wanted.limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        let filter = given(&[
            ("source", wanted.source.clone()),
            ("kind", wanted.kind.clone()),
            ("subject", wanted.subject.clone()),
            ("state", wanted.state.clone().or_else(|| wanted.unrouted.then(|| "unrouted".to_owned()))),
            ("since", wanted.since.clone()),
            ("until", wanted.until.clone()),
            ("before", before),
            ("limit", Some(left.to_string())),
        ]);
        let page = tenant.events(&filter).await?;
        found.extend(page.items);
        if page.next.is_none() || found.len() >= wanted.limit as usize {
            return Ok(List { items: found, next: page.next });
        }
        before = page.next;
    }
}

/// What is worked on, or nothing once Ctrl-C or SIGTERM has ended it: who follows something ends well.
async fn unless_told<T>(signals: &mut Signals, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = signals.next() => None,
    }
}

/// Events with their payloads, a line each.
async fn follow_events(tenant: &TenantClient, wanted: args::Events) -> anyhow::Result<()> {
    let mut follower = following::Follower::begin(tenant.clone(), wanted.source, wanted.limit.min(499)).await?;
    let mut signals = if wanted.follow { Some(Signals::catch().context("catching signals")?) } else { None };
    loop {
        let mut tell = |text: &str| progress(&plain::lines(text));
        let events = match &mut signals {
            Some(signals) => unless_told(signals, follower.next(&mut tell)).await.transpose()?.unwrap_or_default(),
            None => follower.look().await?,
        };
        if events.is_empty() {
            return Ok(());
        }
        for event in events {
            anstream::println!("{}", plain::json(&serde_json::to_string(&event).context("writing JSON")?));
        }
    }
}

/// Runs as they end, also after the host was away; with --json a line each.
async fn follow(globals: &Globals, tenant: &TenantClient, wanted: args::Logs) -> anyhow::Result<()> {
    let (mut watcher, mut news) = logs::Watcher::begin(tenant, wanted.plugin, wanted.limit).await?;
    let mut signals = if wanted.follow { Some(Signals::catch().context("catching signals")?) } else { None };
    let mut patience = following::Patience::new();
    loop {
        for run in &news {
            say(globals, run, || story::logged(run))?;
        }
        let Some(signals) = &mut signals else { return Ok(()) };
        let look = async {
            tokio::time::sleep(logs::PAUSE).await;
            let said = watcher.look(tenant).await;
            patience.after(said, &mut |text| progress(&plain::lines(text))).await
        };
        match unless_told(signals, look).await {
            Some(looked) => news = looked?.unwrap_or_default(),
            None => return Ok(()),
        }
    }
}
