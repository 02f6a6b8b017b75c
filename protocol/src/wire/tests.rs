//! Frames over real sockets: split, cut, slow, lying.

use super::*;
use crate::{
    frame::{FrameError, Kind, MAGIC},
    id::RequestId,
    limits::HEADER_TIME,
    message::{ErrorCode, Failure},
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Instant,
};

const ID: RequestId = RequestId { client: 7, sequence: 9 };

/// A connection and the raw socket at its other end.
fn pair() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let raw = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    raw.set_nodelay(true).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (Connection::new(Arc::new(accepted)).unwrap(), raw)
}

fn soon() -> Option<Deadline> {
    Some(Deadline::after(Duration::from_secs(20)))
}

type Whole = (Prefix, Vec<u8>, Vec<u8>);

/// Reads a frame whole.
fn receive(connection: &mut Connection, rest: Duration) -> Result<Option<Whole>, WireError> {
    let (mut header, mut body) = (Vec::new(), Vec::new());
    let Some(prefix) = connection.next(&mut header, Phase::Idle, soon(), rest)? else { return Ok(None) };
    connection.append_body(prefix.body_len as usize, &mut body)?;
    Ok(Some((prefix, header, body)))
}

fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_frame(&mut bytes, Kind::Query, ID, header, body);
    bytes
}

#[test]
fn a_frame_arrives_whole_however_it_is_split() {
    let bytes = frame(b"{}", b"SELECT 1");
    for cut in 0..=bytes.len() {
        let (mut connection, mut raw) = pair();
        raw.write_all(&bytes[..cut]).unwrap();
        let rest = bytes[cut..].to_vec();
        let writer = thread::spawn(move || {
            raw.write_all(&rest).unwrap();
            raw
        });
        let (prefix, header, body) = receive(&mut connection, HEADER_TIME).unwrap().unwrap();
        assert_eq!((prefix.kind, prefix.id, &header[..], &body[..]), (Kind::Query, ID, &b"{}"[..], &b"SELECT 1"[..]));
        drop(writer.join().unwrap());
        assert!(receive(&mut connection, HEADER_TIME).unwrap().is_none(), "an end between frames is no error");
    }
}

#[test]
fn a_frame_cut_at_any_byte_is_an_error_and_never_a_frame() {
    let bytes = frame(b"{}", b"SELECT 1");
    for cut in 1..bytes.len() {
        let (mut connection, mut raw) = pair();
        raw.write_all(&bytes[..cut]).unwrap();
        drop(raw);
        let error = receive(&mut connection, HEADER_TIME).unwrap_err();
        assert!(matches!(error, WireError::Closed { .. }), "cut at {cut}: {error}");
    }
}

#[test]
fn many_frames_in_one_write_are_many_frames() {
    let (mut connection, mut raw) = pair();
    let mut bytes = Vec::new();
    for n in 0..100_u8 {
        push_frame(&mut bytes, Kind::Data, ID, &vec![b' '; usize::from(n)], &vec![n; usize::from(n) * 100]);
    }
    let writer = thread::spawn(move || raw.write_all(&bytes));
    for n in 0..100_u8 {
        let (_, header, body) = receive(&mut connection, HEADER_TIME).unwrap().unwrap();
        assert_eq!((header.len(), body), (usize::from(n), vec![n; usize::from(n) * 100]));
    }
    writer.join().unwrap().unwrap();
}

#[test]
fn a_length_that_lies_costs_a_deadline_and_no_memory() {
    let (mut connection, mut raw) = pair();
    let prefix = Prefix::new(Kind::Query, ID, 16_000, 0);
    raw.write_all(&prefix.encode()).unwrap();
    raw.write_all(b"{}").unwrap();
    let error = receive(&mut connection, Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, WireError::Timeout { phase: Phase::Header, .. }), "{error}");
}

#[test]
fn lengths_over_the_limit_are_refused_before_anything_is_read() {
    let (mut connection, mut raw) = pair();
    let mut bytes = frame(b"", b"");
    bytes[28..32].copy_from_slice(&u32::MAX.to_be_bytes());
    raw.write_all(&bytes).unwrap();
    let error = receive(&mut connection, HEADER_TIME).unwrap_err();
    assert!(matches!(error, WireError::Frame { source: FrameError::Body(u32::MAX), .. }), "{error}");
}

#[test]
fn a_stranger_is_told_after_his_first_bytes() {
    let (mut connection, mut raw) = pair();
    raw.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let error = receive(&mut connection, HEADER_TIME).unwrap_err();
    assert!(matches!(error, WireError::Frame { source: FrameError::Magic(m), .. } if &m == b"GET "), "{error}");
}

#[test]
fn a_byte_now_and_then_does_not_extend_the_deadline() {
    let (mut connection, mut raw) = pair();
    let bytes = frame(b"{}", b"");
    let rest = Duration::from_millis(200);
    let dripping = thread::spawn(move || {
        // Paced, not synchronised: the peer stops by itself when the connection is dropped.
        for byte in bytes {
            if raw.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let begin = Instant::now();
    let error = receive(&mut connection, rest).unwrap_err();
    assert!(matches!(error, WireError::Timeout { phase: Phase::Header, .. }), "{error}");
    assert!(begin.elapsed() >= rest);
    drop(connection);
    dripping.join().unwrap();
}

#[test]
fn a_large_body_passes_in_both_directions_bit_for_bit() {
    let (mut connection, raw) = pair();
    let mut other = Connection::new(Arc::new(raw)).unwrap();
    let body: Vec<u8> = (0..crate::limits::MAX_BODY).map(|i| (i % 251) as u8).collect();
    let expected = body.clone();
    let sender = thread::spawn(move || {
        other.send(&Prefix::new(Kind::Data, ID, 2, body.len()), b"{}", &body).unwrap();
        other
    });
    let (_, _, got) = receive(&mut connection, HEADER_TIME).unwrap().unwrap();
    assert!(got == expected);
    drop(sender.join().unwrap());
}

#[test]
fn a_look_tells_silence_bytes_and_an_end_apart() {
    let (connection, mut raw) = pair();
    assert_eq!(connection.pending(), Pending::Nothing);
    assert!(!connection.wait_readable(Deadline::after(Duration::from_millis(5))).unwrap());
    raw.write_all(&MAGIC).unwrap();
    assert!(connection.wait_readable(soon().unwrap()).unwrap());
    assert_eq!(connection.pending(), Pending::Bytes);
    let (second, raw_second) = pair();
    drop(raw_second);
    assert!(second.wait_readable(soon().unwrap()).unwrap());
    assert_eq!(second.pending(), Pending::Gone);
}

#[test]
fn a_frame_is_taken_ahead_only_if_it_is_there_whole_and_wanted() {
    let (mut connection, mut raw) = pair();
    let bytes = frame(b"{}", b"SELECT 1");
    let begin = Instant::now();
    for cut in 0..bytes.len() {
        assert!(!connection.take_if(|_| true), "cut at {cut}");
        raw.write_all(&bytes[cut..=cut]).unwrap();
        assert!(connection.wait_readable(soon().unwrap()).unwrap());
    }
    assert!(begin.elapsed() < HEADER_TIME, "a look must not wait");
    assert!(!connection.take_if(|prefix| prefix.kind == Kind::Cancel));
    // The last byte may still be on its way.
    while !connection.take_if(|prefix| prefix.kind == Kind::Query && prefix.id == ID) {}
    raw.write_all(&bytes).unwrap();
    assert!(receive(&mut connection, HEADER_TIME).unwrap().is_some(), "the next one is untouched");
    drop(raw);
    assert!(connection.wait_readable(soon().unwrap()).unwrap());
    assert!(!connection.take_if(|_| true), "the peer has ended");
}

#[test]
fn a_claimed_length_takes_no_memory_before_bytes_come() {
    let (mut connection, raw) = pair();
    let mut body = Vec::new();
    drop(raw);
    connection.append_body(crate::limits::MAX_BODY, &mut body).unwrap_err();
    assert!(body.capacity() <= 2 * BUFFER, "{} bytes", body.capacity());
}

#[test]
fn of_two_connections_the_one_that_speaks_is_named() {
    let (first, _raw_first) = pair();
    let (second, raw_second) = pair();
    let neither = wait_either(&first, &second, Deadline::after(Duration::from_millis(5))).unwrap();
    assert_eq!(neither, Readable { first: false, second: false });
    assert_eq!(wait_any(&[&first, &second], Deadline::after(Duration::from_millis(5))).unwrap(), None);
    drop(raw_second);
    assert_eq!(wait_any(&[&first, &second], soon().unwrap()).unwrap(), Some(1));
    let gone = wait_either(&first, &second, soon().unwrap()).unwrap();
    assert_eq!(gone, Readable { first: false, second: true });
}

#[test]
fn an_error_reaches_a_peer_that_has_sent_more_than_was_read() {
    let (connection, raw) = pair();
    let mut other = Connection::new(Arc::new(raw)).unwrap();
    other.send_raw(&vec![0; 100_000]).unwrap();
    let closing = thread::spawn(move || {
        connection.close_with(ID, &Failure::definite(ErrorCode::BadRequest, "No."));
    });
    let mut header = Vec::new();
    let prefix = other.next(&mut header, Phase::Answer, soon(), HEADER_TIME).unwrap().unwrap();
    let failure: Failure = from_header(other.peer(), &prefix, &header).unwrap();
    assert_eq!((prefix.kind, failure.message.as_str()), (Kind::Error, "No."));
    drop(other);
    closing.join().unwrap();
}

/// A relay between two pairs: what is written at one end, carried, and read at the other.
fn carried(mut carrier: Carrier, sizes: &[usize]) {
    let (mut from, mut source) = pair();
    let (mut to, sink) = pair();
    let mut sink = Connection::new(Arc::new(sink)).unwrap();
    let total: usize = sizes.iter().sum();
    let bytes: Vec<u8> = (0..total).map(|i| (i * 7 % 253) as u8).collect();
    let expected = bytes.clone();
    let writer = thread::spawn(move || source.write_all(&bytes).map(|()| source));
    let reader = thread::spawn(move || {
        let mut got = vec![0; total];
        sink.read_body(&mut got).map(|()| got)
    });
    let mut told = 0;
    for size in sizes {
        let (carried, result) = carrier.carry(&mut from, &mut to, *size);
        result.unwrap();
        assert_eq!((carried.taken, carried.given), (*size, *size));
        told += carried.given;
    }
    assert_eq!(told, total);
    assert!(reader.join().unwrap().unwrap() == expected);
    drop(writer.join().unwrap().unwrap());
}

#[test]
fn bodies_are_carried_bit_for_bit_with_and_without_a_pipe() {
    let sizes = [0, 1, 8_191, 8_192, 8_193, 262_144, 1_048_577, 4_000_000];
    carried(Carrier::new(), &sizes);
    carried(Carrier::copying(), &sizes);
}

#[test]
fn a_body_that_breaks_off_is_carried_as_far_as_it_came() {
    for mut carrier in [Carrier::new(), Carrier::copying()] {
        let (mut from, mut source) = pair();
        let (mut to, mut sink) = pair();
        source.write_all(&[b'x'; 300_000]).unwrap();
        drop(source);
        let (Carried { given: told, .. }, result) = carrier.carry(&mut from, &mut to, 1_000_000);
        let error = result.unwrap_err();
        assert!(matches!(error, CarryError::From(WireError::Closed { phase: Phase::Body, .. })), "{error:?}");
        drop(to);
        let mut got = Vec::new();
        sink.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), told, "what was told is what was passed");
        assert!(told >= 262_144, "whole blocks had come: {told}");
    }
}

#[test]
fn a_receiver_that_does_not_read_is_told_from_a_sender_that_is_silent() {
    for mut carrier in [Carrier::new(), Carrier::copying()] {
        let (mut from, mut source) = pair();
        let (mut to, sink) = pair();
        drop(sink);
        let writer = thread::spawn(move || source.write_all(&vec![0; 4_000_000]));
        let error = carrier.carry(&mut from, &mut to, 4_000_000).1.unwrap_err();
        assert!(matches!(error, CarryError::To(_)), "{error:?}");
        drop(from);
        let _reset = writer.join().unwrap();
    }
}
