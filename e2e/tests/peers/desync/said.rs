//! What the gateway says to a caller who speaks oddly, as far as it is told apart: statuses, and how it ends.

use super::corpus::Front;
use super::strict::find;

/// The frames that tell something (RFC 9113, section 6), and the flag that ends a stream.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;

/// The bits of each digit in HPACK's code (RFC 7541, appendix B), and how many they are.
const DIGITS: [(u32, u32); 10] = [
    (0x0, 5),
    (0x1, 5),
    (0x2, 5),
    (0x19, 6),
    (0x1a, 6),
    (0x1b, 6),
    (0x1c, 6),
    (0x1d, 6),
    (0x1e, 6),
    (0x1f, 6),
];

/// How what was said ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It did not.
    Open,
    /// The connection was closed, or the stream at its end.
    Over,
    /// The stream was reset with this code.
    Reset(u32),
    /// The connection was given up with this code.
    GoAway(u32),
}

/// All that was said to one request, or to several on a connection of HTTP/1.1.
#[derive(Debug)]
pub(super) struct Answer {
    /// But for those that only announce another (1xx).
    pub(super) statuses: Vec<u16>,
    pub(super) end: End,
    /// Whether the connection was closed behind it.
    pub(super) is_closed: bool,
}

impl Answer {
    /// Of these bytes, behind which the connection was closed or not yet.
    pub(super) fn read(front: Front, bytes: &[u8], is_closed: bool) -> Self {
        let (mut statuses, end) = match front {
            Front::Plain => (plain(bytes), End::Open),
            Front::Framed => framed(bytes),
        };
        statuses.retain(|status| *status >= 200);
        let end = if end == End::Open && is_closed { End::Over } else { end };
        Answer { statuses, end, is_closed }
    }
}

/// The statuses of HTTP/1.1, each whose head is whole.
fn plain(mut bytes: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some(end) = find(bytes, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|status| status.parse().ok());
        statuses.push(status.unwrap_or_else(|| panic!("no answer: {head:?}")));
        let length = head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        let is_in_chunks = head.contains("\r\ntransfer-encoding: chunked");
        let rest = &bytes[end + 4..];
        let over =
            if is_in_chunks { find(rest, b"0\r\n\r\n").map(|at| at + 5) } else { Some(length) };
        let Some(behind) = over.and_then(|over| rest.get(over..)) else { break };
        bytes = behind;
    }
    statuses
}

/// The status of the one stream, and how it or the connection ended.
fn framed(mut bytes: &[u8]) -> (Vec<u16>, End) {
    let (mut statuses, mut end) = (Vec::new(), End::Open);
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some(payload) = rest.get(..length) else { break };
        let code = |at: usize| {
            let code = payload[at..].first_chunk().expect("frames of this kind have a code");
            u32::from_be_bytes(*code)
        };
        match head[3] {
            HEADERS if statuses.is_empty() => statuses.push(status(payload)),
            _ => {}
        }
        // The first end counts: a stream that is over may be reset as well.
        if end == End::Open {
            end = match head[3] {
                DATA | HEADERS if head[4] & END_STREAM != 0 => End::Over,
                RST_STREAM => End::Reset(code(0)),
                GOAWAY => End::GoAway(code(4)),
                _ => End::Open,
            };
        }
        bytes = &rest[length..];
    }
    (statuses, end)
}

/// The status at the beginning of a block of headers: from the static table, or as three digits in HPACK's code.
fn status(block: &[u8]) -> u16 {
    const TABLE: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [index @ 0x88..=0x8e, ..] => TABLE[usize::from(index - 0x88)],
        [0x48, length, rest @ ..] if length & 0x80 != 0 => {
            let coded = &rest[..usize::from(length & 0x7f)];
            let bits = coded.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
            digits(bits, 8 * coded.len() as u32)
        }
        _ => panic!("no status begins {block:x?}"),
    }
}

/// The three that so many bits begin with.
fn digits(bits: u32, mut left: u32) -> u16 {
    let mut number = 0;
    for _ in 0..3 {
        let is_next = |(code, length): &(u32, u32)| {
            let behind = left.checked_sub(*length);
            behind.is_some_and(|behind| bits >> behind & ((1 << length) - 1) == *code)
        };
        let digit = DIGITS.iter().position(is_next).expect("a status has three digits");
        left -= DIGITS[digit].1;
        number = number * 10 + digit as u16;
    }
    number
}

#[test]
fn a_status_is_read_from_the_table_or_by_its_digits() {
    // The last two as in RFC 7541, appendix C.6.
    for (block, wanted) in [
        (&[0x88][..], 200),
        (&[0x8c, 0x88], 400),
        (&[0x48, 0x82, 0x64, 0x02], 302),
        (&[0x48, 0x83, 0x64, 0x0e, 0xff], 307),
    ] {
        assert_eq!(status(block), wanted);
    }
}
