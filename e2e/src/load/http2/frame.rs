//! The few HTTP/2 frames that the load writes and reads.

use std::io::{self, Read};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The largest payload that a server may send unless told otherwise.
const LARGEST: usize = 16 * 1024;

/// What a frame is, as far as the load cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    Ping,
    GoAway,
    Other,
}

impl Kind {
    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Data,
            1 => Self::Headers,
            3 => Self::Reset,
            4 => Self::Settings,
            6 => Self::Ping,
            7 => Self::GoAway,
            _ => Self::Other,
        }
    }

    /// Whether the flag END_STREAM means anything on such a frame.
    pub(super) fn ends_streams(self) -> bool {
        matches!(self, Self::Data | Self::Headers)
    }
}

/// The flags of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const ACK: u8 = 1;
    const END_HEADERS: u8 = 4;
    const PADDED: u8 = 8;
    const PRIORITY: u8 = 32;

    pub(super) fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// A frame's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) flags: Flags,
    pub(super) stream: u32,
}

impl Frame {
    /// Reads one frame; its payload replaces what `payload` held.
    pub(super) fn read(input: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<Self> {
        let mut head = [0; 9];
        input.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > LARGEST {
            return Err(io::Error::other("a frame larger than allowed"));
        }
        payload.resize(length, 0);
        input.read_exact(payload)?;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        Ok(Self { kind: Kind::from_code(kind), flags: Flags(flags), stream })
    }
}

/// What a client says first: no push, and windows so wide that it need not widen them again.
pub(super) fn opening(window: u32) -> Vec<u8> {
    let mut settings = Vec::new();
    settings.extend(2_u16.to_be_bytes());
    settings.extend(0_u32.to_be_bytes());
    settings.extend(INITIAL_WINDOW_SIZE.to_be_bytes());
    settings.extend(window.to_be_bytes());
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(4, 0, 0, &settings));
    bytes.extend(window_update(0, window));
    bytes
}

/// A GET, without its stream's number.
pub(super) fn request(host: &str, path: &str) -> Vec<u8> {
    // The static table: 2 is `:method: GET`, 6 `:scheme: http`.
    let mut block = vec![0x82, 0x86];
    block.extend(target(host, path));
    frame(1, Flags::END_HEADERS | Flags::END_STREAM, 0, &block)
}

/// A call of gRPC with one message, without its stream's number.
pub(super) fn call(host: &str, path: &str, message: &[u8]) -> Vec<u8> {
    // The static table: 3 is `:method: POST`, 6 `:scheme: http`, 31 `content-type`; `te` is not in it.
    let mut block = vec![0x83, 0x86];
    block.extend(target(host, path));
    block.extend([0x0f, 31 - 0x0f]);
    block.extend(text("application/grpc"));
    block.push(0);
    block.extend(text("te"));
    block.extend(text("trailers"));
    let mut frames = frame(1, Flags::END_HEADERS, 0, &block);
    let length = (message.len() as u32).to_be_bytes();
    frames.extend(frame(0, Flags::END_STREAM, 0, &[&[0], &length[..], message].concat()));
    frames
}

/// `:path` and `:authority`, which are 4 and 1 in the static table.
fn target(host: &str, path: &str) -> Vec<u8> {
    [&[0x04], &text(path)[..], &[0x01], &text(host)].concat()
}

/// A text of less than 127 bytes, as it is.
fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// The same frames on the stream of that number.
pub(super) fn on_stream(frames: &[u8], stream: u32) -> Vec<u8> {
    let mut bytes = frames.to_vec();
    let mut at = 0;
    while let Some([a, b, c]) = bytes.get(at..at + 3).and_then(<[u8]>::first_chunk).copied() {
        bytes[at + 5..at + 9].copy_from_slice(&stream.to_be_bytes());
        at += 9 + u32::from_be_bytes([0, a, b, c]) as usize;
    }
    bytes
}

pub(super) fn settings_ack() -> Vec<u8> {
    frame(4, Flags::ACK, 0, &[])
}

pub(super) fn ping_ack(payload: &[u8]) -> Vec<u8> {
    frame(6, Flags::ACK, 0, payload)
}

pub(super) fn window_update(stream: u32, more: u32) -> Vec<u8> {
    frame(8, 0, stream, &more.to_be_bytes())
}

/// The streams that a server's SETTINGS allow at a time, if they say.
pub(super) fn max_streams(settings: &[u8]) -> Option<u32> {
    settings.chunks_exact(6).find_map(|entry| {
        let (name, value) = entry.split_at(2);
        (name == MAX_CONCURRENT_STREAMS.to_be_bytes())
            .then(|| u32::from_be_bytes([value[0], value[1], value[2], value[3]]))
    })
}

/// Whether a HEADERS frame begins with the status 200.
pub(super) fn is_ok(frame: &Frame, payload: &[u8]) -> bool {
    let skip = usize::from(frame.flags.has(Flags::PADDED))
        + if frame.flags.has(Flags::PRIORITY) { 5 } else { 0 };
    let block = payload.get(skip..).unwrap_or_default();
    block.iter().copied().find(|byte| byte & 0xe0 != 0x20) == Some(0x88)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_frames_of_a_call_are_on_its_stream() {
        let bytes = on_stream(&call("localhost", "/bench.R50/Unary", b"hello"), 7);
        let (mut input, mut payload, mut seen) = (&bytes[..], Vec::new(), Vec::new());
        while let Ok(frame) = Frame::read(&mut input, &mut payload) {
            let ends = frame.flags.has(Flags::END_STREAM);
            seen.push((frame.kind, frame.stream, ends, payload.clone()));
        }
        let [head, message] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((head.0, head.1, head.2), (Kind::Headers, 7, false));
        assert_eq!(*message, (Kind::Data, 7, true, b"\0\0\0\0\x05hello".to_vec()));
    }
}
