//! Many callers, failures, and what leaves memory first.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::testing::{Bench, EMPTY, digest, guest, registry};

#[tokio::test]
async fn what_many_want_is_prepared_once() {
    let bench = Bench::new();
    let upload = guest("", EMPTY);
    let loads = AtomicU32::new(0);
    let get = || {
        bench.registry.get(digest(&upload), || async {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, String>(upload.clone())
        })
    };
    let (a, b, c) = tokio::join!(get(), get(), get());
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    assert!(Arc::ptr_eq(&a.as_ref().unwrap().clone(), &b.unwrap()) && Arc::ptr_eq(&a.unwrap(), &c.unwrap()));
}

#[tokio::test]
async fn a_failure_is_not_remembered_and_wrong_bytes_are_told() {
    let bench = Bench::new();
    let upload = guest("", EMPTY);
    let wanted = digest(&upload);
    let error = bench.registry.get(wanted, || async { Err::<Bytes, _>("disk on fire") }).await.unwrap_err();
    assert!(error.to_string().contains("disk on fire"));
    let error = bench.registry.get(wanted, || async { Ok::<_, String>(Bytes::new()) }).await.unwrap_err();
    assert!(matches!(error, PrepareError::Damaged { .. }));
    bench.registry.get(wanted, || async { Ok::<_, String>(upload.clone()) }).await.unwrap();
}

#[tokio::test]
async fn what_was_used_longest_ago_leaves_first() {
    let bench = Bench::new();
    let uploads: Vec<Bytes> = (0..3).map(|n| guest("", &format!("(drop (i32.const {n})) {EMPTY}"))).collect();
    let size = bench.prepare(uploads[0].clone()).await.artifact_bytes;
    let registry = registry(&bench.runtime, bench.directory.path(), size * 5 / 2);
    for index in [0, 1, 0, 2] {
        registry.admit(uploads[index].clone(), &Limits::default()).await.unwrap();
    }
    let slots = registry.slots.lock().unwrap();
    let held: Vec<bool> = uploads.iter().map(|upload| slots.by_digest.contains_key(&digest(upload))).collect();
    assert_eq!(held, [true, false, true]);
}
