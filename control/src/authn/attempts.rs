//! How often somebody may try to sign in: so often per user and per address in some minutes.
//!
//! A try counts before its password is looked at, so that many at once are no more than many in a
//! row; one that was right is forgotten. What is remembered is bounded: the key that was tried
//! longest ago makes room.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use time::OffsetDateTime;

/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(5 * 60);
/// Failures of one user.
const PER_USER: usize = 5;
/// Failures from one address.
const PER_ADDRESS: usize = 20;
/// Users and addresses that are remembered.
const KEYS: usize = 20_000;

/// Whose tries are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    User(String),
    Address(IpAddr),
}

/// The failures of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<Key, VecDeque<OffsetDateTime>>>);

impl Attempts {
    /// Counts a try, or says how many seconds to wait.
    pub(crate) fn enter(
        &self,
        user: &str,
        address: IpAddr,
        now: OffsetDateTime,
    ) -> Result<(), u64> {
        let keys = keys(user, address);
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let wait = keys.iter().filter_map(|(key, most)| wait(all.get_mut(key)?, *most, now)).max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        for (key, _) in keys {
            if all.len() >= KEYS && !all.contains_key(&key) {
                make_room(&mut all, now);
            }
            all.entry(key).or_default().push_back(now);
        }
        Ok(())
    }

    /// Forgets the tries of a user who was right, and this one of their address.
    pub(crate) fn succeed(&self, user: &str, address: IpAddr) {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let [(user, _), (address, _)] = keys(user, address);
        all.remove(&user);
        if let Some(tries) = all.get_mut(&address) {
            tries.pop_back();
        }
    }
}

fn keys(user: &str, address: IpAddr) -> [(Key, usize); 2] {
    // Names of users are at most 253 long: longer ones need not be told apart.
    let user: String = user.chars().take(253).collect();
    [(Key::User(user), PER_USER), (Key::Address(whole(address)), PER_ADDRESS)]
}

/// One customer has a whole /64 of IPv6 addresses.
fn whole(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// The seconds until one more is allowed, if that is not now.
fn wait(tries: &mut VecDeque<OffsetDateTime>, most: usize, now: OffsetDateTime) -> Option<u64> {
    while tries.front().is_some_and(|first| now - *first >= WINDOW) {
        tries.pop_front();
    }
    let first = tries.front().filter(|_| tries.len() >= most)?;
    let left = (*first + WINDOW) - now;
    Some(u64::try_from(left.whole_seconds()).unwrap_or(0) + 1)
}

fn make_room(all: &mut HashMap<Key, VecDeque<OffsetDateTime>>, now: OffsetDateTime) {
    all.retain(|_, tries| tries.back().is_some_and(|last| now - *last < WINDOW));
    if all.len() >= KEYS {
        let oldest = all.iter().min_by_key(|(_, tries)| tries.back().copied());
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            all.remove(&key);
        }
    }
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
    fn what_is_remembered_is_bounded() {
        let attempts = Attempts::default();
        for number in 0..20_100_u32 {
            let address = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            attempts.enter("alice", address, at(i64::from(number) * 300)).unwrap();
        }
        assert!(attempts.0.lock().unwrap().len() <= KEYS);
    }
}
