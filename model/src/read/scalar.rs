//! What a scalar means, by the core schema of YAML 1.2 (section 10.3.2).
//!
//! Quoted is always text, and so are `yes`, `no`, `on` and `off`, which YAML 1.1 took for truth
//! values. The text as written is kept: messages quote it, and a key is its text.

use saphyr_parser::{ScalarStyle, Tag};
use serde_json::Number;

/// A scalar: what was written, and what that means.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) meaning: Meaning,
}

/// What a scalar means.
#[derive(Debug, Clone)]
pub(crate) enum Meaning {
    Null,
    Truth(bool),
    Number(Number),
    Text,
    /// Nothing that JSON could say; why not.
    Nothing(&'static str),
}

impl Scalar {
    /// Resolves `text` by how it was written.
    pub(crate) fn resolve(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Self {
        let meaning = match tag {
            Some(tag) => by_tag(&text, tag),
            None if style == ScalarStyle::Plain => plain(&text),
            None => Meaning::Text,
        };
        Scalar { text, meaning }
    }

    /// Whether nothing was written.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.meaning, Meaning::Null)
    }

    /// The text, if that is what it means.
    pub(crate) fn as_text(&self) -> Option<&str> {
        matches!(self.meaning, Meaning::Text).then_some(&*self.text)
    }
}

const ODD_TAG: &str = "carries a tag that is not read; known are !!str, !!int, !!float, !!bool, \
                       !!null";
const TAG_DIFFERS: &str = "is not what its tag says";
const INFINITE: &str = "is no number that JSON can say; put it in quotes if it is text";

fn by_tag(text: &str, tag: &Tag) -> Meaning {
    let is_core = tag.is_yaml_core_schema() || tag.handle == "!!";
    let word = if is_core { tag.suffix.as_str() } else { "" };
    match (word, plain(text)) {
        ("str", _) => Meaning::Text,
        ("int" | "float", meaning @ Meaning::Number(_))
        | ("bool", meaning @ Meaning::Truth(_))
        | ("null", meaning @ Meaning::Null) => meaning,
        ("int" | "float" | "bool" | "null", _) => Meaning::Nothing(TAG_DIFFERS),
        // `!` alone says: not resolved, hence text.
        (_, _) if tag.handle.is_empty() && tag.suffix == "!" => Meaning::Text,
        (_, _) => Meaning::Nothing(ODD_TAG),
    }
}

/// A plain scalar.
fn plain(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "true" | "True" | "TRUE" => Meaning::Truth(true),
        "false" | "False" | "FALSE" => Meaning::Truth(false),
        _ => number(text),
    }
}

fn number(text: &str) -> Meaning {
    let sign = usize::from(text.starts_with(['-', '+']));
    let (minus, digits) = (text.starts_with('-'), &text[sign..]);
    let whole = match (sign, digits.get(..2)) {
        (0, Some("0o")) => u64::from_str_radix(unsigned(&digits[2..]), 8).ok(),
        (0, Some("0x")) => u64::from_str_radix(unsigned(&digits[2..]), 16).ok(),
        (_, _) => unsigned(digits).parse().ok(),
    };
    if let Some(whole) = whole {
        return if minus { negative(whole) } else { Meaning::Number(whole.into()) };
    }
    match digits {
        ".inf" | ".Inf" | ".INF" => return Meaning::Nothing(INFINITE),
        ".nan" | ".NaN" | ".NAN" if sign == 0 => return Meaning::Nothing(INFINITE),
        _ => {}
    }
    if !is_decimal(digits) {
        return Meaning::Text;
    }
    let float = text.parse::<f64>().ok().and_then(Number::from_f64);
    float.map_or(Meaning::Nothing(INFINITE), Meaning::Number)
}

/// Rust's integer parsers allow a sign of their own; YAML has taken it already.
fn unsigned(digits: &str) -> &str {
    if digits.starts_with('+') { "" } else { digits }
}

fn negative(whole: u64) -> Meaning {
    match 0i64.checked_sub_unsigned(whole) {
        Some(number) => Meaning::Number(number.into()),
        None => Number::from_f64(-(whole as f64)).map_or(Meaning::Text, Meaning::Number),
    }
}

/// `[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?` or `\.[0-9]+([eE][-+]?[0-9]+)?`.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let power = |part: &str| {
        let part = part.strip_prefix(['-', '+']).unwrap_or(part);
        !part.is_empty() && digits(part)
    };
    !(before.is_empty() && after.is_empty())
        && digits(before)
        && digits(after)
        && exponent.is_none_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(text: &str) -> String {
        match plain(text) {
            Meaning::Null => "null".to_owned(),
            Meaning::Truth(truth) => truth.to_string(),
            Meaning::Number(number) => number.to_string(),
            Meaning::Text => format!("'{text}'"),
            Meaning::Nothing(_) => "nothing".to_owned(),
        }
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        let cases = [
            ("", "null"),
            ("~", "null"),
            ("True", "true"),
            ("yes", "'yes'"),
            ("no", "'no'"),
            ("80", "80"),
            ("+80", "80"),
            ("-1", "-1"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("017", "17"),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("1e3", "1000.0"),
            ("1.2.3.4", "'1.2.3.4'"),
            ("++1", "'++1'"),
            ("-+1", "'-+1'"),
            ("0x+1", "'0x+1'"),
            ("1e", "'1e'"),
            (".", "'.'"),
            ("-", "'-'"),
            (".inf", "nothing"),
            ("1e999", "nothing"),
            ("18446744073709551616", "1.8446744073709552e+19"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1:30", "'1:30'"),
            ("é1", "'é1'"),
        ];
        for (text, wanted) in cases {
            assert_eq!(meaning(text), wanted, "{text}");
        }
    }
}
