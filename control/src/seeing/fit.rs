//! A decision as it is kept: whatever a node tells, its words are short, its times are past, and
//! nothing in it can keep the rest of its batch from being kept.

use model::{Name, Scope};
use wire::{Decision, Key, Series, Side};

use crate::moment::micros;
use crate::world::World;

/// The longest path, and the longest cause, in bytes.
const LONG: usize = 2_048;
/// The longest of all other words.
const SHORT: usize = 256;

/// The decision as a row; none if it has no name or no trace.
pub(super) fn fit(told: Decision, world: &World, now: i64) -> Option<store::decision::Decision> {
    let span = hex(&told.span, 16)?;
    let trace = hex(&told.trace, 32)?;
    let story = told.story.as_ref().map(ToString::to_string);
    let decision = Decision {
        parent: told.parent.as_ref().and_then(|parent| hex(parent, 16)),
        link: told.link.as_ref().and_then(|link| hex(link, 32)),
        // Whose clock is ahead would stand before all others, and stay for longer.
        at: told.at.clamp(0, now),
        span,
        trace,
        story: None,
        ..worded(told)
    };
    let scope = scope(decision.route.as_ref(), world);
    Some(store::decision::Decision {
        body: body(&decision),
        span: decision.span,
        request: decision.request,
        trace: decision.trace,
        link: decision.link,
        at: decision.at,
        reason: decision.reason,
        scope,
        story,
    })
}

/// What it says, in JSON: where that would be too long, without the scopes that the node ran.
fn body(decision: &Decision) -> String {
    // Nothing in it has keys that are no text, so writing cannot fail.
    let body = serde_json::to_string(decision).unwrap_or_default();
    if body.len() <= store::decision::LONGEST {
        return body;
    }
    let less = Decision { vector: std::collections::BTreeMap::new(), ..decision.clone() };
    serde_json::to_string(&less).unwrap_or_default()
}

/// Where what decided belongs; the platform's is what led nowhere.
fn scope(route: Option<&Key>, world: &World) -> Scope {
    let namespace = route.and_then(|route| Name::parse(&route.namespace).ok());
    namespace.map_or(Scope::Platform, |namespace| world.directory.scope(&namespace))
}

/// Whether what a series was led to has a name that something may have.
pub(super) fn is_named(series: &Series) -> bool {
    let is_name = |word: &str| Name::parse(word).is_ok();
    series.route.as_ref().is_none_or(|route| is_name(&route.namespace) && is_name(&route.name))
}

/// Whose a series is: the route's, else that of what was called.
pub(super) fn scope_of(series: &Series, world: &World) -> Scope {
    let backend = series.backend.as_deref().and_then(|backend| backend.split_once('/'));
    let backend = backend.and_then(|(namespace, _)| Name::parse(namespace).ok());
    match (&series.route, backend) {
        (None, Some(namespace)) => world.directory.scope(&namespace),
        (route, _) => scope(route.as_ref(), world),
    }
}

/// When the object was made that a series led to, in microseconds since 1970; 0 where none is known.
pub(super) fn made(series: &Series, world: &World) -> i64 {
    let object = series.route.as_ref().and_then(|route| world.objects.get(&route.known()?));
    let made = object.and_then(|object| object.resource.meta().creation_timestamp);
    made.map_or(0, micros)
}

/// The same with words of bounded length.
fn worded(told: Decision) -> Decision {
    let some = |word: Option<String>| word.map(short);
    Decision {
        request: short(told.request),
        table: short(told.table),
        source: short(told.source),
        peer: some(told.peer),
        // Whom the calling application is at work for is its own workspace's, and what is called may
        // be another's, who read this. Its inbound side tells its own.
        caller: some(told.caller).filter(|_| told.side != Side::Outbound),
        passport: some(told.passport),
        method: short(told.method),
        host: short(told.host),
        path: clean(told.path, LONG),
        route: told.route.map(key),
        rule: some(told.rule),
        backend: some(told.backend),
        endpoint: some(told.endpoint),
        reason: short(told.reason),
        detail: told.detail.map(|detail| clean(detail, LONG)),
        policy: told.policy.map(key),
        policy_rule: some(told.policy_rule),
        ..told
    }
}

fn key(key: Key) -> Key {
    Key { kind: short(key.kind), namespace: short(key.namespace), name: short(key.name) }
}

fn short(word: String) -> String {
    clean(word, SHORT)
}

/// The beginning of a text, without characters that no database or terminal takes.
fn clean(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(text.floor_char_boundary(longest));
    }
    if text.contains(char::is_control) {
        text = text.replace(char::is_control, "\u{fffd}");
    }
    text
}

/// Hexadecimal of this length, as it is written everywhere.
fn hex(word: &str, digits: usize) -> Option<String> {
    let is_hex = word.len() == digits && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| word.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Decision {
        let (span, trace) = ("00000000000000ab".to_owned(), "f".repeat(32));
        Decision { span, trace, at: 5, ..Decision::default() }
    }

    #[test]
    fn what_has_no_name_or_no_trace_is_not_kept() {
        let world = World::default();
        let fits = |told| fit(told, &world, 9).is_some();
        assert!(fits(told()));
        for wrong in ["", "0", "00000000000000ag", "00000000000000abc", "\u{0}000000000000000"] {
            assert!(!fits(Decision { span: wrong.to_owned(), ..told() }), "{wrong:?}");
            assert!(!fits(Decision { trace: wrong.to_owned(), ..told() }), "{wrong:?}");
        }
    }

    #[test]
    fn times_are_past_and_words_are_short_and_clean() {
        let long = "\u{e4}".repeat(5_000);
        let wild = Decision {
            at: i64::MAX,
            link: Some("no trace".to_owned()),
            request: format!("a\u{0}b{long}"),
            path: long.clone(),
            detail: Some(long.clone()),
            caller: Some(long.clone()),
            route: Some(Key { kind: long.clone(), namespace: long.clone(), name: long.clone() }),
            vector: (0..2_000).map(|n| (format!("workspace/a-long-name-{n}"), n)).collect(),
            ..told()
        };
        let kept = fit(wild, &World::default(), 9).unwrap();
        assert_eq!((kept.at, kept.link), (9, None));
        assert!(kept.request.starts_with("a\u{fffd}b") && kept.request.len() <= SHORT + 4);
        assert!(kept.body.len() <= store::decision::LONGEST, "{}", kept.body.len());
        let read: Decision = serde_json::from_str(&kept.body).unwrap();
        assert_eq!((read.at, read.path.len()), (9, LONG));
        assert_eq!(fit(Decision { at: -1, ..told() }, &World::default(), 9).unwrap().at, 0);
    }
}
