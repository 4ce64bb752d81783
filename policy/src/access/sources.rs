//! A set of addresses, searched in the logarithm of its size.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use model::policy::Source;

use super::rules::{self, Hook};

/// Ranges of addresses, sorted and merged. An IPv4 address in IPv6 clothes is the IPv4 address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<(Ipv6Addr, Ipv6Addr)>,
}

impl Sources {
    pub(crate) fn new(sources: &[Source]) -> Self {
        let mut set = Sources::default();
        for source in sources {
            match source.0 {
                IpNet::V4(net) => set.v4.push((net.network(), net.broadcast())),
                IpNet::V6(net) => match (net.network().to_ipv4_mapped(), net.prefix_len()) {
                    (Some(first), 96..) => {
                        let last = net.broadcast().to_ipv4_mapped();
                        set.v4.push((first, last.unwrap_or(first)));
                    }
                    _ => set.v6.push((net.network(), net.broadcast())),
                },
            }
        }
        merge(&mut set.v4);
        merge(&mut set.v6);
        set
    }

    /// Its ranges as nets, the fewest that cover them.
    pub(super) fn hooks(&self) -> Vec<Hook<'static>> {
        let v4 = self.v4.iter().flat_map(|(first, last)| Ipv4Subnets::new(*first, *last, 0));
        let v4 = v4.filter_map(|net| rules::net(net.network(), net.prefix_len()));
        let v6 = self.v6.iter().flat_map(|(first, last)| Ipv6Subnets::new(*first, *last, 0));
        v4.chain(v6.filter_map(|net| rules::net(net.network(), net.prefix_len()))).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether `address`, in its canonical form, is in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => within(&self.v4, address),
            IpAddr::V6(address) => within(&self.v6, address),
        }
    }
}

/// Ranges that overlap become one, so that at most one range can hold an address.
fn merge<A: Ord + Copy>(ranges: &mut Vec<(A, A)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|later, earlier| {
        let overlap = later.0 <= earlier.1;
        if overlap {
            earlier.1 = earlier.1.max(later.1);
        }
        overlap
    });
}

fn within<A: Ord + Copy>(ranges: &[(A, A)], address: A) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after > 0 && address <= ranges[after - 1].1
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v4 = self.v4.iter().map(|(first, last)| range(first, last, first == last));
        let v6 = self.v6.iter().map(|(first, last)| range(first, last, first == last));
        f.write_str(&super::rule::some_of(v4.chain(v6)))
    }
}

fn range(first: &dyn fmt::Display, last: &dyn fmt::Display, single: bool) -> String {
    if single { first.to_string() } else { format!("{first} to {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Sources {
        let parse = |text: &&str| Source::try_from((*text).to_owned()).unwrap();
        Sources::new(&texts.iter().map(parse).collect::<Vec<_>>())
    }

    #[test]
    fn ranges_hold_what_lies_in_any_of_them() {
        let set = set(&["10.0.0.0/8", "10.1.0.0/16", "192.168.1.7", "2001:db8::/32"]);
        let holds = |text: &str| set.contains(text.parse::<IpAddr>().unwrap().to_canonical());
        for inside in ["10.0.0.0", "10.200.3.4", "10.255.255.255", "192.168.1.7", "2001:db8::9"] {
            assert!(holds(inside), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.168.1.8", "2001:db9::", "::a00:1"] {
            assert!(!holds(outside), "{outside}");
        }
        assert!(holds("::ffff:10.1.2.3"), "IPv4 in IPv6 clothes");
    }

    #[test]
    fn a_mapped_range_means_the_ipv4_range() {
        let set = set(&["::ffff:10.0.0.0/104"]);
        assert!(set.contains("10.9.9.9".parse().unwrap()));
        assert!(!set.contains("11.0.0.1".parse().unwrap()));
        assert!(Sources::new(&[]).is_empty());
    }
}
