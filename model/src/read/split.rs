//! A file's text into documents, before anything is parsed.
//!
//! A line `---` always begins a document and a line `...` always ends one: YAML allows neither
//! inside any scalar (section 9.1.2, `c-forbidden`).
//! So the documents can be told apart without parsing them, and a syntax fault in one leaves the
//! others readable.

/// The text of one document, and the line of the file on which it begins, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'t> {
    pub(crate) line: usize,
    pub(crate) text: &'t str,
}

/// Parts `text`; comments and directives before a `---` belong to the document it begins.
pub(crate) fn split(text: &str) -> Vec<Part<'_>> {
    split_most(text, usize::MAX)
}

/// The first parts of `text`: one more than `most`, where there are more.
pub(crate) fn split_most(text: &str, most: usize) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut begin, mut begin_line) = (0, 1);
    let mut has_begun = false;
    for (line, (at, row)) in (1..).zip(rows(text)) {
        if parts.len() > most {
            return parts;
        }
        let row = row.trim_start_matches('\u{feff}');
        if is_marker(row, "---") {
            if has_begun {
                parts.push(Part { line: begin_line, text: &text[begin..at] });
                (begin, begin_line) = (at, line);
            }
            has_begun = true;
        } else if is_marker(row, "...") {
            let end = end_of_row(text, at);
            parts.push(Part { line: begin_line, text: &text[begin..end] });
            (begin, begin_line) = (end, line + 1);
            has_begun = false;
        } else {
            let first = row.trim_start().bytes().next();
            has_begun |= !(first.is_none() || first == Some(b'#') || row.starts_with('%'));
        }
    }
    if begin < text.len() {
        parts.push(Part { line: begin_line, text: &text[begin..] });
    }
    parts
}

/// How many line breaks (`\n`, `\r\n`, `\r`) stand in `bytes`.
pub(crate) fn count_breaks(bytes: &[u8]) -> usize {
    let lone = |window: &[u8]| window[0] == b'\r' && window[1] != b'\n';
    let feeds = bytes.iter().filter(|&&byte| byte == b'\n').count();
    let returns = bytes.windows(2).filter(|window| lone(window)).count();
    feeds + returns + usize::from(bytes.last() == Some(&b'\r'))
}

/// Each line without its break, and where it begins.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let row = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        let begin = at;
        at = end_of_row(text, at);
        Some((begin, row))
    })
}

/// Where the line that begins at `at` ends, its break included.
fn end_of_row(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let Some(end) = rest.find(['\n', '\r']) else { return text.len() };
    let width = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
    at + end + width
}

fn is_marker(row: &str, marker: &str) -> bool {
    row.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_by_their_markers() {
        let cases: [(&str, &[(usize, &str)]); 9] = [
            ("", &[]),
            ("a: 1\n", &[(1, "a: 1\n")]),
            ("a: 1\n---\nb: 2", &[(1, "a: 1\n"), (2, "---\nb: 2")]),
            ("# c\n---\na: 1\n---\n", &[(1, "# c\n---\na: 1\n"), (4, "---\n")]),
            ("a: 1\r\n--- {}\r\n", &[(1, "a: 1\r\n"), (2, "--- {}\r\n")]),
            ("a: 1\r---\rb: 2", &[(1, "a: 1\r"), (2, "---\rb: 2")]),
            ("a: 1\n...\n%YAML 1.2\n---\nb: 2", &[(1, "a: 1\n...\n"), (3, "%YAML 1.2\n---\nb: 2")]),
            ("a: |\n  ---\n ---\n----\n", &[(1, "a: |\n  ---\n ---\n----\n")]),
            ("a: 1\n\u{feff}---\nb: 2", &[(1, "a: 1\n"), (2, "\u{feff}---\nb: 2")]),
        ];
        for (text, wanted) in cases {
            let parts: Vec<_> = split(text).iter().map(|part| (part.line, part.text)).collect();
            assert_eq!(parts, wanted, "{text:?}");
        }
    }

    #[test]
    fn a_break_counts_once_however_it_is_written() {
        for (bytes, wanted) in [("", 0), ("a\nb", 1), ("a\r\nb", 1), ("a\rb\r", 2), ("\n\r\n", 2)] {
            assert_eq!(count_breaks(bytes.as_bytes()), wanted, "{bytes:?}");
        }
    }
}
