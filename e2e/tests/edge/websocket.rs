//! WebSocket through a gateway, by the sections of RFC 6455: it opens what both sides agree on, and then changes,
//! holds back and adds nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use e2e::program::free_port;
use e2e::raw::Raw;
use e2e::trust::Authority;
use e2e::{Gateway, Setup, soak, wait, yaml};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::scene::HOST;

/// The example of section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How a backend answers heads, and what it does then.
#[derive(Clone, Copy)]
enum Manner {
    /// It sends back what comes, and ends once nothing more does.
    Echoes,
    /// It says something behind its head, in one piece with it, and then echoes.
    SpeaksFirst,
    /// It takes no version of the protocol but another.
    Refuses,
    /// It ends first, and goes on reading.
    EndsFirst,
}

/// What it says first.
const FIRST: &[u8] = b"\x81\x05first";

/// A backend, and the heads that it gets.
async fn backend(manner: Manner) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (heads, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, manner, heads.clone()));
        }
    });
    (address, seen)
}

/// Talks on one connection; an error ends it.
async fn talk(
    mut stream: TcpStream,
    manner: Manner,
    heads: mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let _nobody_looks = heads.send(String::from_utf8_lossy(&head).into_owned());
    if let Manner::Refuses = manner {
        let refused = "HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 12\r\n\
                       content-length: 0\r\n\r\n";
        return stream.write_all(refused.as_bytes()).await;
    }
    let agreed = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: chat\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9\r\n\r\n"
    );
    let mut said = agreed.into_bytes();
    if let Manner::SpeaksFirst = manner {
        said.extend_from_slice(FIRST);
    }
    stream.write_all(&said).await?;
    if let Manner::EndsFirst = manner {
        stream.write_all(b"\x88\x02\x03\xe8").await?;
        stream.shutdown().await?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await?;
        let _nobody_looks = heads.send(format!("{rest:?}"));
        return Ok(());
    }
    let mut piece = vec![0; 64 << 10];
    loop {
        match stream.read(&mut piece).await? {
            0 => return stream.shutdown().await,
            length => stream.write_all(&piece[..length]).await?,
        }
    }
}

async fn gateway(address: SocketAddr) -> Gateway {
    Setup::new()
        .with(yaml::service_speaking("chat", "kubernetes.io/ws", &[address]))
        .with(yaml::path_route("all", "/", "chat"))
        .start()
        .await
}

/// A client's opening handshake, with these lines for what is to be switched to.
fn opening(lines: &str) -> String {
    format!(
        "GET /chat?room=1 HTTP/1.1\r\nHost: {HOST}\r\n{lines}Sec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
         Origin: https://{HOST}\r\n\r\n"
    )
}

const USUAL: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";

/// One that was opened.
async fn opened(gateway: &Gateway) -> Raw {
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write(opening(USUAL)).await;
    assert_eq!(raw.head().await.status, 101);
    raw
}

/// Sections 4.1 and 4.2.
#[tokio::test]
async fn what_client_and_server_ask_of_each_other_goes_on_as_it_is() {
    let (address, mut heads) = backend(Manner::Echoes).await;
    let gateway = gateway(address).await;
    for lines in [
        USUAL,
        "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n",
        "Connection: keep-alive\r\nConnection: UPGRADE\r\nUpgrade: WEBSOCKET\r\n",
    ] {
        let mut raw = Raw::connect(gateway.web()).await;
        raw.write(opening(lines)).await;
        let head = raw.head().await;
        assert_eq!(head.status, 101, "{lines}: {}", head.text);
        assert_eq!(head.header("sec-websocket-accept"), ACCEPT);
        assert_eq!(head.header("sec-websocket-protocol"), "chat");
        let agreed = "permessage-deflate; client_max_window_bits=9";
        assert_eq!(head.header("sec-websocket-extensions"), agreed);
        assert_eq!(head.header("upgrade").to_ascii_lowercase(), "websocket");
        assert_eq!(head.header("connection").to_ascii_lowercase(), "upgrade");
        let asked = heads.recv().await.unwrap().to_ascii_lowercase();
        for line in [
            "get /chat?room=1 http/1.1",
            "upgrade: websocket",
            "connection: upgrade",
            &format!("sec-websocket-key: {}", KEY.to_ascii_lowercase()),
            "sec-websocket-version: 13",
            "sec-websocket-protocol: chat, superchat",
            "sec-websocket-extensions: permessage-deflate; client_max_window_bits",
            &format!("origin: https://{HOST}"),
        ] {
            let times = asked.lines().filter(|asked| *asked == line).count();
            assert_eq!(times, 1, "'{line}' in {asked}");
        }
    }
}

/// Section 4.2.2: a server that does not take the version says which it takes, and nothing is switched.
#[tokio::test]
async fn a_refused_handshake_is_an_answer_like_any_other() {
    let (address, _heads) = backend(Manner::Refuses).await;
    let gateway = gateway(address).await;
    let mut raw = Raw::connect(gateway.web()).await;
    for _ in 0..2 {
        raw.write(opening(USUAL)).await;
        let head = raw.head().await;
        assert_eq!((head.status, head.header("sec-websocket-version")), (426, "12"));
    }
}

/// A frame by section 5.2, with as many bytes for its length as `width` says.
fn frame(first: u8, mask: Option<[u8; 4]>, width: usize, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let length = payload.len() as u64;
    let mut frame = vec![first];
    match width {
        0 => frame.push(masked | length as u8),
        2 => {
            frame.push(masked | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            frame.push(masked | 127);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    frame.extend_from_slice(payload);
    frame
}

/// Every opcode, with and without an end, a reserved bit, a mask, in each width of length, also a needlessly wide
/// one, with payloads that are no UTF-8: sections 5.2 to 5.7 and 8.1.
fn frames() -> Vec<Vec<u8>> {
    let payload = |length: usize| (0..length).map(|at| (at * 7) as u8 ^ 0xff).collect::<Vec<_>>();
    let mut frames = Vec::new();
    for opcode in 0..16 {
        for flags in (0..16).map(|flags| flags << 4) {
            for mask in [None, Some([0x37, 0xfa, 0x21, 0x3d])] {
                frames.push(frame(flags | opcode, mask, 0, &payload(usize::from(opcode) * 8)));
            }
        }
    }
    for (width, length) in
        [(0, 0), (0, 125), (2, 5), (2, 126), (2, 65_535), (8, 5), (8, 65_536), (8, 1 << 20)]
    {
        frames.push(frame(0x82, None, width, &payload(length)));
    }
    frames
}

/// Whether what is written comes back as it was, while it is read at the same time.
async fn comes_back(stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8], piece: usize) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        for piece in bytes.chunks(piece) {
            writer.write_all(piece).await.expect("it is taken");
            writer.flush().await.expect("it is taken");
        }
    };
    let read = async {
        let mut back = vec![0; bytes.len()];
        reader.read_exact(&mut back).await.expect("it comes back");
        back
    };
    let ((), back) = wait::within("all to come back", async { tokio::join!(write, read) }).await;
    assert!(back == bytes, "{} bytes in pieces of {piece} came back otherwise", bytes.len());
}

#[tokio::test]
async fn frames_of_every_sort_pass_byte_for_byte_in_whatever_pieces() {
    let (address, _heads) = backend(Manner::Echoes).await;
    let gateway = gateway(address).await;
    let frames = frames();
    let short: Vec<u8> = frames.iter().filter(|one| one.len() < 200).flatten().copied().collect();
    for (bytes, piece) in
        [(&short, 1), (&short, 3), (&frames.concat(), 1400), (&frames.concat(), 1 << 20)]
    {
        comes_back(opened(&gateway).await.into_stream(), bytes, piece).await;
    }
}

/// What is sent before the answer to the handshake, and together with it, is not lost: section 4.1 lets a server
/// speak as soon as it has answered.
#[tokio::test]
async fn what_comes_with_a_head_is_the_first_of_what_follows() {
    let (address, _heads) = backend(Manner::SpeaksFirst).await;
    let gateway = gateway(address).await;
    let own = frame(0x81, Some([1, 2, 3, 4]), 0, b"at once");
    let mut raw = Raw::connect(gateway.web()).await;
    raw.write([opening(USUAL).as_bytes(), &own].concat()).await;
    assert_eq!(raw.head().await.status, 101);
    assert_eq!(raw.exactly(FIRST.len() + own.len()).await, [FIRST, &own].concat());
}

/// Sections 5.5.1 and 7.1.1: who has said that it closes is still read from, and the end of each direction is its
/// own.
#[tokio::test]
async fn either_side_may_close_first() {
    let close = frame(0x88, Some([0; 4]), 0, &[3, 0xe8]);
    let (address, _heads) = backend(Manner::Echoes).await;
    let echoing = gateway(address).await;
    let mut stream = opened(&echoing).await.into_stream();
    stream.write_all(&close).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    wait::within("the end", stream.read_to_end(&mut back)).await.unwrap();
    assert_eq!(back, close);

    let (address, mut heads) = backend(Manner::EndsFirst).await;
    let ending = gateway(address).await;
    let mut raw = opened(&ending).await;
    assert_eq!(raw.exactly(4).await, b"\x88\x02\x03\xe8");
    let mut stream = raw.into_stream();
    let end = wait::within("the end", stream.read_to_end(&mut back)).await.unwrap();
    assert_eq!(end, 0);
    stream.write_all(&close).await.unwrap();
    stream.shutdown().await.unwrap();
    heads.recv().await.unwrap();
    assert_eq!(heads.recv().await.unwrap(), format!("{close:?}"));
}

/// A backend that ends its direction first goes on to read what comes in the other one: all of it, however late it
/// reads.
#[tokio::test]
async fn whoever_has_ended_first_still_reads_all() {
    const LENGTH: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (begin, begins) = tokio::sync::oneshot::channel::<()>();
    let reading = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 64 << 10];
        let _head = stream.read(&mut head).await.unwrap();
        let answer = "HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: bytes\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        begins.await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all
    });
    let gateway = gateway(address).await;
    let mut stream = TcpStream::connect(gateway.web()).await.unwrap();
    let asked =
        format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: bytes\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    wait::within("its end", stream.read_to_end(&mut said)).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 101 "), "{}", said.escape_ascii());
    let sent = soak::bytes(1, LENGTH);
    let wanted = sent.clone();
    let mut writing = tokio::spawn(async move {
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    // More does not fit between them than is read.
    tokio::time::timeout(Duration::from_secs(1), &mut writing).await.unwrap_err();
    begin.send(()).unwrap();
    let came = wait::within("all of it", reading).await.unwrap();
    writing.await.unwrap();
    assert!(came == wanted, "{} of {LENGTH} bytes came, or others", came.len());
}

/// Section 5.4: a message may be of any length; who reads slowly is waited for.
#[tokio::test]
async fn a_long_message_passes_a_reader_that_takes_its_time() {
    const LENGTH: usize = 64 << 20;
    let (address, _heads) = backend(Manner::Echoes).await;
    let gateway = gateway(address).await;
    let (mut reader, mut writer) = tokio::io::split(opened(&gateway).await.into_stream());
    let sent = frame(0x82, Some([9, 8, 7, 6]), 8, &vec![0xa5; LENGTH]);
    let wanted = sent.clone();
    let mut writing = tokio::spawn(async move { writer.write_all(&sent).await });
    // More does not fit between them than is read.
    tokio::time::timeout(Duration::from_secs(1), &mut writing).await.unwrap_err();
    let mut back = vec![0; wanted.len()];
    wait::within("the message", reader.read_exact(&mut back)).await.unwrap();
    assert!(back == wanted, "it came back otherwise");
    writing.await.unwrap().unwrap();
}

/// Section 3: `wss` is the same over TLS.
#[tokio::test]
async fn over_tls_it_is_the_same() {
    let (address, _heads) = backend(Manner::Echoes).await;
    let (authority, port) = (Authority::new(), free_port());
    let gateway = Setup::bare()
        .listener("tls", port, yaml::https("tls", port, HOST, "cert"))
        .with(yaml::tls_secret("cert", &authority.sign(HOST)))
        .with(yaml::service("chat", &[address]))
        .with(yaml::path_route("all", "/", "chat"))
        .start()
        .await;
    let connector = tokio_rustls::TlsConnector::from(authority.client(&["http/1.1"]));
    let stream = TcpStream::connect(gateway.listener("tls")).await.unwrap();
    let mut stream = connector.connect(HOST.try_into().unwrap(), stream).await.unwrap();
    stream.write_all(opening(USUAL).as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(wait::within("the head", stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    comes_back(stream, &frames().concat(), 1 << 16).await;
}
