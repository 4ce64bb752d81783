//! What a frame means as a tree in the form of the naive reading, written field by field under the name
//! that it has in the .proto files.
//!
//! Each message is taken apart with all its fields, so that a new one has to be told here.

use std::fmt::Debug;

use model::identity::Peer;
use model::revocation::{Revocation, Whom};
use model::{Name, Scope};
use serde_json::{Map, Value, json};
use wire::fuzz::Frame;
use wire::{
    Ack, Begin, Caller, Cause, Commit, ControlFrame, ControlHeartbeat, Counts, Ended, EndedSession,
    Envelope, GatewaySessions, Held, Hello, Key, Lane, LoggedOut, Nack, NodeFrame, NodeHeartbeat,
    Rejection, Resting, Revoked, Series, SessionSecrets, Side, Standing, Told, Trust, Vector,
};

use super::naive::spell;

mod decision;

/// A frame that tells what it means.
pub(super) trait Meant: Frame + Clone + PartialEq + Debug {
    /// Its message.
    const MESSAGE: &str;

    fn meant(&self) -> Value;
}

impl Meant for NodeFrame {
    const MESSAGE: &str = "NodeFrame";

    fn meant(&self) -> Value {
        match self {
            NodeFrame::Hello(one) => tree([("hello", hello(one))]),
            NodeFrame::Ack(one) => tree([("ack", ack(one))]),
            NodeFrame::Nack(Nack { nonce, reason }) => {
                tree([("nack", tree([("nonce", json!(nonce)), ("reason", json!(reason))]))])
            }
            NodeFrame::Heartbeat(one) => tree([("heartbeat", heartbeat(one))]),
            NodeFrame::Standing(one) => tree([("standing", standing(one))]),
        }
    }
}

impl Meant for ControlFrame {
    const MESSAGE: &str = "ControlFrame";

    fn meant(&self) -> Value {
        match self {
            ControlFrame::Begin(one) => tree([("begin", begin(one))]),
            ControlFrame::Put(all) => tree([("put", tree([("envelopes", list(all, envelope))]))]),
            ControlFrame::Drop(all) => tree([("drop", tree([("keys", list(all, key))]))]),
            ControlFrame::Commit(one) => tree([("commit", commit(one))]),
            ControlFrame::Heartbeat(ControlHeartbeat { now }) => {
                tree([("heartbeat", tree([("now", json!(now))]))])
            }
            ControlFrame::Trust(Trust { roots, spread }) => {
                let roots = list(roots, |root| json!(spell(root)));
                tree([("trust", tree([("roots", roots), ("spread", json!(spread))]))])
            }
            ControlFrame::Sessions(SessionSecrets { gateways, more }) => {
                let gateways = list(gateways, sessions);
                tree([("sessions", tree([("gateways", gateways), ("more", json!(more))]))])
            }
            ControlFrame::Revoked(Revoked { revocations, more }) => {
                let revocations = list(revocations, revocation);
                tree([("revoked", tree([("revocations", revocations), ("more", json!(more))]))])
            }
            ControlFrame::Ended(Ended { sessions }) => {
                tree([("ended", tree([("sessions", list(sessions, ended))]))])
            }
        }
    }
}

impl Meant for Told {
    const MESSAGE: &str = "Told";

    fn meant(&self) -> Value {
        let Told { number, decisions, dropped } = self;
        let decisions = list(decisions, decision::decision);
        tree([("number", json!(number)), ("decisions", decisions), ("dropped", json!(dropped))])
    }
}

impl Meant for LoggedOut {
    const MESSAGE: &str = "LoggedOut";

    fn meant(&self) -> Value {
        let LoggedOut { number, sessions } = self;
        tree([("number", json!(number)), ("sessions", list(sessions, ended))])
    }
}

fn ended(EndedSession { id, until }: &EndedSession) -> Value {
    tree([("id", json!(id)), ("until", json!(until))])
}

fn revocation(Revocation { whom, before, until }: &Revocation) -> Value {
    let named = |namespace: &Name, name: &str| {
        tree([("namespace", json!(namespace)), ("name", json!(name))])
    };
    let whom = match whom {
        Whom::User { issuer, subject } => {
            ("user", tree([("issuer", json!(issuer)), ("subject", json!(subject))]))
        }
        Whom::Consumer { namespace, name } => ("consumer", named(namespace, name.as_str())),
        Whom::ApiKey { namespace, name } => ("api_key", named(namespace, name)),
        Whom::Node { id } => ("node", json!(id)),
    };
    let mut said = json!({ whom.0: whom.1 });
    let times = [("before", before), ("until", until)];
    for (name, time) in times.into_iter().filter_map(|(name, time)| Some((name, (*time)?))) {
        said[name] = json!(time);
    }
    said
}

impl Meant for Counts {
    const MESSAGE: &str = "Counts";

    fn meant(&self) -> Value {
        let Counts { start, number, ago, lasted, series: all } = self;
        tree([
            ("start", json!(start)),
            ("number", json!(number)),
            ("ago", json!(ago)),
            ("lasted", json!(lasted)),
            ("series", list(all, series)),
        ])
    }
}

fn hello(hello: &Hello) -> Value {
    let Hello { version, schema, vector: at, digest, held: all, more, .. } = hello;
    let Hello { takes_trust, takes_sessions, takes_revoked, takes_ended, .. } = hello;
    tree([
        ("version", json!(version)),
        ("schema", json!(schema)),
        ("vector", vector(at)),
        ("digest", json!(spell(digest))),
        ("held", list(all, held)),
        ("more", json!(more)),
        ("takes_trust", json!(takes_trust)),
        ("takes_sessions", json!(takes_sessions)),
        ("takes_revoked", json!(takes_revoked)),
        ("takes_ended", json!(takes_ended)),
    ])
}

fn held(Held { key: of, generation, digest }: &Held) -> Value {
    tree([("key", key(of)), ("generation", json!(generation)), ("digest", json!(spell(digest)))])
}

fn ack(Ack { nonce, vector: at, digest, rejected }: &Ack) -> Value {
    tree([
        ("nonce", json!(nonce)),
        ("vector", vector(at)),
        ("digest", json!(spell(digest))),
        ("rejected", list(rejected, rejection)),
    ])
}

fn rejection(Rejection { key: of, generation, path, reason, closed }: &Rejection) -> Value {
    tree([
        ("key", key(of)),
        ("generation", json!(generation)),
        ("path", json!(path)),
        ("reason", json!(reason)),
        ("closed", list(closed, key)),
    ])
}

fn heartbeat(NodeHeartbeat { digest, silent, resting: all }: &NodeHeartbeat) -> Value {
    tree([
        ("digest", json!(spell(digest))),
        ("silent", json!(silent)),
        ("resting", list(all, resting)),
    ])
}

fn resting(Resting { service, port, address, cause, trouble }: &Resting) -> Value {
    let cause = match cause {
        Cause::Unhealthy => 1,
        Cause::Failing => 2,
    };
    tree([
        ("service", key(service)),
        ("port", json!(port)),
        ("address", json!(address.to_string())),
        ("cause", json!(cause)),
        ("trouble", json!(trouble)),
    ])
}

fn standing(Standing { trusts, certificate, workload, state }: &Standing) -> Value {
    tree([
        ("trusts", list(trusts, |root| json!(spell(root)))),
        ("certificate", json!(spell(certificate))),
        ("workload", json!(workload.map(|root| spell(&root)))),
        ("state", json!(state.map(|root| spell(&root)))),
    ])
}

fn begin(Begin { nonce, lane, vector: at, resync }: &Begin) -> Value {
    let lane = match lane {
        Lane::Revocation => 1,
        Lane::Config => 2,
        Lane::Endpoint => 3,
        Lane::Statistics => 4,
    };
    tree([
        ("nonce", json!(nonce)),
        ("lane", json!(lane)),
        ("vector", vector(at)),
        ("resync", json!(resync)),
    ])
}

fn envelope(one: &Envelope) -> Value {
    let Envelope { key: of, scope, generation, digest, body, schema, policy, targets } = one;
    tree([
        ("key", key(of)),
        ("scope", json!(scope)),
        ("generation", json!(generation)),
        ("digest", json!(spell(digest))),
        ("body", json!(spell(body))),
        ("schema", json!(schema)),
        ("policy", json!(policy)),
        ("targets", list(targets, key)),
    ])
}

fn commit(Commit { nonce, digest, issued_at, signature, signer }: &Commit) -> Value {
    tree([
        ("nonce", json!(nonce)),
        ("digest", json!(spell(digest))),
        ("issued_at", json!(issued_at)),
        ("signature", json!(spell(signature))),
        ("signer", json!(spell(signer))),
    ])
}

fn sessions(GatewaySessions { gateway, secrets }: &GatewaySessions) -> Value {
    let secrets = list(secrets, |secret| json!(spell(secret.expose())));
    tree([("gateway", key(gateway)), ("secrets", secrets)])
}

fn series(one: &Series) -> Value {
    let Series { side, route, rule, backend, caller: who, outcomes, latency } = one;
    let side = match side {
        Side::Edge => 1,
        Side::Outbound => 2,
        Side::Inbound => 3,
    };
    tree([
        ("side", json!(side)),
        ("route", json!(route.as_ref().map(key))),
        ("rule", json!(rule)),
        ("backend", json!(backend)),
        ("caller", json!(who.as_ref().map(caller))),
        ("outcomes", json!(outcomes)),
        ("places", list(latency.buckets(), |(place, _)| json!(place))),
        ("counts", list(latency.buckets(), |(_, count)| json!(count))),
    ])
}

/// A member that is there is told also if it is empty.
fn caller(caller: &Caller) -> Value {
    match caller {
        Caller::Peer(Peer::Workload { cluster, namespace, service_account }) => {
            let (cluster, namespace) = (cluster.as_str(), namespace.as_str());
            let service_account = service_account.as_str();
            json!({ "workload": {
                "cluster": cluster, "namespace": namespace, "service_account": service_account,
            } })
        }
        Caller::Peer(Peer::Gateway { cluster, name }) => {
            json!({ "gateway": { "cluster": cluster.as_str(), "name": name.as_str() } })
        }
        Caller::Consumer { namespace, name } => {
            json!({ "consumer": { "namespace": namespace.as_str(), "name": name.as_str() } })
        }
        Caller::ApiKey(name) => json!({ "api_key": name }),
        Caller::Issuer(issuer) => json!({ "issuer": issuer }),
        Caller::Others => json!({ "others": {} }),
    }
}

fn key(Key { kind, namespace, name }: &Key) -> Value {
    tree([("kind", json!(kind)), ("namespace", json!(namespace)), ("name", json!(name))])
}

fn vector(vector: &Vector) -> Value {
    let one = |(scope, revision): (&Scope, &i64)| match scope {
        Scope::Platform => ("platform".to_owned(), json!(revision)),
        Scope::Workspace(name) => (format!("workspace/{}", name.as_str()), json!(revision)),
    };
    let map: Map<_, _> = vector.iter().map(one).collect();
    if map.is_empty() { Value::Null } else { map.into() }
}

fn list<T>(all: &[T], one: impl Fn(&T) -> Value) -> Value {
    all.iter().map(one).collect()
}

/// A message, without what says nothing.
fn tree<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let nothing = [json!(null), json!(""), json!(0), json!(false), json!([])];
    let said = fields.into_iter().filter(|(_, value)| !nothing.contains(value));
    Value::Object(said.map(|(name, value)| (name.to_owned(), value)).collect())
}
