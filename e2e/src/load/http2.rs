//! HTTP/2 load without TLS: few connections, many streams, one thread writing and one reading.
//!
//! Connection `c` of `n` carries the requests `c`, `c + n`, `c + 2n`, ... in that order, so a
//! stream's number alone tells the reader when its request was due. Only what a fixed GET, or a call of
//! gRPC with one message, needs is spoken: heads are written without compression state, and of an answer's head the load
//! looks at `:status` alone, which comes first and which every server writes as index 8 (200).

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::schedule::{Schedule, sharpen_sleep};
use super::{Plan, Protocol, Reply, Tally, Ticket};

mod frame;

use frame::{Flags, Frame, Kind};

/// Answers that are not there this long after the last request left are errors.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that a server may send before the load allows more.
const WINDOW: u32 = 1 << 30;
/// Streams at a time, fewer if the server says so. A request that has to wait for a stream is
/// charged for the wait, and an overloaded subject does not exhaust the upstream's connections.
const STREAMS: u32 = 100;
/// What every call says.
const MESSAGE: &[u8] = b"hello world\n";

pub(super) fn run(plan: &Plan) -> Result<Tally> {
    ensure!(plan.path.len() < 127 && plan.host.len() < 127, "the path or the host is too long");
    sharpen_sleep();
    let links = (0..plan.connections).map(|_| Link::dial(plan)).collect::<Result<Vec<_>>>()?;
    let schedule = Schedule::new(plan, Instant::now() + Duration::from_millis(20));
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        for (lane, link) in links.iter().enumerate() {
            let lane = Lane { number: lane as u64, plan, schedule: &schedule };
            scope.spawn(move || link.send(&lane));
            readers.push(scope.spawn(move || link.receive(&lane)));
        }
        let mut sum = Tally::default();
        for reader in readers {
            sum.merge(&reader.join().map_err(|_| anyhow!("a connection's thread panicked"))?);
        }
        Ok(sum)
    })
}

/// Which of the requests a connection carries.
#[derive(Clone, Copy)]
struct Lane<'a> {
    number: u64,
    plan: &'a Plan,
    schedule: &'a Schedule,
}

impl Lane<'_> {
    fn ticket(&self, turn: u64) -> Option<Ticket> {
        self.schedule.ticket(self.number + turn * u64::from(self.plan.connections))
    }
}

/// One connection, between the thread that writes requests and the one that reads answers.
struct Link {
    stream: TcpStream,
    writer: Mutex<TcpStream>,
    sent: AtomicU64,
    answered: AtomicU64,
    limit: AtomicU32,
}

impl Link {
    fn dial(plan: &Plan) -> Result<Self> {
        let target = plan.target;
        let stream = TcpStream::connect(target).with_context(|| format!("dialling {target}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut writer = stream.try_clone()?;
        writer.write_all(&frame::opening(WINDOW))?;
        Ok(Self {
            stream,
            writer: Mutex::new(writer),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            limit: AtomicU32::new(STREAMS),
        })
    }

    /// Sends the lane's requests when they are due, then waits for the last answers and closes.
    fn send(&self, lane: &Lane<'_>) {
        let Plan { host, path, .. } = lane.plan;
        let request = match lane.plan.protocol {
            Protocol::Grpc => frame::call(host, path, MESSAGE),
            Protocol::H1 | Protocol::Https | Protocol::H2c => frame::request(host, path),
        };
        let mut turn = 0;
        while let Some(ticket) = lane.ticket(turn) {
            ticket.wait();
            if !self.settle(|open| open < u64::from(self.limit.load(Ordering::Relaxed))) {
                break;
            }
            let stream = (turn as u32) * 2 + 1;
            self.sent.fetch_add(1, Ordering::Relaxed);
            if self.write(&frame::on_stream(&request, stream)).is_err() {
                break;
            }
            turn += 1;
        }
        self.settle(|open| open == 0);
        // The reader sees the end of the stream and stops; it may have done so already.
        let _closed = self.stream.shutdown(Shutdown::Both);
    }

    /// Waits until the number of open streams is as wanted; false if it never came to that.
    fn settle(&self, wanted: impl Fn(u64) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answered = self.answered.load(Ordering::Acquire);
            if wanted(self.sent.load(Ordering::Relaxed).saturating_sub(answered)) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }

    /// Reads answers until the connection ends; requests still open then are errors.
    fn receive(&self, lane: &Lane<'_>) -> Tally {
        let mut answers =
            Answers { link: self, lane, open: HashMap::new(), unseen: 0, tally: Tally::default() };
        let mut input = BufReader::with_capacity(64 * 1024, &self.stream);
        let mut payload = Vec::new();
        while let Ok(head) = Frame::read(&mut input, &mut payload) {
            if answers.take(&head, &payload).is_err() {
                break;
            }
        }
        // A writer that waits for answers which will not come must not wait for its deadline.
        let _closed = self.stream.shutdown(Shutdown::Both);
        let mut tally = answers.tally;
        let sent = self.sent.load(Ordering::Acquire);
        for _ in self.answered.load(Ordering::Acquire)..sent {
            tally.fail();
        }
        self.answered.store(sent, Ordering::Release);
        tally
    }
}

/// The answers of one connection while they come in.
struct Answers<'a> {
    link: &'a Link,
    lane: &'a Lane<'a>,
    open: HashMap<u32, Reply>,
    unseen: u32,
    tally: Tally,
}

impl Answers<'_> {
    fn take(&mut self, frame: &Frame, payload: &[u8]) -> io::Result<()> {
        match frame.kind {
            Kind::Headers => {
                let fresh = Reply { status: 0, body: 0 };
                let reply = self.open.entry(frame.stream).or_insert(fresh);
                if reply.status == 0 && frame::is_ok(frame, payload) {
                    reply.status = 200;
                }
            }
            Kind::Data => self.data(frame, payload)?,
            Kind::Reset => {
                self.open.remove(&frame.stream);
                self.tally.fail();
                self.link.answered.fetch_add(1, Ordering::Release);
            }
            Kind::Settings if !frame.flags.has(Flags::ACK) => {
                if let Some(limit) = frame::max_streams(payload) {
                    self.link.limit.store(limit.clamp(1, STREAMS), Ordering::Relaxed);
                }
                self.link.write(&frame::settings_ack())?;
            }
            Kind::Ping if !frame.flags.has(Flags::ACK) => {
                self.link.write(&frame::ping_ack(payload))?;
            }
            Kind::GoAway => return Err(io::ErrorKind::ConnectionAborted.into()),
            Kind::Settings | Kind::Ping | Kind::Other => {}
        }
        if frame.kind.ends_streams() && frame.flags.has(Flags::END_STREAM) {
            // How a call ended its trailers say; without any it broke off.
            let is_call = self.lane.plan.protocol == Protocol::Grpc;
            if is_call && frame.kind == Kind::Data {
                self.open.insert(frame.stream, Reply { status: 0, body: 0 });
            }
            self.finish(frame.stream);
        }
        Ok(())
    }

    fn data(&mut self, frame: &Frame, payload: &[u8]) -> io::Result<()> {
        if let Some(reply) = self.open.get_mut(&frame.stream) {
            reply.body += payload.len() as u64;
        }
        self.unseen += payload.len() as u32;
        if self.unseen > WINDOW / 2 {
            self.link.write(&frame::window_update(0, self.unseen))?;
            self.unseen = 0;
        }
        Ok(())
    }

    fn finish(&mut self, stream: u32) {
        let turn = u64::from(stream / 2);
        if let (Some(reply), Some(ticket)) = (self.open.remove(&stream), self.lane.ticket(turn)) {
            self.tally.add(ticket, reply, self.lane.plan);
            self.link.answered.fetch_add(1, Ordering::Release);
        }
    }
}
