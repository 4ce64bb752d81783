//! What must hold of a frame beyond its encoding, as the .proto files and the docs of `wire` say it, and
//! the one form of what can be said in several.
//!
//! Numbers stand here once more, so that one that changes there is noticed. Of what control says a node
//! has little to fear: much of it is bounded by the size of a frame alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::{Map, Value};

use super::decision;
use super::naive::unspell;
use super::schema::{Sort, fields};

/// The longest word of a key, an address or a name.
const WORD: usize = 253;
/// The longest word that is made of up to three of them.
const WORDS: usize = 3 * 253;
/// Buckets of a sketch.
const BUCKETS: u64 = 464;

/// The message with all that lies in it in its one form, if the rules hold.
pub(super) fn hold(message: &str, tree: Value) -> Option<Value> {
    let Value::Object(mut object) = tree else { return None };
    for field in fields(message) {
        if let Sort::Message(name) = &field.sort
            && let Some(below) = object.remove(&field.name)
        {
            let below = match below {
                Value::Array(all) => all.into_iter().map(|one| hold(name, one)).collect(),
                one => hold(name, one),
            };
            object.insert(field.name.clone(), below?);
        }
    }
    let mut said = Said(object);
    said.holds(message).then_some(Value::Object(said.0))
}

/// What a message says itself.
struct Said(Map<String, Value>);

impl Said {
    fn holds(&mut self, message: &str) -> bool {
        match message {
            "NodeFrame" | "ControlFrame" => self.0.len() == 1,
            // Nothing is said of these, or only where they lie in another.
            "Key" | "Object" | "ScopeRevision" | "Nack" | "ControlHeartbeat" | "Others" => true,
            "Put" | "Drop" | "User" | "Named" => true,
            "LoggedOut" | "Ended" => self.many("sessions") <= 1_000,
            "EndedSession" | "Session" => matches!(self.length("id"), 1..=WORD),
            "Hello" | "Held" | "Ack" | "Rejection" | "Standing" => self.is_of_node(message),
            "NodeHeartbeat" | "Resting" => self.is_of_node(message),
            "Told" => self.many("decisions") <= 256 && self.decisions(),
            "Counts" | "Series" | "Caller" | "Workload" | "Gateway" | "Consumer" => {
                self.counts(message)
            }
            _ => self.is_of_control(message),
        }
    }

    fn is_of_node(&mut self, message: &str) -> bool {
        match message {
            "Hello" => {
                let bounds = self.length("version") <= 64 && self.many("held") <= 1_000;
                bounds && self.has_digest("digest") && self.vector()
            }
            "Held" => self.has_short("key") && self.has_digest("digest"),
            "Ack" => self.many("rejected") <= 1_000 && self.has_digest("digest") && self.vector(),
            "Rejection" => {
                self.closed();
                self.has_short("key")
            }
            "Standing" => {
                let maybe = |name| !self.0.contains_key(name) || self.has_digest(name);
                let others = maybe("workload") && maybe("state");
                let roots = self.many("trusts") <= 8 && self.list("trusts").iter().all(is_digest);
                roots && others && self.has_digest("certificate")
            }
            "NodeHeartbeat" => {
                let bounds = self.many("silent") <= 16 && self.many("resting") <= 256;
                bounds && self.has_digest("digest") && self.silent()
            }
            "Resting" => {
                let words = self.length("address") <= WORD && self.length("trouble") <= 256;
                let numbers =
                    self.number("port") <= 65_535 && matches!(self.number("cause"), 1..=2);
                words && numbers && self.has_short("service") && self.address()
            }
            other => panic!("what are the rules of {other}?"),
        }
    }

    fn is_of_control(&mut self, message: &str) -> bool {
        match message {
            "Begin" => matches!(self.number("lane"), 1..=4) && self.vector(),
            "Envelope" => self.0.contains_key("key") && self.has_digest("digest"),
            "Commit" => self.has_digest("digest"),
            "Trust" => matches!(self.many("roots"), 1..=8),
            "SessionSecrets" => self.many("gateways") <= 1_000,
            "Revoked" => self.many("revocations") <= 1_000,
            "Revocation" => {
                let name = |whom: &str, name: &str| {
                    is_name(self.0[whom][name].as_str().unwrap_or_default())
                };
                match ["user", "consumer", "api_key", "node"].map(|one| self.0.contains_key(one)) {
                    [_, true, _, _] => name("consumer", "namespace") && name("consumer", "name"),
                    [_, _, true, _] => name("api_key", "namespace"),
                    [user, _, _, node] => user || node,
                }
            }
            "GatewaySessions" => {
                let bounds = matches!(self.many("secrets"), 1..=16);
                // They are as long as a digest.
                let are_whole = self.list("secrets").iter().all(is_digest);
                self.0.contains_key("gateway") && bounds && are_whole
            }
            other => panic!("what are the rules of {other}?"),
        }
    }

    fn counts(&mut self, message: &str) -> bool {
        match message {
            "Counts" => self.many("series") <= 256,
            "Series" => {
                let words = self.length("rule") <= WORDS && self.length("backend") <= WORDS;
                let numbers = matches!(self.number("side"), 1..=3) && self.many("outcomes") == 6;
                let route = !self.0.contains_key("route") || self.has_short("route");
                words && numbers && route && self.buckets()
            }
            "Caller" => {
                let words = self.length("api_key") <= WORDS && self.length("issuer") <= WORDS;
                words && self.0.len() == 1
            }
            "Workload" => {
                let words = ["cluster", "namespace", "service_account"];
                words.iter().all(|word| is_name(self.text(word)))
            }
            "Gateway" => is_name(self.text("cluster")) && is_name(self.text("name")),
            "Consumer" => is_name(self.text("namespace")) && is_name(self.text("name")),
            other => panic!("what are the rules of {other}?"),
        }
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn length(&self, name: &str) -> usize {
        self.text(name).len()
    }

    fn number(&self, name: &str) -> i64 {
        self.0.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn many(&self, name: &str) -> usize {
        self.list(name).len()
    }

    fn has_digest(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(is_digest)
    }

    fn has_short(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(is_short)
    }

    /// A plain list, which says nothing where it is empty.
    fn put(&mut self, name: &str, list: Vec<Value>) {
        self.0.remove(name);
        if !list.is_empty() {
            self.0.insert(name.to_owned(), list.into());
        }
    }

    /// A vector is a map: what is said of a scope last holds.
    fn vector(&mut self) -> bool {
        let mut map = Map::new();
        for one in self.list("vector") {
            let scope = one["scope"].as_str().unwrap_or_default();
            let is_workspace = scope.strip_prefix("workspace/").is_some_and(is_name);
            if scope != "platform" && !is_workspace {
                return false;
            }
            map.insert(scope.to_owned(), one.get("revision").cloned().unwrap_or(0.into()));
        }
        if !map.is_empty() {
            self.0.insert("vector".to_owned(), map.into());
        }
        true
    }

    /// Of the first 100 those that have short words: what a policy names may be odd.
    fn closed(&mut self) {
        let first = self.list("closed").iter().take(100);
        let closed = first.filter(|key| is_short(key)).cloned().collect();
        self.put("closed", closed);
    }

    /// A set of ports.
    fn silent(&mut self) -> bool {
        let ports: BTreeSet<_> = self.list("silent").iter().filter_map(Value::as_u64).collect();
        let are_ports = ports.iter().all(|port| *port <= 65_535);
        self.put("silent", ports.into_iter().map(Value::from).collect());
        are_ports
    }

    /// What an address is says the standard library, here as there.
    fn address(&mut self) -> bool {
        let address = self.text("address").parse::<SocketAddr>();
        address.is_ok_and(|address| {
            self.0.insert("address".to_owned(), address.to_string().into());
            true
        })
    }

    /// Buckets that rise, each with a count; those in which nothing lies are none.
    fn buckets(&mut self) -> bool {
        let numbers =
            |name| -> Vec<u64> { self.list(name).iter().filter_map(Value::as_u64).collect() };
        let (places, counts) = (numbers("places"), numbers("counts"));
        let rising: BTreeMap<_, _> = places.iter().copied().zip(counts.iter().copied()).collect();
        let rises = rising.keys().copied().eq(places.iter().copied());
        if !rises || places.len() != counts.len() || places.iter().any(|place| *place >= BUCKETS) {
            return false;
        }
        let filled = rising.into_iter().filter(|(_, count)| *count > 0);
        let (places, counts) = filled.map(|(place, count)| (place.into(), count.into())).unzip();
        self.put("places", places);
        self.put("counts", counts);
        true
    }

    fn decisions(&mut self) -> bool {
        let read = |one: &Value| decision::read(&unspell(one.as_str().unwrap_or_default()));
        let read = self.list("decisions").iter().map(read).collect::<Option<_>>();
        read.is_some_and(|read| {
            self.put("decisions", read);
            true
        })
    }
}

/// A letter for each of 32 bytes.
fn is_digest(bytes: &Value) -> bool {
    bytes.as_str().is_some_and(|letters| letters.chars().count() == 32)
}

/// Whether no word of a key is longer than any of ours.
fn is_short(key: &Value) -> bool {
    let words = ["kind", "namespace", "name"].map(|word| key[word].as_str().unwrap_or_default());
    words.iter().all(|word| word.len() <= WORD)
}

/// RFC 1123: labels of lower-case letters, digits and hyphens with a dot between two, which neither begin
/// nor end with a hyphen.
fn is_name(text: &str) -> bool {
    let letters = "abcdefghijklmnopqrstuvwxyz0123456789-";
    let is_label = |label: &str| {
        let hyphens = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && !hyphens && label.chars().all(|c| letters.contains(c))
    };
    text.len() <= WORD && text.split('.').all(is_label)
}
