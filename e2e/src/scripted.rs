//! A backend that is no server: the same bytes for every head, and all that it read is kept.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A running one, which ends when this is dropped.
#[derive(Debug)]
pub struct Scripted {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Heard,
    reading: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What came on one connection.
#[derive(Debug, Clone, Default)]
pub struct Talk {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// The peer has closed, or broken it off.
    pub ended: bool,
}

type Heard = Arc<Mutex<Vec<Talk>>>;

impl Scripted {
    /// Answers the first head of each connection with `answer`, and reads on.
    pub async fn start(answer: &'static str) -> Self {
        Self::serve(answer, true).await
    }

    /// The same, but behind the head nothing is read before [`Scripted::read_on`].
    pub async fn held(answer: &'static str) -> Self {
        Self::serve(answer, false).await
    }

    async fn serve(answer: &'static str, reading: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (heard, reading) = (Heard::default(), watch::Sender::new(reading));
        let (shared, gate) = (Arc::clone(&heard), reading.subscribe());
        let task = tokio::spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                talks.spawn(talk(stream, answer, Arc::clone(&shared), gate.clone()));
            }
        });
        Scripted { address, heard, reading, task }
    }

    /// Reads what was left unread.
    pub fn read_on(&self) {
        self.reading.send_replace(true);
    }

    /// What came so far, by connection, the oldest first.
    pub fn heard(&self) -> Vec<Talk> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Talk {
    /// How many lines of the head name the header `name`.
    pub fn lines(&self, name: &str) -> usize {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let names = head.lines().filter_map(|line| Some(line.split_once(':')?.0));
        names.filter(|line| line.eq_ignore_ascii_case(name)).count()
    }

    fn has_head(&self) -> bool {
        self.bytes.windows(4).any(|window| window == b"\r\n\r\n")
    }
}

async fn talk(
    mut stream: TcpStream,
    answer: &'static str,
    heard: Heard,
    mut reading: watch::Receiver<bool>,
) {
    let with = |change: &mut dyn FnMut(&mut Vec<Talk>)| {
        change(&mut heard.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let mut at = 0;
    with(&mut |all| {
        at = all.len();
        all.push(Talk::default());
    });
    let (mut answered, mut piece) = (false, vec![0; 64 << 10]);
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        let mut is_head = false;
        with(&mut |all| {
            all[at].bytes.extend_from_slice(&piece[..length]);
            is_head = !answered && all[at].has_head();
        });
        if is_head {
            answered = true;
            // A peer that has gone is seen when reading.
            stream.write_all(answer.as_bytes()).await.ok();
            reading.wait_for(|reading| *reading).await.ok();
        }
    }
    with(&mut |all| all[at].ended = true);
}
