//! Frames that are nearly right: a tree is bent at a place or two before it is written.

use serde_json::{Value, json};

use super::naive::{spell, unspell};
use super::schema::{Field, Label, Sort, fields};
use super::written::{is_odd, nothing, write};
use crate::dice::Dice;

/// How many a list may hold.
const MOST: [(&str, usize); 15] = [
    ("held", 1_000),
    ("rejected", 1_000),
    ("closed", 100),
    ("silent", 16),
    ("resting", 256),
    ("trusts", 8),
    ("roots", 8),
    ("gateways", 1_000),
    ("secrets", 16),
    ("revocations", 1_000),
    ("sessions", 1_000),
    ("decisions", 256),
    ("series", 256),
    ("outcomes", 6),
    ("places", 464),
];
/// Lengths about the bounds of words.
const LONG: [usize; 11] = [0, 1, 64, 65, 253, 254, 256, 257, 759, 760, 2_000];
/// About the bounds of numbers, and above those of 16 and of 32 bits.
const NUMBERS: [u64; 15] =
    [0, 1, 2, 3, 4, 5, 463, 464, 65_535, 65_536, 65_616, 1 << 31, 1 << 32, 1 << 63, u64::MAX];
const WORDS: [&str; 12] = [
    "platform",
    "workspace/shop",
    "workspace/",
    "workspace/A",
    "shop",
    "a..b",
    "1.2.3.4:80",
    "[::1]:00080",
    "[fe80::1%7]:1",
    "1.2.3.4:65536",
    "1.2.3.4",
    "\u{e9}",
];

/// The bytes of a tree that is bent.
pub(super) fn bytes(dice: &mut Dice, message: &str, said: &Value) -> Vec<u8> {
    let mut said = said.clone();
    for _ in 0..=dice.roll(2) {
        bend(dice, message, &mut said);
    }
    let mut bytes = Vec::new();
    write(dice, message, &said, &mut bytes);
    if is_odd(dice, 4) {
        for _ in 0..=dice.roll(2) {
            let at = dice.roll(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = dice.byte();
            }
        }
    }
    bytes
}

/// Takes one field, or one in it.
fn bend(dice: &mut Dice, message: &str, said: &mut Value) {
    let (all, Value::Object(said)) = (fields(message), said) else { return };
    // Such as are there, but for once in a while, and rather those in which more lies.
    let there: Vec<_> = all.iter().filter(|field| said.contains_key(&field.name)).collect();
    let is_deep = |field: &&&Field| matches!(field.sort, Sort::Message(_));
    let deep: Vec<_> = there.iter().filter(is_deep).copied().collect();
    let field = match (all.is_empty(), there.is_empty(), deep.is_empty()) {
        (true, _, _) => return,
        (_, _, false) if dice.once_in(2) => *dice.pick(&deep),
        (_, false, _) if !is_odd(dice, 6) => *dice.pick(&there),
        _ => dice.pick(all),
    };
    let value = said.entry(&field.name).or_insert_with(|| match field.label {
        Label::Repeated => json!([]),
        Label::Plain | Label::Optional | Label::Oneof => nothing(&field.sort),
    });
    match value {
        _ if is_odd(dice, 12) => drop(said.remove(&field.name)),
        Value::Array(items) => bend_list(dice, field, items),
        one => bend_one(dice, field, one),
    }
    // As many counts as places, so that it is the places that are wrong.
    if field.name == "places" && dice.once_in(2) {
        let many = said.get("places").and_then(Value::as_array).map_or(0, Vec::len);
        said.insert("counts".to_owned(), vec![1; many].into());
    }
}

fn bend_list(dice: &mut Dice, field: &Field, items: &mut Vec<Value>) {
    let place = dice.roll(items.len());
    match items.get_mut(place) {
        Some(item) if dice.once_in(2) => bend_one(dice, field, item),
        item => {
            let one = item.cloned().unwrap_or_else(|| nothing(&field.sort));
            items.resize(many(dice, &field.name), one);
        }
    }
    // What is long takes long: then each says little.
    if field.name == "decisions" && items.len() > 8 {
        items.fill(json!("{}"));
    }
}

/// A length that is small, or about the bound if there is one; large ones seldom, since they take long.
fn many(dice: &mut Dice, name: &str) -> usize {
    let few = dice.roll(4);
    match MOST.iter().find(|(bound, _)| *bound == name) {
        Some((_, most)) if is_odd(dice, 1 + most / 128) => {
            *dice.pick(&[few, *most, most + 1, most + 1])
        }
        Some(_) | None => few,
    }
}

fn bend_one(dice: &mut Dice, field: &Field, one: &mut Value) {
    match &field.sort {
        Sort::Message(name) => bend(dice, name, one),
        Sort::Bool => *one = json!(dice.once_in(2)),
        Sort::Text if dice.once_in(2) => *one = json!(dice.pick::<&str>(&WORDS)),
        Sort::Text => {
            let (begin, letter) =
                if field.name == "address" { ("1.2.3.4:", "0") } else { ("", "x") };
            *one = json!(begin.to_owned() + &letter.repeat(*dice.pick(&LONG)));
        }
        Sort::Bytes => {
            let bytes = unspell(one.as_str().unwrap_or_default());
            *one = spell(&bend_bytes(dice, &field.name, bytes)).into();
        }
        Sort::Int64 => *one = json!(dice.pick(&NUMBERS).cast_signed()),
        Sort::Uint32 | Sort::Uint64 | Sort::Fixed64 | Sort::Enum => {
            *one = json!(dice.pick(&NUMBERS));
        }
    }
}

fn bend_bytes(dice: &mut Dice, name: &str, mut bytes: Vec<u8>) -> Vec<u8> {
    match dice.roll(4) {
        1.. if name == "decisions" => {
            let mut decision = serde_json::from_slice(&bytes).unwrap_or_default();
            bend_decision(dice, &mut decision);
            return decision.to_string().into_bytes();
        }
        1 => drop(bytes.pop()),
        2 => bytes.push(0),
        3 => bytes.clear(),
        _ => bytes.resize(*dice.pick(&[31, 32, 33]), b'7'),
    }
    bytes
}

fn bend_decision(dice: &mut Dice, decision: &mut Value) {
    let forms = [
        ("side", json!({ "edge": null })),
        ("route", json!(["a", "b", "c"])),
        ("policy", json!(["a", "b", "c"])),
        ("vector", json!({ "a": 1 })),
        ("mood", json!(1.5)),
        ("route", json!({ "kind": "a", "namespace": "b", "name": "c", "more": 1 })),
    ];
    let words = json!([null, "edge", -1, 65_535, 65_536, 1.5, u64::MAX, true, {}, []]);
    let Value::Object(fields) = decision else { return };
    match dice.roll(5) {
        0 => *decision = json!([]),
        1 | 2 => {
            let (name, form) = dice.pick(&forms).clone();
            fields.insert(name.to_owned(), form);
        }
        _ => {
            let place = dice.roll(fields.len());
            if let Some(value) = fields.values_mut().nth(place) {
                *value = words[dice.roll(10)].clone();
            }
        }
    }
}
