//! Clients that do not speak the protocol, or speak it wrongly.

use crate::kit::{Lab, SOON, echo, farewell};
use loadbalancer::event::Event;
use protocol::{
    frame::{Kind, Prefix},
    id::RequestId,
    limits::{HEADER_TIME, MAX_FILE_NAME, MAX_ID, MAX_SQL},
    message::{ErrorCode, Failure, QueryRequest},
    wire::{push_frame, to_header},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

fn request() -> Vec<u8> {
    let id = RequestId { client: 1, sequence: 1 };
    let header = to_header(&QueryRequest { request: id, client: "1".into(), timeout_ms: None, low_water: 0 });
    let mut bytes = Vec::new();
    push_frame(&mut bytes, Kind::Query, id, &header, b"SELECT name FROM colors");
    bytes
}

/// What someone is told who says this and then waits.
fn told(lab: &Lab, bytes: &[u8]) -> Failure {
    let mut stream = lab.raw();
    stream.write_all(bytes).unwrap();
    farewell(stream).unwrap_or_else(|| panic!("cut off without a word: {}", bytes.escape_ascii()))
}

/// A whole request with some bytes changed.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut request = request();
    request[at..at + bytes.len()].copy_from_slice(bytes);
    request
}

/// A request that ends at any byte because its client is gone is nobody's request, and nobody notices.
#[test]
fn a_request_cut_at_any_byte_by_a_client_that_leaves() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", echo());
    let mut neighbour = lab.client();
    let whole = request();
    for cut in 0..whole.len() {
        let mut stream = lab.raw();
        stream.write_all(&whole[..cut]).unwrap();
        drop(stream);
        if cut % 16 == 0 {
            neighbour.assert_usable();
        }
    }
    neighbour.assert_usable();
    assert!(server.so_far().iter().all(|seen| format!("{seen:?}").contains("still here")), "a part became a request");
    lab.assert_no_panic();
}

/// A request that stops at any byte is cut off after the time for it, and its client is told which time that was.
pub fn a_request_cut_at_any_byte_by_a_client_that_waits() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    let mut neighbour = lab.client();
    let whole = request();
    let streams: Vec<TcpStream> = (1..whole.len()).map(|_| lab.raw()).collect();
    for (cut, mut stream) in (1..whole.len()).zip(&streams) {
        stream.write_all(&whole[..cut]).unwrap();
    }
    neighbour.assert_usable();
    let begin = Instant::now();
    for (cut, stream) in (1..whole.len()).zip(streams) {
        let failure = farewell(stream).unwrap_or_else(|| panic!("cut off at {cut} without a word"));
        assert_eq!(failure.code, ErrorCode::Timeout, "cut at {cut}: {}", failure.message);
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    neighbour.assert_usable();
}

/// Lengths above the limits are refused before a byte of them is waited for.
#[test]
fn lengths_that_lie() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    let mut neighbour = lab.client();
    for at in [24, 28] {
        for length in [0xffff_ffff_u32, 0x0040_0001, 0x8000_0000] {
            let failure = told(&lab, &changed(at, &length.to_be_bytes()));
            assert_eq!(failure.code, ErrorCode::TooLarge, "{}", failure.message);
        }
    }
    // A header that is said to be shorter is cut in its middle.
    assert_eq!(told(&lab, &changed(27, &[3])).code, ErrorCode::BadRequest);
    neighbour.assert_usable();
}

/// Whoever speaks another version is told which one is spoken here.
#[test]
fn another_version() {
    let lab = Lab::new(&[]);
    let failure = told(&lab, &changed(4, &[9]));
    assert_eq!(failure.code, ErrorCode::Version);
    assert!(failure.message.contains("speaks version 9") && failure.message.contains("speaks version 1"));
}

/// An unknown kind of frame, one that only a server may send, and one that belongs to the control port.
#[test]
fn kinds_that_have_no_meaning_here() {
    let lab = Lab::new(&[]);
    for kind in [b'Z', b'?', 0, 255, b'h', b'd', b'x', b'I', b'B'] {
        let failure = told(&lab, &changed(5, &[kind]));
        assert_eq!(failure.code, ErrorCode::BadRequest, "{kind}: {}", failure.message);
    }
}

/// A header must be JSON, and must be the header of its kind.
#[test]
fn headers_that_cannot_be_read() {
    let lab = Lab::new(&[]);
    for header in [&b""[..], b"{", b"[]", b"null", b"\xff\xfe", b"{\"request\":\"no id\"}"] {
        for kind in [Kind::Query, Kind::File] {
            let mut bytes = Vec::new();
            push_frame(&mut bytes, kind, RequestId::NONE, header, b"SELECT 1");
            assert_eq!(told(&lab, &bytes).code, ErrorCode::BadRequest, "{}", header.escape_ascii());
        }
    }
}

/// A browser and someone at telnet are told at once, without waiting for 32 bytes.
#[test]
fn someone_who_speaks_something_else() {
    let lab = Lab::new(&[]);
    let begin = Instant::now();
    let all = [&b"GET / HTTP/1.1\r\n\r\n"[..], b"help\r\n", b"\r\n", b"\0", b"LABX"];
    for words in all {
        let failure = told(&lab, words);
        assert_eq!(failure.code, ErrorCode::BadRequest, "{}", failure.message);
    }
    // In all: one of them may have met a busy machine.
    assert!(begin.elapsed() < HEADER_TIME * all.len() as u32, "{:?}", begin.elapsed());
}

/// Random bytes, alone and behind a good prefix: a farewell or an answer, never a hang and never a panic.
#[test]
fn random_bytes() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    let mut neighbour = lab.client();
    for round in 0..300 {
        let mut bytes: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
        if random.bool() {
            // Most of the way in: a request, then some of its bytes are changed.
            bytes = request();
            (0..random.usize(1..4)).for_each(|_| *random.choice(&mut bytes).unwrap() = random.u8(..));
        }
        let mut stream = lab.raw();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let hung = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!hung, "seed {seed}, round {round}: neither an answer nor an end");
        assert!(answer.is_empty() || answer.starts_with(b"LABP"), "seed {seed}, round {round}");
    }
    neighbour.assert_usable();
    lab.assert_no_panic();
}

/// What is too long, but honestly so, is refused, and the connection stays.
#[test]
fn requests_that_are_too_long() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", echo());
    let mut client = lab.client();
    assert_eq!(client.fetch(&"n".repeat(MAX_FILE_NAME + 1)).verdict(), (ErrorCode::TooLarge, true));
    client.assert_usable();
    assert_eq!(client.ask(&"s".repeat(MAX_SQL + 1)).verdict(), (ErrorCode::TooLarge, true));
    client.assert_usable();
    let id = client.next_id();
    let header =
        to_header(&QueryRequest { request: id, client: "c".repeat(MAX_ID + 1), timeout_ms: None, low_water: 0 });
    client.connection.send(&Prefix::new(Kind::Query, id, header.len(), 1), &header, b";").unwrap();
    assert_eq!(client.answer(id).verdict(), (ErrorCode::TooLarge, true));
    client.assert_usable();
    let id = client.send(Kind::File, b"{}", &vec![0; MAX_SQL + 1]);
    assert_eq!(client.answer(id).verdict(), (ErrorCode::TooLarge, true), "a body that a file request does not have");
    client.assert_usable();
    assert_eq!(server.so_far().len(), 4, "none of them reached the server");
    assert!(client.ask(&"s".repeat(MAX_SQL)).text().len() > MAX_SQL, "the longest that is allowed");
}

/// One client more than may be connected is told so in a frame, also if it has begun to speak; then there is room
/// again.
#[test]
fn one_client_too_many() {
    let lab = Lab::new(&["--max-connections", "1"]);
    let _server = lab.server("1", echo());
    let mut first = lab.client();
    first.assert_usable();
    for words in [Vec::new(), request()] {
        let mut second = lab.raw();
        second.write_all(&words).unwrap();
        let failure = farewell(second).expect("a word");
        assert_eq!((failure.code, failure.definite), (ErrorCode::Busy, true));
    }
    drop(first);
    lab.until_event("the first client's leaving", |event| matches!(event, Event::ClientLeft { .. }));
    let usable = || {
        let mut stream = lab.raw();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(&request()).unwrap();
        let mut prefix = [0; 32];
        stream.read_exact(&mut prefix).is_ok() && prefix[5] == b'h'
    };
    let until = Instant::now() + SOON;
    while !usable() {
        assert!(Instant::now() < until, "no room again");
        thread::yield_now();
    }
}

/// Two kinds of clients together: a hundred that talk nonsense, and one that does not notice.
#[test]
fn nobody_else_notices() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| drop(told(&lab, b"nonsense"))));
        }
        let mut client = lab.client();
        (0..100).for_each(|_| client.assert_usable());
    });
    lab.assert_no_panic();
}
