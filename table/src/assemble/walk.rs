//! Looking up in a map, key after key in its order, what was there before.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;

use model::Key;

/// A walk through a map beside another that is in the same order: a step costs one comparison where
/// both go on alike, as they do nearly everywhere.
pub(crate) struct Walk<'a, T> {
    rest: Option<Peekable<btree_map::Iter<'a, Key, T>>>,
}

impl<'a, T> Walk<'a, T> {
    /// Through `map`; without one nothing is ever found.
    pub(crate) fn over(map: Option<&'a BTreeMap<Key, T>>) -> Self {
        Walk { rest: map.map(|map| map.iter().peekable()) }
    }

    /// What stands at `key`, which must be beyond all that were asked for.
    pub(crate) fn at(&mut self, key: &Key) -> Option<&'a T> {
        let rest = self.rest.as_mut()?;
        while rest.next_if(|(before, _)| *before < key).is_some() {}
        rest.next_if(|(before, _)| *before == key).map(|(_, found)| found)
    }
}

#[cfg(test)]
mod tests {
    use model::{Kind, Name};

    use super::*;

    fn key(name: &str) -> Key {
        Key::new(Kind::Service, Name::parse("shop").unwrap(), Name::parse(name).unwrap())
    }

    #[test]
    fn what_is_there_is_found_and_nothing_else() {
        let map = BTreeMap::from(["b", "d", "e", "g"].map(|name| (key(name), name)));
        let mut walk = Walk::over(Some(&map));
        let found = ["a", "b", "c", "e", "f", "g", "h"].map(|name| walk.at(&key(name)).copied());
        assert_eq!(found, [None, Some("b"), None, Some("e"), None, Some("g"), None]);
        assert!(Walk::<()>::over(None).at(&key("b")).is_none());
    }
}
