//! Files that were changed, moved or left behind.

use std::sync::atomic::AtomicU32;

use bytes::Bytes;

use super::*;
use crate::limits::Limits;
use crate::testing::{Bench, EMPTY, digest, guest, registry, registry_over};

async fn loads(bench: &Bench, upload: &Bytes) -> u32 {
    let fresh = registry(&bench.runtime, bench.directory.path(), u64::MAX);
    let loads = AtomicU32::new(0);
    let load = || {
        loads.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, String>(upload.clone()))
    };
    fresh.get(digest(upload), load).await.unwrap();
    loads.load(Ordering::SeqCst)
}

#[tokio::test]
async fn what_was_compiled_once_is_loaded_and_what_was_changed_is_compiled_again() {
    let bench = Bench::new();
    let upload = guest("", EMPTY);
    assert_eq!(loads(&bench, &upload).await, 1, "compiled");
    assert_eq!(loads(&bench, &upload).await, 0, "from the disk");
    let path = bench.registry.cache().path(&digest(&upload));
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let other_key = SecretBytes::new(vec![8; 32]);
    let other_key = Cache::open(bench.directory.path(), bench.runtime.sandbox(), other_key, u64::MAX);
    let mut other_engine = reopened(&bench);
    other_engine.fingerprint[0] ^= 1;
    let artifact = &good[MAGIC.len() + TAG_BYTES..];
    for bad in [flipped, good[..20].to_vec(), artifact.to_vec(), Vec::new()] {
        fs::write(&path, bad).unwrap();
        assert_eq!(loads(&bench, &upload).await, 1, "compiled again");
        assert_eq!(loads(&bench, &upload).await, 0, "and mended");
    }
    assert!(other_key.unwrap().load(&digest(&upload)).unwrap().is_none(), "another master key");
    assert!(other_engine.load(&digest(&upload)).unwrap().is_none(), "another engine's file under our name");
    let moved = bench.registry.cache();
    fs::copy(&path, moved.path(&digest(&Bytes::new()))).unwrap();
    assert!(moved.load(&digest(&Bytes::new())).unwrap().is_none(), "another component's file");
}

#[test]
fn what_other_engines_left_stays_until_it_is_forgotten() {
    let bench = Bench::new();
    let root = bench.directory.path();
    fs::create_dir_all(root.join("engine-00")).unwrap();
    fs::write(root.join("engine-00/x.aot"), "x").unwrap();
    fs::write(root.join("note"), "mine").unwrap();
    let cache = reopened(&bench);
    assert!(cache.other_engines() == 1 && root.join("engine-00/x.aot").exists());
    cache.forget_other_engines();
    assert!(cache.other_engines() == 0 && !root.join("engine-00").exists() && root.join("note").exists());
}

#[tokio::test]
async fn what_a_killed_process_left_half_written_is_removed() {
    let bench = Bench::new();
    let upload = guest("", EMPTY);
    bench.prepare(upload.clone()).await;
    let half = bench.registry.cache().path(&digest(&upload)).with_extension("1-0.tmp");
    fs::write(&half, "half").unwrap();
    let cache = reopened(&bench);
    assert!(!half.exists() && cache.holds(&digest(&upload)));
}

#[tokio::test]
async fn the_disk_is_bounded_and_what_is_in_memory_stays_on_it() {
    let bench = Bench::new();
    let uploads: Vec<Bytes> = (0..4).map(|n| guest("", &format!("(drop (i32.const {n})) {EMPTY}"))).collect();
    let size = bench.prepare(uploads[0].clone()).await.artifact_bytes + (MAGIC.len() + TAG_BYTES) as u64;
    let key = SecretBytes::new(vec![7; 32]);
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path(), bench.runtime.sandbox(), key, size * 5 / 2).unwrap();
    let registry = registry_over(&bench.runtime, cache, size * 3 / 2);
    let held = |upload: &Bytes| registry.cache().path(&digest(upload)).exists();
    for index in [0, 1, 2] {
        registry.admit(uploads[index].clone(), &Limits::default()).await.unwrap();
    }
    assert_eq!(uploads.iter().map(held).collect::<Vec<_>>(), [false, true, true, false]);
    registry.keep(digest(&uploads[3]), || std::future::ready(Ok::<_, String>(uploads[3].clone()))).await.unwrap();
    assert_eq!(uploads.iter().map(held).collect::<Vec<_>>(), [false, false, true, true], "2 is in memory");
}

fn reopened(bench: &Bench) -> Cache {
    let key = SecretBytes::new(vec![7; 32]);
    Cache::open(bench.directory.path(), bench.runtime.sandbox(), key, u64::MAX).unwrap()
}
