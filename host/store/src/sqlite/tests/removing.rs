//! A removed tenant is in no file, whatever stops the process between two steps.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use creel_webhook::clock::Timestamp;
use creel_webhook::delivery::Next;
use creel_webhook::id::{DeploymentId, KeyId};
use creel_webhook::notice::Notices;
use creel_webhook::plugin::{Deployment, Digest, Grants};
use creel_webhook::run::{LogLevel, LogLine, RunNext, Verdict};
use creel_webhook::state::StateWrite;
use creel_webhook::tenant::{ApiKey, Role};
use rusqlite::Connection;

use super::open as open_default;
use crate::conformance::{START, World};
use crate::contract::{
    Deed, EventFilter, NewComponent, NewDeployment, RefusalRow, RunCommit, SecretRow, StateWrites, Store, StoreError,
    Trail,
};
use crate::sqlite::removing::testing::tables;
use crate::sqlite::statement::all;
use crate::sqlite::{Options, SqliteStore};

/// Stands in everything of the tenant that is removed.
const CANARY: &str = "canary-of-the-one-who-leaves;";

const DAY_MS: u64 = 86_400_000;

fn open(path: &Path) -> Arc<dyn Store> {
    let options = Options { young_keys_max: 3, body_days: 1, ..Options::default() };
    Arc::new(SqliteStore::open(path, options).unwrap())
}

/// How often something stands in the files of the store.
fn found(dir: &Path, what: &[u8]) -> usize {
    let count = |bytes: Vec<u8>| bytes.windows(what.len()).filter(|window| *window == what).count();
    std::fs::read_dir(dir).unwrap().map(|file| count(std::fs::read(file.unwrap().path()).unwrap())).sum()
}

#[test]
fn every_table_that_has_tenants_is_removed_from() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_default(&dir));
    let conn = Connection::open(dir.path().join("creel.db")).unwrap();
    let sql = "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'tenant'";
    let there: BTreeSet<String> = all(&conn, sql, [], |row| row.get(0)).unwrap().into_iter().collect();
    let removed: BTreeSet<String> = tables().into_iter().map(str::to_owned).collect();
    assert_eq!(there, removed, "say in `removing` how a new table's rows of a tenant go");
}

/// Everything that a tenant can have, each with the canary in it.
async fn fill(world: &World) {
    let (home, store) = (world.home, &world.store);
    configure(world).await;
    let large = CANARY.repeat(2_000);
    for (number, body) in [CANARY.to_owned(), large.clone(), format!("[{CANARY},2]")].into_iter().enumerate() {
        let mut accept = world.accept(home, "x");
        accept.request.headers.push(("x-canary".into(), CANARY.into()));
        accept.request.body = body.into();
        accept.answer.body = CANARY.into();
        let event = &mut accept.events[0];
        (event.kind, event.provider_id, event.subject) = (CANARY.into(), Some(CANARY.into()), Some(CANARY.into()));
        event.dedup_keys = (0..3).map(|key| [u8::try_from(10 * number + key).unwrap(); 32]).collect();
        event.dedup_until = START.plus_ms(90 * DAY_MS);
        event.runs[0].order_key = Some(CANARY.into());
        world.stored(accept).await;
    }
    for claim in world.claim(START, 2).await {
        let ticket = claim.ticket;
        let mut call = world.call(Some(CANARY));
        call.call.path = format!("/{CANARY}");
        call.call.body = Some(large.clone().into());
        call.call.headers = vec![("x-canary".into(), CANARY.into())];
        let line = LogLine { level: LogLevel::Info, message: CANARY.into() };
        let write = StateWrite { key: CANARY.into(), value: Some(CANARY.into()) };
        let state = StateWrites { writes: vec![write], keys_max: 9, bytes_max: 1 << 20 };
        let commit = world.commit(ticket.run, ticket.claim, START, Verdict::Done, RunNext::End);
        let commit =
            RunCommit { reason: Some(CANARY.into()), log: vec![line], record: world.record(CANARY), state, ..commit };
        store.run_commit(RunCommit { calls: vec![call], ..commit }).await.unwrap();
    }
    let sent = world.send(START, 1).await.remove(0);
    let mut answered = world.sent(&sent, START, 400, Next::Dead { reason: CANARY.into() });
    answered.attempt.response_head = CANARY.into();
    store.delivery_commit(answered).await.unwrap();
    world.stored(world.accept_reply(1_000, Some(60_000))).await;
    // Bodies that went by their age left free pages behind.
    while store.prune(START.plus_ms(2 * DAY_MS)).await.unwrap() {}
}

async fn configure(world: &World) {
    let (home, store) = (world.home, &world.store);
    let (tenant, at) = (home.tenant, START);
    let (detail, peer) = (CANARY.into(), CANARY.into());
    let refusal = RefusalRow { at, source: home.source, reason: "no_match".into(), detail, peer };
    store.refusal_record(tenant, refusal).await.unwrap();
    let secret = SecretRow {
        id: world.id(),
        tenant,
        name: CANARY.to_owned(),
        sealed: CANARY.into(),
        previous: Some(CANARY.into()),
        previous_until: Some(START.plus_ms(9 * DAY_MS)),
        origins: vec![CANARY.to_owned()],
        fingerprint: [0; 32],
        updated_at: at,
    };
    store.secret_put(secret).await.unwrap();
    let key = ApiKey {
        id: world.id(),
        tenant: Some(tenant),
        role: Role::TenantAdmin,
        payload_read: true,
        name: CANARY.into(),
        hash: [1; 32],
        created_at: at,
        expires_at: None,
        last_used_at: None,
    };
    store.key_put(key).await.unwrap();
    let digest = Digest::of(CANARY.as_bytes());
    let bytes = CANARY.repeat(3_000).into();
    store.component_put(NewComponent { tenant, digest, bytes, room_bytes: 1 << 30, now: at }).await.unwrap();
    let config = [(CANARY.to_owned(), CANARY.to_owned())].into_iter().collect();
    let id: DeploymentId = world.id();
    let deployment = Deployment {
        id,
        tenant,
        plugin: home.plugin,
        number: 0,
        digest,
        config,
        grants: Grants::default(),
        created_at: at,
    };
    store.deployment_create(NewDeployment { deployment, activate: true }).await.unwrap();
    let notices = Notices { tenant, destination: home.destination, refusals_percent: 20, refusals_min: 20 };
    store.notices_put(notices).await.unwrap();
    let deed = |tenant, object: &str| Deed {
        at,
        tenant,
        key: KeyId::NIL,
        key_name: "ops".into(),
        role: Role::Operator,
        what: "PUT /v1/tenants/{tenant}".into(),
        object: object.into(),
        peer: "127.0.0.1".into(),
    };
    store.audit_begin(deed(Some(tenant), CANARY)).await.unwrap();
    store.audit_begin(deed(None, "DELETE /v1/tenants/one")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_removed_tenant_is_in_any_file_wherever_the_process_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("creel.db");
    let mut world = World::new(open(&path)).await;
    fill(&world).await;
    let digest = Digest::of(CANARY.as_bytes());
    let (tenant, other) = (world.home.tenant, world.other);
    assert_eq!(world.store.tenant_components(tenant).await.unwrap(), [digest]);
    let room_bytes = 1 << 30;
    let shared = NewComponent { tenant: other.tenant, digest, bytes: "shared".into(), room_bytes, now: START };
    world.store.component_put(shared).await.unwrap();
    assert!(world.store.tenant_components(tenant).await.unwrap().is_empty(), "another has it too");
    assert!(found(dir.path(), CANARY.as_bytes()) > 1_000 && found(dir.path(), tenant.as_bytes()) > 20);

    let now: Timestamp = START.plus_ms(3 * DAY_MS);
    world.store.tenant_leave(tenant, now).await.unwrap();
    let mut accepts = 0;
    loop {
        let more = world.store.tenant_remove(tenant).await.unwrap();
        world.stored(world.accept(other, "served meanwhile")).await;
        accepts += 1;
        world.store.close().await.unwrap();
        world.store = open(&path);
        if !more {
            break;
        }
    }
    assert!(accepts > 10, "one step takes one kind of thing");
    while world.store.scrub().await.unwrap() {}
    assert_eq!(found(dir.path(), CANARY.as_bytes()), 0);
    assert_eq!(found(dir.path(), tenant.as_bytes()), 0, "not even its id");

    let filter = EventFilter { limit: 500, ..Default::default() };
    assert_eq!(world.store.event_list(other.tenant, filter).await.unwrap().events.len(), accepts);
    assert!(world.store.component_read(other.tenant, digest).await.unwrap().is_some());
    let trail = world.store.audit_list(Trail::Whole, None, 10).await.unwrap();
    assert_eq!(trail.iter().map(|row| row.deed.object.as_str()).collect::<Vec<_>>(), ["DELETE /v1/tenants/one"]);
    let late = world.store.accept(world.accept(world.home, "late")).await;
    assert!(matches!(late, Err(StoreError::NotFound(_))), "{late:?}");
    world.store.close().await.unwrap();
    assert_eq!(found(dir.path(), tenant.as_bytes()), 0);
}
