//! Frames of every sort as dice have them, within the rules.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use model::identity::Peer;
use model::revocation::{Revocation, Whom};
use model::secret::SecretBytes;
use model::{Name, Scope};
use serde_json::json;
use wire::{
    Ack, Begin, Caller, Cause, Commit, ControlFrame, ControlHeartbeat, Counts, Decision, Ended,
    EndedSession, Envelope, GatewaySessions, Held, Hello, Key, Lane, LoggedOut, Nack, NodeFrame,
    NodeHeartbeat, Rejection, Resting, Revoked, Series, SessionSecrets, Side, Sketch, Standing,
    Told, Trust, Vector,
};

use crate::dice::Dice;

const LANES: [Lane; 4] = [Lane::Revocation, Lane::Config, Lane::Endpoint, Lane::Statistics];
const NAMES: [&str; 4] = ["shop", "a", "a-b.c", "0"];

pub(super) fn node(dice: &mut Dice) -> NodeFrame {
    match dice.roll(5) {
        0 => NodeFrame::Hello(Hello {
            version: dice.text(20),
            schema: number(dice) as u32,
            vector: vector(dice),
            digest: dice.array(),
            held: dice.some(4, held),
            more: dice.once_in(2),
            takes_trust: dice.once_in(2),
            takes_sessions: dice.once_in(2),
            takes_revoked: dice.once_in(2),
            takes_ended: dice.once_in(2),
        }),
        1 => NodeFrame::Ack(Ack {
            nonce: number(dice),
            vector: vector(dice),
            digest: dice.array(),
            rejected: dice.some(4, rejection),
        }),
        2 => NodeFrame::Nack(Nack { nonce: number(dice), reason: dice.text(300) }),
        3 => NodeFrame::Heartbeat(NodeHeartbeat {
            digest: dice.array(),
            silent: dice.some(wire::PORTS, |dice| number(dice) as u16).into_iter().collect(),
            resting: dice.some(4, resting),
        }),
        _ => NodeFrame::Standing(Standing {
            trusts: dice.some(wire::ROOTS, Dice::array),
            certificate: dice.array(),
            workload: dice.once_in(2).then(|| dice.array()),
            state: dice.once_in(2).then(|| dice.array()),
        }),
    }
}

fn resting(dice: &mut Dice) -> Resting {
    let ip = match dice.once_in(2) {
        true => IpAddr::from(dice.array::<4>()),
        false => IpAddr::from(dice.array::<16>()),
    };
    Resting {
        service: key(dice),
        port: number(dice) as u16,
        address: SocketAddr::new(ip, number(dice) as u16),
        cause: *dice.pick(&[Cause::Unhealthy, Cause::Failing]),
        trouble: "x".repeat(dice.roll(wire::TROUBLE + 1)),
    }
}

pub(super) fn control(dice: &mut Dice) -> ControlFrame {
    match dice.roll(9) {
        0 => ControlFrame::Begin(Begin {
            nonce: number(dice),
            lane: *dice.pick(&LANES),
            vector: vector(dice),
            resync: dice.once_in(2),
        }),
        1 => ControlFrame::Put(dice.some(4, envelope)),
        2 => ControlFrame::Drop(dice.some(4, key)),
        3 => ControlFrame::Commit(Commit {
            nonce: number(dice),
            digest: dice.array(),
            issued_at: number(dice).cast_signed(),
            signature: blob(dice),
            signer: blob(dice),
        }),
        4 => ControlFrame::Heartbeat(ControlHeartbeat { now: number(dice).cast_signed() }),
        5 => ControlFrame::Sessions(SessionSecrets {
            gateways: dice.some(4, sessions),
            more: dice.once_in(2),
        }),
        6 => ControlFrame::Revoked(Revoked {
            revocations: dice.some(4, revocation),
            more: dice.once_in(2),
        }),
        7 => ControlFrame::Ended(Ended { sessions: dice.some(4, ended) }),
        _ => {
            let mut roots = dice.some(wire::ROOTS - 1, blob);
            roots.push(blob(dice));
            ControlFrame::Trust(Trust { roots, spread: number(dice) as u32 })
        }
    }
}

fn revocation(dice: &mut Dice) -> Revocation {
    let name = |dice: &mut Dice| {
        let name: &&str = dice.pick(&NAMES);
        Name::parse(name).expect("they are names")
    };
    let whom = match dice.roll(4) {
        0 => Whom::User { issuer: dice.text(40), subject: dice.text(40) },
        1 => Whom::Consumer { namespace: name(dice), name: name(dice) },
        2 => Whom::ApiKey { namespace: name(dice), name: dice.text(40) },
        _ => Whom::Node { id: dice.text(40) },
    };
    let maybe = |dice: &mut Dice| dice.once_in(2).then(|| number(dice).cast_signed());
    Revocation { whom, before: maybe(dice), until: maybe(dice) }
}

fn ended(dice: &mut Dice) -> EndedSession {
    EndedSession { id: format!("s{}", dice.text(40)), until: number(dice).cast_signed() }
}

pub(super) fn logged_out(dice: &mut Dice) -> LoggedOut {
    LoggedOut { number: number(dice), sessions: dice.some(4, ended) }
}

fn sessions(dice: &mut Dice) -> GatewaySessions {
    let secret = |dice: &mut Dice| SecretBytes::new(dice.array::<{ wire::SECRET }>());
    let mut secrets = dice.some(wire::SECRETS - 1, secret);
    secrets.push(secret(dice));
    GatewaySessions { gateway: key(dice), secrets }
}

pub(super) fn told(dice: &mut Dice) -> Told {
    Told { number: number(dice), decisions: dice.some(4, decision), dropped: number(dice) }
}

fn decision(dice: &mut Dice) -> Decision {
    let maybe = |dice: &mut Dice| dice.once_in(2).then(|| dice.text(40));
    Decision {
        span: dice.text(20),
        parent: maybe(dice),
        trace: dice.text(40),
        link: maybe(dice),
        request: dice.text(40),
        side: side(dice),
        at: number(dice).cast_signed(),
        took: number(dice),
        backend_took: dice.once_in(2).then(|| number(dice)),
        table: dice.text(20),
        vector: dice
            .some(4, |dice| (dice.text(20), number(dice).cast_signed()))
            .into_iter()
            .collect(),
        source: dice.text(40),
        peer: maybe(dice),
        caller: maybe(dice),
        passport: maybe(dice),
        method: dice.text(10),
        host: dice.text(40),
        path: dice.text(60),
        port: number(dice) as u16,
        route: dice.once_in(2).then(|| key(dice)),
        rule: maybe(dice),
        backend: maybe(dice),
        endpoint: maybe(dice),
        attempts: number(dice) as u32,
        status: dice.once_in(2).then(|| number(dice) as u16),
        reason: dice.text(20),
        detail: maybe(dice),
        policy: dice.once_in(2).then(|| key(dice)),
        policy_rule: maybe(dice),
        story: dice.once_in(2).then(|| json!({ "because": dice.text(60), "level": number(dice) })),
    }
}

fn side(dice: &mut Dice) -> Side {
    *dice.pick(&[Side::Edge, Side::Outbound, Side::Inbound])
}

pub(super) fn counts(dice: &mut Dice) -> Counts {
    Counts {
        start: number(dice),
        number: number(dice),
        ago: number(dice),
        lasted: number(dice),
        series: dice.some(4, series),
    }
}

fn series(dice: &mut Dice) -> Series {
    let mut latency = Sketch::default();
    for (place, count) in dice.some(8, |dice| (dice.roll(600), number(dice) as u32)) {
        latency.add(place, count);
    }
    // There is no empty word.
    let some = |word: String| Some(word).filter(|word| !word.is_empty());
    Series {
        side: side(dice),
        route: dice.once_in(2).then(|| key(dice)),
        rule: some(dice.text(40)),
        backend: some(dice.text(40)),
        caller: dice.once_in(2).then(|| caller(dice)),
        outcomes: std::array::from_fn(|_| number(dice)),
        latency,
    }
}

fn caller(dice: &mut Dice) -> Caller {
    match dice.roll(6) {
        0 => Caller::Peer(Peer::Workload {
            cluster: name(dice),
            namespace: name(dice),
            service_account: name(dice),
        }),
        1 => Caller::Peer(Peer::Gateway { cluster: name(dice), name: name(dice) }),
        2 => Caller::ApiKey(dice.text(40)),
        3 => Caller::Issuer(dice.text(40)),
        4 => Caller::Consumer { namespace: name(dice), name: name(dice) },
        _ => Caller::Others,
    }
}

fn rejection(dice: &mut Dice) -> Rejection {
    Rejection {
        key: key(dice),
        generation: number(dice).cast_signed(),
        path: dice.text(60),
        reason: dice.text(60),
        closed: dice.some(4, key),
    }
}

fn envelope(dice: &mut Dice) -> Envelope {
    let envelope = Envelope {
        key: key(dice),
        scope: dice.text(60),
        generation: number(dice).cast_signed(),
        digest: dice.array(),
        body: Bytes::from(blob(dice)),
        schema: number(dice) as u32,
        policy: dice.once_in(2),
        targets: dice.some(4, key),
    };
    let digested = envelope.clone().digested();
    assert!(digested.is_whole(), "an envelope has the digest that it was given");
    if dice.once_in(2) { digested } else { envelope }
}

fn held(dice: &mut Dice) -> Held {
    Held { key: key(dice), generation: number(dice).cast_signed(), digest: dice.array() }
}

fn key(dice: &mut Dice) -> Key {
    Key { kind: dice.text(20), namespace: dice.text(20), name: dice.text(60) }
}

fn vector(dice: &mut Dice) -> Vector {
    let one = |dice: &mut Dice| match dice.roll(3) {
        0 => (Scope::Platform, number(dice).cast_signed()),
        _ => (Scope::Workspace(name(dice)), number(dice).cast_signed()),
    };
    dice.some(4, one).into_iter().collect()
}

fn name(dice: &mut Dice) -> Name {
    Name::parse(dice.pick::<&str>(&NAMES)).expect("each of them is a name")
}

/// A number of any size, small ones among them.
fn number(dice: &mut Dice) -> u64 {
    let bits = dice.roll(65);
    u64::from_be_bytes(dice.array()).checked_shr(64 - bits as u32).unwrap_or_default()
}

fn blob(dice: &mut Dice) -> Vec<u8> {
    let many = dice.roll(200);
    dice.bytes(many).to_vec()
}
