//! Many callers, failures, and what leaves memory first.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::gate::compile::CompilerOptions;
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
    assert!(matches!(*error, PrepareError::Damaged { .. }));
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
    let slots = registry.slots();
    assert_eq!(slots.bytes, size * 2);
    let held: Vec<bool> = uploads.iter().map(|upload| slots.by_digest.contains_key(&digest(upload))).collect();
    assert_eq!(held, [true, false, true]);
}

#[tokio::test]
async fn no_more_components_are_in_memory_than_have_descriptors() {
    let bench = Bench::new();
    let registry = registry(&bench.runtime, bench.directory.path(), u64::MAX).holding_at_most(2);
    for number in 0..5 {
        let upload = guest("", &format!("(drop (i32.const {number})) {EMPTY}"));
        registry.admit(upload.clone(), &Limits::default()).await.unwrap();
        let slots = registry.slots();
        assert!(slots.by_digest.len() <= 2 && slots.by_digest.contains_key(&digest(&upload)), "{number}");
    }
}

/// A compiler that notes each time that it is asked, and takes its time.
fn counting(directory: &std::path::Path, then: &str) -> (Compiler, std::path::PathBuf) {
    let asked = directory.join("asked");
    let script = format!("echo x >> {}; cat > /dev/null; {then}", asked.display());
    let command = Some(("/bin/sh".into(), vec!["-c".into(), script.into()]));
    (Compiler::new(CompilerOptions { command, ..CompilerOptions::default() }), asked)
}

fn times(asked: &std::path::Path) -> usize {
    std::fs::read_to_string(asked).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn a_component_that_does_not_compile_costs_those_who_upload_it_at_once_one_attempt() {
    let bench = Bench::new();
    let (compiler, asked) = counting(bench.directory.path(), "echo odd >&2; exit 1");
    let registry = Registry::new(bench.runtime.sandbox(), cache_of(&bench), compiler, Limits::default(), u64::MAX);
    let limits = Limits::default();
    let admit = || registry.admit(guest("", EMPTY), &limits);
    let (a, b, c) = tokio::join!(admit(), admit(), admit());
    for ended in [a, b, c] {
        assert!(matches!(*ended.unwrap_err(), PrepareError::Compile(CompileError::Refused(_))));
    }
    assert_eq!(times(&asked), 1);
    assert!(admit().await.is_err());
    assert_eq!(times(&asked), 2, "it is not remembered");
    assert!(registry.slots().by_digest.is_empty());
}

#[tokio::test]
async fn who_gives_up_leaves_nothing_behind() {
    let bench = Bench::new();
    let upload = guest("", EMPTY);
    let mut waiting = Box::pin(bench.registry.get(digest(&upload), std::future::pending::<Result<Bytes, String>>));
    assert!(looked_at(waiting.as_mut()).await.is_none());
    assert_eq!(bench.registry.slots().by_digest.len(), 1);
    drop(waiting);
    assert!(bench.registry.slots().by_digest.is_empty());
}

/// One look at a future.
async fn looked_at<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn what_one_cannot_read_another_reads() {
    let bench = Bench::new();
    let upload = guest("", EMPTY);
    let load = |own: bool| {
        let upload = upload.clone();
        move || {
            let upload = upload.clone();
            async move {
                tokio::task::yield_now().await;
                if own { Ok(upload) } else { Err("not mine") }
            }
        }
    };
    let wanted = digest(&upload);
    // In this order, however often they are looked at: whoever comes later would else be first now and then.
    let (a, b, c) = tokio::join!(
        biased;
        bench.registry.get(wanted, load(false)),
        bench.registry.get(wanted, load(false)),
        bench.registry.get(wanted, load(true))
    );
    assert!(a.is_err() && b.is_err() && c.is_ok());
}

#[tokio::test]
async fn code_is_made_for_the_disk_alone_once() {
    let bench = Bench::new();
    let upload = guest("", EMPTY);
    let loads = AtomicU32::new(0);
    let load = || {
        loads.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, String>(upload.clone()))
    };
    assert!(bench.registry.keep(digest(&upload), load).await.unwrap());
    assert!(bench.registry.slots().by_digest.is_empty(), "it takes no memory");
    assert!(!bench.registry.keep(digest(&upload), load).await.unwrap());
    bench.registry.get(digest(&upload), load).await.unwrap();
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    let bytes = bench.prepare(upload.clone()).await.artifact_bytes;
    assert_eq!(bench.registry.slots().bytes, bytes);
}

#[tokio::test]
async fn a_run_waits_for_one_upload_at_most() {
    let bench = Bench::new();
    let go = bench.directory.path().join("go");
    let then = format!("while ! test -e {}; do sleep 0.01; done; exit 1", go.display());
    let (compiler, asked) = counting(bench.directory.path(), &then);
    let registry = Registry::new(bench.runtime.sandbox(), cache_of(&bench), compiler, Limits::default(), u64::MAX);
    let registry = Arc::new(registry);
    let uploads: Vec<Bytes> = (0..4).map(|n| guest("", &format!("(drop (i32.const {n})) {EMPTY}"))).collect();
    let (ended, read) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU32::new(0)));
    let start = |index: usize, run: bool| {
        let (registry, upload, ended) = (registry.clone(), uploads[index].clone(), ended.clone());
        let read = read.clone();
        tokio::spawn(async move {
            let wanted = digest(&upload);
            let load = || {
                read.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Ok::<_, String>(upload.clone()))
            };
            let ready = match run {
                true => registry.get(wanted, load).await,
                false => registry.admit(upload.clone(), &Limits::default()).await,
            };
            assert!(ready.is_err());
            ended.lock().unwrap().push(index);
        })
    };
    let slots = || registry.slots().by_digest.len();
    let mut all = vec![start(0, false)];
    until(|| times(&asked) == 1).await;
    all.extend([start(1, false), start(2, false)]);
    until(|| slots() == 3).await;
    all.push(start(3, true));
    // There is one thread here: who has read the upload has taken its place before anybody looks.
    until(|| slots() == 4 && read.load(Ordering::SeqCst) == 1).await;
    std::fs::write(&go, "").unwrap();
    for one in all {
        one.await.unwrap();
    }
    assert_eq!(ended.lock().unwrap()[..2], [0, 3]);
}

async fn until(holds: impl Fn() -> bool) {
    let bound = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < bound, "it never came");
        tokio::task::yield_now().await;
    }
}

fn cache_of(bench: &Bench) -> Cache {
    let key = creel_webhook::secret::SecretBytes::new(vec![7; 32]);
    Cache::open(bench.directory.path(), bench.runtime.sandbox(), key, u64::MAX).unwrap()
}
