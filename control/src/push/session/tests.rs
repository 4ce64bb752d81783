//! Whatever comes in whatever order, a node that answers ends with what it is to run.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use model::Scope;
use model::revocation::Whom;
use wire::{Envelope, Key};

use super::*;

/// A small generator, so that a seed is a story that can be told again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// A world of up to 12 objects, of which `chance` picks some.
fn snapshot(number: u64, chance: &mut Chance) -> Arc<Snapshot> {
    let mut objects = crate::snapshot::Objects::default();
    for name in 0..12 {
        if chance.one_in(3) {
            continue;
        }
        let (name, namespace) = (format!("r{name:02}"), "shop".to_owned());
        let key = Key { kind: "HTTPRoute".into(), namespace, name };
        let generation = 1 + i64::try_from(chance.below(3)).unwrap();
        let body = Bytes::from(format!("{key} {generation}"));
        let envelope = Envelope {
            key,
            scope: "platform".into(),
            generation,
            digest: [0; 32],
            body,
            schema: 1,
            policy: false,
            targets: Vec::new(),
        };
        objects.insert(envelope.key.clone(), Arc::new(envelope.digested()));
    }
    let digest = digest_of(objects.values().map(|one| (&one.key, one.generation, &one.digest)));
    let revision = i64::try_from(number).unwrap();
    let vector = [(Scope::Platform, revision)].into_iter().collect();
    let gateways = Vec::new();
    Arc::new(Snapshot { number, revision, committed: None, vector, gateways, digest, objects })
}

fn digest_of<'k>(held: impl IntoIterator<Item = (&'k Key, i64, &'k [u8; 32])>) -> [u8; 32] {
    wire::digest::held(held)
}

/// A node as the protocol wants it, with moods.
#[derive(Default)]
struct Node {
    held: BTreeMap<Key, (i64, [u8; 32])>,
    vector: Vector,
}

impl Node {
    fn digest(&self) -> [u8; 32] {
        digest_of(self.held.iter().map(|(key, (generation, digest))| (key, *generation, digest)))
    }

    fn hellos(&self, parts: usize) -> Vec<NodeFrame> {
        let held = |(key, (generation, digest)): (&Key, &(i64, [u8; 32]))| Held {
            key: key.clone(),
            generation: *generation,
            digest: *digest,
        };
        let held: Vec<_> = self.held.iter().map(held).collect();
        let count = held.chunks(parts).len().max(1);
        (0..count)
            .map(|at| {
                NodeFrame::Hello(Hello {
                    version: "0.1.0".into(),
                    schema: 1,
                    vector: self.vector.clone(),
                    digest: self.digest(),
                    held: held.chunks(parts).nth(at).unwrap_or_default().to_vec(),
                    more: at + 1 < count,
                    takes_trust: false,
                    takes_sessions: false,
                    takes_revoked: false,
                    takes_ended: false,
                })
            })
            .collect()
    }

    /// Takes a transaction; whether what it holds then is what was announced.
    fn take(&mut self, transaction: &Transaction) -> NodeFrame {
        let difference = match &transaction.from {
            Base::Unknown => {
                self.held.clear();
                transaction.to.whole()
            }
            Base::Told(held) => transaction.to.since_held(held),
            Base::Sent(from) => transaction.to.since(from),
        };
        for key in &difference.drops {
            self.held.remove(key);
        }
        for put in &difference.puts {
            self.held.insert(put.key.clone(), (put.generation, put.digest));
        }
        assert_eq!(self.digest(), transaction.to.digest, "a difference that leads elsewhere");
        self.vector = transaction.to.vector.clone();
        let (nonce, digest) = (transaction.nonce, self.digest());
        NodeFrame::Ack(Ack { nonce, vector: self.vector.clone(), digest, rejected: Vec::new() })
    }

    fn heartbeat(&self) -> NodeFrame {
        NodeFrame::Heartbeat(NodeHeartbeat {
            digest: self.digest(),
            silent: [].into(),
            resting: Vec::new(),
        })
    }
}

/// One stream between a machine and a node, with what is on its way.
struct Stream {
    session: Session,
    to_control: VecDeque<NodeFrame>,
    to_node: VecDeque<Transaction>,
    landed: u64,
}

impl Stream {
    fn open(node: &Node, target: &Arc<Snapshot>, parts: usize, now: Instant) -> Self {
        let session = Session::new(Arc::clone(target), now);
        let to_control = node.hellos(parts).into();
        Stream { session, to_control, to_node: VecDeque::new(), landed: 0 }
    }

    /// Feeds one event; whether the stream goes on.
    fn feed(&mut self, event: Event, now: Instant) -> bool {
        for action in self.session.on(event, now) {
            match action {
                Action::Transact(transaction) => {
                    self.to_node.push_back(transaction);
                    assert!(self.to_node.len() == 1, "two transactions on their way");
                }
                Action::Landed { snapshot, .. } => {
                    assert!(snapshot.number >= self.landed, "a node was sent back in time");
                    self.landed = snapshot.number;
                }
                Action::End(Ended::Disorder(what)) => panic!("{what}"),
                Action::End(Ended::Silent | Ended::Unanswered) => return false,
                Action::Greeted { .. }
                | Action::Trust(_)
                | Action::Sessions(_)
                | Action::Revoked(_)
                | Action::Ended(_)
                | Action::Stands(_)
                | Action::Heartbeat
                | Action::Rejects(_)
                | Action::Refused { .. } => {}
            }
        }
        true
    }
}

#[test]
fn any_story_ends_with_the_last_target() {
    for seed in 1..120 {
        let mut chance = Chance(seed * 0x9e37_79b9);
        let mut now = Instant::now();
        let mut node = Node::default();
        let mut targets = vec![snapshot(1, &mut chance)];
        let mut stream = Stream::open(&node, &targets[0], 5, now);
        for step in 0..300 {
            let is_calm = step >= 200;
            now += Duration::from_millis(chance.below(if is_calm { 1_500 } else { 4_000 }));
            let goes_on = match chance.below(if is_calm { 3 } else { 6 }) {
                0 => match stream.to_control.pop_front() {
                    Some(frame) => stream.feed(Event::Frame(frame), now),
                    None => stream.feed(Event::Frame(node.heartbeat()), now),
                },
                1 => match stream.to_node.pop_front() {
                    // A node that refuses holds what it held.
                    Some(it) if !is_calm && chance.one_in(4) => {
                        let nack = Nack { nonce: it.nonce, reason: "a mood".into() };
                        stream.to_control.push_back(NodeFrame::Nack(nack));
                        true
                    }
                    Some(it) => {
                        let answer = node.take(&it);
                        stream.to_control.push_back(answer);
                        true
                    }
                    None => true,
                },
                2 => stream.feed(Event::Tick, now),
                3 => {
                    let number = u64::try_from(targets.len()).unwrap() + 1;
                    targets.push(snapshot(number, &mut chance));
                    true
                }
                // In any order, also old ones again.
                4 => {
                    let at = usize::try_from(chance.below(targets.len() as u64)).unwrap();
                    stream.feed(Event::Target(Arc::clone(&targets[at])), now)
                }
                _ => !chance.one_in(6),
            };
            if !goes_on {
                let at = usize::try_from(chance.below(targets.len() as u64)).unwrap();
                if chance.one_in(5) {
                    node = Node::default();
                }
                stream = Stream::open(&node, &targets[at], 5, now);
            }
        }
        // All that is on its way arrives, pauses end, and whoever was cut off comes back.
        let last = targets.last().unwrap();
        for _ in 0..40 {
            now += Duration::from_secs(1);
            let mut goes_on = stream.feed(Event::Target(Arc::clone(last)), now);
            while let Some(frame) = stream.to_control.pop_front() {
                goes_on = goes_on && stream.feed(Event::Frame(frame), now);
            }
            while let Some(it) = stream.to_node.pop_front() {
                let answer = node.take(&it);
                goes_on = goes_on && stream.feed(Event::Frame(answer), now);
            }
            if !goes_on {
                stream = Stream::open(&node, last, 5, now);
            }
        }
        assert_eq!(node.digest(), targets.last().unwrap().digest, "seed {seed}");
        assert_eq!(node.vector, targets.last().unwrap().vector, "seed {seed}");
    }
}

/// A stream that has greeted, and its first transaction.
fn greeted(node: &Node, target: &Arc<Snapshot>, now: Instant) -> (Session, Transaction) {
    let mut session = Session::new(Arc::clone(target), now);
    let mut actions = Vec::new();
    for hello in node.hellos(1000) {
        actions.extend(session.on(Event::Frame(hello), now));
    }
    (session, transaction(actions))
}

fn transaction(actions: Vec<Action>) -> Transaction {
    let found = actions.into_iter().find_map(|action| match action {
        Action::Transact(it) => Some(it),
        _ => None,
    });
    found.expect("a transaction")
}

fn ends(actions: &[Action]) -> Option<Ended> {
    actions.iter().find_map(|action| match action {
        Action::End(why) => Some(*why),
        _ => None,
    })
}

#[test]
fn a_node_that_already_holds_all_is_asked_to_say_so() {
    let (mut chance, now) = (Chance(7), Instant::now());
    let target = snapshot(1, &mut chance);
    let mut node = Node::default();
    let (_, first) = greeted(&node, &target, now);
    node.take(&first);
    let (mut session, again) = greeted(&node, &target, now);
    let Base::Told(held) = &again.from else { panic!("{:?}", again.from) };
    assert!(again.to.since_held(held).puts.is_empty());
    let actions = session.on(Event::Frame(node.take(&again)), now);
    assert!(matches!(&actions[..], [Action::Landed { .. }]), "{actions:?}");
}

#[test]
fn a_node_may_answer_again_for_what_it_took() {
    let (mut chance, now) = (Chance(7), Instant::now());
    let targets: Vec<_> = (1..3).map(|number| snapshot(number, &mut chance)).collect();
    let mut node = Node::default();
    let (mut session, first) = greeted(&node, &targets[0], now);
    let ack = node.take(&first);
    session.on(Event::Frame(ack.clone()), now);
    let again = session.on(Event::Frame(ack.clone()), now);
    assert!(matches!(&again[..], [Action::Rejects(_)]), "{again:?}");
    // Its words crossed with what is sent next.
    let next = transaction(session.on(Event::Target(Arc::clone(&targets[1])), now));
    let again = session.on(Event::Frame(ack.clone()), now);
    assert!(matches!(&again[..], [Action::Rejects(_)]), "{again:?}");
    let landed = session.on(Event::Frame(node.take(&next)), now);
    assert!(matches!(&landed[..], [Action::Landed { .. }]), "{landed:?}");
    let late = session.on(Event::Frame(ack), now);
    assert!(matches!(ends(&late), Some(Ended::Disorder(_))), "{late:?}");
}

#[test]
fn revisions_that_come_during_a_flight_are_one_afterwards() {
    let (mut chance, now) = (Chance(7), Instant::now());
    let targets: Vec<_> = (1..5).map(|number| snapshot(number, &mut chance)).collect();
    let mut node = Node::default();
    let (mut session, first) = greeted(&node, &targets[0], now);
    for target in [&targets[2], &targets[3], &targets[1]] {
        assert!(session.on(Event::Target(Arc::clone(target)), now).is_empty());
    }
    let next = transaction(session.on(Event::Frame(node.take(&first)), now));
    assert_eq!((next.nonce, next.to.number), (2, 4));
    assert!(matches!(next.from, Base::Sent(from) if from.number == 1));
}

#[test]
fn what_is_refused_is_sent_whole_and_then_with_growing_pauses() {
    let (mut chance, mut now) = (Chance(7), Instant::now());
    let target = snapshot(1, &mut chance);
    let (mut session, mut flying) = greeted(&Node::default(), &target, now);
    let nack = |nonce| Event::Frame(NodeFrame::Nack(Nack { nonce, reason: "no".into() }));
    flying = transaction(session.on(nack(flying.nonce), now));
    assert!(matches!(flying.from, Base::Unknown));
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        let actions = session.on(nack(flying.nonce), now);
        assert!(matches!(&actions[..], [Action::Refused { .. }]), "{actions:?}");
        // Heard of every second, so that it does not count as gone.
        for _ in 0..pause - 1 {
            now += Duration::from_secs(1);
            let beat = Event::Frame(Node::default().heartbeat());
            let actions = session.on(beat, now);
            assert!(!actions.iter().any(|one| matches!(one, Action::Transact(_))), "{pause}");
        }
        now += Duration::from_secs(1);
        flying = transaction(session.on(Event::Tick, now));
    }
}

#[test]
fn a_node_that_holds_something_else_is_sent_all() {
    let (mut chance, now) = (Chance(7), Instant::now());
    let target = snapshot(1, &mut chance);
    let mut node = Node::default();
    let (mut session, first) = greeted(&node, &target, now);
    session.on(Event::Frame(node.take(&first)), now);
    node.held.pop_first();
    let again = transaction(session.on(Event::Frame(node.heartbeat()), now));
    assert!(matches!(again.from, Base::Unknown));
    let wrong = NodeFrame::Ack(Ack {
        nonce: again.nonce,
        vector: Vector::new(),
        digest: [0; 32],
        rejected: Vec::new(),
    });
    let actions = session.on(Event::Frame(wrong), now);
    assert!(matches!(&actions[..], [Action::Refused { .. }]), "{actions:?}");
}

#[test]
fn a_digest_that_is_not_that_of_what_is_told_is_not_believed() {
    let (mut chance, now) = (Chance(7), Instant::now());
    let target = snapshot(1, &mut chance);
    let mut session = Session::new(Arc::clone(&target), now);
    let hello = Hello {
        version: "0.1.0".into(),
        schema: 1,
        vector: Vector::new(),
        digest: target.digest,
        held: Vec::new(),
        more: false,
        takes_trust: false,
        takes_sessions: false,
        takes_revoked: false,
        takes_ended: false,
    };
    let it = transaction(session.on(Event::Frame(NodeFrame::Hello(hello)), now));
    assert!(matches!(it.from, Base::Unknown));
}

#[test]
fn silence_ends_a_stream_and_so_does_no_answer_to_a_transaction() {
    let (mut chance, start) = (Chance(7), Instant::now());
    let target = snapshot(1, &mut chance);
    let (mut session, _) = greeted(&Node::default(), &target, start);
    let mut beats = 0;
    let ended = loop {
        let now = session.deadline();
        let actions = session.on(Event::Tick, now);
        beats += actions.iter().filter(|one| matches!(one, Action::Heartbeat)).count();
        if let Some(ended) = ends(&actions) {
            assert_eq!(now - start, GONE);
            break ended;
        }
    };
    assert_eq!((ended, beats), (Ended::Silent, 6));
    let (mut session, _) = greeted(&Node::default(), &target, start);
    let mut now = start;
    let ended = loop {
        now += Duration::from_secs(3);
        let actions = session.on(Event::Frame(Node::default().heartbeat()), now);
        if let Some(ended) = ends(&actions) {
            break ended;
        }
    };
    assert_eq!((ended, now - start), (Ended::Unanswered, FLIGHT));
}

#[test]
fn who_speaks_out_of_turn_is_not_listened_to() {
    let (mut chance, now) = (Chance(7), Instant::now());
    let target = snapshot(1, &mut chance);
    let node = Node::default();
    let ack = |nonce| {
        let (vector, digest) = (Vector::new(), [0; 32]);
        NodeFrame::Ack(Ack { nonce, vector, digest, rejected: Vec::new() })
    };
    let mut early = Session::new(Arc::clone(&target), now);
    let early = early.on(Event::Frame(node.heartbeat()), now);
    assert!(matches!(ends(&early), Some(Ended::Disorder(_))));
    for frame in [ack(2), node.hellos(5).remove(0)] {
        let (mut session, _) = greeted(&node, &target, now);
        let actions = session.on(Event::Frame(frame), now);
        assert!(matches!(ends(&actions), Some(Ended::Disorder(_))), "{actions:?}");
        assert!(session.on(Event::Frame(ack(1)), now).is_empty(), "it is over");
    }
}

fn trust(root: u8) -> Arc<Trust> {
    Arc::new(Trust { roots: vec![vec![root]], spread: 1_000 })
}

#[test]
fn roots_are_told_before_what_they_sign_and_what_is_held_is_signed_anew() {
    let (now, mut chance) = (Instant::now(), Chance(7));
    let target = snapshot(1, &mut chance);
    for takes_trust in [true, false] {
        let (mut node, mut session) = (Node::default(), Session::new(Arc::clone(&target), now));
        assert!(session.on(Event::Trust(trust(1)), now).is_empty(), "before the Hello");
        let NodeFrame::Hello(hello) = node.hellos(100).remove(0) else { panic!("no Hello") };
        let hello = NodeFrame::Hello(Hello { takes_trust, ..hello });
        let mut actions = session.on(Event::Frame(hello), now);
        let Some(Action::Transact(first)) = actions.pop() else { panic!("{actions:?}") };
        let is_told = |actions: &[Action], root| {
            actions
                .iter()
                .any(|action| matches!(action, Action::Trust(told) if *told == trust(root)))
        };
        assert_eq!(is_told(&actions, 1), takes_trust);
        // While one flies the other waits, and is sent though nothing else changed.
        let actions = session.on(Event::Trust(trust(2)), now);
        assert_eq!((is_told(&actions, 2), actions.len()), (takes_trust, usize::from(takes_trust)));
        let mut actions = session.on(Event::Frame(node.take(&first)), now);
        let Some(Action::Transact(again)) = actions.pop() else { panic!("{actions:?}") };
        assert_eq!(again.to.digest, target.digest);
        let actions = session.on(Event::Frame(node.take(&again)), now);
        assert!(matches!(actions[..], [Action::Landed { .. }]), "{actions:?}");
    }
}

fn sessions(secret: u8) -> Arc<SessionSecrets> {
    let gateway = Key { kind: "Gateway".into(), namespace: "shop".into(), name: "edge".into() };
    let secrets = vec![model::secret::SecretBytes::new([secret; wire::SECRET])];
    let gateways = vec![wire::GatewaySessions { gateway, secrets }];
    Arc::new(SessionSecrets { gateways, more: false })
}

#[test]
fn secrets_of_sessions_are_told_to_whom_takes_them_once_each_and_before_the_state() {
    let (now, mut chance) = (Instant::now(), Chance(7));
    let target = snapshot(1, &mut chance);
    for takes_sessions in [true, false] {
        let (node, mut session) = (Node::default(), Session::new(Arc::clone(&target), now));
        assert!(session.on(Event::Sessions(sessions(1)), now).is_empty(), "before the Hello");
        let NodeFrame::Hello(hello) = node.hellos(100).remove(0) else { panic!("no Hello") };
        let hello = NodeFrame::Hello(Hello { takes_sessions, ..hello });
        let told = |actions: &[Action]| -> Vec<bool> {
            let is_told = |action: &Action| matches!(action, Action::Sessions(_));
            actions.iter().map(is_told).collect()
        };
        let actions = session.on(Event::Frame(hello), now);
        let wanted = if takes_sessions { vec![false, true, false] } else { vec![false, false] };
        assert_eq!(told(&actions), wanted, "{actions:?}");
        assert!(session.on(Event::Sessions(sessions(1)), now).is_empty(), "they are the same");
        let actions = session.on(Event::Sessions(sessions(2)), now);
        assert_eq!(told(&actions), vec![true; usize::from(takes_sessions)], "{actions:?}");
    }
}

fn out(subject: &str) -> Arc<[Revocation]> {
    let whom = Whom::User { issuer: "https://a.example".into(), subject: subject.into() };
    Arc::from([Revocation { whom, before: None, until: None }])
}

fn ended(id: &str) -> Vec<EndedSession> {
    vec![EndedSession { id: id.into(), until: 9 }]
}

#[test]
fn who_is_shut_out_is_told_before_all_else_and_who_logged_out_once() {
    let (now, mut chance) = (Instant::now(), Chance(7));
    let target = snapshot(1, &mut chance);
    for takes in [true, false] {
        let (node, mut session) = (Node::default(), Session::new(Arc::clone(&target), now));
        assert!(session.on(Event::Revoked(Arc::from([])), now).is_empty(), "before the Hello");
        assert!(session.on(Event::Ended(ended("a")), now).is_empty());
        assert!(session.on(Event::Ended(ended("b")), now).is_empty());
        let NodeFrame::Hello(hello) = node.hellos(100).remove(0) else { panic!("no Hello") };
        let hello = Hello { takes_revoked: takes, takes_ended: takes, takes_trust: true, ..hello };
        session.on(Event::Trust(Arc::new(Trust { roots: vec![vec![1]], spread: 0 })), now);
        let words = |actions: &[Action]| -> Vec<String> {
            let word = |action: &Action| match action {
                Action::Revoked(out) => format!("{} out", out.len()),
                Action::Ended(ended) => format!("{} left", ended.len()),
                Action::Greeted { .. } => "greeted".to_owned(),
                Action::Trust(_) => "trust".to_owned(),
                Action::Transact(_) => "state".to_owned(),
                other => panic!("{other:?}"),
            };
            actions.iter().map(word).collect()
        };
        let said = words(&session.on(Event::Frame(NodeFrame::Hello(hello)), now));
        let wanted = ["greeted", "0 out", "2 left", "trust", "state"];
        let wanted = wanted.into_iter().filter(|word| takes || !word.starts_with(['0', '2']));
        assert_eq!(said, wanted.collect::<Vec<_>>(), "also that nobody is shut out any more");
        let told = |word: &str| if takes { vec![word.to_owned()] } else { Vec::new() };
        assert_eq!(words(&session.on(Event::Revoked(out("ann")), now)), told("1 out"));
        assert!(session.on(Event::Revoked(out("ann")), now).is_empty(), "they are the same");
        assert_eq!(words(&session.on(Event::Ended(ended("c")), now)), told("1 left"));
        assert!(session.on(Event::Ended(Vec::new()), now).is_empty());
    }
}
