//! The messages as the text of the .proto files has them: which number is which field, and what it holds.
//!
//! Statements end with `;`, blocks stand in braces; nothing else of the language is in those files.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const CONFIG: &str = include_str!("../../../wire/proto/config.proto");
const SEEING: &str = include_str!("../../../wire/proto/seeing.proto");

/// All messages of both files; no two have one name.
static MESSAGES: LazyLock<BTreeMap<String, Vec<Field>>> = LazyLock::new(|| {
    let mut messages = BTreeMap::new();
    [CONFIG, SEEING].into_iter().for_each(|text| read(text, &mut messages));
    messages
});

/// A field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) sort: Sort,
    pub(super) label: Label,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sort {
    Text,
    Bytes,
    Bool,
    Uint32,
    Uint64,
    Int64,
    Fixed64,
    Enum,
    Message(String),
}

/// How often a field is there, and whether it is told apart from one that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Plain,
    Optional,
    Repeated,
    /// Of several such fields of a message one is there at most.
    Oneof,
}

/// The fields of a message.
pub(super) fn fields(message: &str) -> &'static [Field] {
    MESSAGES.get(message).unwrap_or_else(|| panic!("no message is called {message}"))
}

fn read(text: &str, messages: &mut BTreeMap<String, Vec<Field>>) {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join(" ");
    let mut enums = Vec::new();
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for piece in text.split_inclusive(['{', '}', ';']) {
        let (words, end) = piece.split_at(piece.len() - 1);
        let words: Vec<_> = words.split([' ', '=']).filter(|word| !word.is_empty()).collect();
        match (end, &words[..]) {
            ("{", &["message", name]) => drop(messages.insert(name.to_owned(), Vec::new())),
            ("{", &["enum", name]) => enums.push(name.to_owned()),
            (";", words) => {
                let is_oneof = blocks.last().is_some_and(|block| block[0] == "oneof");
                if let Some(message) = blocks.iter().rfind(|block| block[0] == "message")
                    && let Some(field) = field(words, is_oneof)
                {
                    messages.entry(message[1].to_owned()).or_default().push(field);
                }
            }
            _ => {}
        }
        match end {
            "{" => blocks.push(words),
            "}" => drop(blocks.pop()),
            _ => {}
        }
    }
    for field in messages.values_mut().flatten() {
        if matches!(&field.sort, Sort::Message(name) if enums.contains(name)) {
            field.sort = Sort::Enum;
        }
    }
}

/// None where the statement is another one.
fn field(words: &[&str], is_oneof: bool) -> Option<Field> {
    let (label, rest) = match words {
        ["reserved", ..] => return None,
        ["repeated", rest @ ..] => (Label::Repeated, rest),
        ["optional", rest @ ..] => (Label::Optional, rest),
        rest if is_oneof => (Label::Oneof, rest),
        rest => (Label::Plain, rest),
    };
    let [sort, name, number] = rest else { panic!("what is {words:?}?") };
    let sort = match *sort {
        "string" => Sort::Text,
        "bytes" => Sort::Bytes,
        "bool" => Sort::Bool,
        "uint32" => Sort::Uint32,
        "uint64" => Sort::Uint64,
        "int64" => Sort::Int64,
        "fixed64" => Sort::Fixed64,
        message => Sort::Message(message.to_owned()),
    };
    let number = number.parse().expect("a field has a number");
    Some(Field { number, name: (*name).to_owned(), sort, label })
}

#[test]
fn fields_are_read_of_the_text() {
    let field = |message: &str, name: &str| {
        let found = fields(message).iter().find(|field| field.name == name).unwrap();
        (found.number, found.sort.clone(), found.label)
    };
    assert_eq!(field("Hello", "takes_trust"), (7, Sort::Bool, Label::Plain));
    assert_eq!(field("Hello", "held"), (5, Sort::Message("Held".into()), Label::Repeated));
    assert_eq!(field("Standing", "state"), (4, Sort::Bytes, Label::Optional));
    assert_eq!(field("Begin", "lane"), (2, Sort::Enum, Label::Plain));
    assert_eq!(field("Caller", "issuer"), (4, Sort::Text, Label::Oneof));
    assert_eq!(field("Counts", "start"), (1, Sort::Fixed64, Label::Plain));
    assert_eq!(fields("ControlFrame").len(), 9);
    assert!(fields("Others").is_empty());
}
