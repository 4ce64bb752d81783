//! Consistent hashing: the same endpoint for the same key, whoever draws, and few keys that move when
//! endpoints come or go.
//!
//! Each endpoint has many places on a circle of numbers, by its address; a key goes to the endpoint
//! whose place is the next one (Karger et al., 1997). Every process computes the same places.

use std::net::SocketAddr;

/// Places of each endpoint: more make shares more alike. With a hundred they differ by about a tenth.
const PLACES: u64 = 100;

/// The places of all endpoints.
#[derive(Debug, Default)]
pub(crate) struct Ring(Box<[(u64, u32)]>);

impl Ring {
    /// Of endpoints at these addresses.
    pub(crate) fn of(addresses: impl Iterator<Item = SocketAddr>) -> Self {
        let places = addresses.enumerate().flat_map(|(index, address)| {
            let own = hash(address.to_string().as_bytes());
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            (0..PLACES).map(move |nth| (mix(own ^ mix(nth)), index))
        });
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        Ring(places.into())
    }

    /// The endpoints in the order in which `key` wants them, some more than once.
    pub(super) fn order(&self, key: u64) -> impl Iterator<Item = usize> {
        let first = self.0.partition_point(|(place, _)| *place < key);
        let (before, behind) = self.0.split_at(first);
        behind.iter().chain(before).map(|(_, index)| *index as usize)
    }
}

/// The number of a key on the circle.
pub(crate) fn hash(key: &[u8]) -> u64 {
    // FNV-1a, whose low bits are then spread over all.
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    mix(key.iter().fold(0xCBF2_9CE4_8422_2325, step))
}

/// Spreads what differs in few bits over all of them (the end of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}
