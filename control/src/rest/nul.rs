//! NUL in the strings of a body: PostgreSQL's text cannot hold it, so neither database is given it.
//!
//! In JSON a NUL is only ever the escape `\u0000`, and a backslash stands only in strings: so the
//! text is looked through as it came, and what it says is looked at only where one was found.

use model::Invalid;
use serde::de::IgnoredAny;

use super::problem::Problem;
use crate::app::user::fault;

/// Refuses JSON with a NUL in one of its strings. What is no JSON is for others to refuse, or to read.
pub(super) fn refuse(body: &[u8]) -> Result<(), Problem> {
    let Some(place) = escaped(body) else { return Ok(()) };
    if serde_json::from_slice::<IgnoredAny>(body).is_err() {
        return Ok(());
    }
    let before = &body[..place];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let text = format!(
        "the string at column {column} holds the character NUL (\\u0000), which cannot be kept; \
         leave it out"
    );
    Err(Problem::invalid(vec![Invalid { line: Some(line), ..fault("", text) }]))
}

/// Where the first escape of NUL stands.
fn escaped(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(next) = text[from..].iter().position(|byte| *byte == b'\\') {
        let place = from + next;
        if text[place + 1..].starts_with(b"u0000") {
            return Some(place);
        }
        // What is escaped may be a backslash itself.
        from = (place + 2).min(text.len());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nul_in_a_string_of_json_is_refused() {
        for (body, is_refused) in [
            (r#"{"user":"a\u0000b"}"#, true),
            (r#"{"a\u0000":1}"#, true),
            (r#"{"a":"\\\u0000"}"#, true),
            (r#"{"a":"\\u0000"}"#, false),
            (r#"{"a":"\u0001\n"}"#, false),
            (r#"{"a":"u0000"}"#, false),
            (r#"{"a":"\u0000""#, false),
            ("a: '\\u0000'", false),
            ("\\", false),
            ("", false),
        ] {
            assert_eq!(refuse(body.as_bytes()).is_err(), is_refused, "{body}");
        }
    }
}
