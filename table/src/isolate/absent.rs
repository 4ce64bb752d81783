//! What is said of references that lead nowhere: what was meant, as far as whoever refers may know of it.

use std::sync::PoisonError;

use model::{Key, Kind, Name, nearest};

use super::{IN_BROWSER, Settled};

/// Where there are more objects of a kind in a namespace, no nearest one is looked for: each table may have
/// many references that lead nowhere.
const NEAR: usize = 200;
/// So many things are listed in one message.
const LISTED: usize = 12;

impl Settled {
    /// Why there is no object called `key` for one in namespace `from` to refer to.
    pub(crate) fn absence(&self, key: &Key, from: &Name) -> String {
        self.lack(key) + &self.meant(key, from)
    }

    /// The same without what may have been meant.
    pub(crate) fn lack(&self, key: &Key) -> String {
        if self.lost.contains(key) {
            format!("{key} is refused, see its own faults")
        } else {
            format!("no {key}")
        }
    }

    /// Which object of its namespace is called much as `key`, which is not there. Names of other namespaces
    /// than `from` are not told, and none of Secrets: who writes here need not be who may see those.
    pub(crate) fn meant(&self, key: &Key, from: &Name) -> String {
        let is_there = self.objects.contains_key(key) || self.lost.contains(key);
        if IN_BROWSER || is_there || key.namespace != *from || key.kind == Kind::Secret {
            return String::new();
        }
        let mut known = self.meant.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meant) = known.get(key) {
            return meant.to_string();
        }
        let meant = self.nearest(key);
        known.insert(key.clone(), meant.as_str().into());
        meant
    }

    fn nearest(&self, key: &Key) -> String {
        let near: Vec<_> = self.names(key.kind, &key.namespace).take(NEAR + 1).collect();
        let near = Some(near).filter(|near| near.len() <= NEAR).unwrap_or_default();
        let near = nearest(key.name.as_str(), near.into_iter().map(Name::as_str));
        near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default()
    }

    /// The names of the objects of a kind in a namespace.
    fn names<'a>(&'a self, kind: Kind, namespace: &'a Name) -> impl Iterator<Item = &'a Name> {
        self.within(kind, namespace).map(|(key, _)| &key.name)
    }
}

/// Some of what there is instead: `; it has 'a', 'b'`.
pub(crate) fn listed(there: impl Iterator<Item = String>) -> String {
    let mut there: Vec<_> = there.take(LISTED + 1).collect();
    if there.is_empty() {
        return String::new();
    }
    if there.len() > LISTED {
        there[LISTED] = "others".to_owned();
    }
    format!("; it has {}", there.join(", "))
}
