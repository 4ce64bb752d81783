//! The books on the shelf, and the name of a book as it may stand in a path.

use serde::{Deserialize, Serialize};

/// The name of a book: lower-case letters, digits and hyphens, so that it is safe in a path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct BookId(String);

impl BookId {
    const LONGEST: usize = 64;

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BookId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > Self::LONGEST || !text.bytes().all(plain) {
            return Err("a book id is 1 to 64 lower-case letters, digits and hyphens");
        }
        Ok(Self(text))
    }
}

/// What the catalog knows of one title.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Book {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) author: &'static str,
    pub(crate) cents: u32,
    /// Out of five; only version 2 of the catalog rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rating: Option<u8>,
}

/// Five old books in which somebody weaves.
pub(crate) const SHELF: [Book; 5] = [
    book("odyssey", "The Odyssey", "Homer", 1400, 5),
    book("metamorphoses", "Metamorphoses", "Ovid", 1250, 4),
    book("silas-marner", "Silas Marner", "George Eliot", 950, 4),
    book("north-and-south", "North and South", "Elizabeth Gaskell", 1100, 5),
    book("shirley", "Shirley", "Charlotte Brontë", 1050, 3),
];

const fn book(
    id: &'static str,
    title: &'static str,
    author: &'static str,
    cents: u32,
    rating: u8,
) -> Book {
    Book { id, title, author, cents, rating: Some(rating) }
}
