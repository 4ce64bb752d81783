//! A tree as bytes, in some way of the many that the encoding allows.

use serde_json::{Map, Value, json};

use super::naive::{unspell, wire};
use super::schema::{Field, Label, Sort, fields};
use crate::dice::Dice;

/// Writes a message: mostly as anybody does, and now and then as nobody does but may.
pub(super) fn write(dice: &mut Dice, message: &str, said: &Value, into: &mut Vec<u8>) {
    let mut all: Vec<_> = fields(message).iter().collect();
    if is_odd(dice, 8) {
        all.reverse();
    }
    for field in all {
        if is_odd(dice, 32) {
            unknown(dice, into);
        }
        match said.get(&field.name) {
            Some(Value::Array(items)) => write_list(dice, field, items, into),
            Some(one) => {
                if is_odd(dice, 16) {
                    write_one(dice, field, &nothing(&field.sort), into);
                }
                write_one(dice, field, one, into);
            }
            None => {}
        }
    }
}

/// What no message of ours has.
fn unknown(dice: &mut Dice, into: &mut Vec<u8>) {
    let one: [&[u8]; 5] = [
        &[0x78, 7],
        &[0x79, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x7a, 1, 9],
        &[0x7b, 0x78, 1, 0x7c],
        &[0x7d, 1, 2, 3, 4],
    ];
    into.extend(*dice.pick(&one));
}

/// Numbers packed together, or each for itself.
fn write_list(dice: &mut Dice, field: &Field, items: &[Value], into: &mut Vec<u8>) {
    if wire(&field.sort) == 2 || is_odd(dice, 3) {
        return items.iter().for_each(|item| write_one(dice, field, item, into));
    }
    let mut packed = Vec::new();
    items.iter().for_each(|item| scalar(dice, &field.sort, item, &mut packed));
    if !packed.is_empty() {
        framed(field, &packed, into);
    }
}

fn write_one(dice: &mut Dice, field: &Field, one: &Value, into: &mut Vec<u8>) {
    let Sort::Message(name) = &field.sort else {
        varint(field.number * 8 + wire(&field.sort), into);
        return scalar(dice, &field.sort, one, into);
    };
    let mut parts = vec![one.clone()];
    // A message in two parts adds up, where it is no item of a list.
    let times = if field.label == Label::Repeated { 250 } else { 16 };
    if let (Value::Object(said), true) = (one, is_odd(dice, times)) {
        let half: Map<_, _> = said.clone().into_iter().skip(1).collect();
        let first: Map<_, _> = said.clone().into_iter().take(1).collect();
        parts = vec![first.into(), half.into()];
    }
    for part in parts {
        let mut bytes = Vec::new();
        write(dice, name, &part, &mut bytes);
        framed(field, &bytes, into);
    }
}

fn framed(field: &Field, bytes: &[u8], into: &mut Vec<u8>) {
    varint(field.number * 8 + 2, into);
    varint(bytes.len() as u64, into);
    into.extend(bytes);
}

/// What stands behind the key of a field that is no message.
fn scalar(dice: &mut Dice, sort: &Sort, one: &Value, into: &mut Vec<u8>) {
    let number = one.as_u64().or(one.as_i64().map(i64::cast_unsigned)).unwrap_or_default();
    match sort {
        Sort::Fixed64 => into.extend(number.to_le_bytes()),
        Sort::Bool => varint(u64::from(one == &json!(true)), into),
        Sort::Uint32 | Sort::Uint64 | Sort::Int64 | Sort::Enum => {
            varint(number, into);
            // The same number in more bytes than it takes.
            if let (true, Some(last)) = (is_odd(dice, 16), into.last_mut()) {
                *last |= 0x80;
                into.push(0);
            }
        }
        Sort::Text | Sort::Bytes | Sort::Message(_) => {
            let text = one.as_str().unwrap_or_default();
            let bytes = if *sort == Sort::Bytes { unspell(text) } else { text.into() };
            varint(bytes.len() as u64, into);
            into.extend(bytes);
        }
    }
}

fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number > 127 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// What a field says that says nothing.
pub(super) fn nothing(sort: &Sort) -> Value {
    match sort {
        Sort::Text | Sort::Bytes => json!(""),
        Sort::Bool => json!(false),
        Sort::Uint32 | Sort::Uint64 | Sort::Int64 | Sort::Fixed64 | Sort::Enum => json!(0),
        Sort::Message(_) => json!({}),
    }
}

/// Once in `times`, and never when the dice are used up.
pub(super) fn is_odd(dice: &mut Dice, times: usize) -> bool {
    dice.roll(times) == times - 1
}
