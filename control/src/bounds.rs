//! How much one owner may ask of everybody's machines.

use std::collections::BTreeMap;

use model::{Invalid, Key, Kind, Scope};

/// Bytes of one object as it is stored.
const OBJECT: usize = 512 << 10;
/// Objects of one workspace.
const OBJECTS: usize = 20_000;
/// HTTPRoutes of one workspace.
const ROUTES: usize = 5_000;
/// Claims of one workspace, with which everybody's routes are compared.
const CLAIMS: usize = 200;

/// What is wrong with the size of one object.
pub(crate) fn object(key: &Key, bytes: usize) -> Option<Invalid> {
    let text = format!("takes {bytes} bytes; an object may take {OBJECT}");
    (bytes > OBJECT).then(|| fault(key, text))
}

/// What is wrong with how many objects the scopes of `added` come to hold.
pub(crate) fn scopes(
    after: impl Iterator<Item = (Scope, Kind, usize)>,
    added: &[(&Key, Scope)],
) -> Vec<Invalid> {
    let mut counts = BTreeMap::<(Scope, Option<Kind>), usize>::new();
    for (scope, kind, count) in after {
        *counts.entry((scope.clone(), Some(kind))).or_default() += count;
        *counts.entry((scope, None)).or_default() += count;
    }
    let over = |(key, scope): &(&Key, Scope), kind: Option<Kind>, most: usize| {
        let count = counts.get(&(scope.clone(), kind)).copied().unwrap_or_default();
        let what = kind.map_or_else(|| "objects".to_owned(), |kind| format!("of the kind {kind}"));
        let text = || format!("{scope} would hold {count} {what}; it may hold {most}");
        (*scope != Scope::Platform && count > most).then(|| fault(key, text()))
    };
    let faults = added.iter().filter_map(|one| {
        let own = match one.0.kind {
            Kind::HttpRoute => over(one, Some(Kind::HttpRoute), ROUTES),
            Kind::Claim => over(one, Some(Kind::Claim), CLAIMS),
            _ => None,
        };
        own.or_else(|| over(one, None, OBJECTS))
    });
    faults.collect()
}

fn fault(key: &Key, reason: String) -> Invalid {
    Invalid { key: Some(key.clone()), path: String::new(), line: None, reason, nearest: None }
}
