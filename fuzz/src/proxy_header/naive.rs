//! A slow reading of "The PROXY protocol", sections 2.1 and 2.2, with nothing of ours in it but two
//! bounds: a header of version 2 that is longer than 4 KiB is refused, and how early bytes are.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header: that of version 2 with all that may be told in it.
pub(super) const LONGEST: usize = 16 + (4 << 10);
/// The longest line of version 1, its end included.
const LINE: usize = 107;

/// What bytes come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Header {
        from: Option<SocketAddr>,
        length: usize,
    },
    Refused,
    /// More of them have to come.
    Waits,
}

pub(super) fn read(data: &[u8]) -> Read {
    match data.first() {
        None => Read::Waits,
        Some(b'P') => line(data),
        Some(b'\r') => binary(data),
        Some(_) => Read::Refused,
    }
}

/// Version 1: words of text up to the end of the line, which is looked at once it is there.
fn line(data: &[u8]) -> Read {
    let mut text = Vec::new();
    for byte in data.iter().take(LINE) {
        text.push(*byte);
        if *byte == b'\n' {
            let said = String::from_utf8(text.clone()).ok();
            return match said.and_then(|said| words(&said)) {
                Some(from) => Read::Header { from, length: text.len() },
                None => Read::Refused,
            };
        }
    }
    if text.len() == LINE { Read::Refused } else { Read::Waits }
}

/// Where the connection came from, if the line tells; none where it is no such line.
fn words(line: &str) -> Option<Option<SocketAddr>> {
    if !line.ends_with("\r\n") {
        return None;
    }
    // Each word is parted from the next by one space.
    let words: Vec<&str> = line[..line.len() - 2].split(' ').collect();
    if words.first() != Some(&"PROXY") {
        return None;
    }
    if words.get(1) == Some(&"UNKNOWN") {
        return Some(None);
    }
    if words.len() != 6 {
        return None;
    }
    let (port, _) = (port(words[4])?, port(words[5])?);
    let from: SocketAddr = match words[1] {
        "TCP4" => {
            four(words[3])?;
            (four(words[2])?, port).into()
        }
        "TCP6" => {
            six(words[3])?;
            source_of(six(words[2])?, port)
        }
        _ => return None,
    };
    Some(Some(from))
}

/// A whole number without leading zeroes, of at most so much.
fn number(text: &str, most: u32) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || text.len() > 5 || !is_plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    let number = text.bytes().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    (number <= most).then_some(number)
}

fn port(text: &str) -> Option<u16> {
    u16::try_from(number(text, 65_535)?).ok()
}

/// Four numbers of a byte with a dot between two.
fn four(text: &str) -> Option<[u8; 4]> {
    let parts: Vec<u8> = text
        .split('.')
        .map(|part| number(part, 255).and_then(|number| u8::try_from(number).ok()))
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// Groups of up to four hexadecimal digits, once a double colon for all zeroes that are missing, and the
/// last two perhaps as an IPv4 address, as inet_pton(3) has it.
fn six(text: &str) -> Option<[u8; 16]> {
    let groups = |text: &str, is_end: bool| -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let parts: Vec<&str> = text.split(':').filter(|_| !text.is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            if is_end && index + 1 == parts.len() && part.contains('.') {
                bytes.extend(four(part)?);
                continue;
            }
            let are_digits = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            if part.is_empty() || part.len() > 4 || !are_digits {
                return None;
            }
            bytes.extend(u16::from_str_radix(part, 16).ok()?.to_be_bytes());
        }
        Some(bytes)
    };
    let bytes = match text.split_once("::") {
        None => groups(text, true)?,
        Some((head, tail)) => {
            let (head, tail) = (groups(head, false)?, groups(tail, true)?);
            let missing = 16_usize.checked_sub(head.len() + tail.len()).filter(|many| *many > 0)?;
            [head, vec![0; missing], tail].concat()
        }
    };
    bytes.try_into().ok()
}

/// Version 2: signature, version and command, family and transport, a length, and so many bytes.
fn binary(data: &[u8]) -> Read {
    if data.len() < 16 {
        return Read::Waits;
    }
    let length = usize::from(data[14]) * 256 + usize::from(data[15]);
    if &data[..12] != b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A" || length > 4096 {
        return Read::Refused;
    }
    if data.len() < 16 + length {
        return Read::Waits;
    }
    let (version, command) = (data[12] / 16, data[12] % 16);
    let told = &data[16..16 + length];
    let address = |size: usize| {
        let port = u16::from(told[2 * size]) * 256 + u16::from(told[2 * size + 1]);
        (&told[..size], port)
    };
    let from = match (version, command, data[13] / 16, data[13] % 16) {
        // The balancer's own, whatever else is said.
        (2, 0, _, _) => None,
        (2, 1, 1, 1) if length >= 12 => {
            let (ip, port) = address(4);
            Some((Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]), port).into())
        }
        (2, 1, 2, 1) if length >= 36 => {
            let (ip, port) = address(16);
            Some(source_of(std::array::from_fn(|index| ip[index]), port))
        }
        // Unspecified, datagrams of both families of IP, and sockets of the machine.
        (2, 1, 0, 0) | (2, 1, 1 | 2, 2) | (2, 1, 3, 1 | 2) => None,
        _ => return Read::Refused,
    };
    Read::Header { from, length: 16 + length }
}

/// An IPv4 address that is written as an IPv6 one is that IPv4 address.
fn source_of(six: [u8; 16], port: u16) -> SocketAddr {
    match six {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, a, b, c, d] => {
            (Ipv4Addr::new(a, b, c, d), port).into()
        }
        _ => (Ipv6Addr::from(six), port).into(),
    }
}
