//! What a command says: results on standard output, all else on standard error.
//!
//! A reader that leaves early, as `head` does, has what it wanted: the rest goes nowhere, and the
//! exit code is what it would have been.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use model::yaml;
use serde_json::Value;

use crate::args::{Colour, Output};
use crate::failure::Failure;

pub(crate) mod table;
pub(crate) mod when;

/// Writes a result to standard output.
///
/// # Errors
/// If it cannot be written, as on a full disk; not if its reader has left.
pub(crate) fn result(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::of("writing to standard output", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line beside the result, to standard error; where that cannot be written, nobody could
/// be told.
pub(crate) fn note(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Tells why nothing came of a command: in words, or to a program as one object on one line.
pub(crate) fn failure(output: Output, failure: &Failure) {
    match output {
        Output::Table | Output::Yaml => note(failure),
        Output::Json => note(failure.json()),
    }
}

/// Shows `answer` as `output` says; `table` makes the form for people.
///
/// # Errors
/// As [`result`].
pub(crate) fn answer(
    output: Output,
    answer: &Value,
    table: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match output {
        Output::Table => result(&table()),
        Output::Json => result(&format!("{answer:#}\n")),
        Output::Yaml => result(&yaml::text(answer)),
    }
}

/// `text` on one line and without letters that steer a terminal: it may quote a stranger.
pub(crate) fn printable(text: &str) -> String {
    if !text.contains(steers) {
        return text.to_owned();
    }
    let mut printed = String::with_capacity(text.len());
    for letter in text.chars() {
        match steers(letter) {
            true => printed.extend(letter.escape_default()),
            false => printed.push(letter),
        }
    }
    printed
}

/// Whether a letter moves the cursor, or turns the direction of what follows.
fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Colours of a result, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// As `colour` says: by itself only on a terminal that wants them.
    pub(crate) fn new(colour: Colour) -> Self {
        let wanted = || {
            let variable = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            io::stdout().is_terminal() && !variable("NO_COLOR") && !is_dumb
        };
        Paint(match colour {
            Colour::Auto => wanted(),
            Colour::Always => true,
            Colour::Never => false,
        })
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The text at `pointer` in `value`; a number as its digits; `-` where there is nothing.
pub(crate) fn word(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(true)) => "yes".to_owned(),
        Some(Value::Bool(false)) => "no".to_owned(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| word(item, "")).collect::<Vec<_>>().join(",")
        }
        Some(other @ (Value::Number(_) | Value::Object(_))) => other.to_string(),
    }
}

/// The items at `pointer` in `value`.
pub(crate) fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The object that `value` names by kind, namespace and name: `HTTPRoute shop/r`.
pub(crate) fn object(value: &Value) -> String {
    let [kind, namespace, name] = ["/kind", "/namespace", "/name"].map(|at| word(value, at));
    format!("{kind} {namespace}/{name}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_is_the_shortest_form_of_a_value() {
        let value = json!({"a": "x", "b": 7, "c": true, "d": null, "e": ["p", "q"], "f": ""});
        for (at, wanted) in
            [("/a", "x"), ("/b", "7"), ("/c", "yes"), ("/d", "-"), ("/e", "p,q"), ("/f", "-")]
        {
            assert_eq!(word(&value, at), wanted);
        }
        assert_eq!(word(&value, "/nowhere"), "-");
    }

    #[test]
    fn letters_that_steer_a_terminal_are_spelled_out() {
        assert_eq!(printable("grün"), "grün");
        assert_eq!(printable("a\u{1b}[2J\u{202e}b\nc"), "a\\u{1b}[2J\\u{202e}b\\nc");
    }
}
