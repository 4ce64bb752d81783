//! A caller that writes what it likes: bytes in, bytes out.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wait;

/// A plain connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer of HTTP/1.1 as it stood on the wire.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status; 0 where there was no status line.
    pub status: u16,
    /// Status line and headers.
    pub text: String,
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// Where nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await;
        Raw {
            stream: stream.unwrap_or_else(|e| panic!("connect {address}: {e}")),
            read: Vec::new(),
        }
    }

    /// Writes; a peer that has closed already is seen when reading.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let writing = self.stream.write_all(bytes.as_ref());
        let _seen_when_reading = wait::within("the peer to read", writing).await;
    }

    /// Reads up to the end of a head.
    ///
    /// # Panics
    /// Where none comes within the deadline.
    pub async fn head(&mut self) -> Head {
        let end = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            if !wait::within("a head", self.more()).await {
                break self.read.len();
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        Head::parse(&head)
    }

    /// Reads `length` bytes.
    ///
    /// # Panics
    /// Where fewer come.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(wait::within("bytes", self.more()).await, "closed before {length} bytes");
        }
        self.read.drain(..length).collect()
    }

    /// Reads until the peer closes.
    ///
    /// # Panics
    /// Where it does not within the deadline.
    pub async fn rest(&mut self) -> Vec<u8> {
        while wait::within("the peer to close", self.more()).await {}
        std::mem::take(&mut self.read)
    }

    /// The connection itself.
    ///
    /// # Panics
    /// Where something was read that nobody asked for.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.read.is_empty(), "{} bytes were read", self.read.len());
        self.stream
    }

    /// Whether the peer closes within `bound`; what it says meanwhile is kept.
    pub async fn closes_within(&mut self, bound: Duration) -> bool {
        timeout(bound, async { while self.more().await {} }).await.is_ok()
    }

    /// Reads once; `false` at the end. A reset is an end too.
    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(length) if length > 0)
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Head { status, text }
    }

    /// The value of the header `name`; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map_or("", |(_, value)| value.trim())
    }
}

/// The head of the answer to `bytes` on a connection of its own.
///
/// # Panics
/// Where nobody listens, or nothing comes.
pub async fn ask(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Head {
    let mut raw = Raw::connect(address).await;
    raw.write(bytes).await;
    raw.head().await
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
