//! A way to a host that can be cut: connections end in the middle of whatever they carry, and new ones lead nowhere.
//!
//! Whoever speaks to a host through it finds the host away without anybody's having to give up a port, and finds it there
//! again wherever it listens by then.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The way; it ends when dropped.
pub(crate) struct Way {
    address: SocketAddr,
    leads_to: watch::Sender<Option<SocketAddr>>,
    bytes_left: Arc<AtomicU64>,
    carrying: JoinHandle<()>,
}

impl Way {
    /// A way to the host at this URL.
    pub(crate) async fn to(url: &str) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (leads_to, end) = watch::channel(Some(address_of(url)));
        let bytes_left = Arc::new(AtomicU64::new(u64::MAX));
        let carrying = tokio::spawn(carry(listener, end, bytes_left.clone()));
        Way { address, leads_to, bytes_left, carrying }
    }

    /// The URL by which it is gone.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends all connections; new ones are closed at once.
    pub(crate) fn cut(&self) {
        self.leads_to.send_replace(None);
    }

    /// Leads to the host at this URL from now on. The first connection carries so many bytes of answers and is cut then.
    pub(crate) fn leads_to(&self, url: &str, first_bytes: u64) {
        self.bytes_left.store(first_bytes, Ordering::SeqCst);
        self.leads_to.send_replace(Some(address_of(url)));
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

fn address_of(url: &str) -> SocketAddr {
    url.strip_prefix("http://")
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("{url} is no address"))
}

async fn carry(listener: TcpListener, end: watch::Receiver<Option<SocketAddr>>, bytes_left: Arc<AtomicU64>) {
    loop {
        let (near, _) = listener.accept().await.expect("the listener lives");
        let mut end = end.clone();
        let Some(address) = *end.borrow_and_update() else { continue };
        let bytes = bytes_left.swap(u64::MAX, Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::select! {
                () = join(near, address, bytes) => {}
                _ = end.changed() => {}
            }
        });
    }
}

/// Carries bytes both ways until one of the two ends, or the answers have so many bytes.
async fn join(mut near: TcpStream, address: SocketAddr, bytes: u64) {
    let Ok(mut far) = TcpStream::connect(address).await else { return };
    let ((mut asks, mut hears), (answers, mut asked)) = (near.split(), far.split());
    let mut answers = answers.take(bytes);
    tokio::select! {
        _ = copy(&mut asks, &mut asked) => {}
        _ = copy(&mut answers, &mut hears) => {}
    }
}
