//! Files that were changed, moved or left behind.

use bytes::Bytes;

use super::*;
use crate::testing::{Bench, EMPTY, digest, guest, registry};

async fn loads(bench: &Bench, upload: &Bytes) -> u32 {
    let fresh = registry(&bench.runtime, bench.directory.path(), u64::MAX);
    let mut loads = 0;
    let load = || {
        loads += 1;
        std::future::ready(Ok::<_, String>(upload.clone()))
    };
    fresh.get(digest(upload), load).await.unwrap();
    loads
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
    let other_key = Cache::open(bench.directory.path(), bench.runtime.sandbox(), SecretBytes::new(vec![8; 32]));
    let artifact = &good[MAGIC.len() + TAG_BYTES..];
    for bad in [flipped, good[..20].to_vec(), artifact.to_vec(), Vec::new()] {
        fs::write(&path, bad).unwrap();
        assert_eq!(loads(&bench, &upload).await, 1, "compiled again");
        assert_eq!(loads(&bench, &upload).await, 0, "and mended");
    }
    assert!(other_key.unwrap().load(&digest(&upload)).unwrap().is_none(), "another master key");
    let moved = bench.registry.cache();
    fs::copy(&path, moved.path(&digest(&Bytes::new()))).unwrap();
    assert!(moved.load(&digest(&Bytes::new())).unwrap().is_none(), "another component's file");
}

#[test]
fn what_other_engines_left_is_removed() {
    let bench = Bench::new();
    let root = bench.directory.path();
    fs::create_dir_all(root.join("engine-00")).unwrap();
    fs::write(root.join("engine-00/x.aot"), "x").unwrap();
    fs::write(root.join("note"), "mine").unwrap();
    registry(&bench.runtime, root, u64::MAX);
    assert!(!root.join("engine-00").exists() && root.join("note").exists());
}
