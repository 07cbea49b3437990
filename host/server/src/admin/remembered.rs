//! What plugins remember: keys, values, and their removal by people.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use creel_store::contract::{StateFilter, StateKey};
use creel_webhook::id::PluginId;

use super::access::Scope;
use super::body;
use super::plugin;
use super::problem::Refusal;
use super::query::Query;
use super::state::Desk;
use crate::api::remembered::{StateKeyView, StateRemovedView, StateView};
use crate::spec::fields::Mistake;

/// `GET …/plugins/{plugin}/state?prefix=&after=&limit=`: what the plugin holds, and its keys in order, without values.
pub async fn keys(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    mut query: Query,
) -> Result<Json<StateView>, Refusal> {
    let prefix = query.text("prefix").unwrap_or_default();
    let (after, limit) = (query.text("after"), query.limit());
    query.done()?;
    let (tenant, plugin) = (scope.tenant.id, find(&desk, &scope, &name).await?);
    let room = desk.store().state_room(tenant, plugin, Vec::new()).await?;
    let rows = desk.store().state_list(tenant, plugin, StateFilter { prefix, after, limit }).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| row.key.clone());
    let view = |row: StateKey| StateKeyView { key: row.key, version: row.version, value_bytes: row.value_bytes };
    let (keys, bytes) = (room.total.keys, room.total.bytes);
    Ok(Json(StateView { keys, bytes, items: rows.into_iter().map(view).collect(), next }))
}

/// `GET …/plugins/{plugin}/state/value?key=`: the bytes of one key.
pub async fn value(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    mut query: Query,
) -> Result<Response, Refusal> {
    let key = query.text("key");
    query.done()?;
    let key = key.ok_or_else(|| Refusal::Query(vec![Mistake::new("?key", "which key?")]))?;
    let plugin = find(&desk, &scope, &name).await?;
    let missing = || Refusal::NotFound(format!("`{name}` remembers nothing under {key:?}; GET …/state lists its keys"));
    let found = desk.store().state_read(scope.tenant.id, plugin, &key).await?.ok_or_else(missing)?;
    Ok(body::raw(found.value))
}

/// `DELETE …/plugins/{plugin}/state?key=` or `?all=true`: removes one key or all. A run that read one of them and is under
/// way runs again.
pub async fn remove(
    State(desk): State<Desk>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    mut query: Query,
) -> Result<Json<StateRemovedView>, Refusal> {
    let (key, all) = (query.text("key"), query.flag("all"));
    query.done()?;
    if key.is_some() == all {
        let detail = "say which key with `key`, or `all=true` for all of them";
        return Err(Refusal::Query(vec![Mistake::new("?key", detail)]));
    }
    let plugin = find(&desk, &scope, &name).await?;
    let mut removed = 0;
    loop {
        // In steps, so that webhooks are taken meanwhile; what is written behind the last of them stays.
        let step = desk.store().state_delete(scope.tenant.id, plugin, key.clone()).await?;
        removed += step.removed;
        if !all || step.left == 0 || step.removed == 0 {
            return Ok(Json(StateRemovedView { removed, left: step.left }));
        }
    }
}

async fn find(desk: &Desk, scope: &Scope, name: &str) -> Result<PluginId, Refusal> {
    Ok(plugin::named(&*desk.control().await?, scope.tenant.id, name)?.id)
}
