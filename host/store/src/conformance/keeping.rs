//! Stories of components: what is kept, and what makes room.

use bytes::Bytes;
use creel_webhook::plugin::{Deployment, Digest, Grants};

use crate::conformance::world::{START, World};
use crate::contract::{NewComponent, NewDeployment, StoreError, StoreResult};

/// Uploads a hundred bytes at this second; there is room for three hundred and a bit.
async fn upload(world: &World, byte: u8, second: u64) -> StoreResult<bool> {
    let now = START.plus_ms(second * 1_000);
    let bytes = Bytes::from(vec![byte; 100]);
    let (tenant, digest) = (world.home.tenant, Digest::from_bytes([byte; 32]));
    world.store.component_put(NewComponent { tenant, digest, bytes, room_bytes: 333, now }).await
}

async fn deploy(world: &World, byte: u8) {
    let deployment = Deployment {
        id: world.id(),
        tenant: world.home.tenant,
        plugin: world.home.plugin,
        number: 0,
        digest: Digest::from_bytes([byte; 32]),
        config: Default::default(),
        grants: Grants::default(),
        created_at: START,
    };
    world.store.deployment_create(NewDeployment { deployment, activate: true }).await.unwrap();
}

async fn kept(world: &World) -> Vec<u8> {
    let mut kept = Vec::new();
    for byte in 0..10 {
        let read = world.store.component_read(world.home.tenant, Digest::from_bytes([byte; 32])).await.unwrap();
        kept.extend(read.map(|_| byte));
    }
    kept
}

pub(super) async fn components_that_nothing_uses_make_room_for_new_ones(world: &World) {
    for byte in 1..=3 {
        assert!(upload(world, byte, byte.into()).await.unwrap());
    }
    deploy(world, 1).await;
    assert!(!upload(world, 2, 4).await.unwrap(), "it is there");
    assert!(upload(world, 4, 5).await.unwrap());
    assert_eq!(kept(world).await, [1, 2, 4], "3 is the oldest but for what is active and what was uploaded again");
    deploy(world, 4).await;
    assert!(upload(world, 5, 6).await.unwrap());
    assert_eq!(kept(world).await, [2, 4, 5], "what was active is no more");
    let (tenant, digest) = (world.other.tenant, Digest::from_bytes([9; 32]));
    let bytes = Bytes::from(vec![9; 300]);
    let anothers = NewComponent { tenant, digest, bytes, room_bytes: 333, now: START };
    assert!(world.store.component_put(anothers).await.unwrap());
    assert_eq!(kept(world).await, [2, 4, 5], "each tenant has its own room");
}

pub(super) async fn what_is_active_leaves_room_or_none(world: &World) {
    assert!(upload(world, 1, 1).await.unwrap());
    assert!(upload(world, 2, 2).await.unwrap());
    deploy(world, 1).await;
    let big = |bytes: usize| NewComponent {
        tenant: world.home.tenant,
        digest: Digest::from_bytes([8; 32]),
        bytes: Bytes::from(vec![8; bytes]),
        room_bytes: 333,
        now: START,
    };
    let refused = world.store.component_put(big(234)).await;
    let Err(StoreError::Conflict(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("hold 100 bytes, this one has 234") && why.contains("tenant.components_bytes_max"), "{why}");
    assert_eq!(kept(world).await, [1, 2], "nothing left for nothing");
    assert!(world.store.component_put(big(233)).await.unwrap());
    assert_eq!(kept(world).await, [1, 8]);
}
