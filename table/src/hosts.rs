//! An index by host name: the exact name, then the longest wildcard, then any.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

use model::Hostname;

/// A map from words that the configuration holds. The hash is not keyed: what strangers send is
/// only ever looked up, never put in.
pub(crate) type Map<T> = HashMap<Box<str>, T, BuildHasherDefault<DefaultHasher>>;

/// Things by host name.
#[derive(Debug)]
pub(crate) struct Hosts<T> {
    exact: Map<T>,
    /// By what stands after the star: `.example.com`.
    wildcard: Map<T>,
    any: Option<T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Hosts { exact: Map::default(), wildcard: Map::default(), any: None }
    }
}

impl<T> Hosts<T> {
    /// What stands at exactly this name (`None`: any host).
    pub(crate) fn get(&self, name: Option<&Hostname>) -> Option<&T> {
        match name {
            None => self.any.as_ref(),
            Some(name) => match name.suffix() {
                Some(suffix) => self.wildcard.get(suffix),
                None => self.exact.get(name.as_str()),
            },
        }
    }

    /// The place of exactly this name (`None`: any host), made where there is none.
    pub(crate) fn entry(&mut self, name: Option<&Hostname>, make: impl FnOnce() -> T) -> &mut T {
        match name {
            None => self.any.get_or_insert_with(make),
            Some(name) => match name.suffix() {
                Some(suffix) => entry(&mut self.wildcard, suffix, make),
                None => entry(&mut self.exact, name.as_str(), make),
            },
        }
    }

    /// All that is meant for `host`, the most specific first.
    pub(crate) fn matching<'a>(&'a self, host: &str) -> impl Iterator<Item = &'a T> {
        let parted = if self.wildcard.is_empty() { "" } else { host };
        let dots = parted.match_indices('.').map(|(at, _)| at).filter(|&at| at > 0);
        let wildcards = dots.filter_map(|at| self.wildcard.get(&host[at..]));
        self.exact.get(host).into_iter().chain(wildcards).chain(&self.any)
    }

    /// Everything, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.wildcard.values()).chain(&self.any)
    }

    /// The same, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.exact.values_mut().chain(self.wildcard.values_mut()).chain(&mut self.any)
    }
}

/// The place of a word, which is copied only where there is none yet.
pub(crate) fn entry<'m, T>(map: &'m mut Map<T>, word: &str, make: impl FnOnce() -> T) -> &'m mut T {
    if !map.contains_key(word) {
        map.insert(word.into(), make());
    }
    map.get_mut(word).expect("it was put in just now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_name_comes_first() {
        let mut hosts = Hosts::default();
        for word in ["a.b.c", "*.b.c", "*.c", "x.y"] {
            let name = Hostname::parse(word).unwrap();
            *hosts.entry(Some(&name), || "") = word;
        }
        *hosts.entry(None, || "") = "any";
        let seen = |host| hosts.matching(host).copied().collect::<Vec<_>>();
        assert_eq!(seen("a.b.c"), ["a.b.c", "*.b.c", "*.c", "any"]);
        assert_eq!(seen("z.a.b.c"), ["*.b.c", "*.c", "any"]);
        assert_eq!(seen("b.c"), ["*.c", "any"]);
        assert_eq!(seen(".c"), ["any"]);
        assert_eq!(seen(""), ["any"]);
    }
}
