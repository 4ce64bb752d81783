//! Whom a port belongs to, and when its sockets take something.

use std::net::Ipv4Addr;

use super::*;

const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Udp];

/// A socket at a port that the system chose, and its place.
fn probe(transport: Transport) -> (Vec<Inlet>, Place) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let sockets = open((transport, any), 1).unwrap();
    let place = sockets[0].place().unwrap();
    (sockets, place)
}

fn is_listening(socket: &Inlet) -> bool {
    match socket {
        Inlet::Tcp(socket) => SockRef::from(socket).is_listener().unwrap(),
        Inlet::Udp(_) => true,
    }
}

#[test]
fn a_port_that_another_shares_counts_as_in_use() {
    for transport in BOTH {
        let (_ours, place) = probe(transport);
        let again = open(place, 1).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse, "{transport:?}");
    }
}

#[test]
fn a_number_is_another_port_of_each_transport() {
    let (_ours, (_, at)) = probe(Transport::Tcp);
    let other = open((Transport::Udp, at), 1);
    // Somebody else may have it by chance.
    assert!(other.is_ok() || open((Transport::Udp, at), 1).is_err());
}

#[test]
fn sockets_of_another_are_added_to_and_take_nothing_before_they_are_told_to() {
    let (given, place) = probe(Transport::Tcp);
    let all = complete(given, place, 3).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all.iter().filter(|socket| is_listening(socket)).count(), 1);
    all.iter().for_each(|socket| socket.listen().unwrap());
    assert!(all.iter().all(is_listening));
    assert_eq!(complete(all, place, 2).unwrap().len(), 3, "none is left alone");
}

#[test]
fn sockets_for_datagrams_of_another_are_taken_as_they_are() {
    let (given, place) = probe(Transport::Udp);
    assert_eq!(complete(given, place, 3).unwrap().len(), 1);
}

#[test]
fn a_reserved_port_takes_nothing_before_it_is_told_to() {
    let (ours, place) = probe(Transport::Tcp);
    assert_eq!(reserve(place, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(ours);
    let reserved = reserve(place, 2).unwrap();
    assert!(std::net::TcpStream::connect(place.1).is_err());
    reserved.iter().for_each(|socket| socket.listen().unwrap());
    assert!(std::net::TcpStream::connect(place.1).is_ok());
}

#[test]
fn every_worker_gets_a_socket_of_its_own() {
    for transport in BOTH {
        let (ours, place) = probe(transport);
        drop(ours);
        assert_eq!(open(place, 3).unwrap().len(), 3, "{transport:?}");
    }
}

#[test]
fn all_datagrams_of_a_caller_come_to_one_socket() {
    let (ours, place) = probe(Transport::Udp);
    drop(ours);
    let sockets = open(place, 4).unwrap();
    let callers: Vec<_> =
        (0..16).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    for _ in 0..3 {
        for caller in &callers {
            caller.send_to(b"x", place.1).unwrap();
        }
    }
    let mut heard =
        std::collections::BTreeMap::<SocketAddr, std::collections::BTreeSet<usize>>::new();
    let (mut count, mut room) = (0, [0; 8]);
    for (at, socket) in sockets.iter().enumerate() {
        let Inlet::Udp(socket) = socket else { panic!("it is for datagrams") };
        while let Ok((_, from)) = socket.recv_from(&mut room) {
            heard.entry(from).or_default().insert(at);
            count += 1;
        }
    }
    assert_eq!((count, heard.len()), (48, 16));
    assert!(heard.values().all(|sockets| sockets.len() == 1), "{heard:?}");
}
