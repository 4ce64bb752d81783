//! One exchange as a line of JSON.
//!
//! Written by hand into a buffer that is used again: this runs for every request.
//! Whatever comes from outside is escaped and bounded, so that no caller can forge a line, end
//! one early or fill the disk with one request.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Version;
use model::Kind;
use policy::RuleRef;
use time::OffsetDateTime;

use crate::address;
use crate::record::{LONGEST, Record, Spoken};
use crate::trace::write_hex;

/// Lines that are written together.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// The second that `date` says.
    second: u64,
    /// `2026-11-23T21:51:11`, as it stands for most of a second's lines.
    date: [u8; 19],
}

impl Default for Batch {
    fn default() -> Self {
        let bytes = Vec::with_capacity(super::FULL + (4 << 10));
        Batch { bytes, lines: 0, second: 0, date: *b"1970-01-01T00:00:00" }
    }
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.lines = 0;
    }

    /// Adds the line of `record`, which took `took`.
    pub(super) fn add(&mut self, record: &Record, took: Duration) {
        self.lines += 1;
        self.bytes.extend_from_slice(b"{\"time\":\"");
        self.time(record.began_at);
        self.bytes.push(b'"');
        let mut line = Line(&mut self.bytes);
        line.request(record);
        line.decision(record);
        line.backend(record);
        line.cost(record, took);
        self.bytes.extend_from_slice(b"}\n");
    }

    /// RFC 3339 in UTC, with milliseconds.
    fn time(&mut self, at: SystemTime) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() {
            self.second = since.as_secs();
            self.date = date(self.second);
        }
        self.bytes.extend_from_slice(&self.date);
        let millis = since.subsec_millis();
        let digit = |value: u32| b'0' + (value % 10) as u8;
        let fraction = [b'.', digit(millis / 100), digit(millis / 10), digit(millis), b'Z'];
        self.bytes.extend_from_slice(&fraction);
    }
}

fn date(second: u64) -> [u8; 19] {
    let at = OffsetDateTime::from_unix_timestamp(second as i64);
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut text = *b"0000-00-00T00:00:00";
    let mut put = |from: usize, to: usize, mut value: u32| {
        for byte in text[from..to].iter_mut().rev() {
            *byte = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, at.year().unsigned_abs());
    put(5, 7, u32::from(u8::from(at.month())));
    put(8, 10, u32::from(at.day()));
    put(11, 13, u32::from(at.hour()));
    put(14, 16, u32::from(at.minute()));
    put(17, 19, u32::from(at.second()));
    text
}

/// What stands between the value before and the value of this key.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// A line under way, the first field of which is there.
struct Line<'b>(&'b mut Vec<u8>);

impl Line<'_> {
    fn request(&mut self, record: &Record) {
        self.bytes(key!("request_id"), record.request_id.as_bytes());
        let mut trace = [0; 32];
        write_hex(&record.trace.trace_id, &mut trace);
        self.quoted(key!("trace_id"), |line| line.put(&trace));
        self.quoted(key!("source"), |line| address::write_ip(record.source, line.0));
        self.text(key!("method"), record.method.as_str());
        self.text(key!("host"), &record.host);
        self.text(key!("path"), &record.path);
        self.word(key!("protocol"), protocol(record.spoken));
        if let Some(agent) = &record.user_agent {
            self.bytes(key!("user_agent"), agent.as_bytes());
        }
        self.number(key!("listener_port"), record.port.into());
    }

    fn decision(&mut self, record: &Record) {
        if let Some(status) = record.status {
            self.number(key!("status"), status.as_u16().into());
        }
        if let Some(code) = record.call.and_then(|call| call.code) {
            self.word(key!("grpc_status"), code.as_str());
        }
        self.word(key!("reason"), record.reason.as_str());
        if let Some((_, rule)) = &record.rule {
            self.plain(key!("route"), &rule.label);
        }
        if let Some(by) = &record.decided_by {
            self.display(key!("rule"), Named(by));
        }
        let audited = record.aside.as_ref().map_or(&[][..], |aside| &aside.audited);
        let of = |kind| audited.iter().filter(move |rule| rule.policy.kind == kind);
        if of(Kind::AccessPolicy).next().is_some() {
            self.display(key!("audited"), Each(of(Kind::AccessPolicy)));
        }
        if of(Kind::RateLimitPolicy).next().is_some() {
            self.display(key!("over_limit"), Each(of(Kind::RateLimitPolicy)));
        }
        if let Some(client) = &record.client {
            self.text(key!("client_certificate"), &client.fingerprint);
        }
        if let Some(from) = &record.from {
            self.display(key!("peer"), from);
        }
        if let Some(principal) = &record.principal {
            self.display(key!("principal"), principal);
        }
        if let Some(refused) = &record.refused {
            self.display(key!("passport"), refused);
        }
        self.plain(key!("table"), record.table.digest());
        if let Some(detail) = &record.detail {
            self.text(key!("detail"), detail);
        }
    }

    fn backend(&mut self, record: &Record) {
        if let Some(backend) = &record.backend {
            self.plain(key!("backend"), backend);
        }
        if let Some(endpoint) = record.endpoint {
            self.quoted(key!("endpoint"), |line| address::write_socket(endpoint, line.0));
        }
        self.number(key!("attempts"), record.attempts.into());
        if let Some(time) = record.backend_time {
            self.number(key!("backend_us"), time.as_micros() as u64);
        }
    }

    fn cost(&mut self, record: &Record, took: Duration) {
        self.number(key!("bytes_in"), record.bytes_in);
        self.number(key!("bytes_out"), record.bytes_out);
        if let Some([there, back]) = record.datagrams {
            self.number(key!("datagrams_in"), there);
            self.number(key!("datagrams_out"), back);
        }
        self.number(key!("duration_us"), took.as_micros() as u64);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn quoted(&mut self, key: &'static str, write: impl FnOnce(&mut Self)) {
        self.put(key.as_bytes());
        self.0.push(b'"');
        write(self);
        self.0.push(b'"');
    }

    fn number(&mut self, key: &'static str, value: u64) {
        self.put(key.as_bytes());
        self.put(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A word of ours.
    fn word(&mut self, key: &'static str, word: &'static str) {
        self.plain(key, word);
    }

    /// A text of ours that needs no escape and no bound: names of objects, and digests.
    fn plain(&mut self, key: &'static str, text: &str) {
        debug_assert!(is_plain(text.as_bytes()), "{text:?} needs an escape");
        self.quoted(key, |line| line.put(text.as_bytes()));
    }

    fn text(&mut self, key: &'static str, text: &str) {
        self.bytes(key, text.as_bytes());
    }

    /// Bytes that are mostly text; what is no UTF-8 is replaced.
    fn bytes(&mut self, key: &'static str, bytes: &[u8]) {
        self.quoted(key, |line| {
            if bytes.len() <= LONGEST && is_plain(bytes) {
                return line.put(bytes);
            }
            let mut escaped = Escaped::new(line.0);
            for chunk in bytes.utf8_chunks() {
                escaped.text(chunk.valid());
                if !chunk.invalid().is_empty() {
                    escaped.text("\u{fffd}");
                }
            }
        });
    }

    fn display(&mut self, key: &'static str, value: impl fmt::Display) {
        // An Escaped takes whatever is written to it.
        self.quoted(key, |line| write!(Escaped::new(line.0), "{value}").unwrap_or_default());
    }
}

fn protocol(spoken: Spoken) -> &'static str {
    match spoken {
        Spoken::Udp => "UDP",
        Spoken::Tcp => "TCP",
        Spoken::Http(Version::HTTP_10) => "HTTP/1.0",
        Spoken::Http(Version::HTTP_11) => "HTTP/1.1",
        Spoken::Http(Version::HTTP_2) => "HTTP/2",
        Spoken::Http(Version::HTTP_3) => "HTTP/3",
        Spoken::Http(_) => "HTTP/0.9",
    }
}

/// A rule as `namespace/policy/rule`.
struct Named<'r>(&'r RuleRef);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuleRef { policy, rule } = self.0;
        write!(f, "{}/{}/{rule}", policy.namespace, policy.name)
    }
}

/// Some, with `,` between.
struct Each<R>(R);

impl<'r, R: Iterator<Item = &'r RuleRef> + Clone> fmt::Display for Each<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rules = self.0.clone().enumerate();
        rules.try_for_each(|(at, rule)| {
            let between = if at == 0 { "" } else { "," };
            write!(f, "{between}{}", Named(rule))
        })
    }
}

/// Text inside a JSON string, cut off after [`LONGEST`] bytes.
struct Escaped<'b> {
    to: &'b mut Vec<u8>,
    left: usize,
    cut: bool,
}

impl<'b> Escaped<'b> {
    fn new(to: &'b mut Vec<u8>) -> Self {
        Escaped { to, left: LONGEST, cut: false }
    }

    fn text(&mut self, text: &str) {
        if self.cut {
            return;
        }
        self.cut = text.len() > self.left;
        let text = &text[..text.floor_char_boundary(self.left)];
        self.left -= text.len();
        if is_plain(text.as_bytes()) {
            self.to.extend_from_slice(text.as_bytes());
        } else {
            text.chars().for_each(|char| self.char(char));
        }
        if self.cut {
            self.to.extend_from_slice("…".as_bytes());
        }
    }

    fn char(&mut self, char: char) {
        match char {
            '"' => self.to.extend_from_slice(b"\\\""),
            '\\' => self.to.extend_from_slice(b"\\\\"),
            // Controls beyond ASCII move a terminal's cursor too, and the separators end lines.
            control if control.is_control() || matches!(control, '\u{2028}' | '\u{2029}') => {
                let mut text = *b"\\u0000";
                let [.., high, low] = u32::from(control).to_be_bytes();
                write_hex(&[high, low], &mut text[2..]);
                self.to.extend_from_slice(&text);
            }
            other => self.to.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

/// Whether `text` is printable ASCII that needs no escape; looks at eight bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().all(|word| is_plain_word(*word)) && is_plain_word(last)
}

fn is_plain_word(word: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_ne_bytes(word);
    // Taking `bound` from each byte sets a high bit that was not set where one byte is below it.
    let below = |bytes: u64, bound: u64| bytes.wrapping_sub(ONES * bound) & !bytes;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (word | below(word, 0x20) | is(b'"') | is(b'\\') | is(0x7f)) & HIGH == 0
}

#[cfg(test)]
mod tests;
