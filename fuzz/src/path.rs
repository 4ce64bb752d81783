//! The normal form of paths, against RFC 3986 read to the letter.

use model::path::{EscapedSlash, normalise, normalise_with};

/// Whether a path has a normal form, and which.
pub fn path(data: &[u8]) {
    let raw = &*String::from_utf8_lossy(data);
    let got = normalise(raw);
    let wanted = naive(raw);
    assert_eq!(got.as_deref().ok(), wanted.as_deref(), "the normal form of {raw:?}: {got:?}");
    slashes(raw, wanted.as_deref());
    let Ok(normal) = got else { return };
    assert_eq!(normalise(&normal).as_deref(), Ok(&*normal), "a normal form is its own");
    assert!(normal.starts_with('/') && !normal.contains("//"), "{normal:?}");
    assert!(normal.bytes().all(|byte| byte.is_ascii_graphic()), "{normal:?} has an odd letter");
    assert!(!normal.contains(['\\', '?', '#', '"', '<', '>']), "{normal:?} has an odd letter");
    assert!(normal.split('/').all(|one| one != "." && one != ".."), "{normal:?} has dots left");
}

/// That escaped slashes are refused, or read as slashes, where that is asked for; `kept` is the normal form
/// where they are letters.
fn slashes(raw: &str, kept: Option<&str>) {
    let bare = raw.replace("%2f", "/").replace("%2F", "/");
    let refused = normalise_with(raw, EscapedSlash::Refuse).ok();
    assert_eq!(
        refused.as_deref(),
        kept.filter(|_| raw == bare),
        "{raw:?}, without escaped slashes"
    );
    let decoded = normalise_with(raw, EscapedSlash::Decode).ok();
    let begins = raw.is_empty() || raw.starts_with('/');
    let wanted = Some(bare).filter(|_| begins).and_then(|bare| naive(&bare));
    assert_eq!(decoded, wanted.map(Into::into), "{raw:?}, with escaped slashes read");
}

/// Spells every byte in its one way, merges slashes, and removes dot segments as RFC 3986 says.
fn naive(raw: &str) -> Option<String> {
    if raw.is_empty() {
        return Some("/".to_owned());
    }
    let mut path = spelled(raw).filter(|path| path.starts_with('/'))?;
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    let mut depth = 0_i32;
    for segment in path.split('/').filter(|segment| !matches!(*segment, "" | ".")) {
        depth += if segment == ".." { -1 } else { 1 };
        if depth < 0 || hides_dots(segment) {
            return None;
        }
    }
    Some(remove_dot_segments(&path))
}

/// RFC 3986, section 2: unreserved letters bare, `sub-delims`, `:`, `@` and `/` as they came, all others
/// as escapes in upper case. None for what nobody may send.
fn spelled(raw: &str) -> Option<String> {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut path = String::new();
    let mut rest = raw.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, escaped, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok().filter(|two| !two.contains('+'))?;
                (u8::from_str_radix(digits, 16).ok()?, true, after)
            }
            (b'%', _) => return None,
            (first, after) => (*first, false, after),
        };
        let is_refused = byte < 0x20 || byte == 0x7f || byte == b'\\';
        if is_refused || (!escaped && b" ?#".contains(&byte)) {
            return None;
        }
        if bare(byte) || (!escaped && b"/:@!$&'()*+,;=".contains(&byte)) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        rest = after;
    }
    Some(path)
}

/// What is a dot segment to who takes `%2F` for a slash, or cuts at a `;`.
fn hides_dots(segment: &str) -> bool {
    let read = segment.replace("%2F", "/").replace("%3B", ";");
    let is_odd = read.contains(['/', ';']);
    is_odd
        && read.split('/').any(|one| {
            ["", "."].iter().any(|dot| {
                let dots = format!(".{dot}");
                one == dots || one.strip_prefix(&dots).is_some_and(|rest| rest.starts_with(';'))
            })
        })
}

/// RFC 3986, section 5.2.4, step by step.
fn remove_dot_segments(path: &str) -> String {
    let (mut input, mut output) = (path.to_owned(), String::new());
    while !input.is_empty() {
        if input.starts_with("/./") {
            input.replace_range(..2, "");
        } else if input == "/." {
            "/".clone_into(&mut input);
        } else if input.starts_with("/../") || input == "/.." {
            let rest = input.strip_prefix("/../").unwrap_or_default();
            input = format!("/{rest}");
            output.truncate(output.rfind('/').unwrap_or_default());
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input.replace_range(..end, "");
        }
    }
    output
}
