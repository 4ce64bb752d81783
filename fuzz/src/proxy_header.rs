//! The PROXY header: of any bytes the same is read, or refused, as by a naive reading of the specification;
//! what an encoder writes is read, byte by byte and at once, and nothing behind it is taken.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proxy::fuzz::proxy_header as judge;

use crate::dice::Dice;
use naive::{LONGEST, Read, read};

mod naive;

/// What the first bytes of a connection come to.
pub fn proxy_header(data: &[u8]) {
    grows(data);
    let mut dice = Dice::new(data);
    let (header, wanted) = match dice.roll(4) {
        0 => line(&mut dice),
        1 => unknown(&mut dice),
        2 => binary(&mut dice),
        _ => own(&mut dice),
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
fn line(dice: &mut Dice) -> (Vec<u8>, Option<SocketAddr>) {
    let (from, to, family) = pair(dice);
    let family = if family == 4 { "TCP4" } else { "TCP6" };
    let (ip, port) = (from.ip(), from.port());
    let text = format!("PROXY {family} {ip} {} {port} {}\r\n", to.ip(), to.port());
    (text.into_bytes(), Some(canonical(from)))
}

fn unknown(dice: &mut Dice) -> (Vec<u8>, Option<SocketAddr>) {
    let many = dice.roll(90);
    let letters = dice.bytes(many).iter().map(|byte| char::from(b' ' + byte % 95));
    let rest: String = letters.collect();
    let rest = if rest.is_empty() { rest } else { format!(" {rest}") };
    (format!("PROXY UNKNOWN{rest}\r\n").into_bytes(), None)
}

/// Version 2 with two addresses and what else a balancer tells.
fn binary(dice: &mut Dice) -> (Vec<u8>, Option<SocketAddr>) {
    let (from, to, family) = pair(dice);
    let mut body = Vec::new();
    for one in [from, to] {
        match one {
            SocketAddr::V4(one) => body.extend(one.ip().octets()),
            SocketAddr::V6(one) => body.extend(one.ip().octets()),
        }
    }
    body.extend(from.port().to_be_bytes());
    body.extend(to.port().to_be_bytes());
    let more = dice.roll(300);
    body.extend(dice.bytes(more));
    let family = if family == 4 { 0x11 } else { 0x21 };
    (framed(0x21, family, &body), Some(canonical(from)))
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
fn pair(dice: &mut Dice) -> (SocketAddr, SocketAddr, u8) {
    let family = *dice.pick(&[4, 6]);
    let mut one = || -> SocketAddr {
        let port = u16::from_be_bytes(dice.array());
        match family {
            4 => (Ipv4Addr::from(dice.array::<4>()), port).into(),
            _ if dice.once_in(4) => {
                (Ipv4Addr::from(dice.array::<4>()).to_ipv6_mapped(), port).into()
            }
            _ => (Ipv6Addr::from(dice.array::<16>()), port).into(),
        }
    };
    (one(), one(), family)
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
