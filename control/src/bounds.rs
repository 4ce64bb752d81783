//! How much one owner may ask of everybody's machines.

use std::collections::BTreeMap;

use model::{Invalid, Key, Kind, Scope};

/// Bytes of one object as it is stored.
const OBJECT: usize = 512 << 10;
/// Objects of one workspace.
const OBJECTS: usize = 20_000;
/// HTTPRoutes of one workspace.
const ROUTES: usize = 5_000;

/// What is wrong with the size of one object.
pub(crate) fn object(key: &Key, bytes: usize) -> Option<Invalid> {
    let text = format!("takes {bytes} bytes; an object may take {OBJECT}");
    (bytes > OBJECT).then(|| fault(key, text))
}

/// What is wrong with how many objects the scopes of `added` come to hold.
pub(crate) fn scopes<'w>(
    after: impl Iterator<Item = (&'w Key, Scope)>,
    added: &[(&'w Key, Scope)],
) -> Vec<Invalid> {
    let mut counts = BTreeMap::<Scope, (usize, usize)>::new();
    for (key, scope) in after {
        let count = counts.entry(scope).or_default();
        count.0 += 1;
        count.1 += usize::from(key.kind == Kind::HttpRoute);
    }
    let over = |(key, scope): &(&Key, Scope)| {
        let (objects, routes) = counts.get(scope).copied().unwrap_or_default();
        if *scope != Scope::Platform && objects > OBJECTS {
            Some(fault(key, format!("{scope} would hold {objects} objects; it may hold {OBJECTS}")))
        } else if *scope != Scope::Platform && key.kind == Kind::HttpRoute && routes > ROUTES {
            Some(fault(key, format!("{scope} would hold {routes} routes; it may hold {ROUTES}")))
        } else {
            None
        }
    };
    added.iter().filter_map(over).collect()
}

fn fault(key: &Key, reason: String) -> Invalid {
    Invalid { key: Some(key.clone()), path: String::new(), line: None, reason, nearest: None }
}
