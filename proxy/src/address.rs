//! Addresses as text, without the general formatter, which would be felt on every request.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Writes `address` behind what is there.
pub(crate) fn write_ip(address: IpAddr, to: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let (mut text, mut end) = ([0; 16], 0);
            for octet in address.octets() {
                let (digits, length) = OCTETS[usize::from(octet)];
                text[end..end + 4].copy_from_slice(&digits);
                end += length;
            }
            to.extend_from_slice(&text[..end - 1]);
        }
        // A Vec takes whatever is written to it.
        IpAddr::V6(address) => write!(to, "{address}").unwrap_or_default(),
    }
}

/// The decimal digits of each octet with a dot behind, and how many bytes that is.
static OCTETS: [([u8; 4], usize); 256] = {
    let mut all = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let first = if octet >= 100 {
            0
        } else if octet >= 10 {
            1
        } else {
            2
        };
        let mut at = first;
        while at < 3 {
            all[octet].0[at - first] = b'0' + digits[at] as u8;
            at += 1;
        }
        all[octet].1 = 4 - first;
        octet += 1;
    }
    all
};

/// Writes address and port behind what is there.
pub(crate) fn write_socket(address: SocketAddr, to: &mut Vec<u8>) {
    match address {
        SocketAddr::V4(address) => {
            write_ip((*address.ip()).into(), to);
            to.push(b':');
            to.extend_from_slice(itoa::Buffer::new().format(address.port()).as_bytes());
        }
        // A Vec takes whatever is written to it.
        SocketAddr::V6(address) => write!(to, "{address}").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_the_formatter_writes() {
        for text in ["0.0.0.0:0", "127.0.0.1:8080", "255.10.1.200:65535", "[::1]:80", "[fe80::1]:9"]
        {
            let address: SocketAddr = text.parse().unwrap();
            let (mut socket, mut ip) = (Vec::new(), Vec::new());
            write_socket(address, &mut socket);
            write_ip(address.ip(), &mut ip);
            assert_eq!(String::from_utf8(socket).unwrap(), address.to_string());
            assert_eq!(String::from_utf8(ip).unwrap(), address.ip().to_string());
        }
    }
}
