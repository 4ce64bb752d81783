//! What headers say, and what are none.

use super::*;

fn of(text: &str) -> Result<Option<String>, Odd> {
    line(text.as_bytes()).map(|said| said.map(|from| from.to_string()))
}

#[test]
fn a_line_says_where_it_came_from() {
    for (text, wanted) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 51514 443\r\n", Some("192.0.2.7:51514")),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            Some("255.255.255.255:65535"),
        ),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 51514 443\r\n", Some("[2001:db8::7]:51514")),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", Some("192.0.2.7:1")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", None),
    ] {
        assert_eq!(of(text), Ok(wanted.map(str::to_owned)), "{text}");
    }
}

#[test]
fn what_is_no_line_is_refused() {
    for (text, wanted) in [
        ("GET / HTTP/1.1\r\n", Odd::Missing),
        ("PROXYTCP4 192.0.2.7 192.0.2.1 1 2\r\n", Odd::Missing),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n", Odd::Line),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n", Odd::Line),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n", Odd::Line),
        ("PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n", Odd::Line),
        ("PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n", Odd::Line),
        ("PROXY TCP6 192.0.2.7 2001:db8::1 1 2\r\n", Odd::Line),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 65536 2\r\n", Odd::Line),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n", Odd::Line),
        ("PROXY TCP4 192.0.2.7 192.0.2.1 +1 2\r\n", Odd::Line),
        ("PROXY TCP4 192.0.2.07 192.0.2.1 1 2\r\n", Odd::Line),
        ("PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n", Odd::Line),
        ("PROXY UNKNOWNS\r\n", Odd::Line),
        ("PROXY \u{e9}\r\n", Odd::Line),
    ] {
        assert_eq!(of(text), Err(wanted), "{text}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE));
    assert_eq!(of(&long), Err(Odd::Line));
}

/// A header of version 2.
fn framed(command: u8, family: u8, rest: &[u8]) -> ([u8; HEAD], Vec<u8>) {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    let head = [&SIGNATURE[..], &[command, family], &length].concat();
    (head.try_into().unwrap(), rest.to_vec())
}

fn told(command: u8, family: u8, rest: &[u8]) -> Result<Option<String>, Odd> {
    let (head, rest) = framed(command, family, rest);
    assert_eq!(length(&head), Ok(rest.len()));
    header(&head, &rest).map(|said| said.map(|from| from.to_string()))
}

const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xc9, 0x3a, 1, 187];

#[test]
fn a_header_of_version_2_says_where_it_came_from() {
    let six = |address: &str| address.parse::<Ipv6Addr>().unwrap().octets();
    let v6 = [&six("2001:db8::7")[..], &six("2001:db8::1"), &[0xc9, 0x3a, 1, 187]].concat();
    let more = [&V4[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
    for (command, family, rest, wanted) in [
        (0x21, 0x11, &V4[..], Some("192.0.2.7:51514")),
        (0x21, 0x11, &more, Some("192.0.2.7:51514")),
        (0x21, 0x21, &v6, Some("[2001:db8::7]:51514")),
        // The balancer's own, such as a check.
        (0x20, 0x00, &[], None),
        (0x20, 0x11, &V4, None),
        (0x21, 0x00, &[], None),
        (0x21, 0x31, &[0; 216], None),
    ] {
        assert_eq!(
            told(command, family, rest),
            Ok(wanted.map(str::to_owned)),
            "{command} {family}"
        );
    }
}

#[test]
fn what_is_no_header_of_version_2_is_refused() {
    for (command, family, rest) in [
        (0x21, 0x11, &V4[..11]),
        (0x21, 0x11, &V4[..3]),
        (0x21, 0x21, &V4[..]),
        (0x22, 0x11, &V4[..]),
        (0x11, 0x11, &V4[..]),
        (0x21, 0x13, &V4[..]),
        (0x21, 0x41, &V4[..]),
    ] {
        assert_eq!(told(command, family, rest), Err(Odd::Header), "{command} {family}");
    }
    let (mut head, _) = framed(0x21, 0x11, &V4);
    [head[14], head[15]] = [0x10, 0x01];
    assert_eq!(length(&head), Err(Odd::Header), "more than {MOST} bytes");
    head[0] = b'\n';
    assert_eq!(length(&head), Err(Odd::Missing));
}

#[test]
fn a_header_is_told_as_soon_as_it_is_whole_and_what_is_behind_it_is_not_looked_at() {
    let (head, rest) = framed(0x21, 0x11, &V4);
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LINE - 16));
    assert_eq!(long.len(), LINE);
    for header in [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 51514 443\r\n".to_vec(),
        long.into_bytes(),
        [&head[..], &rest].concat(),
    ] {
        for end in 0..header.len() {
            assert_eq!(judge(&header[..end]), Ok(None), "{end} of {}", header.escape_ascii());
        }
        let told = judge(&header).unwrap().unwrap();
        assert_eq!(told.length, header.len());
        assert_eq!(judge(&[&header[..], b"GET /\r\n"].concat()), Ok(Some(told)));
    }
    assert_eq!(judge(&[&b"PROXY "[..], &[b'x'; LINE]].concat()), Err(Odd::Line), "it never ends");
    assert_eq!(judge(b"GET / HTTP/1.1\r\n"), Err(Odd::Missing));
}

#[test]
fn what_is_said_to_a_backend_is_what_a_proxy_reads() {
    let addresses = [
        ("192.0.2.7:4711", "198.51.100.1:443", "192.0.2.7:4711"),
        ("[2001:db8::7]:1", "[2001:db8::1]:65535", "[2001:db8::7]:1"),
        ("[::ffff:192.0.2.7]:1", "198.51.100.1:443", "192.0.2.7:1"),
        ("192.0.2.7:4711", "[2001:db8::1]:443", "192.0.2.7:4711"),
        ("[2001:db8::7]:4711", "198.51.100.1:443", "[2001:db8::7]:4711"),
    ];
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        for (from, to, read) in addresses {
            let mut bytes = header_of(version, from.parse().unwrap(), to.parse().unwrap());
            let length = bytes.len();
            assert!(length <= LINE || version == ProxyProtocol::V2, "{from} {to}");
            bytes.extend(b"what follows");
            let from = Some(read.parse().unwrap());
            assert_eq!(
                judge(&bytes),
                Ok(Some(Header { from, length })),
                "{version:?} {from:?} {to}"
            );
        }
    }
}

#[test]
fn headers_are_as_the_specification_shows_them() {
    let (from, to) = ("192.168.0.1:56324".parse().unwrap(), "192.168.0.11:443".parse().unwrap());
    let line = header_of(ProxyProtocol::V1, from, to);
    assert_eq!(line, b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    let binary = header_of(ProxyProtocol::V2, from, to);
    assert_eq!(binary[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
    assert_eq!(binary[16..], [192, 168, 0, 1, 192, 168, 0, 11, 0xDC, 0x04, 0x01, 0xBB]);
}
