//! Requests as a reader takes them that bears nothing odd: what arrives at an upstream has to suit it.

/// A request as a reader that bears nothing odd reads it (RFC 9112).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) target: String,
    pub(super) host: String,
    pub(super) body: usize,
}

/// A head, and what is behind it.
pub(super) struct Head<'a> {
    pub(super) target: &'a str,
    host: &'a str,
    framing: Framing,
    rest: &'a [u8],
}

/// What a head says of its body.
enum Framing {
    Length(usize),
    Chunks,
}

impl Request {
    /// The head at the beginning of these bytes; nothing where it is not whole.
    ///
    /// # Panics
    /// Where it has anything that two readers may read in two ways.
    pub(super) fn head(bytes: &[u8]) -> Option<Head<'_>> {
        let end = find(bytes, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).expect("no other bytes are sent");
        let is_line =
            |text: &str| !text.contains(['\r', '\n', '\0']) && !text.starts_with([' ', '\t']);
        let mut lines = head.split("\r\n");
        let first: Vec<_> = lines.next()?.split(' ').collect();
        let [_, target, "HTTP/1.1"] = first[..] else { panic!("an odd request line in {head:?}") };
        let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            assert!(is_line(line), "an odd line in {head:?}");
            let (name, value) = line.split_once(':').expect("a header");
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(!name.is_empty() && name.bytes().all(is_name), "an odd name in {head:?}");
            match (&*name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])) {
                ("content-length", length) => lengths.push(length),
                ("transfer-encoding", coding) => codings.push(coding),
                ("host", host) => hosts.push(host),
                _ => {}
            }
        }
        let [host] = hosts[..] else { panic!("no host, or several: {head:?}") };
        let framing = match (&lengths[..], &codings[..]) {
            ([], []) => Framing::Length(0),
            ([length], []) => {
                assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{head:?}");
                Framing::Length(length.parse().expect("a length"))
            }
            ([], ["chunked"]) => Framing::Chunks,
            _ => panic!("framed oddly, or twice: {head:?}"),
        };
        Some(Head { target, host, framing, rest: &bytes[end + 4..] })
    }

    /// The first one of these bytes, and what is behind it; nothing where none is whole.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let Head { target, host, framing, rest } = Self::head(bytes)?;
        let (body, rest) = match framing {
            Framing::Length(length) => (length, rest.get(length..)?),
            Framing::Chunks => Self::chunks(rest)?,
        };
        let (target, host) = (target.to_owned(), host.to_owned());
        Some((Request { target, host, body }, rest))
    }

    /// The length of a body in chunks without extensions, and what is behind it.
    fn chunks(mut rest: &[u8]) -> Option<(usize, &[u8])> {
        let mut body = 0;
        loop {
            let end = find(rest, b"\r\n")?;
            let size = std::str::from_utf8(&rest[..end]).expect("a size");
            assert!(size.bytes().all(|byte| byte.is_ascii_hexdigit()), "an odd chunk: {size:?}");
            let size = usize::from_str_radix(size, 16).expect("a size");
            rest = &rest[end + 2..];
            let chunk = rest.get(..size)?;
            rest = rest.get(size..)?.strip_prefix(b"\r\n").or_else(|| {
                assert!(rest.len() < size + 2, "a chunk without its end");
                None
            })?;
            body += chunk.len();
            if size == 0 {
                return Some((body, rest));
            }
        }
    }
}

pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
