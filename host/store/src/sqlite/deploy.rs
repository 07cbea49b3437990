//! What people configure, written: plugins, deployments and routes.
//!
//! Deployments never change and are numbered here, because numbering
//! needs the writer. A route has a lane; removing it ends the runs that wait in it. A plugin is removed only when nothing can
//! run it any more.

use creel_webhook::id::{PluginId, RouteId, TenantId};
use creel_webhook::plugin::{Deployment, Plugin};
use creel_webhook::route::{Late, Route};
use creel_webhook::source::SourceSpec;
use rusqlite::params;

use crate::contract::{NewDeployment, StoreError};
use crate::sqlite::lanes::{self, Limits, Work};
use crate::sqlite::statement::{Sql, conflict, exec, first, json, must_exist, to_json};
use crate::sqlite::transaction::Tx;

/// Makes a plugin.
pub(super) fn plugin_put(tx: &mut Tx<'_>, plugin: &Plugin) -> Sql<()> {
    let sql = "INSERT INTO plugin (tenant, id, name, active) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name";
    let values = params![plugin.tenant.as_bytes(), plugin.id.as_bytes(), plugin.name, plugin.active];
    conflict(exec(tx.conn, sql, values), || {
        format!("the plugin name `{}` is taken, or its tenant is not there", plugin.name)
    })?;
    tx.effects.control = true;
    Ok(())
}

/// Makes a deployment with the next number.
pub(super) fn deployment_create(tx: &mut Tx<'_>, new: &NewDeployment) -> Sql<Deployment> {
    let mut deployment = new.deployment.clone();
    let (tenant, plugin) = (deployment.tenant, deployment.plugin);
    let sql = "SELECT coalesce(max(number), 0) + 1 FROM deployment WHERE tenant = ?1 AND plugin = ?2";
    let number: Option<u32> = first(tx.conn, sql, params![tenant.as_bytes(), plugin.as_bytes()], |row| row.get(0))?;
    deployment.number = number.unwrap_or(1);
    let sql = "INSERT INTO deployment (tenant, plugin, number, id, digest, config, grants, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![
        tenant.as_bytes(),
        plugin.as_bytes(),
        deployment.number,
        deployment.id.as_bytes(),
        deployment.digest.as_bytes(),
        to_json(&deployment.config)?,
        to_json(&deployment.grants)?,
        deployment.created_at.as_millis()
    ];
    conflict(exec(tx.conn, sql, values), || format!("there is no plugin `{plugin}` in this tenant"))?;
    if new.activate {
        deployment_activate(tx, tenant, plugin, deployment.number)?;
    }
    Ok(deployment)
}

/// Makes a deployment the active one.
pub(super) fn deployment_activate(tx: &mut Tx<'_>, tenant: TenantId, plugin: PluginId, number: u32) -> Sql<()> {
    let sql = "UPDATE plugin SET active = ?3 WHERE tenant = ?1 AND id = ?2 AND EXISTS
        (SELECT 1 FROM deployment WHERE tenant = ?1 AND plugin = ?2 AND number = ?3)";
    let changed = exec(tx.conn, sql, params![tenant.as_bytes(), plugin.as_bytes(), number])?;
    must_exist(changed, || format!("there is no deployment {number} of `{plugin}`"))?;
    tx.effects.control = true;
    Ok(())
}

/// A run of a plugin that is not over. It stands in the lane of a route that led to the plugin when it was queued.
pub(super) const UNFINISHED: &[&str] = &[
    "SELECT 1 FROM lane JOIN run ON run.lane = lane.id AND run.due_at IS NOT NULL
        WHERE lane.tenant = ?1 AND lane.kind = 0 AND run.plugin = ?2 LIMIT 1",
    "SELECT 1 FROM lane JOIN run ON run.lane = lane.id AND run.order_key IS NOT NULL AND run.ended_at IS NULL
        WHERE lane.tenant = ?1 AND lane.kind = 0 AND run.plugin = ?2 LIMIT 1",
];

/// Removes a plugin that nothing runs any more, with all that is its own.
pub(super) fn plugin_delete(tx: &mut Tx<'_>, tenant: TenantId, plugin: PluginId) -> Sql<()> {
    let its = params![tenant.as_bytes(), plugin.as_bytes()];
    let leads = "SELECT 1 FROM route WHERE tenant = ?1 AND plugin = ?2 LIMIT 1";
    if first(tx.conn, leads, its, |_| Ok(()))?.is_some() {
        return Err(StoreError::Conflict("a route leads to it; remove that first".to_owned()).into());
    }
    for sql in UNFINISHED {
        if first(tx.conn, sql, its, |_| Ok(()))?.is_some() {
            let why = "runs of it wait on a route that led to it before; let them end first";
            return Err(StoreError::Conflict(why.to_owned()).into());
        }
    }
    for sql in [
        "DELETE FROM state WHERE tenant = ?1 AND plugin = ?2",
        "DELETE FROM state_total WHERE tenant = ?1 AND plugin = ?2",
        "DELETE FROM component WHERE tenant = ?1
            AND digest IN (SELECT digest FROM deployment WHERE tenant = ?1 AND plugin = ?2)
            AND digest NOT IN (SELECT digest FROM deployment WHERE tenant = ?1 AND plugin IS NOT ?2)",
        "DELETE FROM deployment WHERE tenant = ?1 AND plugin = ?2",
    ] {
        exec(tx.conn, sql, its)?;
    }
    let gone = exec(tx.conn, "DELETE FROM plugin WHERE tenant = ?1 AND id = ?2", its)?;
    must_exist(gone, || format!("there is no plugin `{plugin}`"))?;
    tx.effects.control = true;
    Ok(())
}

/// Makes or replaces a route and its lane.
pub(super) fn route_put(tx: &mut Tx<'_>, route: &Route) -> Sql<()> {
    let sql = "INSERT INTO route (tenant, id, name, source, pattern, plugin, mode, late, paused)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, source = excluded.source,
            pattern = excluded.pattern, plugin = excluded.plugin, mode = excluded.mode, late = excluded.late,
            paused = excluded.paused";
    let late = match route.late {
        Late::Drop => "drop",
        Late::Keep => "keep",
    };
    let (tenant, id) = (route.tenant.as_bytes(), route.id.as_bytes());
    let values = params![
        tenant,
        id,
        route.name,
        route.source.as_bytes(),
        String::from(route.pattern.clone()),
        route.plugin.as_bytes(),
        route.mode.as_str(),
        late,
        route.paused
    ];
    conflict(exec(tx.conn, sql, values), || {
        format!("the route name `{}` is taken, or its source or plugin is not there", route.name)
    })?;
    let sql = "SELECT paused, spec FROM source WHERE tenant = ?1 AND id = ?2";
    let source = first(tx.conn, sql, params![tenant, route.source.as_bytes()], |row| {
        Ok((row.get::<_, bool>(0)?, json::<SourceSpec>(row, 1)?))
    })?;
    if let Some((source_paused, spec)) = source {
        let limits =
            Limits { concurrency_max: None, rate_per_s: None, skip_after_ms: spec.skip_after_ms, waiting_max: None };
        lanes::put(tx, route.tenant, Work::Runs, id, route.paused || source_paused, limits)?;
    }
    tx.effects.control = true;
    Ok(())
}

/// Removes a route; what waits in its lane ends.
pub(super) fn route_delete(tx: &mut Tx<'_>, tenant: TenantId, route: RouteId) -> Sql<()> {
    let values = params![tenant.as_bytes(), route.as_bytes()];
    let gone = exec(tx.conn, "DELETE FROM route WHERE tenant = ?1 AND id = ?2", values)?;
    must_exist(gone, || format!("there is no route `{route}`"))?;
    tx.effects.control = true;
    let Some(lane) = lanes::find(tx.conn, tenant, Work::Runs, route.as_bytes())? else { return Ok(()) };
    let now = tx.shared.latest().as_millis();
    let mut ended = 0;
    for sql in [
        "UPDATE run SET ended_at = ?2, due_at = NULL, claimed = 0, claim = NULL, verdict = 'host',
            reason = 'its route was removed', breach = NULL WHERE lane = ?1 AND due_at IS NOT NULL",
        "UPDATE run SET ended_at = ?2, verdict = 'host', reason = 'its route was removed', breach = NULL
            WHERE lane = ?1 AND order_key IS NOT NULL AND ended_at IS NULL",
    ] {
        ended += exec(tx.conn, sql, params![lane, now])?;
    }
    lanes::pending(tx, tenant, Work::Runs, -(ended as i64), None)?;
    exec(tx.conn, "DELETE FROM lane WHERE id = ?1", [lane])?;
    Ok(())
}
