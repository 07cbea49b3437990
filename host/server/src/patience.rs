//! Waits that have a bound and hardly ever reach it.
//!
//! A timer of the runtime is entered into a wheel that all threads share, behind a lock, and taken out again. A server
//! that does both for every request, for bounds that one in a million reaches, pays for them with every one. So:
//!
//! * [`within`] enters nothing while its work is ready at once, or after one more look: the body of most requests has come
//!   with their head, and reading it takes two looks.
//! * [`HeadTimer`] gives the HTTP library one timer per connection, that stays in the wheel from request to request. When
//!   it goes off before the bound of that moment, it is entered anew: once per bound instead of once per request.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// What `work` gives, or nothing if that takes longer than `bound`.
pub(crate) async fn within<F: Future>(bound: Duration, work: F) -> Option<F::Output> {
    let deadline = Instant::now() + bound;
    let mut work = pin!(work);
    let mut looks = 0;
    let early = std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if looks > 0 => Poll::Ready(None),
        Poll::Pending => {
            looks += 1;
            // The second look has to come, whatever `work` waits for.
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    if let Some(done) = early.await {
        return Some(done);
    }
    tokio::time::timeout_at(deadline.into(), work).await.ok()
}

/// A connection's timer for the heads of its requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeadTimer {
    kept: Kept,
}

/// What is in the wheel, whoever waits for it now.
type Kept = Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>;

/// One wait of the connection; it has one at a time.
struct Wait {
    deadline: Instant,
    kept: Kept,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { deadline, kept: Arc::clone(&self.kept) })
    }
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = kept.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            // It was entered for an earlier request.
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn work_that_ends_in_time_gives_what_it_gives() {
        assert_eq!(within(Duration::ZERO, ready(1)).await, Some(1), "it was ready at the first look");
        let after_looks = async |looks: u32| {
            for _ in 0..looks {
                tokio::task::yield_now().await;
            }
            looks
        };
        assert_eq!(within(LONG, after_looks(1)).await, Some(1));
        assert_eq!(within(LONG, after_looks(10)).await, Some(10));
    }

    #[tokio::test]
    async fn work_that_nothing_ever_wakes_is_given_up() {
        assert_eq!(within(SHORT, pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_own_bound_whatever_the_one_before_it_was() {
        let timer = HeadTimer::default();
        let began = Instant::now();
        let look = async |wait: &mut Pin<Box<dyn Sleep>>| {
            std::future::poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await
        };
        let mut first = timer.sleep(4 * SHORT);
        assert!(look(&mut first).await.is_pending(), "and is in the wheel now");
        drop(first);
        let later = timer.sleep(8 * SHORT);
        later.await;
        assert!(began.elapsed() >= 8 * SHORT, "the first wait's bound ended the second");
        let mut longest = timer.sleep(LONG);
        assert!(look(&mut longest).await.is_pending());
        drop(longest);
        tokio::time::timeout(LONG / 2, timer.sleep(SHORT)).await.expect("an earlier bound than the one in the wheel");
    }
}
