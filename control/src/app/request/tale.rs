//! The story of a decision, as far as it may be told.
//!
//! Where all its policies may be read it is told as it is. Where one may not, that one is told as
//! somebody's, and of the rest only what is known to say nothing of it: what is not named here is
//! left out.

use model::{Key, Kind, Name, Scope};
use serde_json::{Map, Value, json};
use wire::Decision;

use super::is_denial;
use crate::app::sight::Sight;

/// What of a story says nothing of its policies.
const PLAIN: [&str; 3] = ["reason", "status", "location"];
/// What of a level is told, where some of it may not be read.
const LEVEL: [&str; 5] = ["level", "outcome", "unreadable", "unknown", "policies"];

/// Who hears of something, and when that was, in microseconds since 1970.
pub(super) struct Then<'s> {
    pub(super) sight: &'s Sight,
    pub(super) at: i64,
}

/// A story.
pub(super) struct Tale {
    /// It, in JSON; none where the proxy told none.
    pub(super) story: Option<Value>,
    /// What decided, in a sentence.
    pub(super) because: Option<String>,
    /// The smallest change that would allow it.
    pub(super) change: Option<String>,
    /// Whose the policies are that may not be read, as "a policy of workspace bank".
    pub(super) others: Vec<String>,
    /// Whose the policy is that decided, if it may not be read.
    pub(super) decider: Option<String>,
    is_denied: bool,
    /// Whether the policy that decided may be read.
    is_own: bool,
}

impl Tale {
    /// The story of a decision, as somebody may have it told.
    pub(super) fn of(then: &Then<'_>, story: Option<Value>, decision: &Decision) -> Self {
        let policy = decision.policy.as_ref();
        let is_own = policy.is_some_and(|key| key.known().is_some_and(|key| then.reads(&key)));
        let decider = policy.filter(|_| !is_own).map(|policy| whose(then.sight, &policy.namespace));
        let mut tale = Tale {
            story: None,
            because: None,
            change: None,
            others: Vec::new(),
            decider,
            is_denied: is_denial(&decision.reason),
            is_own,
        };
        if let Some(Value::Object(story)) = story {
            tale.tell(then, story);
        }
        tale
    }

    /// Whether a policy decided that may not be read.
    pub(super) fn is_others(&self) -> bool {
        self.decider.is_some()
    }

    /// Whether all policies may be read.
    fn is_whole(&self) -> bool {
        self.others.is_empty() && self.decider.is_none()
    }

    /// Whether the cause that a proxy told may be told: that of a denial may speak of policies.
    pub(super) fn tells_cause(&self) -> bool {
        !self.is_denied || self.is_own || self.is_whole()
    }

    /// Takes what may be told of a story, whatever a proxy wrote there.
    fn tell(&mut self, then: &Then<'_>, mut story: Map<String, Value>) {
        let mut levels = match story.remove("levels") {
            Some(Value::Array(levels)) => levels,
            Some(_) | None => Vec::new(),
        };
        for level in levels.iter_mut().filter_map(Value::as_object_mut) {
            let others = level_told(then, level);
            let closes = ["denies", "doesNotAllow", "unproved", "closed"];
            let outcome = level.get("outcome").and_then(Value::as_str).unwrap_or_default();
            // Where no rule decided, it was the want of one.
            let is_named = self.is_own || self.decider.is_some();
            if self.is_denied && !is_named && closes.contains(&outcome) {
                self.decider = others.first().cloned();
            }
            self.others.extend(others);
        }
        levels.retain(Value::is_object);
        self.others.sort();
        self.others.dedup();
        let text = |field: &str| Some(story.get(field)?.as_str()?.to_owned());
        if self.is_own || self.is_whole() {
            self.because = text("because");
        }
        if self.is_whole() {
            self.change = text("change");
        } else {
            let because = self.because.is_some();
            story.retain(|field, _| PLAIN.contains(&&**field) || (because && field == "because"));
        }
        story.insert("levels".to_owned(), Value::Array(levels));
        self.story = Some(Value::Object(story));
    }
}

/// Takes out of a level what may not be read; whose that is.
fn level_told(then: &Then<'_>, level: &mut Map<String, Value>) -> Vec<String> {
    let mut others = Vec::new();
    let policies = level.get_mut("policies").and_then(Value::as_array_mut);
    for policy in policies.into_iter().flatten() {
        others.extend(others_told(then, &policy["policy"]).map(|by| {
            *policy = json!({ "by": by });
            by
        }));
    }
    // What a proxy could not read, and what it knows only by name.
    for field in ["unreadable", "unknown"] {
        let Some(named) = level.get_mut(field).filter(|named| !named.is_null()) else { continue };
        others.extend(others_told(then, named).map(|by| {
            *named = json!({ "by": by });
            by
        }));
    }
    if !others.is_empty() {
        level.retain(|field, _| LEVEL.contains(&&**field));
    }
    others
}

/// Whose a policy is that may not be read; none of one that may.
fn others_told(then: &Then<'_>, named: &Value) -> Option<String> {
    let (namespace, is_read) = match named {
        Value::String(text) => by_name(then.sight, text),
        key => {
            let namespace = key["namespace"].as_str().unwrap_or_default().to_owned();
            let key: Option<Key> = serde_json::from_value(key.clone()).ok();
            (namespace, key.is_some_and(|key| then.reads(&key)))
        }
    };
    (!is_read).then(|| whose(then.sight, &namespace))
}

impl Then<'_> {
    fn reads(&self, key: &Key) -> bool {
        self.sight.decided(key, &self.sight.world.directory.scope(&key.namespace), self.at)
    }
}

/// The namespace of a policy that is told as `KIND NAMESPACE/NAME`, and whether such may be read:
/// by whoever may read those of its kind there, or the AccessPolicies where the kind is not known.
fn by_name(sight: &Sight, text: &str) -> (String, bool) {
    let (kind, behind) = text.split_once(' ').unwrap_or(("", text));
    let kind = Kind::parse(kind).unwrap_or(Kind::AccessPolicy);
    let namespace = behind.split_once('/').map_or("", |(namespace, _)| namespace);
    let scope = Name::parse(namespace).ok().map(|name| sight.world.directory.scope(&name));
    let is_read = scope.is_some_and(|scope| sight.rights.reads(kind, &scope));
    (namespace.to_owned(), is_read)
}

/// All that is told of a policy in a namespace whose policies may not be read.
fn whose(sight: &Sight, namespace: &str) -> String {
    let directory = &sight.world.directory;
    match Name::parse(namespace).map(|namespace| directory.scope(&namespace)) {
        Ok(Scope::Platform) | Err(_) => "a policy of the platform".to_owned(),
        Ok(scope @ Scope::Workspace(_)) => {
            let owners = directory.owners(&scope).join(", ");
            let whose = scope.to_string().replacen('/', " ", 1);
            match owners.is_empty() {
                true => format!("a policy of {whose}"),
                false => format!("a policy of {owners} in {whose}"),
            }
        }
    }
}
