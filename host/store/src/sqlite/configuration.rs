//! What people configured, read.

use std::collections::HashSet;

use creel_webhook::destination::Destination;
use creel_webhook::id::{PluginId, TenantId};
use creel_webhook::plugin::{Deployment, Digest, Plugin};
use creel_webhook::route::{Late, Mode, Route};
use creel_webhook::source::{PreviousToken, Source};
use creel_webhook::tenant::{ApiKey, Role, Tenant};
use rusqlite::{Connection, Row, params};

use crate::contract::{Control, Leaving, SecretRow};
use crate::sqlite::notices;
use crate::sqlite::statement::{Sql, all, first, id, json, time, time_opt, word};

/// Everything, as of `version`.
pub(super) fn control_read(conn: &Connection, version: u64) -> Sql<Control> {
    let leaving = leaving(conn)?;
    let gone: HashSet<TenantId> = leaving.iter().map(|one| one.tenant.id).collect();
    let mut control = Control {
        version,
        leaving,
        tenants: all(conn, "SELECT id, name, created_at, limits FROM tenant ORDER BY id", [], tenant)?,
        sources: all(
            conn,
            "SELECT tenant, id, token, paused, spec, previous_token, previous_token_until FROM source ORDER BY tenant, id",
            [],
            source,
        )?,
        routes: all(
            conn,
            "SELECT tenant, id, name, source, pattern, plugin, mode, late, paused FROM route ORDER BY tenant, id",
            [],
            route,
        )?,
        plugins: all(conn, "SELECT tenant, id, name, active FROM plugin ORDER BY tenant, id", [], plugin)?,
        deployments: all(
            conn,
            "SELECT d.tenant, d.plugin, d.number, d.id, d.digest, d.config, d.grants, d.created_at
             FROM plugin p JOIN deployment d ON d.tenant = p.tenant AND d.plugin = p.id AND d.number = p.active
             ORDER BY p.tenant, p.id",
            [],
            deployment,
        )?,
        destinations: all(
            conn,
            "SELECT tenant, id, paused, lacks, disabled, spec FROM destination ORDER BY tenant, id",
            [],
            destination,
        )?,
        notices: notices::read_all(conn)?,
        secrets: all(
            conn,
            "SELECT tenant, name, id, sealed, previous, previous_until, origins, fingerprint, updated_at
             FROM secret ORDER BY tenant, name",
            [],
            secret,
        )?,
    };
    if !gone.is_empty() {
        hide(&mut control, &gone);
    }
    Ok(control)
}

/// Leaves out what belongs to tenants that are being removed.
fn hide(control: &mut Control, gone: &HashSet<TenantId>) {
    control.tenants.retain(|one| !gone.contains(&one.id));
    control.sources.retain(|one| !gone.contains(&one.tenant));
    control.routes.retain(|one| !gone.contains(&one.tenant));
    control.plugins.retain(|one| !gone.contains(&one.tenant));
    control.deployments.retain(|one| !gone.contains(&one.tenant));
    control.destinations.retain(|one| !gone.contains(&one.tenant));
    control.notices.retain(|one| !gone.contains(&one.tenant));
    control.secrets.retain(|one| !gone.contains(&one.tenant));
}

/// The tenants that are being removed.
pub(super) fn leaving(conn: &Connection) -> Sql<Vec<Leaving>> {
    let sql = "SELECT id, name, created_at, limits, removed_at FROM tenant INDEXED BY tenant_removed
        WHERE removed_at IS NOT NULL ORDER BY removed_at";
    all(conn, sql, [], |row| Ok(Leaving { tenant: tenant(row)?, since: time(row, 4)? }))
}

/// A tenant, from the first columns of its row.
pub(super) fn tenant(row: &Row<'_>) -> rusqlite::Result<Tenant> {
    Ok(Tenant { id: id(row, 0)?, name: row.get(1)?, created_at: time(row, 2)?, limits: json(row, 3)? })
}

fn source(row: &Row<'_>) -> rusqlite::Result<Source> {
    let previous = row.get::<_, Option<String>>(5)?.zip(time_opt(row, 6)?);
    Ok(Source {
        tenant: id(row, 0)?,
        id: id(row, 1)?,
        token: row.get(2)?,
        previous: previous.map(|(token, until)| PreviousToken { token, until }),
        paused: row.get(3)?,
        spec: json(row, 4)?,
    })
}

fn route(row: &Row<'_>) -> rusqlite::Result<Route> {
    Ok(Route {
        tenant: id(row, 0)?,
        id: id(row, 1)?,
        name: row.get(2)?,
        source: id(row, 3)?,
        pattern: word(row, 4, |text| text.parse().ok())?,
        plugin: id(row, 5)?,
        mode: word(row, 6, |text| [Mode::Ack, Mode::Reply].into_iter().find(|mode| mode.as_str() == text))?,
        late: word(row, 7, |text| match text {
            "drop" => Some(Late::Drop),
            "keep" => Some(Late::Keep),
            _ => None,
        })?,
        paused: row.get(8)?,
    })
}

fn plugin(row: &Row<'_>) -> rusqlite::Result<Plugin> {
    Ok(Plugin { tenant: id(row, 0)?, id: id(row, 1)?, name: row.get(2)?, active: row.get(3)? })
}

fn deployment(row: &Row<'_>) -> rusqlite::Result<Deployment> {
    Ok(Deployment {
        tenant: id(row, 0)?,
        plugin: id(row, 1)?,
        number: row.get(2)?,
        id: id(row, 3)?,
        digest: Digest::from_bytes(row.get(4)?),
        config: json(row, 5)?,
        grants: json(row, 6)?,
        created_at: time(row, 7)?,
    })
}

fn destination(row: &Row<'_>) -> rusqlite::Result<Destination> {
    Ok(Destination {
        tenant: id(row, 0)?,
        id: id(row, 1)?,
        paused: row.get(2)?,
        lacks: row.get(3)?,
        disabled: row.get(4)?,
        spec: json(row, 5)?,
    })
}

fn secret(row: &Row<'_>) -> rusqlite::Result<SecretRow> {
    Ok(SecretRow {
        tenant: id(row, 0)?,
        name: row.get(1)?,
        id: id(row, 2)?,
        sealed: row.get(3)?,
        previous: row.get(4)?,
        previous_until: time_opt(row, 5)?,
        origins: json(row, 6)?,
        fingerprint: row.get(7)?,
        updated_at: time(row, 8)?,
    })
}

fn key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: id(row, 0)?,
        tenant: row.get::<_, Option<[u8; 16]>>(1)?.map(TenantId::from_bytes),
        role: word(row, 2, Role::from_word)?,
        payload_read: row.get(3)?,
        name: row.get(4)?,
        hash: row.get(5)?,
        created_at: time(row, 6)?,
        expires_at: time_opt(row, 7)?,
        last_used_at: time_opt(row, 8)?,
    })
}

/// The key with this hash.
pub(super) fn key_find(conn: &Connection, hash: &[u8; 32]) -> Sql<Option<ApiKey>> {
    let sql = "SELECT id, tenant, role, payload_read, name, hash, created_at, expires_at, last_used_at
        FROM api_key WHERE hash = ?1";
    first(conn, sql, [hash], key)
}

/// The keys of a tenant or of the operator.
pub(super) fn key_list(conn: &Connection, tenant: Option<TenantId>) -> Sql<Vec<ApiKey>> {
    let sql = "SELECT id, tenant, role, payload_read, name, hash, created_at, expires_at, last_used_at
        FROM api_key WHERE tenant IS ?1 ORDER BY id";
    all(conn, sql, [tenant.as_ref().map(|tenant| tenant.as_bytes().as_slice())], key)
}

/// All deployments of a plugin, newest first.
pub(super) fn deployment_list(conn: &Connection, tenant: TenantId, plugin: PluginId) -> Sql<Vec<Deployment>> {
    let sql = "SELECT tenant, plugin, number, id, digest, config, grants, created_at FROM deployment
        WHERE tenant = ?1 AND plugin = ?2 ORDER BY number DESC";
    all(conn, sql, params![tenant.as_bytes(), plugin.as_bytes()], deployment)
}
