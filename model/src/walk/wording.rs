//! How faults are worded: what was found, what was wanted, which known word was near.

use super::shape::{Bounds, Form, Shape, Shapes};
use crate::read::scalar::{Meaning, Scalar};
use crate::read::tree::{Content, Node};

/// Most letters of a stranger's text that a message quotes.
const QUOTED: usize = 64;
/// Most fields that a message lists.
const LISTED: usize = 12;

/// `text` as far as a message quotes it.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// `text` on one line and without letters that steer a terminal: it may quote a stranger.
pub(crate) fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut printed = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() {
            true => printed.extend(letter.escape_default()),
            false => printed.push(letter),
        }
    }
    printed
}

/// What stands there: `the number 80`. A secret is not quoted.
pub(crate) fn found(node: &Node, hidden: bool) -> String {
    let Scalar { text, meaning } = match &node.content {
        Content::List(_) => return "a list".to_owned(),
        Content::Map(_) => return "a mapping".to_owned(),
        Content::Scalar(scalar) => scalar,
    };
    match meaning {
        Meaning::Null => "nothing".to_owned(),
        Meaning::Truth(_) if hidden => "a truth value".to_owned(),
        Meaning::Truth(truth) => truth.to_string(),
        Meaning::Number(_) if hidden => "a number".to_owned(),
        Meaning::Number(_) => format!("the number {}", short(text)),
        Meaning::Text | Meaning::Nothing(_) if hidden => "text".to_owned(),
        Meaning::Text | Meaning::Nothing(_) => format!("the text '{}'", short(text)),
    }
}

/// What is wanted there: `a whole number from 1 to 65535`.
pub(crate) fn wanted(shapes: &Shapes, shape: &Shape) -> String {
    match &shapes.follow(shape).form {
        Form::Anything | Form::Named(_) => "a value".to_owned(),
        Form::Truth => "true or false".to_owned(),
        Form::Whole(bounds) => format!("a whole number{}", within(*bounds)),
        Form::Text(_, Some(format)) => format.noun().to_owned(),
        Form::Text(_, None) => "text".to_owned(),
        Form::Words(words) => match words.as_slice() {
            [word] => format!("'{word}'"),
            words => format!("one of {}", words.join(", ")),
        },
        Form::List(..) => "a list".to_owned(),
        Form::Map(_) => "a mapping".to_owned(),
        Form::Either(branches) => {
            let branches: Vec<_> = branches.iter().map(|one| wanted(shapes, one)).collect();
            branches.join(" or ")
        }
    }
}

fn within(bounds: Bounds) -> String {
    let Bounds { least, most } = bounds;
    match (least, most) {
        (0, most) if most >= i128::from(u32::MAX) => ", 0 or more".to_owned(),
        (least, most) if most >= i128::from(i64::MAX) => format!(", {least} or more"),
        (least, most) => format!(" from {least} to {most}"),
    }
}

/// What would turn `node` into what `shape` wants, where a small change would.
pub(crate) fn advice(shape: &Shape, node: &Node) -> &'static str {
    let (written, meaning) = match &node.content {
        Content::Scalar(scalar) => (scalar.text.as_str(), Some(&scalar.meaning)),
        Content::List(_) | Content::Map(_) => ("", None),
    };
    match (&shape.form, meaning) {
        (Form::Text(_, format), Some(Meaning::Number(_) | Meaning::Truth(_))) => {
            let fits = format.is_none_or(|format| format.fault(written).is_none());
            if fits { "; put it in quotes" } else { "" }
        }
        (Form::Whole(_), Some(Meaning::Text)) if written.parse::<i64>().is_ok() => {
            "; take the quotes off"
        }
        (Form::Truth, Some(Meaning::Text)) if matches!(written, "true" | "false") => {
            "; take the quotes off"
        }
        (Form::List(..), _) => "; begin each item with '- '",
        (Form::Map(_), None) => "; take the '- ' off",
        _ => "",
    }
}

/// The names of `known`, if few enough to help.
pub(crate) fn listed<'w>(known: impl ExactSizeIterator<Item = &'w str>) -> String {
    match known.len() {
        0 => "; none may stand here".to_owned(),
        1..=LISTED => format!("; known here: {}", known.collect::<Vec<_>>().join(", ")),
        _ => String::new(),
    }
}

/// The word of `known` that the writer of `word` most likely meant, if any is near.
pub fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    if word.len() > QUOTED {
        return None;
    }
    let lower = word.to_lowercase();
    let distance = |known: &str| {
        let known = known.to_lowercase();
        let is_part = lower.len() >= 3 && known.contains(&lower);
        let steps = strsim::damerau_levenshtein(&lower, &known);
        let near = 3 * steps <= lower.len().max(known.len());
        (near || is_part).then_some((steps, known.len()))
    };
    known
        .filter_map(|known| distance(known).map(|distance| (distance, known)))
        .min()
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_the_one_meant() {
        let known = ["backendRefs", "filters", "matches", "name", "timeouts", "hostnames"];
        let cases = [
            ("match", Some("matches")),
            ("backendrefs", Some("backendRefs")),
            ("backends", Some("backendRefs")),
            ("timeout", Some("timeouts")),
            ("host", Some("hostnames")),
            ("nmae", Some("name")),
            ("colour", None),
            ("stnames", Some("hostnames")),
            ("x", None),
        ];
        for (word, wanted) in cases {
            assert_eq!(nearest(word, known.into_iter()).as_deref(), wanted, "{word}");
        }
    }
}
