//! One process after the other at the same sockets: nobody is refused, whoever fails leaves the other serving.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use e2e::client::{Fault, nothing, request};
use e2e::{Connection, Gateway, Origin, Setup, program, wait, yaml};
use http_body_util::BodyExt as _;
use tokio::task::JoinHandle;

use crate::scene::{HOST, shop};

/// Callers of each kind, and how often all of a kind ask at least.
const CALLERS: usize = 4;
const LEAST: usize = 5000;

/// How a caller has its connections.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// One for each request.
    New,
    /// HTTP/1.1, for as long as it is kept.
    Kept,
    /// HTTP/2, the same.
    Http2,
}

impl Habit {
    async fn open(self, web: SocketAddr) -> Result<Connection, Fault> {
        match self {
            Habit::New | Habit::Kept => Connection::h1(web).await,
            Habit::Http2 => Connection::h2c(web).await,
        }
    }

    /// Asks until told to stop, and so often at least; how often it asked.
    async fn ask(self, web: SocketAddr, stop: Arc<AtomicBool>, all: Arc<AtomicUsize>) {
        let mut connection = self.open(web).await.expect("a connection");
        while all.load(Relaxed) < LEAST || !stop.load(Relaxed) {
            if matches!(self, Habit::New) || !connection.ready().await {
                let opened = self.open(web).await;
                connection = opened.unwrap_or_else(|error| panic!("{self:?}: refused: {error}"));
            }
            let asked = request("GET", HOST, "/big/2000").body(nothing()).expect("a request");
            match connection.send(asked).await {
                Ok(reply) => assert_eq!((reply.status, reply.body.len()), (200, 2000), "{self:?}"),
                // It was told to go elsewhere before it had said anything.
                Err(error) if connection.is_unheard(&error) => continue,
                Err(error) => panic!("{self:?}: {error:?}"),
            }
            all.fetch_add(1, Relaxed);
        }
    }
}

/// Callers who go on until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    counts: Vec<Arc<AtomicUsize>>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(web: SocketAddr) -> Self {
        let (stop, mut counts, mut callers) = (Arc::<AtomicBool>::default(), vec![], vec![]);
        for habit in [Habit::New, Habit::Kept, Habit::Http2] {
            let count = Arc::<AtomicUsize>::default();
            callers.extend(
                (0..CALLERS)
                    .map(|_| tokio::spawn(habit.ask(web, Arc::clone(&stop), Arc::clone(&count)))),
            );
            counts.push(count);
        }
        Load { stop, counts, callers }
    }

    /// Waits until each kind has asked so many times more.
    async fn goes_on(&self, more: usize) {
        let before: Vec<_> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        let gone = || {
            let counts = self.counts.iter().zip(&before);
            counts.into_iter().all(|(count, before)| count.load(Relaxed) >= before + more)
        };
        wait::until_true("more requests", || {
            gone() || self.callers.iter().any(JoinHandle::is_finished)
        })
        .await;
    }

    /// Has them end; none of them may have failed.
    async fn end(self) {
        self.stop.store(true, Relaxed);
        for caller in self.callers {
            caller.await.expect("no request fails");
        }
    }
}

/// The process that follows, once it serves.
async fn followed(before: &Gateway, arguments: &[&str]) -> Gateway {
    let next = before.next(arguments);
    next.until_said("objects=").await;
    next
}

async fn replaceable(arguments: &[&str]) -> (Origin, Gateway) {
    let (origin, setup) = shop().await;
    (origin, setup.replaceable().arguments(arguments).start().await)
}

#[tokio::test]
async fn replaced_twice_under_load_no_request_fails() {
    let (_origin, mut first) = replaceable(&["--workers", "2"]).await;
    let load = Load::on(first.web());
    load.goes_on(100).await;
    // More workers than sockets, then more sockets than workers.
    let mut second = followed(&first, &["--workers", "3"]).await;
    assert_eq!(first.exited().await, 0);
    load.goes_on(100).await;
    let mut third = followed(&second, &["--workers", "1"]).await;
    assert_eq!(second.exited().await, 0);
    load.goes_on(100).await;
    load.end().await;
    assert!(third.try_exit().is_none());
    let ready = third.admin("/readyz").await.unwrap();
    assert_eq!(ready.status, 200, "{}", third.stderr());
    for gateway in [&first, &second, &third] {
        let said = gateway.stderr();
        assert!(!said.contains("ERROR"), "{said}");
    }
}

#[tokio::test]
async fn a_download_that_began_before_goes_on_to_its_end() {
    let (origin, mut first) = replaceable(&[]).await;
    let length = 64 << 20;
    let mut connection = Connection::h1(first.web()).await.unwrap();
    let asked = request("GET", HOST, &format!("/big/{length}")).body(nothing()).unwrap();
    let mut body = wait::within("its head", connection.open(asked)).await.unwrap().into_body();
    let second = followed(&first, &[]).await;
    let answered = second.get(HOST, "/").await;
    assert_eq!((answered.status, answered.origin()), (200, "shop"));
    assert!(first.try_exit().is_none(), "it ended under a download");
    let mut taken = 0;
    while let Some(frame) = wait::within("the next part", body.frame()).await {
        taken += frame.unwrap().into_data().map_or(0, |data| data.len());
    }
    assert_eq!((taken, origin.count()), (length, 2));
    assert_eq!(first.exited().await, 0);
}

#[tokio::test]
async fn an_idle_connection_has_one_more_answer_and_is_told_that_it_was_the_last() {
    let (_origin, mut first) = replaceable(&[]).await;
    let mut idle = Connection::h1(first.web()).await.unwrap();
    let ask = || request("GET", HOST, "/").body(nothing()).unwrap();
    assert_eq!(idle.send(ask()).await.unwrap().header("connection"), "");
    let _second = followed(&first, &[]).await;
    first.until_said("stopping").await;
    let reply = idle.send(ask()).await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, "close"));
    wait::until_true("the connection to close", || idle.is_closed()).await;
    assert_eq!(first.exited().await, 0);
}

/// Nothing follows, and the one before serves on and can still be followed.
async fn assert_serves_on(mut first: Gateway) {
    let load: Vec<_> = futures::future::join_all((0..50).map(|_| first.get(HOST, "/"))).await;
    assert!(load.iter().all(|reply| (reply.status, reply.origin()) == (200, "shop")));
    let ready = first.admin("/readyz").await.expect("/readyz answers");
    assert_eq!(ready.status, 200);
    assert!(first.try_exit().is_none());
    let second = followed(&first, &[]).await;
    assert_eq!(second.get(HOST, "/").await.status, 200);
    assert_eq!(first.exited().await, 0);
}

#[tokio::test]
async fn one_that_cannot_read_its_configuration_leaves_the_other_serving() {
    let (_origin, first) = replaceable(&[]).await;
    let good = std::fs::read_to_string(first.file("gateway.yaml")).unwrap();
    first.write("gateway.yaml", "kind: [");
    first.until_said("stays in force").await;
    let mut next = first.next(&[]);
    assert_eq!(next.exited().await, 1, "{}", next.stderr());
    first.write("gateway.yaml", &good);
    assert_serves_on(first).await;
}

#[tokio::test]
async fn one_that_lacks_what_is_in_force_leaves_the_other_serving() {
    let (_origin, setup) = shop().await;
    let route = yaml::path_route("bonus", "/bonus", "shop");
    let guard = "targetRefs: [{ kind: HTTPRoute, name: bonus }]\n\
                 rules: [{ name: nobody, action: Deny, when: {} }]";
    let guard = yaml::policy("guard", guard);
    let setup = setup.file("bonus.yaml", route.clone()).file("guard.yaml", guard.clone());
    let first = setup.replaceable().start().await;
    let fresh =
        route.replace("value: /bonus", "value: bonus").replace("name: bonus", "name: fresh");
    // Refused, and without its target it is in force and protects nothing.
    for (file, good, bad, object) in [
        (
            "bonus.yaml",
            &route,
            route.replace("value: /bonus", "value: bonus"),
            "HTTPRoute shop/bonus",
        ),
        (
            "guard.yaml",
            &guard,
            guard.replace("name: bonus", "name: bonsu"),
            "AccessPolicy shop/guard",
        ),
    ] {
        first.write(file, &bad);
        first.until_said(&format!("{object}: spec")).await;
        let mut next = first.next(&[]);
        assert_eq!(next.exited().await, 1, "{}", next.stderr());
        let why = format!("this one lacks what is in force there: {object}; mend");
        assert!(next.stderr().contains(&why), "{}", next.stderr());
        first.until_said(&format!("it lacks {object}, which is in force now")).await;
        assert_eq!(first.get(HOST, "/bonus").await.status, 403);
        first.write(file, good);
    }
    // What never was good is nobody's loss, and what is gone was let go.
    first.write("guard.yaml", &fresh);
    first.until_said("HTTPRoute shop/fresh").await;
    assert_serves_on(first).await;
}

#[tokio::test]
async fn one_that_fails_once_it_has_the_sockets_leaves_the_other_serving() {
    let (_origin, first) = replaceable(&[]).await;
    let good = std::fs::read_to_string(first.file("gateway.yaml")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let listeners = [yaml::http("web", first.web().port()), yaml::http("other", port)];
    let wants =
        yaml::join(&[yaml::gateway(&listeners), good.split_once("---\n").unwrap().1.into()]);
    first.write("gateway.yaml", &wants);
    first.until_said("is in use by another process").await;
    let mut next = first.next(&[]);
    assert_eq!(next.exited().await, 1, "{}", next.stderr());
    assert!(next.stderr().contains("in use by another process"), "{}", next.stderr());
    first.until_said("does not follow").await;
    first.write("gateway.yaml", &good);
    assert_serves_on(first).await;
}

/// Something that keeps a process from its access log, and so from serving, once it has the sockets.
struct Hold(PathBuf);

impl Hold {
    /// Holds those that start from now on.
    fn on(gateway: &Gateway) -> Self {
        let log = gateway.folder().join("access.log");
        std::fs::rename(&log, gateway.folder().join("access.log.1")).expect("a log to move away");
        // Nobody opens a pipe for writing before another one reads.
        let made = Command::new("mkfifo").arg(&log).status().expect("mkfifo (of coreutils) starts");
        assert!(made.success());
        Hold(log)
    }

    /// Lets go of them for as long as what this gives is there.
    fn release(self) -> File {
        // Whoever would write as well waits for nobody.
        File::options().read(true).write(true).open(self.0).expect("the pipe")
    }
}

#[tokio::test]
async fn where_the_one_before_is_told_to_stop_the_next_one_serves_and_can_be_followed() {
    let (_origin, mut first) = replaceable(&[]).await;
    let hold = Hold::on(&first);
    let mut second = first.next(&[]);
    second.until_said("following the process that serves").await;
    first.terminate();
    assert_eq!(first.exited().await, 0);
    let _reader = hold.release();
    second.until_said("objects=").await;
    assert_eq!(second.get(HOST, "/").await.status, 200);
    let ready = second.admin("/readyz").await.expect("/readyz answers");
    assert_eq!(ready.status, 200);
    let third = followed(&second, &[]).await;
    assert_eq!(second.exited().await, 0);
    assert_eq!(third.get(HOST, "/").await.status, 200);
}

fn catches_sigterm(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|caught| u64::from_str_radix(caught.trim(), 16).ok());
    caught.is_some_and(|caught| caught & (1 << (15 - 1)) != 0)
}

#[tokio::test]
async fn one_told_to_stop_before_it_serves_leaves_the_other_serving() {
    let (_origin, first) = replaceable(&[]).await;
    let hold = Hold::on(&first);
    let mut next = first.next(&[]);
    next.until_said("following the process that serves").await;
    wait::until_true("it to listen for SIGTERM", || catches_sigterm(next.id())).await;
    next.terminate();
    let _reader = hold.release();
    assert_eq!(next.exited().await, 0, "{}", next.stderr());
    assert!(!next.stderr().contains("objects="), "{}", next.stderr());
    first.until_said("does not follow").await;
    assert_serves_on(first).await;
}

#[tokio::test]
async fn where_nobody_answers_a_stale_socket_is_replaced_and_a_file_is_not() {
    let (_origin, first) = replaceable(&[]).await;
    let place = first.folder().join("handover");
    let mode = || std::fs::metadata(&place).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let killed = Command::new("kill").args(["-KILL", &first.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut first = first;
    assert_eq!(first.exited().await, -1);
    assert!(place.exists());
    let mut second = followed(&first, &[]).await;
    assert_eq!((second.get(HOST, "/").await.status, mode()), (200, 0o600));
    second.terminate();
    assert_eq!(second.exited().await, 0);
    assert!(!place.exists(), "who ends for good takes it away");
    std::fs::write(&place, "mine").unwrap();
    let mut third = second.next(&[]);
    assert_eq!(third.exited().await, 1);
    assert!(third.stderr().contains("is no socket"), "{}", third.stderr());
    assert_eq!(std::fs::read_to_string(&place).unwrap(), "mine");
}

#[tokio::test]
async fn another_user_gets_nothing() {
    let (_origin, first) = replaceable(&[]).await;
    let place = first.folder().join("handover");
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("only root can be somebody else");
        return;
    }
    // As if nothing but the look at who it is kept them out.
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    open(&place);
    open(first.folder());
    let program = first.folder().join("gateway");
    std::fs::copy(program::gateway(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
    command.arg("--config").arg(first.folder().join("config"));
    command.args(["--access-log", "off", "--handover"]).arg(&place);
    let ended = program::ended(&mut command);
    assert_eq!(ended.code, 1, "{ended:?}");
    first.until_said("refused the sockets to another user").await;
    assert_eq!(first.get(HOST, "/").await.status, 200);
}

#[tokio::test]
async fn a_port_that_is_no_longer_wanted_closes_and_one_that_is_new_opens() {
    let (_origin, setup) = shop().await;
    let more = program::free_port();
    let setup = setup.replaceable().listener("more", more, yaml::http("more", more));
    let mut first = setup.start().await;
    let good = std::fs::read_to_string(first.file("gateway.yaml")).unwrap();
    assert!(tokio::net::TcpStream::connect(first.listener("more")).await.is_ok());
    let fresh = program::free_port();
    first.write("gateway.yaml", &good.replace(&more.to_string(), &fresh.to_string()));
    let second = followed(&first, &[]).await;
    assert_eq!(first.exited().await, 0);
    assert_eq!(second.get(HOST, "/").await.status, 200);
    assert!(tokio::net::TcpStream::connect(first.listener("more")).await.is_err());
    let mut opened = Connection::h1(([127, 0, 0, 1], fresh).into()).await.unwrap();
    let asked = request("GET", HOST, "/").body(nothing()).unwrap();
    assert_eq!(opened.send(asked).await.unwrap().status, 200);
}

/// Without the flag nothing is handed over, and nothing is kept for it.
#[tokio::test]
async fn without_a_place_a_second_one_is_told_that_the_port_is_taken() {
    let (_origin, setup): (_, Setup) = shop().await;
    let first = setup.arguments(&["--workers", "1"]).start().await;
    let mut next = first.next(&["--workers", "1"]);
    assert_eq!(next.exited().await, 1);
    assert!(next.stderr().contains("another process"), "{}", next.stderr());
    assert_eq!(first.get(HOST, "/").await.status, 200);
}
