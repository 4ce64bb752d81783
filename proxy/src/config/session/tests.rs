//! The node's side against a control plane that forgets, errs and goes away, in a time of its own.

use std::time::Duration;

use bytes::Bytes;
use model::Scope;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use wire::{Begin, Commit, ControlHeartbeat, Envelope, Key, Lane, Vector};

use super::*;
use crate::config::held;
use crate::identity::NodeKey;
use crate::identity::tests::authority::Installation;

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn envelope(name: &str, generation: i64) -> Envelope {
    let body = Bytes::from(format!("{{\"{name}\":{generation}}}"));
    Envelope {
        key: Key { kind: "ConfigMap".into(), namespace: "shop".into(), name: name.into() },
        scope: "platform".into(),
        generation,
        digest: [0; 32],
        body,
        schema: 1,
        policy: false,
        targets: Vec::new(),
    }
    .digested()
}

/// A node and the control plane that it speaks with.
struct Bed {
    installation: Installation,
    session: Session,
    now: Now,
    nonce: u64,
}

impl Bed {
    fn new() -> Self {
        let (installation, key) = (Installation::new(), NodeKey::make().unwrap());
        let node = Arc::new(installation.identity(&key, DAY));
        let now = Now { at: Instant::now(), wall: SystemTime::now(), dice: 1.0 };
        let held = Arc::new(Held::nothing());
        let session = Session::new(node, "test", held, now.at);
        Bed { installation, session, now, nonce: 0 }
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.session.on(event, self.now)
    }

    fn open(&mut self) -> Vec<Action> {
        assert!(matches!(self.on(Event::Tick)[..], [Action::Open]));
        self.on(Event::Opened)
    }

    /// The time passes until the session wants to be woken.
    fn wake(&mut self) -> Vec<Action> {
        self.now.at = self.session.wakes().unwrap();
        self.on(Event::Tick)
    }

    fn begin(&mut self, revision: i64, resync: bool) -> ControlFrame {
        self.nonce += 1;
        let vector = vector(revision);
        ControlFrame::Begin(Begin { nonce: self.nonce, lane: Lane::Config, vector, resync })
    }

    fn commit(&self, revision: i64, objects: &held::Objects) -> ControlFrame {
        let digest = held::digest(objects);
        let proof = self.installation.east.proof("0192-node", 7, &vector(revision), &digest);
        ControlFrame::Commit(Commit {
            nonce: self.nonce,
            digest,
            issued_at: proof.issued_at,
            signature: proof.signature,
            signer: proof.signer,
        })
    }

    /// All actions of these frames.
    fn frames(&mut self, frames: Vec<ControlFrame>) -> Vec<Action> {
        frames.into_iter().flat_map(|frame| self.on(Event::Frame(frame))).collect()
    }

    /// Sends all of a state anew.
    fn send(&mut self, revision: i64, all: &[Envelope]) -> Vec<Action> {
        let frames = vec![
            self.begin(revision, true),
            ControlFrame::Put(all.to_vec()),
            self.commit(revision, &objects(all)),
        ];
        self.frames(frames)
    }
}

fn vector(revision: i64) -> Vector {
    [(Scope::Platform, revision)].into_iter().collect()
}

pub(crate) fn objects(all: &[Envelope]) -> held::Objects {
    all.iter().map(|one| (one.key.clone(), Arc::new(one.clone()))).collect()
}

fn heartbeat() -> Event {
    Event::Frame(ControlFrame::Heartbeat(ControlHeartbeat { now: 0 }))
}

fn is_nack(action: &Action, word: &str) -> bool {
    matches!(action, Action::Say(NodeFrame::Nack(nack)) if nack.reason.contains(word))
}

#[test]
fn a_state_is_acknowledged_once_it_is_in_force() {
    let mut bed = Bed::new();
    let [Action::Say(NodeFrame::Hello(hello))] = &bed.open()[..] else { panic!("no hello") };
    assert!(hello.held.is_empty() && !hello.more);
    assert!(!bed.session.is_connected());
    let all = [envelope("a", 1), envelope("b", 1)];
    let actions = bed.send(3, &all);
    let [Action::Take(state)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(state.objects, objects(&all));
    assert!(bed.session.is_connected() && bed.session.held().objects.is_empty());
    let actions = bed.on(Event::Taken(Vec::new()));
    let [Action::Say(NodeFrame::Ack(ack))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((ack.nonce, &ack.vector), (bed.nonce, &vector(3)));
    assert_eq!(ack.digest, bed.session.held().digest);
}

#[test]
fn what_is_rejected_later_is_answered_again() {
    let mut bed = Bed::new();
    bed.open();
    let all = [envelope("a", 1)];
    let rejection = Rejection {
        key: all[0].key.clone(),
        generation: 1,
        path: "spec.listeners[0].port".to_owned(),
        reason: "port 80 is not open".to_owned(),
        closed: Vec::new(),
    };
    assert!(bed.on(Event::Rejects(vec![rejection.clone()])).is_empty(), "of nothing");
    bed.send(3, &all);
    assert!(bed.on(Event::Rejects(vec![rejection.clone()])).is_empty(), "not in force yet");
    bed.on(Event::Taken(Vec::new()));
    for rejected in [vec![rejection.clone()], Vec::new()] {
        let actions = bed.on(Event::Rejects(rejected.clone()));
        let [Action::Say(NodeFrame::Ack(ack))] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!((ack.nonce, &ack.rejected), (bed.nonce, &rejected));
        assert_eq!(ack.digest, bed.session.held().digest);
    }
    bed.on(Event::Lost);
    assert!(bed.on(Event::Rejects(vec![rejection])).is_empty(), "nobody listens");
}

#[test]
fn only_differences_need_to_come_and_hello_says_what_is_held_in_parts() {
    let mut bed = Bed::new();
    bed.open();
    let all: Vec<_> = (0..2_500).map(|n| envelope(&format!("n{n:04}"), 1)).collect();
    bed.send(1, &all);
    bed.on(Event::Taken(Vec::new()));
    let mut next = objects(&all);
    let changed = envelope("n0001", 2);
    next.insert(changed.key.clone(), Arc::new(changed.clone()));
    next.remove(&all[0].key);
    let frames = vec![
        bed.begin(2, false),
        ControlFrame::Put(vec![changed]),
        ControlFrame::Drop(vec![all[0].key.clone()]),
        bed.commit(2, &next),
    ];
    assert!(matches!(bed.frames(frames)[..], [Action::Take(_)]));
    bed.on(Event::Taken(Vec::new()));
    bed.on(Event::Lost);
    assert!(matches!(bed.wake()[..], [Action::Open]));
    let hello = bed.on(Event::Opened);
    let parts = hello.iter().map(|action| match action {
        Action::Say(NodeFrame::Hello(hello)) => (hello.held.len(), hello.more),
        other => panic!("{other:?}"),
    });
    assert_eq!(parts.collect::<Vec<_>>(), [(1000, true), (1000, true), (499, false)]);
}

#[test]
fn what_is_not_whole_or_not_signed_by_our_authority_is_refused_as_a_whole() {
    let mut bed = Bed::new();
    bed.open();
    let all = [envelope("a", 1)];
    let frames = vec![
        bed.begin(1, false),
        ControlFrame::Put(all.to_vec()),
        bed.commit(1, &objects(&[envelope("a", 2)])),
    ];
    let actions = bed.frames(frames);
    assert!(is_nack(&actions[1], "the objects held would be"), "{actions:?}");
    let mut torn = envelope("a", 1);
    torn.body = Bytes::from_static(b"{}");
    let frames =
        vec![bed.begin(1, false), ControlFrame::Put(vec![torn]), bed.commit(1, &objects(&all))];
    let actions = bed.frames(frames);
    assert!(is_nack(&actions[1], "the body of ConfigMap shop/a"), "{actions:?}");
    for (signer, word) in
        [(&bed.installation.west, "authority"), (&bed.installation.hub, "authority")]
    {
        let proof = signer.proof("0192-node", 7, &vector(1), &held::digest(&objects(&all)));
        let commit = bed.commit(1, &objects(&all));
        let ControlFrame::Commit(mut commit) = commit else { unreachable!() };
        (commit.signature, commit.signer) = (proof.signature, proof.signer);
        let session = &mut bed.session;
        let (nonce, vector) = (commit.nonce, vector(1));
        let begin = Begin { nonce, lane: Lane::Config, vector, resync: false };
        session.on(Event::Frame(ControlFrame::Begin(begin)), bed.now);
        session.on(Event::Frame(ControlFrame::Put(all.to_vec())), bed.now);
        let actions = session.on(Event::Frame(ControlFrame::Commit(commit)), bed.now);
        assert!(is_nack(&actions[1], word), "{actions:?}");
    }
    let ControlFrame::Commit(commit) = bed.commit(2, &objects(&all)) else { unreachable!() };
    let frames = vec![
        bed.begin(1, false),
        ControlFrame::Put(all.to_vec()),
        ControlFrame::Commit(Commit { nonce: bed.nonce, ..commit }),
    ];
    let actions = bed.frames(frames);
    assert!(is_nack(&actions[1], "signature is not of this state"), "{actions:?}");
    assert!(bed.session.held().objects.is_empty());
    assert!(matches!(bed.send(1, &all)[..], [Action::Take(_)]));
}

#[test]
fn if_even_a_resync_cannot_be_taken_the_stream_rests_longer_each_time() {
    let mut bed = Bed::new();
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert!(matches!(bed.wake()[..], [Action::Open]));
        bed.on(Event::Opened);
        let frames = vec![bed.begin(1, true), bed.commit(1, &objects(&[envelope("a", 1)]))];
        let actions = bed.frames(frames);
        assert!(matches!(actions[..], [Action::Refused(_), Action::Say(_), Action::Close(_)]));
        waits.push(bed.session.wakes().unwrap() - bed.now.at);
    }
    assert_eq!(waits[..3], [100, 200, 400].map(Duration::from_millis));
    assert_eq!(waits[9], LONGEST);
}

#[test]
fn a_stream_that_does_not_hold_is_a_failure_though_it_was_answered() {
    let mut bed = Bed::new();
    let mut rests = Vec::new();
    for holds in [1, 1, 1, 11, 1] {
        bed.open();
        for _ in 0..holds {
            bed.now.at += Duration::from_secs(1);
            bed.on(heartbeat());
        }
        bed.on(Event::Lost);
        let until = bed.session.wakes().unwrap();
        rests.push((until - bed.now.at).as_millis());
        bed.now.at = until;
    }
    assert_eq!(rests, [100, 200, 400, 100, 200]);
}

#[test]
fn each_side_says_that_it_is_there_and_silence_closes_the_stream() {
    let mut bed = Bed::new();
    bed.open();
    let began = bed.now.at;
    bed.on(heartbeat());
    for beat in 1..=3 {
        let actions = bed.wake();
        assert!(matches!(actions[..], [Action::Say(NodeFrame::Heartbeat(_))]), "{actions:?}");
        assert_eq!(bed.now.at, began + HEARTBEAT * beat);
    }
    assert!(bed.session.is_connected());
    let actions = bed.wake();
    assert_eq!(bed.now.at, began + STALE);
    assert!(matches!(&actions[..], [Action::Close(why)] if why.contains("10 s")), "{actions:?}");
    assert!(!bed.session.is_connected());
    assert!(matches!(bed.wake()[..], [Action::Open]));
}

#[test]
fn a_server_that_speaks_out_of_turn_is_left() {
    let puts = || ControlFrame::Put(vec![envelope("a", 1)]);
    for turn in 0..3 {
        let mut bed = Bed::new();
        bed.open();
        let frames = match turn {
            0 => vec![puts()],
            1 => vec![bed.begin(1, false), bed.begin(2, false)],
            _ => vec![bed.begin(1, false), puts(), bed.commit(1, &objects(&[envelope("a", 1)]))],
        };
        let mut actions = bed.frames(frames);
        if turn == 2 {
            let again = bed.begin(2, false);
            actions = bed.on(Event::Frame(again));
        }
        assert!(matches!(actions[..], [Action::Close(_)]), "{turn}: {actions:?}");
    }
}

#[test]
fn a_stream_that_is_opened_anew_is_greeted_once_nothing_is_on_the_way() {
    let mut bed = Bed::new();
    bed.open();
    let all = [envelope("a", 1)];
    bed.send(1, &all);
    assert!(bed.on(Event::Opened).is_empty());
    let actions = bed.on(Event::Taken(Vec::new()));
    let [Action::Say(NodeFrame::Hello(hello))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(hello.held.len(), 1);
}

/// Whatever is lost, and however often, the node ends with what control has, and holds nothing
/// meanwhile that control did not commit.
#[test]
fn the_node_follows_through_any_weather() {
    for seed in 0..40 {
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut bed = Bed::new();
        let mut state: Vec<Envelope> = Vec::new();
        let mut committed = vec![held::digest(&objects(&state))];
        let mut is_open = false;
        for step in 0..120_i64 {
            let is_calm = step > 100;
            bed.now.dice = dice.random();
            if dice.random_bool(0.3) && !is_calm {
                let one = envelope(&format!("n{}", dice.random_range(0..5)), step);
                state.retain(|other| other.key != one.key);
                if dice.random_bool(0.7) {
                    state.push(one);
                }
                committed.push(held::digest(&objects(&state)));
            }
            if !is_open {
                while !matches!(bed.wake()[..], [Action::Open]) {}
                is_open = is_calm || dice.random_bool(0.8);
                bed.on(if is_open { Event::Opened } else { Event::Lost });
                continue;
            }
            bed.on(heartbeat());
            let before = Arc::clone(bed.session.held());
            let next = objects(&state);
            let gone = before.objects.keys().filter(|key| !next.contains_key(*key));
            let mut changed: Vec<_> = state.clone();
            changed.retain(|one| before.objects.get(&one.key).is_none_or(|held| **held != *one));
            let forgets = !is_calm && dice.random_bool(0.2) && !changed.is_empty();
            let drops = ControlFrame::Drop(gone.cloned().collect());
            let begin = bed.begin(step, false);
            let commit = bed.commit(step, &next);
            if forgets {
                changed.pop();
            }
            let mut frames = vec![begin, ControlFrame::Put(changed), drops, commit];
            let cut = !is_calm && dice.random_bool(0.2);
            if cut {
                frames.truncate(dice.random_range(0..4));
            }
            let actions = bed.frames(frames);
            let takes = matches!(actions[..], [Action::Take(_)]);
            assert_eq!(takes, !forgets && !cut, "seed {seed}: {actions:?}");
            if cut {
                bed.on(Event::Lost);
                is_open = false;
            }
            if takes {
                let acks = bed.on(Event::Taken(Vec::new()));
                assert!(matches!(acks[..], [Action::Say(NodeFrame::Ack(_))]), "seed {seed}");
            }
            assert!(committed.contains(&bed.session.held().digest), "seed {seed}");
        }
        assert_eq!(bed.session.held().objects, objects(&state), "seed {seed}");
    }
}

#[test]
fn under_which_roots_it_lives_is_told_once_roots_were_told_and_when_it_changes() {
    let mut bed = Bed::new();
    let standing = |state: u8| wire::Standing {
        trusts: vec![[1; 32]],
        certificate: [1; 32],
        workload: None,
        state: Some([state; 32]),
    };
    let stands = |bed: &mut Bed, state| bed.on(Event::Stands(standing(state))).len();
    assert!(matches!(&bed.open()[..], [Action::Say(NodeFrame::Hello(hello))] if hello.takes_trust));
    // A control plane that tells of no roots would not know such words.
    assert_eq!(stands(&mut bed, 1), 0);
    let trust = wire::Trust { roots: vec![vec![1]], spread: 5 };
    let actions = bed.on(Event::Frame(ControlFrame::Trust(trust.clone())));
    assert!(matches!(&actions[..], [Action::Believe(told)] if *told == trust), "{actions:?}");
    let actions = bed.on(Event::Stands(standing(1)));
    let [Action::Say(NodeFrame::Standing(said))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(*said, standing(1));
    assert_eq!((stands(&mut bed, 1), stands(&mut bed, 2)), (0, 1));
    // Another stream knows nothing of it.
    bed.on(Event::Opened);
    assert_eq!(stands(&mut bed, 2), 0);
    bed.on(Event::Frame(ControlFrame::Trust(trust)));
    assert_eq!(stands(&mut bed, 2), 1);
}

#[test]
fn a_state_counts_that_is_signed_under_a_root_which_was_told_a_moment_before() {
    let mut bed = Bed::new();
    bed.open();
    let next = Installation::new();
    let all = [envelope("a", 1)];
    let old = std::mem::replace(&mut bed.installation, next);
    let refused = bed.send(1, &all);
    assert!(refused.iter().any(|one| is_nack(one, "not the authority")), "{refused:?}");
    // As the node's life does when it is told.
    let roots = vec![bed.installation.root.der.clone(), old.root.der.clone()];
    let node = Identity { roots, ..Identity::clone(&bed.session.node) };
    bed.session.renewed(Arc::new(node));
    bed.on(Event::Opened);
    assert!(matches!(bed.send(1, &all)[..], [Action::Take(_)]));
}

#[test]
fn secrets_of_sessions_are_taken_once_all_parts_are_there() {
    let mut bed = Bed::new();
    let hello = bed.open();
    assert!(
        matches!(&hello[..], [Action::Say(NodeFrame::Hello(hello))] if hello.takes_sessions),
        "{hello:?}"
    );
    let part = |name: &str, more| {
        let (kind, namespace) = ("Gateway".to_owned(), "shop".to_owned());
        let gateway = wire::Key { kind, namespace, name: name.to_owned() };
        let secrets = vec![model::secret::SecretBytes::new([1; wire::SECRET])];
        let gateways = vec![wire::GatewaySessions { gateway, secrets }];
        Event::Frame(ControlFrame::Sessions(wire::SessionSecrets { gateways, more }))
    };
    let names = |actions: Vec<Action>| match &actions[..] {
        [Action::Share(all)] => all.iter().map(|one| one.gateway.name.clone()).collect(),
        [] => Vec::new(),
        other => panic!("{other:?}"),
    };
    assert!(names(bed.on(part("a", true))).is_empty());
    assert_eq!(names(bed.on(part("b", false))), ["a", "b"]);
    assert_eq!(names(bed.on(part("c", false))), ["c"], "in place of those of before");
    // What was not whole when a stream ended is told anew on the next.
    assert!(names(bed.on(part("d", true))).is_empty());
    bed.on(Event::Opened);
    assert_eq!(names(bed.on(part("e", false))), ["e"]);
}
