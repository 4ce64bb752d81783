//! The PROXY header: of any bytes the same is read, or refused, as by a naive reading of the specification;
//! what an encoder writes is read, byte by byte and at once, and nothing behind it is taken; what a backend is
//! told is what that encoder writes.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use model::traffic::ProxyProtocol;
use proxy::fuzz::{proxy_header as judge, write_proxy_header};

use crate::dice::Dice;
use naive::{LONGEST, Read, read};

mod naive;

/// What the first bytes of a connection come to.
pub fn proxy_header(data: &[u8]) {
    grows(data);
    let mut dice = Dice::new(data);
    let (header, wanted) = match dice.roll(5) {
        0 => {
            let (from, to) = pair(&mut dice);
            (line(from, to), Some(canonical(from)))
        }
        1 => unknown(&mut dice),
        2 => {
            let ((from, to), more) = (pair(&mut dice), dice.roll(300));
            (binary(from, to, dice.bytes(more)), Some(canonical(from)))
        }
        3 => own(&mut dice),
        _ => ours(&mut dice),
    };
    let trailing = dice.bytes(64);
    let whole = [&header[..], trailing].concat();
    let got = judge(&whole);
    assert_eq!(got, Ok(Some((wanted, header.len()))), "{}", whole.escape_ascii());
    grows(&whole);
    let mut bent = whole;
    for _ in 0..=dice.roll(2) {
        let at = dice.roll(bent.len());
        bent[at] = match dice.once_in(2) {
            true => dice.byte(),
            false => *dice.pick(b" .:0\r\n"),
        };
    }
    grows(&bent);
}

/// Of more and more bytes nothing is said until it is clear, and that holds.
fn grows(data: &[u8]) {
    let whole = judge(data);
    let got = match &whole {
        Ok(Some((from, length))) => Read::Header { from: *from, length: *length },
        Ok(None) => Read::Waits,
        Err(_) => Read::Refused,
    };
    assert_eq!(got, read(data), "{}", data.escape_ascii());
    if let Ok(Some((_, length))) = whole {
        assert!(length <= data.len() && length <= LONGEST, "{length} of {}", data.len());
        assert_eq!(judge(&data[..length]), whole, "what is behind a header is not looked at");
    }
    let mut before = Ok(None);
    for end in 0..=data.len().min(LONGEST) {
        let now = judge(&data[..end]);
        assert!(before == Ok(None) || now == before, "{before:?} became {now:?} at byte {end}");
        before = now;
    }
    assert_eq!(before, whole, "split and whole come to the same");
    assert!(data.len() < LONGEST || whole != Ok(None), "a header is never waited for so long");
}

/// Version 1, as a balancer writes it.
fn line(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let (ip, port) = (from.ip(), from.port());
    format!("PROXY {family} {ip} {} {port} {}\r\n", to.ip(), to.port()).into_bytes()
}

fn unknown(dice: &mut Dice) -> (Vec<u8>, Option<SocketAddr>) {
    let many = dice.roll(90);
    let letters = dice.bytes(many).iter().map(|byte| char::from(b' ' + byte % 95));
    let rest: String = letters.collect();
    let rest = if rest.is_empty() { rest } else { format!(" {rest}") };
    (format!("PROXY UNKNOWN{rest}\r\n").into_bytes(), None)
}

/// Version 2 with two addresses and what else a balancer tells.
fn binary(from: SocketAddr, to: SocketAddr, more: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for one in [from, to] {
        match one {
            SocketAddr::V4(one) => body.extend(one.ip().octets()),
            SocketAddr::V6(one) => body.extend(one.ip().octets()),
        }
    }
    body.extend(from.port().to_be_bytes());
    body.extend(to.port().to_be_bytes());
    body.extend(more);
    framed(0x21, if from.is_ipv4() { 0x11 } else { 0x21 }, &body)
}

/// What a backend is told of any two addresses, which are of one family there.
fn ours(dice: &mut Dice) -> (Vec<u8>, Option<SocketAddr>) {
    let (from, to) = (pair(dice).0, pair(dice).1);
    let both = [from, to].map(canonical);
    let told = if both.iter().all(SocketAddr::is_ipv4) { both } else { both.map(wide) };
    let (version, wanted) = match dice.once_in(2) {
        true => (ProxyProtocol::V1, line(told[0], told[1])),
        false => (ProxyProtocol::V2, binary(told[0], told[1], &[])),
    };
    let header = write_proxy_header(version, from, to);
    assert_eq!(header, wanted, "{version:?} from {from} to {to}");
    (header, Some(both[0]))
}

/// Version 2 of a balancer that speaks for itself, or of what is no TCP.
fn own(dice: &mut Dice) -> (Vec<u8>, Option<SocketAddr>) {
    let said = [(0x20, dice.byte()), (0x21, 0), (0x21, 0x12), (0x21, 0x22), (0x21, 0x31)];
    let (command, family) = *dice.pick(&said);
    let more = dice.roll(300);
    (framed(command, family, dice.bytes(more)), None)
}

fn framed(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = vec![0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
    header.extend([command, family]);
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

/// Two addresses of one family.
fn pair(dice: &mut Dice) -> (SocketAddr, SocketAddr) {
    let is_four = dice.once_in(2);
    let mut one = || -> SocketAddr {
        let port = u16::from_be_bytes(dice.array());
        match is_four {
            true => (Ipv4Addr::from(dice.array::<4>()), port).into(),
            false if dice.once_in(4) => {
                (Ipv4Addr::from(dice.array::<4>()).to_ipv6_mapped(), port).into()
            }
            false => (Ipv6Addr::from(dice.array::<16>()), port).into(),
        }
    };
    (one(), one())
}

/// An IPv4 address as an IPv6 one.
fn wide(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(four) => (four.ip().to_ipv6_mapped(), four.port()).into(),
        SocketAddr::V6(_) => address,
    }
}

/// An IPv4 address that is written as an IPv6 one is that IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(six)
            if six.ip().octets()[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255] =>
        {
            let [.., a, b, c, d] = six.ip().octets();
            (Ipv4Addr::new(a, b, c, d), six.port()).into()
        }
        other => other,
    }
}
