//! The claims of a token by name.

use serde_json::{Map, Value};

/// Whether some claim of this name is as asked for. A name with dots is first looked for as it stands (claims
/// named by a URL have dots), then stepped through.
pub(crate) fn any<'c>(
    claims: &'c Map<String, Value>,
    name: &str,
    is_it: &mut dyn FnMut(&'c Value) -> bool,
) -> bool {
    if claims.get(name).is_some_and(&mut *is_it) {
        return true;
    }
    name.match_indices('.').any(|(dot, _)| match claims.get(&name[..dot]) {
        Some(Value::Object(inner)) => any(inner, &name[dot + 1..], is_it),
        Some(_) | None => false,
    })
}

/// The first one.
pub(crate) fn first<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    let mut first = None;
    any(claims, name, &mut |claim| {
        first = Some(claim);
        true
    });
    first
}
