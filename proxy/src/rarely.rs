//! A future that stands beside a busy one and hardly ever has anything to say.
//!
//! Whoever waits for the first of several futures asks all of them whenever any one woke it.
//! Beside a connection, which is woken several times for each request, timers and notices of its end would
//! be asked each time, and say no.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// Asks a future only once it has called.
#[derive(Debug)]
pub(crate) struct Rarely<F> {
    future: F,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

/// Tells that the future called, and wakes who waits for it.
#[derive(Debug)]
struct Bell {
    rang: AtomicBool,
    waits: AtomicWaker,
}

impl<F> Rarely<F> {
    pub(crate) fn new(future: F) -> Self {
        // It is asked once unasked for: before that it cannot call.
        let bell = Arc::new(Bell { rang: AtomicBool::new(true), waits: AtomicWaker::new() });
        Rarely { future, waker: Waker::from(Arc::clone(&bell)), bell }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.waits.wake();
    }
}

impl<F: Future + Unpin> Future for Rarely<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // First who waits, then whether it rang: a call between the two is heard either way.
        self.bell.waits.register(cx.waker());
        if !self.bell.rang.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let Rarely { future, waker, .. } = &mut *self;
        Pin::new(future).poll(&mut Context::from_waker(waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_only_when_it_called() {
        let asked = AtomicUsize::new(0);
        let mut sleep = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
        let counted = poll_fn(|cx| {
            asked.fetch_add(1, Ordering::Relaxed);
            sleep.as_mut().poll(cx)
        });
        let mut rarely = Rarely::new(counted);
        for _ in 0..5 {
            let polled = futures::poll!(&mut rarely);
            assert!(polled.is_pending());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        rarely.await;
        assert_eq!(asked.into_inner(), 2, "at first, and when its time had come");
    }

    #[tokio::test]
    async fn a_call_wakes_whoever_waits_now() {
        let notify = Arc::new(Notify::new());
        let mut rarely = Rarely::new(Box::pin({
            let notify = Arc::clone(&notify);
            async move { notify.notified().await }
        }));
        assert!(futures::poll!(&mut rarely).is_pending());
        // Another task takes it over.
        let waiting = tokio::spawn(rarely);
        notify.notify_one();
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    }
}
