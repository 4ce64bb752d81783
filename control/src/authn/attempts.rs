//! How often somebody may try to sign in: so often per user and per address in some minutes.
//!
//! A try counts before its password is looked at, so that many at once are no more than many in a
//! row; one that was right is forgotten. What is remembered is bounded, of users and of addresses each
//! by itself: who tries many names makes nobody forget where they come from. Whoever was tried
//! longest ago makes room.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use time::OffsetDateTime;

use super::network;

/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Failures of one user.
const PER_USER: usize = 5;
/// Failures from one address.
const PER_ADDRESS: usize = 20;
/// Users that are remembered, and as many addresses.
const KEYS: usize = 20_000;

/// The failures of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    users: Tries<String>,
    addresses: Tries<IpAddr>,
}

/// When each was tried.
#[derive(Debug)]
struct Tries<K>(HashMap<K, VecDeque<OffsetDateTime>>);

impl Attempts {
    /// Counts a try, or says how many seconds to wait.
    pub(crate) fn enter(
        &self,
        user: &str,
        address: IpAddr,
        now: OffsetDateTime,
    ) -> Result<(), u64> {
        let (user, address) = (named(user), network(address));
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of_user = all.users.wait(&user, PER_USER, now);
        if let Some(wait) = of_user.max(all.addresses.wait(&address, PER_ADDRESS, now)) {
            return Err(wait);
        }
        all.users.add(user, now);
        all.addresses.add(address, now);
        Ok(())
    }

    /// Counts a try of which nobody knows yet who makes it, or says how many seconds to wait.
    pub(crate) fn enter_from(&self, address: IpAddr, now: OffsetDateTime) -> Result<(), u64> {
        let address = network(address);
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match all.addresses.wait(&address, PER_ADDRESS, now) {
            Some(wait) => Err(wait),
            None => {
                all.addresses.add(address, now);
                Ok(())
            }
        }
    }

    /// Forgets such a try, after which somebody came in.
    pub(crate) fn succeed_from(&self, address: IpAddr) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.take_back(address);
    }

    /// Forgets the tries of a user who was right, and this one of their address.
    pub(crate) fn succeed(&self, user: &str, address: IpAddr) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.users.0.remove(&named(user));
        all.take_back(address);
    }
}

impl Failures {
    fn take_back(&mut self, address: IpAddr) {
        if let Some(tries) = self.addresses.0.get_mut(&network(address)) {
            tries.pop_back();
        }
    }
}

impl<K> Default for Tries<K> {
    fn default() -> Self {
        Tries(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Tries<K> {
    /// The seconds until one more is allowed, if that is not now.
    fn wait(&mut self, key: &K, most: usize, now: OffsetDateTime) -> Option<u64> {
        let tries = self.0.get_mut(key)?;
        while tries.front().is_some_and(|first| now - *first >= WINDOW) {
            tries.pop_front();
        }
        let first = tries.front().filter(|_| tries.len() >= most)?;
        let left = (*first + WINDOW) - now;
        Some(u64::try_from(left.whole_seconds()).unwrap_or(0) + 1)
    }

    fn add(&mut self, key: K, now: OffsetDateTime) {
        if self.0.len() >= KEYS && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        self.0.entry(key).or_default().push_back(now);
    }

    fn make_room(&mut self, now: OffsetDateTime) {
        self.0.retain(|_, tries| tries.back().is_some_and(|last| now - *last < WINDOW));
        if self.0.len() >= KEYS {
            let oldest = self.0.iter().min_by_key(|(_, tries)| tries.back().copied());
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&key);
            }
        }
    }
}

/// Names of users are at most 253 long: longer ones need not be told apart.
fn named(user: &str) -> String {
    user.chars().take(253).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn the_sixth_failure_of_a_user_waits_until_the_first_is_old() {
        let attempts = Attempts::default();
        for second in 0..5 {
            attempts.enter("alice", HERE, at(second)).unwrap();
        }
        assert_eq!(attempts.enter("alice", HERE, at(5)), Err(296));
        attempts.enter("bob", HERE, at(5)).unwrap();
        attempts.enter("alice", HERE, at(300)).unwrap();
    }

    #[test]
    fn an_address_may_fail_for_twenty_users() {
        let attempts = Attempts::default();
        for user in 0..20 {
            attempts.enter(&user.to_string(), HERE, at(0)).unwrap();
        }
        assert!(attempts.enter("another", HERE, at(1)).is_err());
        attempts.enter("another", IpAddr::from([127, 0, 0, 2]), at(1)).unwrap();
    }

    #[test]
    fn addresses_of_one_network_count_as_one() {
        let attempts = Attempts::default();
        let of = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        for host in 0..20 {
            attempts.enter(&host.to_string(), of(host), at(0)).unwrap();
        }
        assert!(attempts.enter("another", of(99), at(1)).is_err());
    }

    #[test]
    fn who_is_right_starts_anew() {
        let attempts = Attempts::default();
        for _ in 0..100 {
            attempts.enter("alice", HERE, at(0)).unwrap();
            attempts.succeed("alice", HERE);
        }
    }

    #[test]
    fn tries_of_nobody_count_for_their_address_until_somebody_came_in() {
        let attempts = Attempts::default();
        for _ in 0..100 {
            attempts.enter_from(HERE, at(0)).unwrap();
            attempts.succeed_from(HERE);
        }
        for _ in 0..20 {
            attempts.enter_from(HERE, at(0)).unwrap();
        }
        assert_eq!(attempts.enter_from(HERE, at(1)), Err(300));
        assert!(attempts.enter("alice", HERE, at(1)).is_err(), "by a password neither");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..20_100_u32 {
            let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            attempts.enter("alice", address, at(i64::from(number) * 300)).unwrap();
        }
        assert!(attempts.0.lock().unwrap().addresses.0.len() <= KEYS);
    }

    #[test]
    fn who_tries_many_names_makes_no_address_forgotten() {
        let attempts = Attempts::default();
        for user in 0..20 {
            attempts.enter(&user.to_string(), HERE, at(0)).unwrap();
        }
        // From elsewhere, so few from each place that none is told to wait.
        for number in 0..20_000_u32 {
            let address = IpAddr::from((0x0a00_0000 + number / 20).to_be_bytes());
            attempts.enter(&format!("name-{number}"), address, at(1)).unwrap();
        }
        assert_eq!(attempts.enter("another", HERE, at(2)), Err(299));
    }
}
