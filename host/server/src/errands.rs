//! Work that a request began and that must not end with its connection.
//!
//! A handler of the listener is dropped when its peer hangs up. What was begun for it (an accept that is on its way to
//! disk, a run whose claim is held) goes on here: the handler sends it as an errand and waits for its word, or does not.
//! A run's look-ups are errands too, of another carrier: a guest's thread is no place for sockets.
//! The composition root runs the [`Carrier`]; on shutdown it takes no more and finishes what it has.

use std::future::Future;
use std::pin::pin;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Takes errands; clones send to the same carrier. There are never more errands than requests or runs that wait, which
/// listener and pool bound.
#[derive(Clone)]
pub struct Errands {
    sender: UnboundedSender<BoxFuture<'static, ()>>,
}

/// Carries errands out.
pub struct Carrier {
    receiver: UnboundedReceiver<BoxFuture<'static, ()>>,
}

/// A way to send errands and the one that carries them out.
pub fn errands() -> (Errands, Carrier) {
    let (sender, receiver) = unbounded_channel();
    (Errands { sender }, Carrier { receiver })
}

impl Errands {
    /// Sends an errand off. After the carrier has ended nothing happens, and whoever waits for its word is told so by
    /// the channel that the errand held.
    pub fn send(&self, errand: impl Future<Output = ()> + Send + 'static) {
        drop(self.sender.send(errand.boxed()));
    }

    /// Has work done here, for as long as somebody waits for what comes of it: whoever drops the future ends the work.
    /// `None` after the carrier has ended.
    pub fn ask<W>(&self, work: W) -> impl Future<Output = Option<W::Output>> + Send + use<W>
    where
        W: Future<Output: Send> + Send + 'static,
    {
        let (mut tell, told) = oneshot::channel();
        self.send(async move {
            let came = tokio::select! {
                biased;
                () = tell.closed() => None,
                came = work => Some(came),
            };
            came.map(|came| tell.send(came).ok());
        });
        async move { told.await.ok() }
    }
}

impl Carrier {
    /// Carries out errands until the shutdown comes, then finishes those that were sent.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(errand) = self.receiver.recv() => drop(under_way.spawn(errand)),
                Some(_) = under_way.join_next() => {}
            }
        }
        self.receiver.close();
        while let Some(errand) = self.receiver.recv().await {
            under_way.spawn(errand);
        }
        while under_way.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_sent_before_the_shutdown_is_finished() {
        let (errands, carrier) = errands();
        let (release, released) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        errands.send(async move {
            released.await.ok();
            tell.send("done").ok();
        });
        let ended = carrier.run(std::future::ready(()));
        let (_, word) = tokio::join!(ended, async {
            release.send(()).ok();
            told.await
        });
        assert_eq!(word, Ok("done"));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_ended() {
        let (errands, carrier) = errands();
        let (held, ended) = oneshot::channel::<()>();
        let endless = errands.ask(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        let asked = errands.ask(async { 7 });
        let waiting = async {
            assert_eq!(asked.await, Some(7));
            drop(endless);
            assert!(ended.await.is_err());
        };
        tokio::select! {
            () = carrier.run(std::future::pending()) => unreachable!("it carries on"),
            () = waiting => {}
        }
    }
}
