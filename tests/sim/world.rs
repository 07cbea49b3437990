//! What is configured before a simulation begins: three tenants, each with a source, three routes and two destinations.

use std::io;
use std::sync::{Arc, OnceLock};

use creel_store::contract::Store;
use creel_store::sqlite::{LogSync, Options, SqliteStore};
use creel_webhook::clock::Timestamp;
use creel_webhook::destination::{Destination, Kind};
use creel_webhook::id::{DestinationId, Id, Kind as IdKind, PluginId, RouteId, SourceId, TenantId};
use creel_webhook::notice::Notices;
use creel_webhook::plugin::Plugin;
use creel_webhook::route::{Late, Mode, Route};
use creel_webhook::source::Source;
use creel_webhook::tenant::Tenant;

use crate::dice::Dice;
use crate::disk::{Disk, Image};
use crate::vfs::{LOG, Mounted};

/// When simulations begin.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Tenants.
pub(crate) const TENANTS: usize = 3;

/// Calls on their way at the same time, by destination.
pub(crate) const CONCURRENCY_MAX: [u32; 2] = [3, 8];

/// Calls that may wait, by destination: more than the first lets go at a time, and soon too few.
pub(crate) const WAITING_MAX: [u32; 2] = [6, 10_000];

/// Days for which bodies are kept.
pub(crate) const BODY_DAYS: u64 = 7;

/// Days for which everything else is kept.
pub(crate) const RECORD_DAYS: u64 = 30;

/// Tenants that named a destination for notices: the first ones.
pub(crate) const TOLD: usize = 2;

/// What each destination is, by its place.
pub(crate) const KINDS: [Kind; 2] = [Kind::Webhook, Kind::Api];

/// Delays before attempts, milliseconds.
pub(crate) const RETRY_MS: [u64; 5] = [0, 1_000, 5_000, 30_000, 60_000];

/// How long one that fails holds those behind it in its order key, milliseconds: shorter than the longest delays, so
/// that there is somebody to pass.
pub(crate) const SKIP_AFTER_MS: u64 = 20_000;

/// What a tenant has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shop {
    /// The tenant.
    pub(crate) tenant: TenantId,
    /// Its source.
    pub(crate) source: SourceId,
    /// Its plugin.
    pub(crate) plugin: PluginId,
    /// Two routes in mode `ack`, and one in mode `reply`.
    pub(crate) routes: [RouteId; 3],
    /// A receiver of webhooks and an API.
    pub(crate) destinations: [DestinationId; 2],
    /// Where its notices go, if it named that.
    pub(crate) ops: DestinationId,
}

impl Shop {
    /// One of its routes, as it is configured first.
    pub(crate) fn route(self, number: usize) -> Route {
        Route {
            id: self.routes[number],
            tenant: self.tenant,
            name: format!("r{number}"),
            source: self.source,
            pattern: "*".parse().expect("a pattern"),
            plugin: self.plugin,
            mode: if number == 2 { Mode::Reply } else { Mode::Ack },
            late: Late::Drop,
            paused: false,
        }
    }
}

/// What all simulations begin with.
pub(crate) struct World {
    /// The tenants.
    pub(crate) shops: Vec<Shop>,
    /// The store's files with all of it.
    pub(crate) image: Image,
}

/// An id from a number; later numbers sort later.
pub(crate) fn id<K: IdKind>(number: u64) -> Id<K> {
    let mut entropy = [0; 10];
    entropy[2..].copy_from_slice(&number.to_be_bytes());
    Id::new(START.plus_ms(number), entropy)
}

/// The world, made once by the real store on a disk that never fails.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(make())
    })
}

/// As shipped, but with so few keys in memory that lives are long enough to merge them.
pub(crate) fn options(disk: Arc<Disk>) -> Options {
    let log_sync = LogSync::Layer(Arc::new(move || disk.sync(LOG).map_err(|why| io::Error::other(format!("{why:?}")))));
    Options { young_keys_max: 5, body_days: BODY_DAYS, record_days: RECORD_DAYS, log_sync, ..Options::default() }
}

async fn make() -> World {
    let mounted = Mounted::new(Disk::new(&Image::new(), Dice::default()));
    let store = SqliteStore::open(mounted.database(), options(mounted.disk.clone())).expect("the store opens");
    let mut shops = Vec::new();
    for tenant in 0..TENANTS as u64 {
        let first = 1 + tenant * 10;
        let shop = Shop {
            tenant: id(first),
            source: id(first + 1),
            plugin: id(first + 2),
            routes: [id(first + 3), id(first + 4), id(first + 5)],
            destinations: [id(first + 6), id(first + 7)],
            ops: id(first + 8),
        };
        fill(&store, shop, &format!("shop-{tenant}")).await;
        if shops.len() < TOLD {
            let notices =
                Notices { tenant: shop.tenant, destination: shop.ops, refusals_percent: 20, refusals_min: 20 };
            store.notices_put(notices).await.expect("a destination for notices");
        }
        shops.push(shop);
    }
    store.close().await.expect("the store closes");
    World { shops, image: mounted.disk.survivor() }
}

async fn fill(store: &SqliteStore, shop: Shop, name: &str) {
    let tenant = shop.tenant;
    let row = Tenant { id: tenant, name: name.to_owned(), created_at: START, limits: Default::default() };
    store.tenant_put(row).await.expect("a tenant");
    let spec = serde_json::json!({ "name": "s", "preset": "custom", "skip_after_ms": SKIP_AFTER_MS });
    let spec = serde_json::from_value(spec).expect("a spec");
    let source =
        Source { id: shop.source, tenant, token: shop.source.to_string(), previous: None, paused: false, spec };
    store.source_put(source).await.expect("a source");
    let plugin = Plugin { id: shop.plugin, tenant, name: "p".to_owned(), active: None };
    store.plugin_put(plugin).await.expect("a plugin");
    for number in 0..shop.routes.len() {
        store.route_put(shop.route(number)).await.expect("a route");
    }
    let spec = serde_json::json!({ "name": "ops", "url": "https://ops.example/" });
    let spec = serde_json::from_value(spec).expect("a spec");
    let row = Destination { id: shop.ops, tenant, paused: None, lacks: None, disabled: None, spec };
    store.destination_put(row).await.expect("a destination");
    for (number, destination) in shop.destinations.into_iter().enumerate() {
        let spec = serde_json::json!({
            "name": format!("d{number}"),
            "url": "https://receiver.example/",
            "kind": KINDS[number],
            "retry_ms": RETRY_MS,
            "skip_after_ms": SKIP_AFTER_MS,
            "concurrency_max": CONCURRENCY_MAX[number],
            "waiting_max": WAITING_MAX[number],
        });
        let spec = serde_json::from_value(spec).expect("a spec");
        let row = Destination { id: destination, tenant, paused: None, lacks: None, disabled: None, spec };
        store.destination_put(row).await.expect("a destination");
    }
}
