//! What goes over loopback, as somebody sees it who may listen there.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// `ETH_P_ALL`, in the order of bytes of the network.
const EVERYTHING: i32 = 0x0003_u16.to_be() as i32;
/// The most that a packet on loopback holds.
const PACKET: usize = 64 << 10;

/// A capture under way.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Seen>>,
}

/// A TCP packet with the marker in it, by its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Who sent it.
    pub from: u16,
    /// Who was sent it.
    pub to: u16,
}

impl Capture {
    /// Looks from now on for packets that hold `marker`.
    ///
    /// # Panics
    /// Where we may not listen, which takes root.
    pub fn start(marker: &str) -> Self {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(EVERYTHING)));
        let mut socket = socket.expect("listening to packets takes root");
        // As much as we may have: a packet that finds no room is lost.
        let _smaller = socket.set_recv_buffer_size(64 << 20);
        let pause = Some(Duration::from_millis(50));
        socket.set_read_timeout(pause).expect("a bound on reading");
        let (stop, marker) = (Arc::new(AtomicBool::new(false)), marker.as_bytes().to_vec());
        let theirs = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut seen, mut packet) = (Vec::new(), vec![0; PACKET]);
            loop {
                match socket.read(&mut packet) {
                    Ok(length) => seen.extend(look(&packet[..length], &marker)),
                    // All that came before is read.
                    Err(_) if theirs.load(Ordering::Acquire) => return seen,
                    Err(_) => {}
                }
            }
        });
        Capture { stop, thread }
    }

    /// Ends it; what was seen, in order.
    ///
    /// # Panics
    /// If the thread that looks did.
    pub fn end(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the capture ends")
    }
}

/// The ports of an IPv4 packet of TCP, if it holds the marker.
fn look(packet: &[u8], marker: &[u8]) -> Option<Seen> {
    let first = *packet.first()?;
    if first >> 4 != 4 || packet.get(9) != Some(&6) {
        return None;
    }
    let segment = packet.get(usize::from(first & 15) * 4..)?;
    let port = |at: usize| Some(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?]));
    let seen = Seen { from: port(0)?, to: port(2)? };
    segment.windows(marker.len()).any(|window| window == marker).then_some(seen)
}

/// The ports that a process has at its own end of established TCP connections.
pub fn held(pid: u32) -> BTreeSet<u16> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let links = files.into_iter().flatten();
    let links = links.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let links: BTreeSet<_> = links.collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_held = words.get(3) == Some(&"01")
            && links.contains(Path::new(&format!("socket:[{}]", words.get(9)?)));
        let (_, port) = words.get(1)?.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok().filter(|_| is_held)
    };
    table.lines().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_is_sent_is_seen_with_its_ports_and_by_whom() {
        let capture = Capture::start("a-marker-of-this-test");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap().port();
        let mut sent = TcpStream::connect(("127.0.0.1", there)).unwrap();
        let here = sent.local_addr().unwrap().port();
        let (mut taken, _) = listener.accept().unwrap();
        sent.write_all(b"before a-marker-of-this-test behind").unwrap();
        taken.read_exact(&mut [0; 35]).unwrap();
        assert!(held(std::process::id()).contains(&here));
        assert!(!held(1).contains(&here));
        let seen = capture.end();
        assert!(seen.contains(&Seen { from: here, to: there }), "{seen:?}");
        assert!(seen.iter().all(|seen| *seen == Seen { from: here, to: there }), "{seen:?}");
    }
}
