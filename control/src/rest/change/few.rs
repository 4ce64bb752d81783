//! The edits of a body, kept as far as a change may have them.
//!
//! A body of some megabytes can hold millions of empty edits, each of which takes more room once it
//! is read than it took in the text: those beyond the bound are run over and counted.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::EditShape;
use crate::edit::EDITS;

/// The edits of a change, in their order.
pub(super) struct Few<'a> {
    /// The first of them.
    pub(super) kept: Vec<EditShape<'a>>,
    /// How many the body has.
    pub(super) count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Few<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Edits)
    }
}

struct Edits;

impl<'de> Visitor<'de> for Edits {
    type Value = Few<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Few<'de>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < EDITS {
            let Some(edit) = from.next_element()? else {
                return Ok(Few { count: kept.len(), kept });
            };
            kept.push(edit);
        }
        let mut count = kept.len();
        while from.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Few { kept, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(edits: usize, last: &str) -> Few<'static> {
        let text = format!("[{}{last}]", "{},".repeat(edits - 1));
        serde_json::from_str(text.leak()).unwrap()
    }

    #[test]
    fn what_is_beyond_the_bound_is_counted_and_not_kept() {
        let few = read(3 * EDITS, "{}");
        assert_eq!((few.kept.len(), few.count), (EDITS, 3 * EDITS));
        // Nor is it looked at.
        assert_eq!(read(EDITS + 1, "\"no edit\"").count, EDITS + 1);
    }

    #[test]
    fn a_change_may_have_as_many_as_the_bound() {
        let few = read(EDITS, "{}");
        assert_eq!((few.kept.len(), few.count), (EDITS, EDITS));
        assert!(serde_json::from_str::<Few<'_>>("[\"no edit\"]").is_err());
    }
}
