//! A slow reading of protobuf by the .proto files' text, after "Encoding" of protobuf.dev, into a tree: an
//! object for each message, without plain fields that say nothing, a letter for each byte, enums as numbers.
//!
//! Where that page leaves a choice, the strict one is taken: a known field of another wire type is
//! refused, as is a number of more than 64 bits; what is unknown lies in each other 100 deep at most.

use serde_json::{Map, Value};

use super::rule;
use super::schema::{Field, Label, Sort, fields};

/// So deep messages and groups may lie in each other.
const DEPTH: usize = 100;

/// The frame that bytes are, as it is meant; none where they are refused.
pub(super) fn read(name: &str, data: &[u8]) -> Option<Value> {
    rule::hold(name, parse(name, data)?)
}

/// What bytes say, whatever the rules are.
pub(super) fn parse(name: &str, data: &[u8]) -> Option<Value> {
    let mut into = Map::new();
    message(name, data, 0, &mut into)?;
    Some(Value::Object(into))
}

/// Adds the fields that `data` are to those that were there.
fn message(name: &str, mut data: &[u8], depth: usize, into: &mut Map<String, Value>) -> Option<()> {
    while !data.is_empty() {
        let (number, wire) = key(&mut data)?;
        match fields(name).iter().find(|field| field.number == number) {
            Some(known) => field(name, known, Said { wire, depth }, &mut data, into)?,
            None => skip(number, wire, depth, &mut data)?,
        }
    }
    Some(())
}

/// How a field came.
#[derive(Debug, Clone, Copy)]
struct Said {
    wire: u64,
    depth: usize,
}

fn field(
    message: &str,
    field: &Field,
    said: Said,
    data: &mut &[u8],
    into: &mut Map<String, Value>,
) -> Option<()> {
    match field.label {
        Label::Repeated => {
            let mut more = several(field, said, data)?;
            let list = into.entry(&field.name).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut()?.append(&mut more);
            return Some(());
        }
        Label::Oneof => {
            // The last member said is the one that holds.
            let is_other = |name: &str| {
                let mut others = fields(message).iter().filter(|other| *other != field);
                others.any(|other| other.label == Label::Oneof && other.name == name)
            };
            into.retain(|name, _| !is_other(name));
        }
        Label::Plain | Label::Optional => {}
    }
    let value = one(field, said, data, into.remove(&field.name))?;
    if field.label != Label::Plain || !says_nothing(&value) {
        into.insert(field.name.clone(), value);
    }
    Some(())
}

/// One of a list, or numbers of one packed together.
fn several(field: &Field, said: Said, data: &mut &[u8]) -> Option<Vec<Value>> {
    let is_packed = said.wire == 2 && wire(&field.sort) != 2;
    if !is_packed {
        return Some(vec![one(field, said, data, None)?]);
    }
    let (mut packed, mut all) = (bytes(data)?, Vec::new());
    while !packed.is_empty() {
        let each = Said { wire: wire(&field.sort), ..said };
        all.push(one(field, each, &mut packed, None)?);
    }
    Some(all)
}

/// What a field says; a message adds to what it said before, anything else takes its place.
fn one(field: &Field, said: Said, data: &mut &[u8], before: Option<Value>) -> Option<Value> {
    if said.wire != wire(&field.sort) {
        return None;
    }
    Some(match &field.sort {
        Sort::Text => String::from_utf8(bytes(data)?.to_vec()).ok()?.into(),
        Sort::Bytes => spell(bytes(data)?).into(),
        Sort::Bool => (varint(data)? != 0).into(),
        Sort::Uint32 => (varint(data)? % (1 << 32)).into(),
        Sort::Uint64 => varint(data)?.into(),
        Sort::Int64 => varint(data)?.cast_signed().into(),
        Sort::Fixed64 => u64::from_le_bytes(take(data, 8)?.try_into().ok()?).into(),
        Sort::Enum => (varint(data)? as i32).into(),
        Sort::Message(name) => {
            let mut into = match before {
                Some(Value::Object(before)) => before,
                _ => Map::new(),
            };
            message(name, bytes(data)?, said.depth + 1, &mut into)?;
            Value::Object(into)
        }
    })
}

/// The default of a plain field; a message that is there is something said.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
    }
}

/// Passes over a field that nobody knows, or a group of them up to its end.
fn skip(number: u64, wire: u64, depth: usize, data: &mut &[u8]) -> Option<()> {
    if depth == DEPTH {
        return None;
    }
    match wire {
        0 => drop(varint(data)?),
        1 => drop(take(data, 8)?),
        2 => drop(bytes(data)?),
        3 => loop {
            let (inner, wire) = key(data)?;
            if wire == 4 {
                return (inner == number).then_some(());
            }
            skip(inner, wire, depth + 1, data)?;
        },
        5 => drop(take(data, 4)?),
        _ => return None,
    }
    Some(())
}

/// The wire type by which a field is said.
pub(super) fn wire(sort: &Sort) -> u64 {
    match sort {
        Sort::Bool | Sort::Uint32 | Sort::Uint64 | Sort::Int64 | Sort::Enum => 0,
        Sort::Fixed64 => 1,
        Sort::Text | Sort::Bytes | Sort::Message(_) => 2,
    }
}

/// A field's number, of 29 bits and not zero, and its wire type.
fn key(data: &mut &[u8]) -> Option<(u64, u64)> {
    let key = varint(data)?;
    let is_number = (8..1 << 32).contains(&key);
    is_number.then_some((key / 8, key % 8))
}

/// Seven bits a byte, the lowest first, up to the byte without the eighth bit.
fn varint(data: &mut &[u8]) -> Option<u64> {
    let mut number: u128 = 0;
    for place in 0..10 {
        let byte = take(data, 1)?[0];
        number += u128::from(byte % 128) << (7 * place);
        if byte < 128 {
            return u64::try_from(number).ok();
        }
    }
    None
}

fn bytes<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let many = varint(data)?;
    take(data, usize::try_from(many).ok()?)
}

fn take<'a>(data: &mut &'a [u8], many: usize) -> Option<&'a [u8]> {
    let (taken, rest) = data.split_at_checked(many)?;
    *data = rest;
    Some(taken)
}

/// A letter for each byte, of the same number.
pub(super) fn spell(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The bytes of such letters.
pub(super) fn unspell(text: &str) -> Vec<u8> {
    text.chars().map(|letter| letter as u8).collect()
}

#[test]
fn bytes_are_read_as_the_encoding_says() {
    let read = |data: &[u8]| parse("NodeFrame", data);
    let nack = |fields: &str| Some(serde_json::from_str(fields).unwrap());
    // 150 is 96 01 in the specification's own example.
    assert_eq!(read(&[0x1a, 3, 8, 0x96, 1]), nack(r#"{"nack":{"nonce":150}}"#));
    // Said again: a number is replaced, a message added to, another member put in place of the first.
    assert_eq!(read(&[0x1a, 4, 8, 1, 8, 0]), nack(r#"{"nack":{}}"#));
    let parts = [0x1a, 2, 8, 1, 0x1a, 3, 0x12, 1, b'a'];
    assert_eq!(read(&parts), nack(r#"{"nack":{"nonce":1,"reason":"a"}}"#));
    assert_eq!(read(&[0x1a, 2, 8, 1, 0x22, 0]), nack(r#"{"heartbeat":{}}"#));
    let packed = [0x22, 5, 0x1a, 1, 7, 0x18, 9];
    assert_eq!(read(&packed), nack(r#"{"heartbeat":{"silent":[7,9]}}"#));
    // Another wire type, no UTF-8, eleven bytes of a number, field 0, more than there is.
    let wrongs: [&[u8]; 5] =
        [&[0x18, 1], &[0x1a, 3, 0x12, 1, 0xff], &[0xff; 11], &[0, 0], &[0x1a, 9]];
    wrongs.iter().for_each(|wrong| assert_eq!(read(wrong), None, "{wrong:?}"));
    // Groups that nobody knows.
    let nested = |deep: usize| [vec![0x7b; deep], vec![0x7c; deep]].concat();
    assert_eq!(read(&nested(100)), nack("{}"));
    assert_eq!(read(&nested(101)), None);
}
