//! Timers that are lent and come back.
//!
//! Every request has bounds in time, and hardly ever is one reached.
//! tokio keeps its timers in a wheel behind a lock: to make one, enter it and take it out again
//! costs a request several times what it costs to move one that runs further away, which is a
//! single write.
//! So timers of requests that are over are kept, still running, and lent again.
//! One that runs out while nobody has it wakes nobody.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt;
use tokio::time::{Instant, Sleep, sleep_until};

/// So many timers are kept at most.
const SPARE: usize = 1024;

/// Where alarms are lent: for one worker and, since an alarm can be moved cheaply only further
/// away, for bounds of about the same length.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alarms(Arc<Mutex<Vec<Pin<Box<Sleep>>>>>);

impl Alarms {
    /// An alarm that rings at `until`.
    pub(crate) fn at(&self, until: Instant) -> Alarm {
        let spare = self.lock().pop();
        let sleep = match spare {
            Some(mut sleep) => {
                sleep.as_mut().reset(until);
                sleep
            }
            None => Box::pin(sleep_until(until)),
        };
        Alarm { sleep: Some(sleep), home: self.clone() }
    }

    /// Only one worker lends and returns: for this lock no request waits.
    fn lock(&self) -> MutexGuard<'_, Vec<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A timer that goes back when it is dropped: ready once its time has come.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// There until it is dropped.
    sleep: Option<Pin<Box<Sleep>>>,
    home: Alarms,
}

impl Alarm {
    /// Rings at `until` instead.
    pub(crate) fn move_to(&mut self, until: Instant) {
        self.sleep().reset(until);
    }

    fn sleep(&mut self) -> Pin<&mut Sleep> {
        self.sleep.as_mut().expect("it goes back only when it is dropped").as_mut()
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep().poll(cx)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let Some(mut sleep) = self.sleep.take() else { return };
        // Lets go of whoever waited for it: a waker keeps the memory of a task that is over.
        let _is_over = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut spare = self.home.lock();
        if spare.len() < SPARE {
            spare.push(sleep);
        }
    }
}

impl rt::Sleep for Alarm {}

impl rt::Timer for Alarms {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.at(Instant::now() + duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.at(deadline.into()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, new_deadline: std::time::Instant) {
        match sleep.as_mut().downcast_mut_pin::<Alarm>() {
            Some(alarm) => alarm.get_mut().move_to(new_deadline.into()),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

#[cfg(test)]
mod tests;
