//! Answers go from where they were asked.

use super::*;

fn bound(at: &str) -> (Socket, u16) {
    let socket = std::net::UdpSocket::bind(at).unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    (Socket::new(socket).unwrap(), port)
}

/// The next datagram.
async fn next(socket: &Socket, room: &mut Room) -> (Ends, Vec<u8>) {
    loop {
        socket.readable().await.unwrap();
        match socket.receive(room) {
            Ok((ends, length)) => return (ends.unwrap(), room.datagram(length).to_vec()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}

#[tokio::test]
async fn an_answer_goes_from_the_address_that_was_asked() {
    for (at, own, caller) in [
        ("0.0.0.0:0", "127.0.0.2", "127.0.0.1:0"),
        ("127.0.0.2:0", "127.0.0.2", "127.0.0.1:0"),
        ("[::]:0", "::1", "[::1]:0"),
        // An address of IPv4 at a socket for both.
        ("[::]:0", "127.0.0.2", "127.0.0.1:0"),
    ] {
        let (socket, port) = bound(at);
        let caller = UdpSocket::bind(caller).await.unwrap();
        // It takes answers from whom it asked, and from nobody else.
        caller.connect((own.parse::<IpAddr>().unwrap(), port)).await.unwrap();
        let mut room = Room::new();
        for said in ["a", "bc", ""] {
            caller.send(said.as_bytes()).await.unwrap();
            let (ends, datagram) = next(&socket, &mut room).await;
            assert_eq!(datagram, said.as_bytes(), "{at}");
            socket.answer(ends, said.as_bytes()).unwrap();
            let mut heard = [0; 8];
            let length = caller.recv(&mut heard).await.unwrap();
            assert_eq!(&heard[..length], said.as_bytes(), "{at} {own}");
        }
    }
}

#[tokio::test]
async fn the_longest_datagram_goes_both_ways() {
    let (socket, port) = bound("127.0.0.1:0");
    let caller = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    caller.connect(("127.0.0.1", port)).await.unwrap();
    let said: Vec<u8> = (0..LONGEST).map(|at| at as u8).collect();
    caller.send(&said).await.unwrap();
    let mut room = Room::new();
    let (ends, datagram) = next(&socket, &mut room).await;
    assert!(datagram == said);
    socket.answer(ends, &datagram).unwrap();
    let mut heard = vec![0; LONGEST + 1];
    assert_eq!(caller.recv(&mut heard).await.unwrap(), LONGEST);
}

#[tokio::test]
async fn what_was_sent_to_many_goes_between_nobody() {
    let (socket, port) = bound("0.0.0.0:0");
    let caller = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    caller.set_broadcast(true).unwrap();
    // The last address of the loopback network reaches all of it.
    caller.send_to(b"all", ("127.255.255.255", port)).await.unwrap();
    let mut room = Room::new();
    let came = loop {
        socket.readable().await.unwrap();
        match socket.receive(&mut room) {
            Ok(came) => break came,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    };
    assert_eq!(came, (None, 3));
}
