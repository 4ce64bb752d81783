//! A text that a regular expression means, for the simple ones that people write.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Longer examples than this stand for nothing that anybody asks for.
const LONGEST: usize = 1024;

/// Some text that `pattern` means as a whole; none if it is no expression, or one too long.
pub(super) fn example(pattern: &str) -> Option<String> {
    let mut text = String::new();
    write(&regex_syntax::parse(pattern).ok()?, &mut text)?;
    Some(text)
}

fn write(hir: &Hir, text: &mut String) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(letter(class)?),
        HirKind::Repetition(again) => {
            for _ in 0..again.min {
                write(&again.sub, text)?;
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, text)?,
        HirKind::Concat(all) => all.iter().try_for_each(|one| write(one, text))?,
        HirKind::Alternation(any) => write(any.first()?, text)?,
    }
    (text.len() <= LONGEST).then_some(())
}

/// A letter of a class that stands in paths as it is, if it has one.
fn letter(class: &Class) -> Option<char> {
    let plain = ('a'..='z').chain('0'..='9').chain(['-', '_', '.', '/']);
    let holds = |letter: &char| match class {
        Class::Unicode(class) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(letter))
        }
        Class::Bytes(class) => {
            let byte = u8::try_from(*letter);
            let is_in = |byte| class.ranges().iter().any(|r| (r.start()..=r.end()).contains(&byte));
            byte.is_ok_and(is_in)
        }
    };
    plain.into_iter().find(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_what_the_expression_means() {
        for pattern in
            ["/v[0-9]+/orders", "/(a|b)/.*", "/x{3}/[^/]+", "(?i)/shop", "/a?b*", "a\\.b"]
        {
            let text = example(pattern).unwrap();
            let whole = regex_automata::meta::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            assert!(whole.is_match(&text), "{pattern}: {text}");
        }
        assert_eq!(example("("), None);
        assert_eq!(example("(x{1000}){1000}"), None);
    }
}
