//! Datagrams that come, and that must not come back.

use super::{super::fixture::start, turn_around};
use crate::ServiceName;
use protocol::{handshake::who_is_there, registry::Registry};
use std::{net::UdpSocket, time::Duration};

const LONG: Duration = Duration::from_secs(20);

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

#[test]
fn the_payload_is_turned_around_and_the_tag_stays() {
    let turned = |bytes: &[u8], tag| {
        let mut bytes = bytes.to_vec();
        turn_around(&mut bytes, tag).then_some(bytes)
    };
    assert_eq!(turned(&[1, 2, 3, 7, 8], 2), Some(vec![3, 2, 1, 7, 8]));
    assert_eq!(turned(&[1, 2, 3], 0), Some(vec![3, 2, 1]));
    assert_eq!(turned(&[1, 9, 8, 7, 6, 5, 4, 3, 2], 8), Some(vec![1, 9, 8, 7, 6, 5, 4, 3, 2]));
    for (nothing, tag) in [(&[7_u8, 8][..], 2), (&[7], 2), (&[], 2), (&[], 0), (&[1, 2, 3], 8)] {
        assert_eq!(turned(nothing, tag), None, "{nothing:?}");
    }
}

#[test]
fn a_server_answers_who_asked_and_registers_as_what_it_is() {
    let server = start(ServiceName::Reverse, |_| {});
    let (one, other) = (client(), client());
    one.send_to(&[1, 2, 3, 0x1f, 0x90], server.running.address()).unwrap();
    other.send_to(b"abcdXY", server.running.address()).unwrap();
    let answer = |socket: &UdpSocket| {
        let mut bytes = [0; 64];
        let (len, from) = socket.recv_from(&mut bytes).unwrap();
        assert_eq!(from, server.running.address());
        bytes[..len].to_vec()
    };
    assert_eq!(answer(&one), [3, 2, 1, 0x1f, 0x90]);
    assert_eq!(answer(&other), b"dcbaXY");
    let entry = Registry::new(server.folder.path().join("servers.json")).read().unwrap().entries.remove(0);
    assert_eq!((entry.service.as_str(), entry.address), ("reverse", server.running.address()));
    assert_eq!(who_is_there(server.running.control(), LONG).unwrap().service, "reverse");
    server.running.end();
}

/// Datagrams without a payload are sent before one with it: if one of them were answered, that answer would come first.
#[test]
fn what_has_no_payload_is_never_answered() {
    let server = start(ServiceName::Reverse, |config| config.tag_bytes = 8);
    let socket = client();
    for nothing in [&b""[..], b"d", b"u", &[0; 7], &[0; 8]] {
        socket.send_to(nothing, server.running.address()).unwrap();
    }
    socket.send_to(b"end12345678", server.running.address()).unwrap();
    let mut bytes = [0; 64];
    let len = socket.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..len], b"dne12345678");
}

/// More than a batch, from many, into the buffer of a server that is doing something else: each gets what is his.
#[test]
fn many_at_once_are_each_answered_once() {
    let server = start(ServiceName::Reverse, |config| config.tag_bytes = 0);
    let sockets: Vec<UdpSocket> = (0..200).map(|_| client()).collect();
    for (socket, n) in sockets.iter().zip(0_u8..) {
        socket.send_to(&[n, 7], server.running.address()).unwrap();
    }
    for (socket, n) in sockets.iter().zip(0_u8..) {
        let mut bytes = [0; 8];
        assert_eq!((socket.recv(&mut bytes).unwrap(), &bytes[..2]), (2, &[7, n][..]));
    }
}

#[test]
fn a_server_that_ends_says_so_and_answers_what_was_sent_before() {
    let server = start(ServiceName::Reverse, |config| config.tag_bytes = 0);
    let socket = client();
    let hear = || {
        let mut bytes = [0; 8];
        let len = socket.recv(&mut bytes).unwrap();
        bytes[..len].to_vec()
    };
    let address = server.running.address();
    socket.send_to(&[1, 2, 3], address).unwrap();
    assert_eq!(hear(), [3, 2, 1]);
    let ended = std::thread::spawn(move || server.running.end());
    assert_eq!(hear(), *b"d");
    // As long as it hears something within 100 ms, which a busy machine may not allow; so the answer is not waited for.
    socket.send_to(&[4, 5, 6], address).unwrap();
    ended.join().unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut bytes = [0; 8];
    if let Ok(len) = socket.recv(&mut bytes) {
        assert_eq!(bytes[..len], [6, 5, 4]);
    }
}

#[test]
fn each_period_is_a_line_and_a_server_that_comes_back_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reverse.csv");
    for lives in 1..=2 {
        let server = start(ServiceName::Reverse, |config| {
            (config.tag_bytes, config.statistics) = (0, Some(path.clone()));
        });
        let socket = client();
        socket.send_to(&[], server.running.address()).unwrap();
        socket.send_to(&[1, 2, 3], server.running.address()).unwrap();
        socket.recv(&mut [0; 8]).unwrap();
        server.running.end();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            (lines[0], lines.len()),
            ("unix_s,answered,malformed,while_down,not_sent,kernel_dropped", 1 + lives)
        );
        assert!(lines[lives].split_once(',').unwrap().1 == "1,1,0,0,0", "{text}");
    }
}

/// The largest datagram there is comes back whole.
#[test]
fn the_largest_datagram_comes_back() {
    let server = start(ServiceName::Reverse, |_| {});
    let socket = client();
    let question: Vec<u8> = (0..65_507_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    socket.send_to(&question, server.running.address()).unwrap();
    let mut answer = vec![0; 65_507];
    assert_eq!(socket.recv(&mut answer).unwrap(), question.len());
    assert!(turn_around(&mut answer, 2) && answer == question);
}
