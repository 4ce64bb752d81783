//! Addresses as text, without the general formatter, which would be felt on every request.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Writes `address` behind what is there.
pub(crate) fn write_ip(address: IpAddr, to: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let (mut text, mut end) = ([b'.'; 15], 0);
            for octet in address.octets() {
                // Behind each but the last there is a dot already.
                end += write_octet(octet, &mut text[end..]) + 1;
            }
            to.extend_from_slice(&text[..end - 1]);
        }
        // A Vec takes whatever is written to it.
        IpAddr::V6(address) => write!(to, "{address}").unwrap_or_default(),
    }
}

/// Writes the decimal digits of `octet` and says how many they are.
fn write_octet(octet: u8, text: &mut [u8]) -> usize {
    let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
    let first = if octet >= 100 {
        0
    } else if octet >= 10 {
        1
    } else {
        2
    };
    text[..3 - first].copy_from_slice(&digits[first..]);
    3 - first
}

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
