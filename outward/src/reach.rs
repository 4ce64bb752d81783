//! Which addresses may be asked on behalf of who writes a URL.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Where others may have us go: to the public addresses of the internet, and to those that the platform lists. Not
/// to loopback, link-local addresses or into private networks, where what answers may trust whoever reaches it, and
/// where the keys to a cloud lie. Whether a public address is this machine's or a neighbour's, nobody can tell.
#[derive(Debug, Clone, Default)]
pub struct Reach(Vec<IpNet>);

/// What of IPv4 is no public address (IANA's registry of special-purpose addresses, RFC 6890): first address and
/// length of the prefix.
const CLOSED: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// The same of what lies in 2000::/3 of IPv6, outside of which nothing is public: protocols (Teredo among them),
/// 6to4, which hides an address of IPv4, and documentation. First 32 bits and length of the prefix.
const CLOSED_V6: [(u32, u32); 4] =
    [(0x2001_0000, 23), (0x2001_0db8, 32), (0x2002_0000, 16), (0x3fff_0000, 20)];

impl Reach {
    /// To public addresses and these.
    pub fn new(listed: Vec<IpNet>) -> Self {
        Reach(listed)
    }

    /// Whether somebody may be asked there.
    pub(crate) fn leads_to(&self, address: IpAddr) -> bool {
        // One of IPv4 stays what it is in the clothes of IPv6.
        let address = address.to_canonical();
        let is_public = match address {
            IpAddr::V4(address) => is_public(address),
            IpAddr::V6(address) => is_public_v6(address),
        };
        is_public || self.0.iter().any(|net| net.contains(&address))
    }
}

fn is_public(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !CLOSED.iter().any(|(first, length)| is_in(bits, u32::from_be_bytes(*first), *length))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = (address.to_bits() >> 96) as u32;
    is_in(bits, 0x2000_0000, 3)
        && !CLOSED_V6.iter().any(|(first, length)| is_in(bits, *first, *length))
}

/// Whether two numbers have the same first bits.
fn is_in(bits: u32, first: u32, length: u32) -> bool {
    (bits ^ first).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_lead_us_to_public_addresses_alone() {
        let reach = Reach::default();
        let leads = |text: &str| reach.leads_to(text.parse().unwrap());
        for open in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "169.253.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
        ] {
            assert!(leads(open), "{open}");
        }
        for closed in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
        ] {
            assert!(!leads(closed), "{closed}");
        }
    }

    #[test]
    fn the_platform_lists_more() {
        let reach = Reach::new(vec!["10.7.0.0/16".parse().unwrap(), "::1/128".parse().unwrap()]);
        let leads = |text: &str| reach.leads_to(text.parse().unwrap());
        assert!(leads("10.7.1.1") && leads("::ffff:10.7.1.1") && leads("::1") && leads("1.1.1.1"));
        assert!(!leads("10.8.1.1") && !leads("127.0.0.1"));
    }
}
