//! The one normal form of a request path, so that what is judged is what is meant.
//!
//! ```
//! assert_eq!(model::path::normalise("/a/./b//%63/../d%2fe").unwrap(), "/a/b/d%2Fe");
//! assert!(model::path::normalise("/a/../../etc").is_err());
//! ```
//!
//! Escapes of unreserved characters are decoded, all others stay escapes in upper case: `%2F` is
//! no slash, unless one is [told otherwise](EscapedSlash). Bytes that may not stand in a path unescaped become escapes. Slashes are merged,
//! then dot segments resolved. What a backend could read in two ways is refused. Normalising
//! twice changes nothing.

use std::borrow::Cow;

/// What an escaped slash (`%2F`) in a path is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EscapedSlash {
    /// A letter of its segment, which stays escaped.
    #[default]
    Keep,
    /// No part of any path.
    Refuse,
    /// A slash.
    Decode,
}

/// Why a path has no normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No slash at its beginning.
    #[error("the path does not begin with '/'")]
    Relative,
    /// A `%` without two hexadecimal digits.
    #[error("the path has a '%' without two hexadecimal digits behind it")]
    Escape,
    /// A backslash, bare or escaped: a slash to some, a letter to others.
    #[error("the path has a backslash")]
    Backslash,
    /// A control character or space, bare or (space apart) escaped.
    #[error("the path has a control character")]
    Control,
    /// A `?` or `#`, which end a path.
    #[error("the path has a '?' or '#'")]
    Delimiter,
    /// `..` above the root.
    #[error("the path climbs above the root")]
    Climbs,
    /// A dot segment beside an escaped slash or `;`, which some backends would resolve.
    #[error("the path hides a dot segment behind an escaped slash or a ';'")]
    HiddenDots,
    /// An escaped slash, where those are refused.
    #[error("the path has an escaped slash")]
    EscapedSlash,
}

/// The normal form of `raw`; borrowed where `raw` has it already.
///
/// # Errors
/// [`PathError`] where there is none.
pub fn normalise(raw: &str) -> Result<Cow<'_, str>, PathError> {
    normalise_with(raw, EscapedSlash::Keep)
}

/// The same, where escaped slashes are what `slash` says.
///
/// # Errors
/// [`PathError`] where there is none.
pub fn normalise_with(raw: &str, slash: EscapedSlash) -> Result<Cow<'_, str>, PathError> {
    if raw.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    if !raw.starts_with('/') {
        return Err(PathError::Relative);
    }
    if is_plain(raw.as_bytes()) {
        return Ok(Cow::Borrowed(raw));
    }
    let path = resolve(&unescape(raw, slash)?)?;
    Ok(if path == raw { Cow::Borrowed(raw) } else { Cow::Owned(path) })
}

/// Whether nothing in it could need work: no escape, no odd byte, no `//`, no `/.`.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        if !BARE[usize::from(byte)] || (before == b'/' && (byte == b'/' || byte == b'.')) {
            return false;
        }
        before = byte;
    }
    true
}

/// [`stands_bare`] of each byte: every request is looked at by it.
static BARE: [bool; 256] = {
    let mut all = [false; 256];
    let mut byte = 0;
    while byte < all.len() {
        all[byte] = stands_bare(byte as u8);
        byte += 1;
    }
    all
};

/// `pchar` of RFC 3986 without escapes, and the slash.
const fn stands_bare(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'/' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')')
        || matches!(byte, b'*' | b'+' | b',' | b';' | b'=')
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Every byte in its one spelling; bare slashes and dots still as they came.
fn unescape(raw: &str, slash: EscapedSlash) -> Result<String, PathError> {
    let mut path = String::with_capacity(raw.len() + 8);
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = (bytes.next().and_then(hex), bytes.next().and_then(hex));
                let (Some(high), Some(low)) = digits else { return Err(PathError::Escape) };
                let byte = high << 4 | low;
                match byte {
                    b'\\' => return Err(PathError::Backslash),
                    0..=0x1f | 0x7f => return Err(PathError::Control),
                    b'/' => match slash {
                        EscapedSlash::Keep => escape(&mut path, byte),
                        EscapedSlash::Refuse => return Err(PathError::EscapedSlash),
                        EscapedSlash::Decode => path.push('/'),
                    },
                    _ if is_unreserved(byte) => path.push(char::from(byte)),
                    _ => escape(&mut path, byte),
                }
            }
            b'\\' => return Err(PathError::Backslash),
            b'?' | b'#' => return Err(PathError::Delimiter),
            0..=0x20 | 0x7f => return Err(PathError::Control),
            _ if stands_bare(byte) => path.push(char::from(byte)),
            _ => escape(&mut path, byte),
        }
    }
    Ok(path)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn escape(path: &mut String, byte: u8) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    path.push('%');
    path.push(DIGITS[usize::from(byte >> 4)]);
    path.push(DIGITS[usize::from(byte & 15)]);
}

/// Slashes merged, dot segments taken out (RFC 3986, section 5.2.4, but never above the root).
fn resolve(path: &str) -> Result<String, PathError> {
    let mut result = String::with_capacity(path.len());
    let mut ends_open = false;
    for segment in path.split('/').skip(1) {
        ends_open = false;
        match segment {
            "" | "." => ends_open = true,
            ".." => {
                let parent = result.rfind('/').ok_or(PathError::Climbs)?;
                result.truncate(parent);
                ends_open = true;
            }
            _ if hides_dots(segment) => return Err(PathError::HiddenDots),
            _ => {
                result.push('/');
                result.push_str(segment);
            }
        }
    }
    if ends_open {
        result.push('/');
    }
    Ok(result)
}

/// `..%2Fx` and `..;x`: no dot segments to us, but to backends that decode or cut once more.
fn hides_dots(segment: &str) -> bool {
    let is_dots = |piece: &str| {
        let name = piece.split(';').next().unwrap_or_default();
        let name = name.split("%3B").next().unwrap_or_default();
        name == "." || name == ".."
    };
    segment.split("%2F").any(is_dots)
}

#[cfg(test)]
mod tests;
