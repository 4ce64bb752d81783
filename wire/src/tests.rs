//! What is written is read back as it was, and what is not a frame is told.

use bytes::Bytes;
use model::revocation::{Revocation, Whom};
use model::{Name, Scope};
use prost::Message as _;

use super::*;
use crate::codec::Plain;
use crate::frame::Malformed;

fn key(name: &str) -> Key {
    Key { kind: "HTTPRoute".into(), namespace: "shop".into(), name: name.into() }
}

fn vector() -> Vector {
    let shop = Scope::Workspace(Name::parse("shop").unwrap());
    [(Scope::Platform, 3), (shop, 7)].into_iter().collect()
}

fn round<T: Plain + Clone + PartialEq + std::fmt::Debug>(frame: &T) {
    let bytes = frame.clone().write().encode_to_vec();
    assert_eq!(T::read(T::Message::decode(&*bytes).unwrap()).unwrap(), *frame);
}

#[test]
fn every_frame_comes_back_as_it_was() {
    let body = Bytes::from_static(b"{}");
    let digest = digest::object(1, true, &[key("b")], &body);
    let held = vec![Held { key: key("a"), generation: 2, digest }];
    let rejected = vec![Rejection {
        key: key("a"),
        generation: 2,
        path: "spec".into(),
        reason: "no".into(),
        closed: vec![key("b")],
    }];
    let version = "0.1".to_owned();
    round(&NodeFrame::Hello(Hello {
        version,
        schema: SCHEMA,
        vector: vector(),
        digest,
        held,
        more: true,
        takes_trust: true,
        takes_sessions: true,
        takes_revoked: true,
        takes_ended: true,
    }));
    round(&NodeFrame::Standing(Standing {
        trusts: vec![digest],
        certificate: digest,
        workload: None,
        state: Some([0; 32]),
    }));
    round(&ControlFrame::Trust(Trust { roots: vec![vec![1]], spread: 1_000 }));
    round(&ControlFrame::Sessions(sessions(vec![vec![1; SECRET], vec![2; SECRET]], 1)));
    let name = |name: &str| Name::parse(name).unwrap();
    let all = [
        Whom::User { issuer: "https://a.example".into(), subject: "ann\n".into() },
        Whom::Consumer { namespace: name("shop"), name: name("acme") },
        Whom::ApiKey { namespace: name("shop"), name: "The Clerk".into() },
        Whom::Node { id: "n-1".into() },
    ];
    for (before, until) in [(None, None), (Some(0), Some(i64::MAX)), (None, Some(-1))] {
        let out = all.clone().map(|whom| Revocation { whom, before, until });
        round(&ControlFrame::Revoked(Revoked { revocations: out.into(), more: until.is_none() }));
    }
    let ended = vec![EndedSession { id: "s".into(), until: 9 }];
    round(&ControlFrame::Ended(Ended { sessions: ended.clone() }));
    round(&LoggedOut { number: 3, sessions: ended });
    round(&NodeFrame::Ack(Ack { nonce: 1, vector: vector(), digest, rejected }));
    round(&NodeFrame::Nack(Nack { nonce: 1, reason: "other digest".into() }));
    let service = Key { kind: "Service".into(), namespace: "shop".into(), name: "orders".into() };
    let address = "[2001:db8::1]:8080".parse().unwrap();
    let rests = |cause| Resting {
        service: service.clone(),
        port: 80,
        address,
        cause,
        trouble: "it answers 500".into(),
    };
    let resting = vec![rests(Cause::Unhealthy), rests(Cause::Failing)];
    let silent = [8080, 65535].into();
    round(&NodeFrame::Heartbeat(NodeHeartbeat { digest, silent, resting }));
    for lane in [Lane::Revocation, Lane::Config, Lane::Endpoint, Lane::Statistics] {
        round(&ControlFrame::Begin(Begin { nonce: 1, lane, vector: vector(), resync: true }));
    }
    let envelope = Envelope {
        key: key("a"),
        scope: "workspace/shop".into(),
        generation: 2,
        digest,
        body,
        schema: 1,
        policy: true,
        targets: vec![key("b")],
    };
    assert!(envelope.is_whole());
    round(&ControlFrame::Put(vec![envelope]));
    round(&ControlFrame::Drop(vec![key("a")]));
    round(&ControlFrame::Commit(Commit {
        nonce: 1,
        digest,
        issued_at: 5,
        signature: vec![1],
        signer: vec![2],
    }));
    round(&ControlFrame::Heartbeat(ControlHeartbeat { now: 5 }));
}

#[test]
fn whom_nobody_knows_is_not_passed_over() {
    use crate::proto::config as proto;
    let read = |whom| {
        let revocations = vec![proto::Revocation { whom, before: None, until: None }];
        let revoked = proto::Revoked { revocations, more: false };
        let frame = Some(proto::control_frame::Frame::Revoked(revoked));
        ControlFrame::read(proto::ControlFrame { frame })
    };
    assert_eq!(read(None), Err(Malformed::Missing("whom")));
    let named = proto::Named { namespace: "Shop".into(), name: "acme".into() };
    let odd = read(Some(proto::revocation::Whom::Consumer(named)));
    assert!(matches!(odd, Err(Malformed::Name(_))), "{odd:?}");
}

#[test]
fn what_is_no_frame_is_told() {
    use crate::proto::config as proto;
    let read = |frame| NodeFrame::read(proto::NodeFrame { frame });
    assert_eq!(read(None), Err(Malformed::Empty));
    let ack = |scope: &str, digest: usize| {
        let vector = vec![proto::ScopeRevision { scope: scope.into(), revision: 1 }];
        let digest = vec![0; digest];
        read(Some(proto::node_frame::Frame::Ack(proto::Ack {
            vector,
            digest,
            ..Default::default()
        })))
    };
    assert!(ack("platform", 32).is_ok());
    assert_eq!(ack("platform", 31), Err(Malformed::Digest(31)));
    assert!(matches!(ack("elsewhere", 32), Err(Malformed::Scope(_))));
    let begin = |lane| {
        let begin = proto::Begin { nonce: 1, lane, vector: Vec::new(), resync: false };
        let frame = Some(proto::control_frame::Frame::Begin(begin));
        ControlFrame::read(proto::ControlFrame { frame })
    };
    assert!(begin(2).is_ok());
    assert_eq!(begin(0), Err(Malformed::Lane(0)));
    assert_eq!(begin(9), Err(Malformed::Lane(9)));
    let put = proto::Put { envelopes: vec![proto::Envelope::default()] };
    let frame = Some(proto::control_frame::Frame::Put(put));
    let read = ControlFrame::read(proto::ControlFrame { frame });
    assert_eq!(read, Err(Malformed::Missing("key")));
}

#[test]
fn there_is_a_root_to_trust_and_not_any_number_of_them() {
    let trust = |roots: usize| {
        let trust = Trust { roots: vec![vec![1]; roots], spread: 1 };
        ControlFrame::read(ControlFrame::Trust(trust).write())
    };
    assert_eq!(trust(0), Err(Malformed::Missing("roots")));
    assert!(trust(1).is_ok() && trust(ROOTS).is_ok());
    assert_eq!(trust(ROOTS + 1), Err(Malformed::Many(ROOTS + 1)));
    let standing = |trusts: usize| {
        let (trusts, certificate) = (vec![[1; 32]; trusts], [1; 32]);
        let standing = Standing { trusts, certificate, workload: None, state: None };
        NodeFrame::read(NodeFrame::Standing(standing).write())
    };
    assert!(standing(ROOTS).is_ok());
    assert_eq!(standing(ROOTS + 1), Err(Malformed::Many(ROOTS + 1)));
}

fn sessions(secrets: Vec<Vec<u8>>, gateways: usize) -> SessionSecrets {
    let secrets = secrets.into_iter().map(model::secret::SecretBytes::new).collect();
    let one = GatewaySessions { gateway: key("edge"), secrets };
    SessionSecrets { gateways: vec![one; gateways], more: true }
}

#[test]
fn secrets_of_sessions_have_bounds_and_are_never_shown() {
    let read = |secrets, gateways| {
        ControlFrame::read(ControlFrame::Sessions(sessions(secrets, gateways)).write())
    };
    let secret = || b"marker-of-32-bytes--------------".to_vec();
    let shown = format!("{:?}", read(vec![secret()], 1).unwrap());
    assert!(shown.contains("edge") && !shown.contains("marker"), "{shown}");
    assert!(!shown.contains(&format!("{:?}", secret())), "{shown}");
    assert!(!shown.contains("sha256"), "{shown}");
    assert!(read(vec![secret(); SECRETS], GATEWAYS).is_ok());
    assert_eq!(read(vec![secret(); SECRETS + 1], 1), Err(Malformed::Many(SECRETS + 1)));
    assert_eq!(read(vec![secret()], GATEWAYS + 1), Err(Malformed::Many(GATEWAYS + 1)));
    assert_eq!(read(Vec::new(), 1), Err(Malformed::Missing("secrets")));
    assert_eq!(read(vec![vec![1; 31]], 1), Err(Malformed::Secret(31)));
}

#[test]
fn what_a_node_says_has_bounds() {
    let held = |name: &str| Held { key: key(name), generation: 1, digest: [0; 32] };
    let hello = |version: usize, held| {
        let version = "1".repeat(version);
        let (schema, vector, digest, more) = (SCHEMA, vector(), [0; 32], false);
        let hello = Hello {
            version,
            schema,
            vector,
            digest,
            held,
            more,
            takes_trust: false,
            takes_sessions: false,
            takes_revoked: false,
            takes_ended: false,
        };
        NodeFrame::read(NodeFrame::Hello(hello).write())
    };
    assert!(hello(VERSION, vec![held(&"a".repeat(WORD)); HELD]).is_ok());
    assert_eq!(hello(VERSION + 1, Vec::new()), Err(Malformed::Long(VERSION + 1)));
    assert_eq!(hello(1, vec![held("a"); HELD + 1]), Err(Malformed::Many(HELD + 1)));
    assert_eq!(hello(1, vec![held(&"a".repeat(254))]), Err(Malformed::Long(254)));
    let ack = |rejected: usize, closed: usize| {
        let (path, reason) = (String::new(), String::new());
        let closed = vec![key("b"); closed];
        let one = Rejection { key: key("a"), generation: 1, path, reason, closed };
        let rejected = vec![one; rejected];
        let ack = Ack { nonce: 1, vector: vector(), digest: [0; 32], rejected };
        NodeFrame::read(NodeFrame::Ack(ack).write())
    };
    assert_eq!(ack(REJECTIONS + 1, 0), Err(Malformed::Many(REJECTIONS + 1)));
    let Ok(NodeFrame::Ack(ack)) = ack(REJECTIONS, CLOSED + 1) else { panic!("refused") };
    assert_eq!(ack.rejected[0].closed.len(), CLOSED);
}

#[test]
fn the_digest_of_all_tells_any_difference() {
    let of = |body: &[u8]| digest::object(1, false, &[], body);
    let (one, two) = (of(b"1"), of(b"2"));
    let (a, b) = (key("a"), key("b"));
    let all = digest::held([(&a, 1, &one), (&b, 1, &two)]);
    assert_eq!(all, digest::held([(&a, 1, &one), (&b, 1, &two)]));
    for other in [
        digest::held([(&a, 1, &one)]),
        digest::held([(&a, 2, &one), (&b, 1, &two)]),
        digest::held([(&a, 1, &two), (&b, 1, &two)]),
    ] {
        assert_ne!(all, other);
    }
}

#[test]
fn the_digest_of_an_object_covers_what_closes_when_it_is_unread() {
    let whole = Envelope {
        key: key("a"),
        scope: "platform".into(),
        generation: 1,
        digest: [0; 32],
        body: Bytes::from_static(b"{}"),
        schema: 1,
        policy: true,
        targets: vec![key("b"), key("c")],
    }
    .digested();
    assert!(whole.is_whole());
    for other in [
        Envelope { schema: 2, ..whole.clone() },
        Envelope { policy: false, ..whole.clone() },
        Envelope { targets: vec![key("b")], ..whole.clone() },
        Envelope { targets: vec![key("bc")], ..whole.clone() },
        Envelope { body: Bytes::from_static(b"{ }"), ..whole.clone() },
    ] {
        assert!(!other.is_whole(), "{other:?}");
    }
}

#[test]
fn what_is_signed_names_node_time_vector_and_digest() {
    let digest = digest::object(1, false, &[], b"");
    let statement = |node, at, vector: &Vector| digest::statement(node, at, vector, &digest);
    let all = statement("n", 1, &vector());
    assert!(all.starts_with(b"heddle-vector-v1\nn\n1\nplatform=3\nworkspace/shop=7\n"));
    assert!(all.ends_with(&digest));
    let mut later = vector();
    later.insert(Scope::Platform, 4);
    for other in
        [statement("m", 1, &vector()), statement("n", 2, &vector()), statement("n", 1, &later)]
    {
        assert_ne!(all, other);
    }
}

#[test]
fn no_form_of_a_body_is_shown() {
    let body = Bytes::from_static(b"marker");
    let envelope = Envelope {
        key: key("a"),
        scope: "platform".into(),
        generation: 1,
        digest: [0; 32],
        body,
        schema: 1,
        policy: false,
        targets: Vec::new(),
    };
    assert!(!format!("{:?}", ControlFrame::Put(vec![envelope])).contains("109, 97"));
}

#[test]
fn a_decision_comes_back_as_it_was_and_one_of_a_newer_node_is_read_as_far_as_it_goes() {
    let decision = Decision {
        span: "00f067aa0ba902b7".into(),
        trace: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        side: Side::Inbound,
        vector: [("workspace/shop".to_owned(), 7)].into(),
        route: Some(key("orders")),
        status: Some(403),
        story: Some(serde_json::json!({ "because": "no allow rule of level 1 matches" })),
        ..Decision::default()
    };
    round(&Told { number: 3, decisions: vec![decision.clone()], dropped: 1 });
    round(&Kept { number: 3 });
    let mut newer = serde_json::to_value(&decision).unwrap();
    newer["mood"] = "blue".into();
    assert_eq!(serde_json::from_value::<Decision>(newer).unwrap(), decision);
    let told = |decisions: Vec<Vec<u8>>| {
        let told = crate::proto::seeing::Told { number: 1, decisions, dropped: 0 };
        Told::read(told).unwrap_err()
    };
    assert!(matches!(told(vec![b"7".to_vec()]), Malformed::Decision(_)));
    assert_eq!(told(vec![b"{}".to_vec(); DECISIONS + 1]), Malformed::Many(DECISIONS + 1));
}

#[test]
fn a_decision_is_read_by_the_names_of_its_fields_and_never_by_their_places() {
    let told = |decision: &str| {
        let decisions = vec![decision.as_bytes().to_vec()];
        Told::read(crate::proto::seeing::Told { number: 1, decisions, dropped: 0 })
    };
    let route = r#"{"kind":"HTTPRoute","namespace":"shop","name":"a"}"#;
    let read = told(&format!(r#"{{"side":"inbound","route":{route},"policy":null}}"#)).unwrap();
    assert_eq!(read.decisions[0].route, Some(key("a")));
    assert_eq!((read.decisions[0].side, &read.decisions[0].policy), (Side::Inbound, &None));
    assert_eq!(told("{}").unwrap().decisions, [Decision::default()]);
    for other in [
        "[]",
        r#"["00f067aa0ba902b7"]"#,
        "null",
        r#"{"route":["HTTPRoute","shop","a"]}"#,
        r#"{"policy":["BackendPolicy","shop","a"]}"#,
        r#"{"side":{"inbound":null}}"#,
        r#"{"side":null}"#,
    ] {
        assert!(matches!(told(other), Err(Malformed::Decision(_))), "{other}");
    }
}

#[test]
fn counts_come_back_as_they_were_and_what_is_none_is_told() {
    let name = |word| Name::parse(word).unwrap();
    let (cluster, namespace) = (name("east"), name("shop"));
    let workload = model::identity::Peer::Workload {
        cluster: cluster.clone(),
        namespace,
        service_account: name("front"),
    };
    let gateway = model::identity::Peer::Gateway { cluster, name: name("edge") };
    let callers = [
        None,
        Some(Caller::Peer(workload)),
        Some(Caller::Peer(gateway)),
        Some(Caller::Consumer { namespace: name("shop"), name: name("acme") }),
        Some(Caller::ApiKey("clerk".to_owned())),
        Some(Caller::Issuer("https://issuer".to_owned())),
        Some(Caller::Others),
    ];
    let mut latency = Sketch::default();
    [3, 70, 1 << 40].iter().for_each(|micros| latency.add(Sketch::place(*micros), 2));
    let series = Series {
        side: Side::Inbound,
        route: Some(key("a")),
        rule: Some("shop/a/0".to_owned()),
        backend: Some("shop/orders:80".to_owned()),
        caller: None,
        outcomes: [1, 2, 3, 4, 5, 6],
        latency,
    };
    let all = callers.map(|caller| Series { caller, ..series.clone() }).to_vec();
    let counts = Counts { start: u64::MAX, number: 2, ago: 3, lasted: 4, series: all };
    round(&counts);
    round(&Counts { series: vec![Series::default()], ..Counts::default() });
    let message = |series: &Series| counts_of(series.clone()).write();
    let wrongs: [fn(&mut crate::proto::seeing::Series); 8] = [
        |series| series.side = 4,
        |series| series.outcomes.truncate(5),
        |series| series.counts.truncate(2),
        |series| series.places[2] = 464,
        |series| series.places.swap(0, 1),
        |series| series.rule = "x".repeat(1_000),
        |series| series.caller = Some(crate::proto::seeing::Caller { caller: None }),
        |series| {
            let (namespace, name) = ("shop".to_owned(), "no name".to_owned());
            let consumer = crate::proto::seeing::Consumer { namespace, name };
            let caller = Some(crate::proto::seeing::caller::Caller::Consumer(consumer));
            series.caller = Some(crate::proto::seeing::Caller { caller });
        },
    ];
    for wrong in wrongs {
        let mut message = message(&series);
        assert!(Counts::read(message.clone()).is_ok());
        wrong(&mut message.series[0]);
        assert!(Counts::read(message.clone()).is_err(), "{message:?}");
    }
    let many = Counts { series: vec![series; SERIES + 1], ..counts };
    assert_eq!(Counts::read(many.write()), Err(Malformed::Many(SERIES + 1)));
}

fn counts_of(series: Series) -> Counts {
    Counts { series: vec![series], ..Counts::default() }
}
