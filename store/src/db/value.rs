//! Values in and out: the three types of the common subset, each with nothing.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

use crate::Error;

/// One parameter or column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// `TEXT`.
    Text(Option<String>),
    /// `BIGINT`.
    Int(Option<i64>),
    /// `BYTEA`.
    Bytes(Option<Vec<u8>>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Value::Text(Some(text.clone()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Value::Int(Some(int))
    }
}

impl From<Option<i64>> for Value {
    fn from(int: Option<i64>) -> Self {
        Value::Int(int)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Value::Int(Some(i64::from(is)))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(Some(bytes))
    }
}

/// One row. Its columns are taken from left to right, as the statement names them.
#[derive(Debug)]
pub(crate) struct Row(std::vec::IntoIter<Value>);

impl Row {
    /// The next column, text that is there.
    pub(crate) fn text(&mut self) -> Result<String, Error> {
        self.text_or_none()?.ok_or_else(|| unreadable("nothing where text should be"))
    }

    /// The next column, text or nothing.
    pub(crate) fn text_or_none(&mut self) -> Result<Option<String>, Error> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            Some(Value::Int(None) | Value::Bytes(None)) => Ok(None),
            Some(Value::Int(Some(_)) | Value::Bytes(Some(_))) | None => {
                Err(unreadable("something else where text should be"))
            }
        }
    }

    /// The next column, a number that is there.
    pub(crate) fn int(&mut self) -> Result<i64, Error> {
        self.int_or_none()?.ok_or_else(|| unreadable("nothing where a number should be"))
    }

    /// The next column, a number or nothing.
    pub(crate) fn int_or_none(&mut self) -> Result<Option<i64>, Error> {
        match self.0.next() {
            Some(Value::Int(int)) => Ok(int),
            Some(Value::Text(None) | Value::Bytes(None)) => Ok(None),
            Some(Value::Text(Some(_)) | Value::Bytes(Some(_))) | None => {
                Err(unreadable("something else where a number should be"))
            }
        }
    }

    /// The next column, 0 or 1.
    pub(crate) fn is(&mut self) -> Result<bool, Error> {
        Ok(self.int()? != 0)
    }

    /// The next column, bytes that are there.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        match self.0.next() {
            Some(Value::Bytes(Some(bytes))) => Ok(bytes),
            Some(Value::Bytes(None) | Value::Text(_) | Value::Int(_)) | None => {
                Err(unreadable("something else where bytes should be"))
            }
        }
    }

    /// The columns that are left.
    pub(crate) fn rest(self) -> Vec<Value> {
        self.0.collect()
    }

    pub(super) fn of_sqlite(row: &SqliteRow) -> Result<Self, Error> {
        let one = |at: usize| -> Result<Value, Error> {
            let raw = row.try_get_raw(at)?;
            // A column of SQLite holds what was written to it, so the value itself says what it is.
            let kind = raw.type_info().name().to_owned();
            Ok(match kind.as_str() {
                "NULL" => Value::Text(None),
                "TEXT" => Value::Text(row.try_get_unchecked(at)?),
                "INTEGER" => Value::Int(row.try_get_unchecked(at)?),
                "BLOB" => Value::Bytes(row.try_get_unchecked(at)?),
                other => return Err(unreadable(&format!("a value of type {other}"))),
            })
        };
        let values = (0..row.len()).map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(Row(values.into_iter()))
    }

    pub(super) fn of_postgres(row: &PgRow) -> Result<Self, Error> {
        let one = |at: usize| -> Result<Value, Error> {
            Ok(match row.column(at).type_info().name() {
                "TEXT" => Value::Text(row.try_get(at)?),
                "INT8" => Value::Int(row.try_get(at)?),
                "BYTEA" => Value::Bytes(row.try_get(at)?),
                other => return Err(unreadable(&format!("a column of type {other}"))),
            })
        };
        let values = (0..row.len()).map(one).collect::<Result<Vec<_>, _>>()?;
        Ok(Row(values.into_iter()))
    }
}

/// The pattern of `lower(COLUMN) LIKE .. ESCAPE '!'` for what has this in it, whatever the case of
/// letters from A to Z: of others neither database knows it, by our collations. None of text with a
/// NUL, which no row has and PostgreSQL does not take.
pub(crate) fn containing(text: &str) -> Option<String> {
    if text.contains('\0') {
        return None;
    }
    let mut pattern = String::from("%");
    for letter in text.to_ascii_lowercase().chars() {
        if let '%' | '_' | '!' = letter {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    Some(pattern)
}

pub(crate) fn unreadable(what: &str) -> Error {
    Error::Unreadable(what.to_owned())
}
