//! No text makes `read` panic, hang, or accept what serde would refuse.

use proptest::prelude::*;

use super::round::survives_round_trip;
use super::{VALID, read};

/// Pieces of YAML that bend a document where they are put.
const PIECES: [&str; 30] = [
    "---\n",
    "...\n",
    "- ",
    ": ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "!!str ",
    "| \n",
    ">-\n",
    "\"",
    "'",
    "#",
    "\t",
    "\r",
    "\n",
    "\n  ",
    "null",
    "~",
    "-1",
    "99999",
    ".inf",
    "%TAG ! x\n",
    "\u{feff}",
    "<<: ",
    "\u{85}",
];

/// Reads and looks at all that comes out; serde never refuses what the walker let pass.
fn look(text: &str) {
    for document in read(text) {
        match document.result {
            Ok(resource) => {
                assert_eq!(document.key, Some(resource.key()));
                survives_round_trip(&resource);
            }
            Err(faults) => {
                assert!(!faults.is_empty() && faults.len() <= 1_000);
                for fault in faults {
                    let lines = text.split(['\n', '\r']).count() + 1;
                    assert!((1..=lines).contains(&fault.line.unwrap()), "{fault}");
                    assert!(!fault.to_string().contains(char::is_control), "{fault:?}");
                    assert!(!fault.reason.starts_with("does not fit the type"), "{fault}");
                }
            }
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

/// Where, how many letters are taken out, and what comes in.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, String)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..8usize, piece()), 1..6)
}

fn apply(edits: Vec<(prop::sample::Index, usize, String)>) -> String {
    let mut letters: Vec<char> = VALID.chars().collect();
    for (place, taken, piece) in edits {
        let begin = place.index(letters.len());
        let end = (begin + taken).min(letters.len());
        letters.splice(begin..end, piece.chars());
    }
    letters.into_iter().collect()
}

/// One scalar of the valid examples exchanged for another, so that most documents still parse.
fn exchanged() -> impl Strategy<Value = String> {
    let values = prop::sample::select(vec![
        "", "~", "a", "A_b", "0", "-1", "80", "99999", "1.5", "true", "'80'", "[]", "{}", "[{}]",
        "[a]", "{a: b}", "/", "GET", "Exact", "10s", "10.0.0.1", "1e400", "'x'",
    ]);
    let edit = (any::<prop::sample::Index>(), values);
    prop::collection::vec(edit, 1..4).prop_map(|edits| {
        let mut text = VALID.to_owned();
        for (place, value) in edits {
            let colons: Vec<_> = text.match_indices(": ").map(|(at, _)| at + 2).collect();
            let begin = colons[place.index(colons.len())];
            let length = text[begin..].find([',', '\n', '}', ']']).unwrap_or(0);
            text.replace_range(begin..begin + length, value);
        }
        text
    })
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in any::<String>()) {
        look(&text);
    }

    #[test]
    fn any_pieces_are_read_without_panic(pieces in prop::collection::vec(piece(), 0..60)) {
        look(&pieces.concat());
    }

    #[test]
    fn bent_examples_are_read_without_panic(edits in edits()) {
        look(&apply(edits));
    }

    #[test]
    fn what_the_walker_lets_pass_serde_can_read(text in exchanged()) {
        look(&text);
    }
}
