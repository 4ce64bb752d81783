//! The port as nodes meet it: over TLS on loopback, by a node made by hand.

use model::Kind;
use model::revocation::{Revocation, Whom};
use tonic::Code;
use wire::{Ack, NodeFrame};

use super::*;
use crate::moment::micros;
use crate::test::{Bed, TRAFFIC, slice};

mod many;
mod node;
mod seeing;

use crate::app::NewRevocation;
use node::{Channel, Node, Open, Telling, csr, join, key};

/// A server on a free port.
struct Running {
    bed: Bed,
    ca: Arc<Ca>,
    fleet: Arc<Fleet>,
    at: SocketAddr,
    stop: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn new() -> Self {
        let bed = Bed::new().await;
        bed.put(TRAFFIC).await;
        Self::over(bed, time::Duration::hours(24)).await
    }

    async fn over(bed: Bed, lasts: time::Duration) -> Self {
        let clock = Clock::system();
        let ca = Ca::open(bed.store.clone(), "heddle.internal", lasts, clock.now()).await.unwrap();
        let ca = Arc::new(ca);
        let fleet = Arc::new(Fleet::new(bed.store.clone(), clock.clone()));
        let (app, window) = (Arc::clone(&bed.app), Window::default());
        let nodes =
            Nodes::new(app, Arc::clone(&ca), Arc::clone(&fleet), clock, window, Reach::default())
                .await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(Arc::new(nodes.unwrap()).serve(listener, stopped));
        Running { bed, ca, fleet, at, stop, serving }
    }

    async fn token(&self, cluster: &str, uses: i64) -> (String, String) {
        let now = micros(OffsetDateTime::now_utc());
        crate::test::join_token(&self.bed.store, cluster, "*", uses, now).await
    }

    async fn stranger(&self) -> Channel {
        Channel::open(self.at, &self.ca.roots().signs().certificate, None).await.unwrap()
    }

    async fn node(&self, cluster: &str, name: &str) -> Node {
        let (token, key) = (self.token(cluster, 1).await, key());
        let channel = self.stranger().await;
        let certified = channel.identity().join(join(&token, name, &key)).await.unwrap();
        Node::new(key, certified.into_inner())
    }

    /// Waits until every node has a revision.
    async fn complete(&self, revision: i64) {
        let app = App::new(self.bed.store.clone());
        app.attend(Arc::clone(&self.fleet));
        let wait = Duration::from_secs(15);
        let receipt = app.change_receipt(&crate::test::op(), revision, wait).await.unwrap();
        assert!(receipt.complete, "a receipt in time");
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.serving.await.unwrap();
    }
}

#[tokio::test]
async fn a_node_joins_by_a_token_from_the_server_that_the_token_names() {
    let running = Running::new().await;
    let channel = running.stranger().await;
    let print = running.ca.fingerprint();
    assert_eq!(channel.shown.last(), Some(&print), "the root is shown, so that it can be known");
    let (token, own) = (running.token("east", 1).await, key());
    let joined = channel.identity().join(join(&token, "edge-1", &own)).await.unwrap().into_inner();
    assert_eq!((joined.cluster.as_str(), joined.trust.as_str()), ("east", "heddle.internal"));
    let row = running.bed.store.node(&joined.node_id).await.unwrap().unwrap();
    let proven = running.ca.prove(&joined.chain[0]).await.unwrap().unwrap();
    assert_eq!(row.certificate.unwrap().serial, proven.serial);
    let again = channel.identity().join(join(&token, "edge-2", &own)).await.unwrap_err();
    assert_eq!(again.code(), Code::Unauthenticated);
    let late = wire::Join {
        now: micros(OffsetDateTime::now_utc()) - 3_600_000_000,
        ..join(&token, "e", &own)
    };
    let late = channel.identity().join(late).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
    assert!(late.message().contains("1 h 0 min behind"), "{}", late.message());
    running.stop().await;
}

#[tokio::test]
async fn a_server_of_another_root_is_not_the_one_that_was_meant() {
    let (one, other) = (Running::new().await, Running::new().await);
    let opened = Channel::open(one.at, &other.ca.roots().signs().certificate, None).await;
    assert!(opened.is_err());
    let strange = other.node("east", "edge-1").await;
    let roots = one.ca.roots();
    let root = &roots.signs().certificate;
    let opened = Channel::open(one.at, root, Some((strange.chain(), &strange.key))).await;
    // With TLS 1.3 a client may learn only afterwards that it was not let in.
    if let Ok(channel) = opened {
        let renew = wire::Renew { csr: csr(&strange.key), version: String::new(), now: 0 };
        assert!(channel.identity().renew(renew).await.is_err());
    }
    let alone = strange.chain().into_iter().take(1).collect();
    let opened =
        Channel::open(other.at, &other.ca.roots().signs().certificate, Some((alone, &strange.key)))
            .await;
    if let Ok(channel) = opened {
        let renew = wire::Renew { csr: csr(&strange.key), version: String::new(), now: 0 };
        assert!(channel.identity().renew(renew).await.is_err(), "nobody vouches for it");
    }
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn who_shows_no_certificate_gets_neither_a_stream_nor_another_certificate() {
    let running = Running::new().await;
    let node = running.node("east", "edge-1").await;
    let ack = Ack { nonce: 1, vector: wire::Vector::new(), digest: [0; 32], rejected: Vec::new() };
    let refused = Open::over(running.stranger().await, NodeFrame::Ack(ack)).await;
    assert_eq!(refused.err().unwrap().code(), Code::Unauthenticated);
    let now = micros(OffsetDateTime::now_utc());
    let renew = || wire::Renew { csr: csr(&node.key), version: "0.1.0".into(), now };
    let refused = running.stranger().await.identity().renew(renew()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let channel = node.connect(running.at).await.unwrap();
    let renewed = channel.identity().renew(renew()).await.unwrap().into_inner();
    assert_eq!(renewed.node_id, node.certified.node_id);
    assert_ne!(renewed.chain[0], node.certified.chain[0]);
    // A node whose certificate has ended shows none, and sends it in the request instead.
    let rejoin = |certificate: &[u8]| wire::Rejoin {
        certificate: certificate.to_vec(),
        csr: csr(&node.key),
        version: "0.1.0".into(),
        now,
    };
    let stranger = running.stranger().await;
    let back = stranger.identity().rejoin(rejoin(&renewed.chain[0])).await.unwrap().into_inner();
    let refused = stranger.identity().rejoin(rejoin(&node.certified.chain[0])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(back.node_id, node.certified.node_id);
    running.stop().await;
}

#[tokio::test]
async fn a_node_is_sent_all_at_first_and_differences_from_then_on() {
    let running = Running::new().await;
    let mut node = running.node("east", "edge-1").await;
    let mut stream = Open::open(&node, running.at).await.unwrap();
    let first = stream.take(&mut node).await;
    let seen = ["Gateway platform/edge", "HTTPRoute platform/orders", "Service platform/orders"];
    assert_eq!(node.names(), seen);
    assert_eq!((first.puts.len(), first.drops.len()), (3, 0));
    let revision = running.bed.put(&slice("10.0.0.1")).await;
    let second = stream.take(&mut node).await;
    assert_eq!((second.puts.len(), second.drops.len()), (1, 0));
    assert_eq!(second.begin.lane, wire::Lane::Endpoint);
    assert_eq!(second.begin.vector.values().max(), Some(&revision));
    running.complete(revision).await;
    let gone = running.bed.delete((Kind::EndpointSlice, "platform", "orders-1")).await;
    let third = stream.take(&mut node).await;
    assert_eq!((third.puts.len(), third.drops.len()), (0, 1));
    running.complete(gone).await;
    // Nothing that it sees changes, and yet it learns of the revision.
    let unseen = running
        .bed
        .put("apiVersion: heddle.dev/v1alpha1\nkind: Team\nmetadata: { name: sellers }\nspec: { members: [sara] }\n")
        .await;
    let fourth = stream.take(&mut node).await;
    assert_eq!((fourth.puts.len(), fourth.drops.len(), fourth.begin.resync), (0, 0, false));
    running.complete(unseen).await;
    let figures = running.fleet.figures();
    assert_eq!((figures.connected, figures.acks, figures.nacks), (1, 4, 0));
    assert_eq!(figures.latency.buckets().last().unwrap().1, 4);
    // A later stream begins where this one ended.
    drop(stream);
    let later = running.bed.put(&slice("10.0.0.2")).await;
    let mut stream = Open::open(&node, running.at).await.unwrap();
    let fifth = stream.take(&mut node).await;
    assert_eq!((fifth.puts.len(), fifth.begin.resync), (1, false));
    running.complete(later).await;
    running.stop().await;
}

#[tokio::test]
async fn what_a_node_refuses_is_sent_whole() {
    let running = Running::new().await;
    let mut node = running.node("east", "edge-1").await;
    let mut stream = Open::open(&node, running.at).await.unwrap();
    stream.take(&mut node).await;
    let revision = running.bed.put(&slice("10.0.0.1")).await;
    assert!(!stream.refuse().await.begin.resync);
    let whole = stream.take(&mut node).await;
    assert!(whole.begin.resync);
    assert_eq!(whole.puts.len(), 4);
    running.complete(revision).await;
    assert_eq!(running.fleet.figures().nacks, 1);
    running.stop().await;
}

#[tokio::test]
async fn secrets_go_only_to_nodes_that_something_gives_them_to() {
    let running = Running::new().await;
    let mut east = running.node("east", "edge-1").await;
    let mut west = running.node("west", "edge-1").await;
    assert_ne!(east.certified.node_id, west.certified.node_id);
    let mut to_east = Open::open(&east, running.at).await.unwrap();
    let mut to_west = Open::open(&west, running.at).await.unwrap();
    to_east.take(&mut east).await;
    to_west.take(&mut west).await;
    assert!(west.names().contains(&"Gateway platform/west".to_owned()));
    assert!(!east.names().contains(&"Gateway platform/west".to_owned()));
    let (west_alone, nobody) = ("marker-that-west-alone-may-see", "marker-that-nobody-may-see");
    assert!(west.saw(west_alone) && !east.saw(west_alone));
    assert!(!west.saw(nobody) && !east.saw(nobody));
    // What names it goes, and the Secret goes with it.
    let revision = running.bed.delete((Kind::AuthnPolicy, "platform", "west")).await;
    let received = to_west.take(&mut west).await;
    let drops: Vec<_> = received.drops.iter().map(ToString::to_string).collect();
    assert_eq!(drops, ["AuthnPolicy platform/west", "Secret platform/keys"]);
    to_east.take(&mut east).await;
    running.complete(revision).await;
    running.stop().await;
}

#[tokio::test]
async fn secrets_of_sessions_go_to_nodes_of_the_same_cluster_and_gateway_alone() {
    let running = Running::new().await;
    let mut told = Vec::new();
    for (cluster, name) in [("east", "edge-1"), ("east", "edge-2"), ("west", "edge-1")] {
        let mut node = running.node(cluster, name).await;
        node.takes_sessions = true;
        let mut stream = Open::open(&node, running.at).await.unwrap();
        stream.take(&mut node).await;
        // They may come before the state or after, as soon as there are any.
        let sessions = loop {
            match stream.sessions.pop() {
                Some(sessions) => break sessions,
                None => match stream.next().await.unwrap().unwrap() {
                    wire::ControlFrame::Sessions(sessions) => break sessions,
                    wire::ControlFrame::Heartbeat(_) => {}
                    other => panic!("{other:?}"),
                },
            }
        };
        let of = |one: &wire::GatewaySessions| (one.gateway.name.clone(), one.secrets.clone());
        told.push(sessions.gateways.iter().map(of).collect::<Vec<_>>());
    }
    let names = |told: &[(String, _)]| told.iter().map(|one| one.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&told[0]), ["edge"]);
    assert_eq!(names(&told[2]), ["edge", "west"]);
    assert_eq!(told[0], told[1], "each replica is told the same");
    assert_eq!(told[0][0].1.len(), 2, "what seals, and what will");
    let west: Vec<_> = told[2].iter().flat_map(|one| &one.1).collect();
    assert!(told[0][0].1.iter().all(|secret| !west.contains(&secret)));
    let plain = running.node("east", "edge-3").await;
    let mut plain = (Open::open(&plain, running.at).await.unwrap(), plain);
    plain.0.take(&mut plain.1).await;
    assert!(plain.0.sessions.is_empty(), "an older node is told nothing");
    running.stop().await;
}

/// The next word about who is shut out and who logged out.
async fn heard(stream: &mut Open) -> (Vec<Revocation>, Vec<String>) {
    loop {
        match stream.next().await.unwrap().unwrap() {
            wire::ControlFrame::Revoked(told) => return (told.revocations, Vec::new()),
            wire::ControlFrame::Ended(told) => {
                return (Vec::new(), told.sessions.into_iter().map(|one| one.id).collect());
            }
            wire::ControlFrame::Heartbeat(_) | wire::ControlFrame::Sessions(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn every_node_is_told_who_is_shut_out_and_those_of_a_cluster_who_logged_out_at_one() {
    let running = Running::new().await;
    let whom = Whom::User { issuer: "https://id.example".into(), subject: "ann".into() };
    let new = |whom| NewRevocation { whom, signs_out: false, lasts: None, note: "left".into() };
    let root = crate::test::op();
    let made = running.bed.app.revocation_create(&root, new(whom.clone())).await.unwrap();
    let mut open = Vec::new();
    for (cluster, name) in [("east", "edge-1"), ("east", "edge-2"), ("west", "edge-1")] {
        let mut node = running.node(cluster, name).await;
        node.takes_revoked = true;
        let mut stream = Open::open(&node, running.at).await.unwrap();
        stream.take(&mut node).await;
        let out = Revocation { whom: whom.clone(), before: None, until: None };
        assert_eq!(stream.revoked, [vec![out]], "with the first state");
        assert!(stream.ended.is_empty());
        open.push((node, stream));
    }
    running.bed.app.revocation_lift(&root, &made.row.id).await.unwrap();
    for (_, stream) in &mut open {
        assert_eq!(heard(stream).await, (vec![], vec![]), "they are let in again");
    }
    let until = OffsetDateTime::now_utc().unix_timestamp() + 60;
    let left = wire::EndedSession { id: "s-1".into(), until };
    let told = |number| wire::LoggedOut { number, sessions: vec![left.clone()] };
    let mut ending = Telling::ending(&open[0].0, running.at).await.unwrap();
    assert_eq!(ending.tell(told(1)).await.unwrap(), 1);
    assert_eq!(ending.tell(told(2)).await.unwrap(), 2, "told again");
    for (_, stream) in &mut open[..2] {
        assert_eq!(heard(stream).await, (vec![], vec!["s-1".to_owned()]));
    }
    let west = NewRevocation { whom: whom.clone(), signs_out: true, ..new(whom) };
    running.bed.app.revocation_create(&root, west).await.unwrap();
    let (out, ended) = heard(&mut open[2].1).await;
    assert!(out[0].before.is_some() && ended.is_empty(), "of another cluster it is told nothing");
    let (mut node, _) = open.remove(1);
    let mut again = Open::open(&node, running.at).await.unwrap();
    again.take(&mut node).await;
    assert_eq!(again.ended, [left], "whoever comes later is told, too");
    running.stop().await;
}

#[tokio::test]
async fn a_node_has_one_stream_and_a_forgotten_one_has_none() {
    let running = Running::new().await;
    let mut node = running.node("east", "edge-1").await;
    let mut first = Open::open(&node, running.at).await.unwrap();
    first.take(&mut node).await;
    let mut second = Open::open(&node, running.at).await.unwrap();
    assert_eq!(first.end().await.code(), Code::Aborted);
    second.take(&mut node).await;
    assert!(crate::test::forget(&running.bed.store, &node.certified.node_id).await);
    // The next thing that it does is what shows it.
    running.bed.put(&slice("10.0.0.1")).await;
    let ended = loop {
        match second.next().await {
            Ok(Some(wire::ControlFrame::Commit(commit))) => {
                let (vector, digest) = (node.vector.clone(), commit.digest);
                let (nonce, rejected) = (commit.nonce, Vec::new());
                second.say(NodeFrame::Ack(Ack { nonce, vector, digest, rejected })).await;
            }
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unauthenticated);
    let again = Open::open(&node, running.at).await;
    assert_eq!(again.err().unwrap().code(), Code::Unauthenticated);
    running.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_certificate_that_opened_it() {
    let bed = Bed::new().await;
    let running = Running::over(bed, time::Duration::seconds(3)).await;
    let mut node = running.node("east", "edge-1").await;
    let mut stream = Open::open(&node, running.at).await.unwrap();
    stream.take(&mut node).await;
    let ended = stream.end().await;
    assert_eq!(ended.code(), Code::Unauthenticated);
    assert!(ended.message().contains("certificate"), "{}", ended.message());
    running.stop().await;
}

#[tokio::test]
async fn an_idle_stream_says_that_it_is_there_and_ends_when_the_server_stops() {
    let running = Running::new().await;
    let mut node = running.node("east", "edge-1").await;
    let mut stream = Open::open(&node, running.at).await.unwrap();
    stream.take(&mut node).await;
    match stream.next().await.unwrap().unwrap() {
        wire::ControlFrame::Heartbeat(heartbeat) => {
            let behind = micros(OffsetDateTime::now_utc()) - heartbeat.now;
            assert!((0..5_000_000).contains(&behind), "{behind}");
        }
        other => panic!("{other:?}"),
    }
    let store = running.bed.store.clone();
    running.stop().await;
    assert_eq!(stream.end().await.code(), Code::Unavailable);
    let row = store.node(&node.certified.node_id).await.unwrap().unwrap();
    assert!(!row.connected, "what is in memory is written at the end");
    assert_eq!(store.node_vector(&row.id).await.unwrap().len(), node.vector.len());
}

#[test]
fn one_node_takes_no_more_than_its_share_and_gives_it_back() {
    let held = Mutex::default();
    let taken: Vec<_> = (0..OF_ONE).filter_map(|_| OneMore::of(&held, "n1")).collect();
    assert_eq!(taken.len(), OF_ONE);
    assert!(OneMore::of(&held, "n1").is_none() && OneMore::of(&held, "n2").is_some());
    drop(taken);
    assert!(OneMore::of(&held, "n1").is_some());
    assert!(held.lock().unwrap().is_empty());
}
