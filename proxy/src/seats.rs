//! How many connections are open through listeners, in all and from one address: beyond the bounds nobody is let
//! in. Without bounds nothing is counted.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::settings::Limits;

/// The connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    all: AtomicUsize,
    /// Looked at where a connection begins and ends, and by no request.
    each: Mutex<HashMap<IpAddr, usize>>,
    /// How many were refused since that was told, and when it was.
    untold: Mutex<(u64, Option<Instant>)>,
}

/// How often it is told that connections are refused.
const TOLD: Duration = Duration::from_secs(60);

/// What a connection has of them for as long as it is open.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    seats: Option<Arc<Seats>>,
    of: Option<IpAddr>,
}

impl Seats {
    /// One for a connection, if there is one left.
    pub(crate) fn take(self: &Arc<Self>, limits: &Limits) -> Option<Seat> {
        if limits.connections.is_none() && limits.connections_each.is_none() {
            return Some(Seat::default());
        }
        let most = limits.connections.unwrap_or(usize::MAX);
        let one_more = |open: usize| (open < most).then(|| open + 1);
        self.all.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(Seat { seats: Some(Arc::clone(self)), of: None })
    }
}

impl Seats {
    /// Notes that there was none; and now and then how many found none, where that is to be told.
    pub(crate) fn refused(&self, now: Instant) -> Option<u64> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, last) = &mut *untold;
        *count += 1;
        if last.is_some_and(|last| now.saturating_duration_since(last) < TOLD) {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(count))
    }

    /// One for the datagrams of an address, if it may have one more; in all they are bounded elsewhere.
    pub(crate) fn take_for(self: &Arc<Self>, limits: &Limits, from: IpAddr) -> Option<Seat> {
        let mut seat = Seat::default();
        if limits.connections_each.is_some() {
            self.all.fetch_add(1, Relaxed);
            seat.seats = Some(Arc::clone(self));
        }
        seat.is_for(limits, from).then_some(seat)
    }
}

impl Seat {
    /// Whether an address has it, too; else it is to be given back.
    pub(crate) fn is_for(&mut self, limits: &Limits, from: IpAddr) -> bool {
        let (Some(seats), Some(most)) = (&self.seats, limits.connections_each) else { return true };
        let from = together(from);
        let mut each = seats.each.lock().unwrap_or_else(PoisonError::into_inner);
        let open = each.entry(from).or_default();
        if *open >= most {
            return false;
        }
        *open += 1;
        self.of = Some(from);
        true
    }
}

/// What counts as one address: of IPv6 a network of 64 bits, all of which anybody has who has one.
fn together(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(from) => {
            let [a, b, c, d, ..] = from.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        from @ IpAddr::V4(_) => from,
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(seats) = &self.seats else { return };
        seats.all.fetch_sub(1, Relaxed);
        let Some(of) = self.of else { return };
        let mut each = seats.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = each.get_mut(&of) {
            *open -= 1;
            if *open == 0 {
                each.remove(&of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_at_once_and_then_together() {
        let (seats, began) = (Seats::default(), Instant::now());
        let refused =
            [0, 1, 59, 61, 62, 121].map(|at| seats.refused(began + Duration::from_secs(at)));
        assert_eq!(refused, [Some(1), None, None, Some(3), None, Some(2)]);
    }

    fn bounded(connections: Option<usize>, connections_each: Option<usize>) -> Limits {
        Limits { connections, connections_each, ..Limits::default() }
    }

    #[test]
    fn each_address_has_its_own_share_and_gets_it_back() {
        let (seats, limits) = (Arc::new(Seats::default()), bounded(None, Some(2)));
        let take = |from: &str| {
            let mut seat = seats.take(&limits)?;
            seat.is_for(&limits, from.parse().unwrap()).then_some(seat)
        };
        let (first, second) = (take("192.0.2.1"), take("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some() && take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        let _six = [take("2001:db8::1"), take("2001:db8::ffff:0:0:1")];
        assert!(take("2001:db8::2").is_none());
        assert!(take("2001:db8:0:1::1").is_some());
        drop(second);
        assert_eq!(seats.each.lock().unwrap().len(), 1, "only who has one is remembered");
        assert_eq!(seats.all.load(Relaxed), 2);
    }

    #[test]
    fn the_datagrams_of_an_address_are_bounded_alone() {
        let seats = Arc::new(Seats::default());
        let (limits, from) = (bounded(Some(1), Some(2)), IpAddr::from([192, 0, 2, 1]));
        let taken = [seats.take_for(&limits, from), seats.take_for(&limits, from)];
        assert!(taken.iter().all(Option::is_some) && seats.take_for(&limits, from).is_none());
        assert!(seats.take_for(&limits, IpAddr::from([192, 0, 2, 2])).is_some());
        drop(taken);
        assert!(seats.take_for(&limits, from).is_some());
        assert!(seats.take_for(&bounded(Some(0), None), from).is_some());
        assert_eq!(seats.all.load(Relaxed), 0);
    }

    #[test]
    fn all_together_have_no_more_than_there_are() {
        let (seats, limits) = (Arc::new(Seats::default()), bounded(Some(2), Some(2)));
        let take = |last: u8| {
            let mut seat = seats.take(&limits)?;
            seat.is_for(&limits, IpAddr::from([192, 0, 2, last])).then_some(seat)
        };
        let taken = [take(1), take(2)];
        assert!(taken.iter().all(Option::is_some) && take(3).is_none());
        drop(taken);
        assert!(take(3).is_some());
        assert_eq!(seats.all.load(Relaxed), 0);
        assert!(seats.each.lock().unwrap().is_empty());
    }
}
