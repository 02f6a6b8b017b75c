//! Asking servers that answer oddly, and the connection itself.

use crate::{
    deadline::{Deadline, Phase},
    http::{
        Answer, Framing, Headers, HttpConnection, HttpError, Method, Refused, Status, Version,
        client::{Ask, Client, ask},
        encode::push_request,
        limits::{MAX_INTERIM, MAX_UNWANTED},
    },
    wire::WireError,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

const LONG: Duration = Duration::from_secs(20);

/// A server that reads the head of one request, answers with these bytes, and ends the connection, or keeps it until
/// the client does.
fn answers_once(answer: impl Into<Vec<u8>>, then_close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.into();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut byte) = (Vec::new(), [0]);
        while !seen.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            seen.push(byte[0]);
        }
        let _gone = stream.write_all(&answer);
        if !then_close {
            let _end = stream.read(&mut byte);
        }
    });
    address
}

fn get(answer: impl Into<Vec<u8>>) -> Result<crate::http::client::Reply, HttpError> {
    ask(answers_once(answer, true), &Ask::get("/").limit(1_000), LONG)
}

/// A connection and the raw socket at its other end.
fn pair() -> (HttpConnection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let raw = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    raw.set_read_timeout(Some(LONG)).unwrap();
    (HttpConnection::new(Arc::new(listener.accept().unwrap().0)).unwrap(), raw)
}

#[test]
fn interim_answers_are_passed_over_but_not_without_end() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(get(early.repeat(MAX_INTERIM) + last).unwrap().text(), "ok");
    let error = get(early.repeat(MAX_INTERIM + 1) + last).unwrap_err();
    assert!(matches!(error, HttpError::Refused(Refused::TooManyInterim)), "{error}");
}

#[test]
fn an_answer_that_ends_with_the_connection_is_taken_whole() {
    let reply = get("HTTP/1.0 200 OK\r\n\r\nall of it").unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (Status::OK, "all of it"));
}

#[test]
fn an_answer_that_is_cut_large_or_malformed_is_an_error() {
    let cut = |answer: &str| matches!(get(answer).unwrap_err(), HttpError::Refused(Refused::Cut));
    assert!(cut(""));
    assert!(cut("HTTP/1.1 200 OK\r\nContent-Le"));
    assert!(cut("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"));
    assert!(cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
    let large =
        |answer: String| matches!(get(answer).unwrap_err(), HttpError::Refused(Refused::TooLarge { limit: 1_000 }));
    assert!(large("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".into()), "by its claim");
    assert!(large(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(1_001))), "by what came");
    let twice = get("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok").unwrap_err();
    assert!(matches!(twice, HttpError::Refused(Refused::LengthTwice)));
}

#[test]
fn a_server_that_says_nothing_or_half_is_not_waited_for() {
    for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"] {
        let address = answers_once(answer, false);
        let error = ask(address, &Ask::get("/"), Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, HttpError::Wire(WireError::Timeout { .. })), "{answer:?}: {error}");
    }
}

#[test]
fn a_connection_that_is_not_kept_is_not_used_again() {
    let address = answers_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", false);
    let mut client = Client::connect(address, LONG).unwrap();
    assert_eq!(client.ask(&Ask::get("/"), LONG).unwrap().text(), "ok");
    assert!(!client.is_kept());
    let error = client.ask(&Ask::get("/"), LONG).unwrap_err();
    assert!(matches!(error, HttpError::Wire(WireError::Closed { phase: Phase::Send, .. })), "{error}");
}

#[test]
fn a_next_head_is_only_looked_for_behind_the_body() {
    let (mut connection, mut raw) = pair();
    raw.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    connection.read_request(LONG).unwrap().unwrap();
    let error = connection.read_request(LONG).unwrap_err();
    assert!(matches!(error, HttpError::Refused(Refused::BodyUnread)), "{error}");
    assert!(connection.skip_body(MAX_UNWANTED));
    assert_eq!(connection.read_request(LONG).unwrap().unwrap().path(), "/b");
    assert!(connection.is_settled());
    drop(raw);
    assert!(connection.read_request(LONG).unwrap().is_none());
}

#[test]
fn whoever_waits_for_continue_is_not_waited_for() {
    let (mut connection, mut raw) = pair();
    raw.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
    connection.read_request(LONG).unwrap().unwrap();
    assert!(!connection.skip_body(MAX_UNWANTED));
    drop(connection);
    let mut nothing = Vec::new();
    raw.read_to_end(&mut nothing).unwrap();
    assert!(nothing.is_empty(), "the body was not asked for");
}

#[test]
fn a_streamed_request_and_its_answer_pass_between_two_connections() {
    let (mut server, raw) = pair();
    let asking = thread::spawn(move || {
        let mut client = HttpConnection::new(Arc::new(raw)).unwrap();
        let mut headers = Headers::new();
        headers.push("Host", "a").unwrap();
        let mut head = Vec::new();
        push_request(&mut head, (&Method::Post, "/", Version::Http11), &headers, Framing::Chunked, None);
        let mut out = client.write(head, Framing::Chunked);
        (0..1_000).for_each(|n| writeln!(out, "line {n} {}", "x".repeat(n)).unwrap());
        out.trailer("Digest", "y").unwrap();
        out.finish().unwrap();
        let answer = client.read_answer(&Method::Post, Deadline::after(LONG)).unwrap();
        (answer, client.body().whole(10).unwrap())
    });
    let request = server.read_request(LONG).unwrap().unwrap();
    assert_eq!(request.framing, Framing::Chunked);
    let mut body = server.body();
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!((text.lines().count(), body.trailer().get("digest")), (1_000, Some("y")));
    assert!(text.lines().enumerate().all(|(n, line)| line == format!("line {n} {}", "x".repeat(n))));
    server.send(&[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]).unwrap();
    let (answer, body): (Answer, Vec<u8>) = asking.join().unwrap();
    assert_eq!((answer.status, body.as_slice()), (Status::OK, &b"ok"[..]));
}
