//! SHA-256 over fields that cannot run into each other.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};

use crate::db::Value;

/// The SHA-256 of `bytes`, in hexadecimal.
///
/// It is the digest of a resource's body, the id of a session by its cookie, the hash of a token.
pub fn digest(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&SHA256, bytes).as_ref())
}

/// A digest over a row of values. Each goes in with a tag and its length before it, so that no two
/// rows have the same encoding: `("ab", "c")` is not `("a", "bc")`, and nothing is not empty text.
#[derive(Clone)]
pub(crate) struct Fields(Context);

impl Fields {
    pub(crate) fn new() -> Self {
        Fields(Context::new(&SHA256))
    }

    pub(crate) fn add(&mut self, value: &Value) {
        match value {
            Value::Text(Some(text)) => self.put(b't', text.as_bytes()),
            Value::Int(Some(int)) => self.put(b'i', &int.to_be_bytes()),
            Value::Bytes(Some(bytes)) => self.put(b'b', bytes),
            Value::Text(None) | Value::Int(None) | Value::Bytes(None) => self.put(b'n', &[]),
        }
    }

    pub(crate) fn add_all<'a>(&mut self, values: impl IntoIterator<Item = &'a Value>) {
        values.into_iter().for_each(|value| self.add(value));
    }

    fn put(&mut self, tag: u8, bytes: &[u8]) {
        self.0.update(&[tag]);
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let of = |values: &[Value]| {
            let mut fields = Fields::new();
            fields.add_all(values);
            fields.finish()
        };
        let rows = [
            of(&["ab".into(), "c".into()]),
            of(&["a".into(), "bc".into()]),
            of(&["abc".into()]),
            of(&["abc".into(), "".into()]),
            of(&["abc".into(), Value::Text(None)]),
        ];
        for (index, row) in rows.iter().enumerate() {
            assert!(!rows[..index].contains(row), "row {index} has the digest of another");
        }
    }
}
