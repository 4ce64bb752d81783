//! One form of JSON for each decision: what is an object is none of the other things that serde takes
//! for one.
//!
//! ```text
//! {"route":{"kind":"a","namespace":"b","name":"c"},"side":"edge"}     read
//! {"route":["a","b","c"]}     refused: a newer node may have other fields in other places
//! {"side":{"edge":null}}      refused
//! ```

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IntoDeserializer, MapAccess, Visitor};

use super::Side;
use crate::Key;

/// What is read of an object alone.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields(PhantomData))
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(from)).map(Object)
    }
}

/// A key, or null.
pub(super) fn key<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Key>, D::Error> {
    let key = Option::<Object<Key>>::deserialize(from)?;
    Ok(key.map(|Object(key)| key))
}

/// A side, which is a word.
pub(super) fn side<'de, D: Deserializer<'de>>(from: D) -> Result<Side, D::Error> {
    Side::deserialize(Cow::<str>::deserialize(from)?.into_deserializer())
}
