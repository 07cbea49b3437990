//! What people configure, written: tenants, keys, secrets, sources and destinations.
//!
//! Each row keeps its specification as JSON and, beside it, the columns that something is found by or checked with.
//! Sources and destinations move the lanes that depend on them in the same transaction.

use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::DestinationChange;
use creel_webhook::destination::Destination;
use creel_webhook::id::{DestinationId, KeyId, SourceId, TenantId};
use creel_webhook::notice::Fact;
use creel_webhook::source::Source;
use creel_webhook::tenant::{ApiKey, Tenant};
use rusqlite::params;

use crate::contract::{SecretRow, StoreError};
use crate::sqlite::lanes::{self, Limits, Work};
use crate::sqlite::notices;
use crate::sqlite::removing;
use crate::sqlite::shares;
use crate::sqlite::statement::{Sql, all, conflict, exec, first, id, must_exist, to_json};
use crate::sqlite::transaction::Tx;

/// Makes a tenant or changes its limits.
pub(super) fn tenant_put(tx: &mut Tx<'_>, tenant: &Tenant) -> Sql<()> {
    removing::refuse_leaving(tx.conn, tenant)?;
    let sql = "INSERT INTO tenant (id, name, created_at, limits) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, limits = excluded.limits";
    let id = tenant.id.as_bytes();
    let values = params![id, tenant.name, tenant.created_at.as_millis(), to_json(&tenant.limits)?];
    conflict(exec(tx.conn, sql, values), || format!("the tenant name `{}` is taken", tenant.name))?;
    exec(tx.conn, "INSERT OR IGNORE INTO ring (kind, tenant) VALUES (0, ?1), (1, ?1)", [id])?;
    shares::keep(tx, tenant.id, &tenant.limits)?;
    tx.memory.quotas.forget(tenant.id);
    for work in [Work::Runs, Work::Deliveries] {
        lanes::settle_turn(tx, tenant.id, work, tx.shared.latest())?;
    }
    (tx.effects.runs, tx.effects.deliveries) = (true, true);
    tx.effects.control = true;
    Ok(())
}

/// Makes a key.
pub(super) fn key_put(tx: &mut Tx<'_>, key: &ApiKey) -> Sql<()> {
    let sql = "INSERT INTO api_key (id, tenant, role, payload_read, name, hash, created_at, expires_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![
        key.id.as_bytes(),
        key.tenant.as_ref().map(|tenant| tenant.as_bytes().as_slice()),
        key.role.as_str(),
        key.payload_read,
        key.name,
        key.hash,
        key.created_at.as_millis(),
        key.expires_at.map(|at| at.as_millis())
    ];
    conflict(exec(tx.conn, sql, values), || {
        "such a key is there already, its tenant is not, or its role does not fit".to_owned()
    })?;
    Ok(())
}

/// Remembers when a key was used.
pub(super) fn key_used(tx: &mut Tx<'_>, key: KeyId, at: Timestamp) -> Sql<()> {
    exec(tx.conn, "UPDATE api_key SET last_used_at = ?2 WHERE id = ?1", params![key.as_bytes(), at.as_millis()])?;
    Ok(())
}

/// Ends a key.
pub(super) fn key_delete(tx: &mut Tx<'_>, tenant: Option<TenantId>, key: KeyId) -> Sql<bool> {
    let tenant = tenant.as_ref().map(|tenant| tenant.as_bytes().as_slice());
    Ok(exec(tx.conn, "DELETE FROM api_key WHERE id = ?1 AND tenant IS ?2", params![key.as_bytes(), tenant])? > 0)
}

/// Makes or replaces a secret.
pub(super) fn secret_put(tx: &mut Tx<'_>, secret: &SecretRow) -> Sql<()> {
    let sql =
        "INSERT INTO secret (tenant, name, id, sealed, previous, previous_until, origins, fingerprint, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (tenant, name) DO UPDATE SET sealed = excluded.sealed, previous = excluded.previous,
            previous_until = excluded.previous_until, origins = excluded.origins,
            fingerprint = excluded.fingerprint, updated_at = excluded.updated_at";
    let values = params![
        secret.tenant.as_bytes(),
        secret.name,
        secret.id.as_bytes(),
        secret.sealed,
        secret.previous,
        secret.previous_until.map(|at| at.as_millis()),
        to_json(&secret.origins)?,
        secret.fingerprint,
        secret.updated_at.as_millis()
    ];
    conflict(exec(tx.conn, sql, values), || "the tenant of this secret is not there".to_owned())?;
    tx.effects.control = true;
    go_on(tx, secret.tenant, &secret.name)
}

/// Replaces sealed values.
pub(super) fn secrets_reseal(tx: &mut Tx<'_>, secrets: &[SecretRow]) -> Sql<()> {
    let sql = "UPDATE secret SET sealed = ?3, fingerprint = ?4,
            previous = CASE WHEN previous IS NULL THEN NULL ELSE ?5 END
        WHERE tenant = ?1 AND name = ?2";
    for secret in secrets {
        let values = params![secret.tenant.as_bytes(), secret.name, secret.sealed, secret.fingerprint, secret.previous];
        exec(tx.conn, sql, values)?;
    }
    tx.effects.control = true;
    Ok(())
}

/// Destinations that were paused for want of this secret go on; should it still not do, the next call pauses them again.
fn go_on(tx: &mut Tx<'_>, tenant: TenantId, secret: &str) -> Sql<()> {
    let sql = "UPDATE destination SET paused = NULL, lacks = NULL WHERE tenant = ?1 AND lacks = ?2
        RETURNING id, disabled IS NOT NULL";
    let freed = all(tx.conn, sql, params![tenant.as_bytes(), secret], |row| Ok((id(row, 0)?, row.get(1)?)))?;
    freed.into_iter().try_for_each(|(destination, disabled)| lane_pause(tx, tenant, destination, disabled))
}

/// Removes a secret.
pub(super) fn secret_delete(tx: &mut Tx<'_>, tenant: TenantId, name: &str) -> Sql<()> {
    let gone = exec(tx.conn, "DELETE FROM secret WHERE tenant = ?1 AND name = ?2", params![tenant.as_bytes(), name])?;
    must_exist(gone, || format!("there is no secret `{name}`"))?;
    tx.effects.control = true;
    Ok(())
}

/// Makes or replaces a source; its routes' lanes follow its pause.
pub(super) fn source_put(tx: &mut Tx<'_>, source: &Source) -> Sql<()> {
    let sql = "INSERT INTO source (tenant, id, name, token, paused, spec, previous_token, previous_token_until)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, token = excluded.token,
            paused = excluded.paused, spec = excluded.spec, previous_token = excluded.previous_token,
            previous_token_until = excluded.previous_token_until";
    let name = &source.spec.name;
    let (tenant, id) = (source.tenant.as_bytes(), source.id.as_bytes());
    let previous = source.previous.as_ref();
    let values = params![
        tenant,
        id,
        name,
        source.token,
        source.paused,
        to_json(&source.spec)?,
        previous.map(|previous| previous.token.as_str()),
        previous.map(|previous| previous.until.as_millis())
    ];
    conflict(exec(tx.conn, sql, values), || {
        format!("the source name `{name}` or its token is taken, or its tenant is not there")
    })?;
    let sql = "SELECT lane.id, route.paused FROM route JOIN lane
            ON lane.tenant = route.tenant AND lane.kind = 0 AND lane.target = route.id
        WHERE route.tenant = ?1 AND route.source = ?2";
    let lanes: Vec<(i64, bool)> = all(tx.conn, sql, params![tenant, id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (lane, paused) in lanes {
        lanes::pause(tx, lane, paused || source.paused)?;
        lanes::skip_after(tx, lane, source.spec.skip_after_ms)?;
    }
    tx.effects.control = true;
    Ok(())
}

/// Removes a source that no route leads from.
pub(super) fn source_delete(tx: &mut Tx<'_>, tenant: TenantId, source: SourceId) -> Sql<()> {
    let sql = "DELETE FROM source WHERE tenant = ?1 AND id = ?2";
    let gone = exec(tx.conn, sql, params![tenant.as_bytes(), source.as_bytes()]);
    let gone = conflict(gone, || format!("routes lead from the source `{source}`; remove them first"))?;
    must_exist(gone, || format!("there is no source `{source}`"))?;
    notices::forget(tx, tenant, source.as_bytes())?;
    tx.effects.control = true;
    Ok(())
}

/// Makes or replaces a destination and its lane.
pub(super) fn destination_put(tx: &mut Tx<'_>, destination: &Destination) -> Sql<()> {
    let sql = "INSERT INTO destination (tenant, id, name, paused, lacks, disabled, spec)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, paused = excluded.paused, lacks = excluded.lacks,
            disabled = excluded.disabled, spec = excluded.spec";
    let spec = &destination.spec;
    let (tenant, id) = (destination.tenant, destination.id.as_bytes());
    let Destination { paused, disabled, .. } = destination;
    let lacks = destination.lacks.as_ref().filter(|_| paused.is_some());
    let values = params![tenant.as_bytes(), id, spec.name, paused, lacks, disabled, to_json(spec)?];
    conflict(exec(tx.conn, sql, values), || {
        format!("the destination name `{}` is taken, or its tenant is not there", spec.name)
    })?;
    let stopped = destination.paused.is_some() || destination.disabled.is_some();
    let limits = Limits {
        concurrency_max: Some(spec.concurrency_max),
        rate_per_s: spec.rate_per_s,
        skip_after_ms: spec.skip_after_ms,
        waiting_max: spec.waiting_max,
    };
    lanes::put(tx, tenant, Work::Deliveries, id, stopped, limits)?;
    tx.effects.control = true;
    Ok(())
}

/// Removes a destination that nothing waits for.
pub(super) fn destination_delete(tx: &mut Tx<'_>, tenant: TenantId, destination: DestinationId) -> Sql<()> {
    let id = destination.as_bytes();
    if notices::go_to(tx.conn, tenant, destination)? {
        return Err(StoreError::Conflict(format!(
            "the tenant's notices go to `{destination}`; name another destination for them, or none"
        ))
        .into());
    }
    if let Some(lane) = lanes::find(tx.conn, tenant, Work::Deliveries, id)? {
        // Whatever is blocked has a head, and heads have a time: one look at the index of times tells.
        let sql = "SELECT 1 FROM delivery WHERE lane = ?1 AND due_at IS NOT NULL LIMIT 1";
        if first(tx.conn, sql, [lane], |_| Ok(()))?.is_some() {
            return Err(StoreError::Conflict(format!("deliveries to `{destination}` are pending")).into());
        }
        exec(tx.conn, "DELETE FROM lane WHERE id = ?1", [lane])?;
    }
    let gone = exec(tx.conn, "DELETE FROM destination WHERE tenant = ?1 AND id = ?2", params![tenant.as_bytes(), id])?;
    must_exist(gone, || format!("there is no destination `{destination}`"))?;
    tx.effects.control = true;
    Ok(())
}

/// Pauses or resumes a destination.
pub(super) fn destination_pause(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    destination: DestinationId,
    reason: Option<&str>,
    now: Timestamp,
) -> Sql<()> {
    let sql = "SELECT 1 FROM destination WHERE tenant = ?1 AND id = ?2";
    let known = first(tx.conn, sql, params![tenant.as_bytes(), destination.as_bytes()], |_| Ok(()))?;
    must_exist(usize::from(known.is_some()), || format!("there is no destination `{destination}`"))?;
    // Resuming enables too; pausing leaves a disabled one disabled.
    let sql = "UPDATE destination SET paused = ?3, lacks = NULL,
            disabled = CASE WHEN ?3 IS NULL THEN NULL ELSE disabled END
        WHERE tenant = ?1 AND id = ?2
            AND (paused IS NOT ?3 OR lacks IS NOT NULL OR (?3 IS NULL AND disabled IS NOT NULL))";
    let changed = exec(tx.conn, sql, params![tenant.as_bytes(), destination.as_bytes(), reason])? > 0;
    if reason.is_none()
        && let Some(lane) = lanes::find(tx.conn, tenant, Work::Deliveries, destination.as_bytes())?
    {
        lanes::let_go(tx, lane)?;
    }
    if !changed {
        return Ok(());
    }
    if let Some(reason) = reason {
        let fact = Fact::DestinationPaused { destination, reason: reason.to_owned() };
        notices::tell(tx, tenant, &fact, now)?;
    }
    // A disabled one stays stopped, and so does one that gets another reason.
    lane_pause(tx, tenant, destination, reason.is_some())
}

/// Does to a destination what the answer of an attempt asks for, if that attempt went by what is configured now or need not.
pub(super) fn destination_change(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    destination: DestinationId,
    change: &DestinationChange,
    seen: u64,
    now: Timestamp,
) -> Sql<()> {
    let (tenant_id, id) = (tenant.as_bytes(), destination.as_bytes());
    // Attempts under way end one after the other with the same answer; only the first of them changes something.
    let changed = match change {
        DestinationChange::Pause { reason } => {
            let sql = "UPDATE destination SET paused = ?3 WHERE tenant = ?1 AND id = ?2 AND paused IS NULL";
            exec(tx.conn, sql, params![tenant_id, id, reason])?
        }
        // What was missing may have been saved meanwhile, and nothing would resume it then.
        DestinationChange::Lacks { .. } if tx.memory.reconfigured || tx.shared.control_version() != seen => 0,
        DestinationChange::Lacks { secret, reason } => {
            let sql = "UPDATE destination SET paused = ?3, lacks = ?4 WHERE tenant = ?1 AND id = ?2 AND paused IS NULL";
            exec(tx.conn, sql, params![tenant_id, id, reason, secret])?
        }
        DestinationChange::Disable { reason } => {
            let sql = "UPDATE destination SET disabled = ?3 WHERE tenant = ?1 AND id = ?2 AND disabled IS NULL";
            exec(tx.conn, sql, params![tenant_id, id, reason])?
        }
    };
    if changed == 0 {
        return Ok(());
    }
    let fact = match change {
        DestinationChange::Pause { reason } | DestinationChange::Lacks { reason, .. } => {
            Fact::DestinationPaused { destination, reason: reason.clone() }
        }
        DestinationChange::Disable { reason } => Fact::DestinationDisabled { destination, reason: reason.clone() },
    };
    notices::tell(tx, tenant, &fact, now)?;
    lane_pause(tx, tenant, destination, true)
}

fn lane_pause(tx: &mut Tx<'_>, tenant: TenantId, destination: DestinationId, paused: bool) -> Sql<()> {
    if let Some(lane) = lanes::find(tx.conn, tenant, Work::Deliveries, destination.as_bytes())? {
        lanes::pause(tx, lane, paused)?;
    }
    tx.effects.control = true;
    Ok(())
}
