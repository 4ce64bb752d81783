//! Two processes in one: what is handed over, and what becomes of it when either is gone.

use std::io::{Read as _, Write as _};
use std::net::{self, Ipv4Addr, TcpListener};
use std::os::fd::AsFd as _;

use futures::FutureExt as _;
use tokio::net::UnixListener;

use super::channel::{Word, may_follow};
use super::*;
use crate::bind::Inlet;

/// What the one before has in force, and what of that in an older form than it was told last.
const SERVED: &str = "HTTPRoute shop/all";
const KEPT: &str = "AccessPolicy shop/only";

/// A door in a folder of its own, a socket, and what is in force.
struct Scene {
    folder: tempfile::TempDir,
    door: Door,
    socket: TcpListener,
    stock: Stock,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let door = Door::open(folder.path().join("door")).unwrap();
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stock = Stock { served: [SERVED, KEPT].map(str::to_owned).into(), ..Stock::default() };
        Scene { folder, door, socket, stock }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("door")
    }

    /// Hands the socket over, with another copy for the admin port; how often the folder was asked for.
    async fn hand_over(&self) -> (Result<(), Error>, usize) {
        let heir = self.door.heir().await;
        let (mut asked, mut yielded) = (0, false);
        let sockets = [
            (Use::Traffic, self.socket.as_fd()),
            (Use::Admin, self.socket.as_fd()),
            (Use::Door, self.door.socket()),
        ];
        let done = heir.follow(&sockets, &self.stock, || asked += 1, || yielded = true).await;
        // What quotas count is another's as soon as the sockets are, and no sooner.
        assert_eq!(yielded, done.is_ok());
        (done, asked)
    }
}

async fn found(path: &Path) -> (Place, Given) {
    let (place, given) = Place::find(Some(path)).await.unwrap();
    (place, given.unwrap())
}

#[test]
fn only_the_same_user_follows() {
    for (user, own, may) in
        [(1000, 1000, true), (0, 0, true), (0, 1000, false), (1001, 1000, false), (1000, 0, false)]
    {
        assert_eq!(may_follow(user, own), may, "{user} after {own}");
    }
}

#[tokio::test]
async fn who_waits_at_a_socket_is_taken_by_the_next() {
    let scene = Scene::new();
    let at = scene.socket.local_addr().unwrap();
    let mut caller = net::TcpStream::connect(at).unwrap();
    caller.write_all(b"hello").unwrap();
    let path = scene.path();
    let next = async {
        let (mut place, given) = found(&path).await;
        place.want_folder().await.unwrap();
        place.serve(&Stock::default()).await.unwrap();
        (place, given)
    };
    let ((done, asked), (place, given)) = tokio::join!(scene.hand_over(), next);
    done.unwrap();
    assert_eq!((asked, given.traffic.len(), given.admin.len()), (1, 1, 1));
    let Scene { folder, door, socket, stock } = scene;
    drop((door, socket));
    let Some(Inlet::Tcp(socket)) = given.traffic.into_iter().next() else { panic!("none came") };
    socket.set_nonblocking(false).unwrap();
    let (mut taken, _) = socket.accept().unwrap();
    let mut said = [0; 5];
    taken.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"hello");
    // And the next can be followed, at the same place.
    let Stands::Serving(door) = place.0 else { panic!("it does not serve: {place:?}") };
    let third = Scene { folder, door, socket, stock };
    let dies = async { drop(found(&path).await) };
    let ((done, _), ()) = tokio::join!(third.hand_over(), dies);
    assert!(matches!(done, Err(Error::Gone)), "{done:?}");
}

#[tokio::test]
async fn who_lacks_what_is_in_force_does_not_follow() {
    let faulty = |object: &str| Stock { faulty: [object.to_owned()].into(), ..Stock::default() };
    let served = |object: &str| Stock { served: [object.to_owned()].into(), ..Stock::default() };
    for (kept, next, lacks) in [
        (None, faulty("HTTPRoute shop/new"), None),
        (None, faulty(SERVED), Some(SERVED)),
        (Some(KEPT), served(KEPT), None),
        (Some(KEPT), Stock::default(), Some(KEPT)),
        (Some(KEPT), Stock { faulty: faulty(KEPT).faulty, ..served(KEPT) }, Some(KEPT)),
    ] {
        let mut scene = Scene::new();
        scene.stock.kept.extend(kept.map(str::to_owned));
        let path = scene.path();
        let follows = async {
            let (mut place, _given) = found(&path).await;
            place.serve(&next).await
        };
        let ((done, _), served) = tokio::join!(scene.hand_over(), follows);
        let Some(lacks) = lacks else {
            assert!(done.is_ok() && served.is_ok(), "{next:?}: {done:?} {served:?}");
            continue;
        };
        let (Err(lost), Err(refused)) = (done, served) else { panic!("{next:?} follows") };
        assert!(matches!(lost, Error::Loses(objects) if objects == lacks));
        assert!(refused.to_string().contains(lacks), "{refused}");
    }
}

#[tokio::test]
async fn if_the_one_before_is_gone_the_next_goes_on() {
    let scene = Scene::new();
    let path = scene.path();
    let before = async { tokio::time::timeout(STEP / 100, scene.hand_over()).await.unwrap_err() };
    let (_broken_off, (mut place, given)) = tokio::join!(before, found(&path));
    place.want_folder().await.unwrap();
    place.serve(&Stock::default()).await.unwrap();
    assert_eq!(given.traffic.len(), 1);
    assert!(matches!(place.0, Stands::Serving(_)), "{place:?}");
}

#[tokio::test]
async fn that_the_one_before_is_gone_is_heard_once() {
    let scene = Scene::new();
    let path = scene.path();
    let before = async { tokio::time::timeout(STEP / 100, scene.hand_over()).await.unwrap_err() };
    let (_broken_off, (mut place, _given)) = tokio::join!(before, found(&path));
    assert!(!place.is_left());
    assert!(place.called().await.unwrap().is_none());
    assert!(place.is_left());
    assert!(place.called().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn after_one_that_failed_the_next_waits_as_long_as_it_took_within_bounds() {
    for (took, wanted) in [(0, 5), (7, 7), (60, 20)] {
        let mut scene = Scene::new();
        scene.door.rest(Duration::from_secs(took));
        let began = tokio::time::Instant::now();
        let _waits = UnixStream::connect(&scene.path()).await.unwrap();
        scene.door.heir().await;
        assert_eq!(began.elapsed().as_secs(), wanted, "after {took} s");
    }
}

#[tokio::test]
async fn whoever_is_gone_amid_its_sockets_was_not_there() {
    let scene = Scene::new();
    let path = scene.folder.path().join("other");
    let listener = UnixListener::bind(&path).unwrap();
    let before = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut channel = Channel::new(stream).unwrap();
        assert_eq!(channel.hear().await.unwrap(), Word::Speaks(VERSION));
        channel.give(Use::Traffic, scene.socket.as_fd()).await.unwrap();
    };
    let ((), found) = tokio::join!(before, Place::find(Some(&path)));
    let (place, given) = found.unwrap();
    assert!(matches!(place.0, Stands::First(_)) && given.is_none(), "{place:?}");
}

#[tokio::test]
async fn what_is_not_understood_is_refused_in_words() {
    let scene = Scene::new();
    let path = scene.path();
    let other = async {
        let mut channel = Channel::new(UnixStream::connect(&path).await.unwrap()).unwrap();
        channel.say(&Word::Speaks(VERSION + 1)).await.unwrap();
        channel.hear().await
    };
    let ((done, _), heard) = tokio::join!(scene.hand_over(), other);
    assert!(matches!(done, Err(Error::Odd)), "{done:?}");
    assert!(matches!(heard, Ok(Word::No(_))), "{heard:?}");
}

#[tokio::test]
async fn a_socket_that_does_not_listen_is_not_taken() {
    let scene = Scene::new();
    let path = scene.path();
    let other = net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let before = async {
        let heir = scene.door.heir().await;
        heir.follow(&[(Use::Traffic, other.as_fd())], &Stock::default(), || {}, || {}).await
    };
    let (_gone, found) = tokio::join!(before, Place::find(Some(&path)));
    assert!(matches!(found, Err(Error::Odd)), "{found:?}");
}

#[tokio::test]
async fn what_waits_at_a_socket_for_datagrams_is_taken_by_the_next() {
    let scene = Scene::new();
    let path = scene.path();
    let given = net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let caller = net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    caller.send_to(b"hello", given.local_addr().unwrap()).unwrap();
    for (of, is_taken) in [(Use::Datagrams, &given), (Use::Traffic, &given)].map(|(of, socket)| {
        let sockets = [(of, socket.as_fd()), (Use::Door, scene.door.socket())];
        (of, sockets)
    }) {
        let before = async {
            scene.door.heir().await.follow(&is_taken, &Stock::default(), || {}, || {}).await
        };
        let next = async { Place::find(Some(&path)).await.map(|(_, given)| given) };
        let (_gone, given) = tokio::join!(before, next);
        match (of, given) {
            (Use::Datagrams, Ok(Some(taken))) => {
                let Some(Inlet::Udp(socket)) = taken.traffic.into_iter().next() else {
                    panic!("none came")
                };
                let mut said = [0; 5];
                assert_eq!(socket.recv(&mut said).unwrap(), 5);
                assert_eq!(&said, b"hello");
            }
            (Use::Traffic, Err(Error::Odd)) => {}
            (of, given) => panic!("{of:?}: {given:?}"),
        }
    }
}

#[tokio::test]
async fn only_its_own_socket_is_taken_away_at_the_end() {
    let own = Scene::new();
    own.door.close();
    assert!(!own.folder.path().join("door").exists());
    let replaced = Scene::new();
    let path = replaced.path();
    std::fs::write(replaced.folder.path().join("other"), "mine").unwrap();
    std::fs::rename(replaced.folder.path().join("other"), &path).unwrap();
    replaced.door.close();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn a_place_is_looked_at_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let absent = Place::find(Some(&folder.path().join("none").join("door"))).await;
    assert!(matches!(absent, Err(Error::Place(..))), "{absent:?}");
    // Itself it is not too long, but what is made beside it is.
    let rest = 107 - folder.path().as_os_str().len() - 1;
    let long = Place::find(Some(&folder.path().join("x".repeat(rest)))).await;
    assert!(matches!(long, Err(Error::Place(..))), "{long:?}");
    let (file, stale) = (folder.path().join("file"), folder.path().join("stale"));
    std::fs::write(&file, "").unwrap();
    let odd = Place::find(Some(&file)).await;
    assert!(matches!(odd, Err(Error::NoSocket(_))), "{odd:?}");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let (mut place, given) = Place::find(Some(&stale)).await.unwrap();
    assert!(given.is_none());
    let beside = heir::beside(&stale);
    std::fs::write(&beside, "mine").unwrap();
    let odd = place.serve(&Stock::default()).await;
    assert!(matches!(odd, Err(Error::NoSocket(_))), "{odd:?}");
    assert_eq!(std::fs::read_to_string(&beside).unwrap(), "mine");
    std::fs::remove_file(&beside).unwrap();
    let (mut place, _) = Place::find(Some(&stale)).await.unwrap();
    place.serve(&Stock::default()).await.unwrap();
    assert!(UnixStream::connect(&stale).await.is_ok());
}
