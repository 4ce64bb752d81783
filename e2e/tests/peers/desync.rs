//! Requests that mean two things to two readers, before two upstreams that read differently, nginx and Node: judged
//! by the bytes that arrive there, by what either makes of them, and by what their callers are told.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use e2e::{Gateway, Setup, wait, yaml};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use corpus::{ALONE, FRAMED, Fate, Front, How, PLAIN};
use said::{Answer, End};
use strict::Request;
use upstream::{Came, Upstream};

mod corpus;
mod frames;
mod said;
mod strict;
mod upstream;

/// What nobody may see: what stands behind a request, and what stands in a body.
const UNSEEN: [&str; 2] = ["smuggled", "within"];
/// So long it is waited for more behind what had to be said.
const SILENCE: Duration = Duration::from_millis(300);
/// So long for what has to come, and for what need not.
const DUE: Duration = Duration::from_secs(10);
const OTHERWISE: Duration = Duration::from_secs(1);

/// A case as it is sent, by a number of its own.
struct Case {
    number: usize,
    front: Front,
    fate: Fate,
    told: String,
    /// Whether what is behind the request is not to be served.
    closes: bool,
}

impl Case {
    /// A target of the corpus as this case asks for it, by which it is known from those of others.
    fn target(&self, of: &str) -> String {
        format!("{of}-{}-", self.number)
    }

    /// The same with all targets of the corpus in a text.
    fn own(&self, text: &str, upstream: &Upstream) -> String {
        let text = text.replace("HOST", upstream.name).replace("/a", &self.target("/a"));
        text.replace("/second", &self.target("/second"))
    }

    fn wanted(&self, upstream: &Upstream) -> Vec<Request> {
        let request = |target: &str, body| {
            let (target, host) = (self.target(target), upstream.name.to_owned());
            Request { target, host, body }
        };
        match self.fate {
            Fate::Refused(How::Answered(_)) => vec![request("/second", 0)],
            Fate::Refused(_) => vec![],
            Fate::One(target, body) | Fate::OneThen(target, body, _) => vec![request(target, body)],
            Fate::Two(target, body) => vec![request(target, body), request("/second", 0)],
        }
    }

    /// Whether the head may have gone on before the fault was seen.
    fn is_begun(&self) -> bool {
        matches!(self.fate, Fate::Refused(How::Within | How::Awaited))
    }

    /// Whether all that has to be said was.
    fn is_said(&self, answer: &Answer) -> bool {
        let is_over = answer.end != End::Open;
        match self.fate {
            Fate::Refused(How::Answered(_)) | Fate::Two(..) => answer.statuses.len() >= 2,
            Fate::Refused(How::GoAway(_)) => answer.is_closed,
            Fate::Refused(_) | Fate::OneThen(..) => is_over,
            Fate::One(..) => !answer.statuses.is_empty() && (is_over || !self.closes),
        }
    }

    /// Whether it is what has to be said.
    fn is_right(&self, answer: &Answer) -> bool {
        let Answer { statuses, end, .. } = answer;
        let wanted = match self.fate {
            Fate::Refused(How::Status(status)) => (vec![status], End::Over),
            Fate::Refused(How::Answered(status)) => (vec![status, 200], End::Open),
            Fate::Refused(How::GoAway(code)) => (vec![], End::GoAway(code)),
            Fate::Refused(How::Reset(code)) => (vec![], End::Reset(code)),
            Fate::Refused(How::Within | How::Awaited) => {
                return *end != End::Open && [[200], [400]].iter().any(|one| statuses == one);
            }
            Fate::One(..) if self.closes => (vec![200], End::Over),
            Fate::One(..) => (vec![200], End::Open),
            Fate::OneThen(_, _, status) => (vec![200, status], End::Over),
            Fate::Two(..) => (vec![200, 200], End::Open),
        };
        self.is_said(answer) && (statuses, end) == (&wanted.0, &wanted.1)
    }

    /// Writes these bytes and reads what is said until it is over, or nothing more comes.
    async fn ask(&self, gateway: &Gateway, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(gateway.web()).await.expect("a connection");
        let _closed_meanwhile = stream.write_all(bytes).await;
        let mut said = Vec::new();
        let mut awaited = self.fate == Fate::Refused(How::Awaited);
        loop {
            let answer = Answer::read(self.front, &said, false);
            let patience = match self.is_said(&answer) {
                // Nothing is behind what is over.
                true if answer.end != End::Open => return answer,
                true => SILENCE,
                false if awaited => OTHERWISE,
                false => DUE,
            };
            match tokio::time::timeout(patience, stream.read_buf(&mut said)).await {
                Ok(Ok(1..)) => {}
                // Who did not wait has to have the upstream's answer.
                Ok(Ok(0) | Err(_)) if awaited && answer.statuses != [200] => return answer,
                Ok(Ok(0) | Err(_)) => return Answer::read(self.front, &said, true),
                Err(_) if awaited => {
                    awaited = false;
                    stream.shutdown().await.expect("it is open yet");
                }
                Err(_) => return answer,
            }
        }
    }

    /// Whether what came is what it may come to; else why not. Notes what was broken off.
    async fn judge(
        &self,
        (gateway, upstream): (&Gateway, &Upstream),
        answer: &Answer,
        broken: &mut Vec<String>,
    ) -> Result<(), String> {
        self.honest(gateway, upstream).await?;
        let mut came = Came::default();
        // What is broken off takes a moment to get there.
        let over = wait::until("what came to be over", || {
            let more = upstream.heard();
            came.whole.extend(more.whole);
            came.broken.extend(more.broken);
            came.is_odd = more.is_odd;
            std::future::ready((!more.is_odd).then_some(()))
        });
        let _odd_else = tokio::time::timeout(DUE, over).await;
        came.whole.retain(|one| !one.target.starts_with("/honest-") || one.host != upstream.name);
        let is_broken = came.broken.iter().all(|one| self.is_begun() && *one == self.target("/a"));
        broken.extend(came.broken.iter().cloned());
        let is_whole = came.whole == self.wanted(upstream) && is_broken && !came.is_odd;
        match self.is_right(answer) && is_whole {
            true => Ok(()),
            false => Err(format!("{came:?}")),
        }
    }

    /// Who comes next gets what they asked for: no answer to somebody else was left behind.
    async fn honest(&self, gateway: &Gateway, upstream: &Upstream) -> Result<(), String> {
        for turn in ["first", "second"] {
            let path = format!("/honest-{}-{turn}-", self.number);
            let host = upstream.name;
            let asked = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let mut stream = TcpStream::connect(gateway.web()).await.expect("a connection");
            stream.write_all(asked.as_bytes()).await.expect("it is taken");
            let mut answer = Vec::new();
            let _broken = tokio::time::timeout(DUE, stream.read_to_end(&mut answer)).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            if !answer.starts_with("HTTP/1.1 200") || !answer.contains(&path) {
                return Err(format!("the next one was answered {answer:?}"));
            }
        }
        Ok(())
    }

    /// What an upstream's own log may say of it.
    fn is_seen(&self, upstream: &Upstream, seen: &[String]) -> bool {
        let own = seen.iter().filter(|target| target.ends_with(&format!("-{}-", self.number)));
        let own: Vec<_> = own.collect();
        if self.is_begun() {
            return own.len() <= 1 && own.iter().all(|one| **one == self.target("/a"));
        }
        own.into_iter().eq(self.wanted(upstream).iter().map(|one| &one.target))
    }
}

/// Every case, and the bytes that it is to this upstream.
fn cases(upstream: &Upstream) -> Vec<(Case, Vec<u8>)> {
    let mut cases = Vec::new();
    for one in PLAIN {
        let told = format!("{} {} {:?}", upstream.name, one.class, one.text);
        // What is framed twice ends its connection (RFC 9112, section 6.1), and so do trailers.
        let is_last = ["cl-te", "te-cl", "trailer"].contains(&one.class);
        let closes = one.text.contains("/smuggled") || is_last;
        let (number, front) = (cases.len(), Front::Plain);
        let case = Case { number, front, fate: one.fate, told, closes };
        let behind = "GET /second HTTP/1.1\r\nhost: HOST\r\n\r\n";
        let is_lasting = matches!(one.fate, Fate::Refused(How::Answered(_)));
        let text = [one.text, if is_lasting { behind } else { "" }].concat();
        let bytes = case.own(&text, upstream).into_bytes();
        cases.push((case, bytes));
    }
    for one in FRAMED {
        let told = format!("{} {} {:?} {:?}", upstream.name, one.class, one.headers, one.trailers);
        let (number, front) = (cases.len(), Front::Framed);
        let case = Case { number, front, fate: one.fate, told, closes: true };
        let bytes = frames::written(one, |text| case.own(text, upstream));
        cases.push((case, bytes));
    }
    cases
}

/// Sends every case to an upstream; says what is wrong.
async fn attack(gateway: &Gateway, upstream: &Upstream) -> Vec<String> {
    let (mut wrong, mut broken) = (Vec::new(), Vec::new());
    let cases = cases(upstream);
    for (case, bytes) in &cases {
        let answer = case.ask(gateway, bytes).await;
        if let Err(why) = case.judge((gateway, upstream), &answer, &mut broken).await {
            wrong.push(format!("{}: {answer:?}; {why}", case.told));
        }
    }
    // What was broken off is written once that was noticed.
    broken.push(format!("/honest-{}-second-", cases.len() - 1));
    wait::until_true("the last log lines", || {
        let seen = upstream.seen();
        broken.iter().all(|target| seen.contains(target))
    })
    .await;
    let seen = upstream.seen();
    let is_smuggled = |target: &&String| UNSEEN.iter().any(|unseen| target.contains(unseen));
    wrong.extend(seen.iter().filter(is_smuggled).cloned());
    let unseen = cases.iter().filter(|(case, _)| !case.is_seen(upstream, &seen));
    wrong.extend(unseen.map(|(case, _)| format!("{}: its log says otherwise", case.told)));
    // Else nobody would meet what somebody left behind.
    let (connections, requests) = (upstream.connections(), seen.len());
    if connections * 4 > requests {
        wrong.push(format!("{}: {requests} requests on {connections}", upstream.name));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_to_either_upstream_over_either_version() {
    let (nginx, at_nginx) = Upstream::start("nginx").await;
    let (node, at_node) = Upstream::start("node").await;
    let route = |name: &str| {
        let rules = format!(
            "hostnames: [{name}]\nrules: [{{ backendRefs: [{{ name: {name}, port: 80 }}] }}]"
        );
        yaml::route(name, &rules)
    };
    // One worker, whose connections to an upstream whoever comes next uses.
    let gateway = Setup::new()
        .with(yaml::service("nginx", &[at_nginx]))
        .with(yaml::service("node", &[at_node]))
        .with(route("nginx"))
        .with(route("node"))
        .arguments(&["--workers", "1"])
        .start()
        .await;
    let (at_nginx, at_node) = tokio::join!(attack(&gateway, &nginx), attack(&gateway, &node));
    let wrong = [at_nginx, at_node].concat();
    let classes: BTreeSet<_> =
        classes(Front::Plain).union(&classes(Front::Framed)).copied().collect();
    let number = PLAIN.len() + FRAMED.len();
    let mut told = std::io::stderr();
    writeln!(told, "{number} requests of {} classes to each upstream", classes.len()).unwrap();
    assert!(classes.len() > 12, "the harmless one, and few more: {classes:?}");
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn classes(front: Front) -> BTreeSet<&'static str> {
    match front {
        Front::Plain => PLAIN.iter().map(|one| one.class).collect(),
        Front::Framed => FRAMED.iter().map(|one| one.class).collect(),
    }
}

#[test]
fn each_class_is_tried_over_either_version_or_it_is_said_why_not() {
    let (plain, framed) = (classes(Front::Plain), classes(Front::Framed));
    let alone = |front: Front| -> BTreeSet<_> {
        ALONE.iter().filter(|(_, one, _)| *one == front).map(|(class, ..)| *class).collect()
    };
    let only = |one: &BTreeSet<&'static str>, other: &BTreeSet<&'static str>| -> BTreeSet<_> {
        one.difference(other).copied().collect()
    };
    assert_eq!(only(&plain, &framed), alone(Front::Plain));
    assert_eq!(only(&framed, &plain), alone(Front::Framed));
}
