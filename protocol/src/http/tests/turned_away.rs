//! A crew that serves HTTP, over real sockets, to those who speak it badly, slowly, or not to the end.

use super::{
    heads,
    site::{LONG, answers, serve, serve_with, until, until_end},
};
use crate::http::{
    HttpError, Refused, Status, Times,
    client::{Ask, ask},
};
use std::{
    io::{Read, Write},
    net::Shutdown,
    time::{Duration, Instant},
};

#[test]
fn a_refused_request_is_answered_and_nothing_behind_it() {
    let site = serve();
    let smuggling = "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
                     0\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = site.raw(smuggling);
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n") && answer.contains("\"code\":\"bad-request\""), "{answer}");
    assert_eq!(answers(&answer), 1);
    assert_eq!(site.told(), format!("failed: {}", Refused::LengthAndCoding));
    let megabytes = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec(), vec![b'x'; 1_000_000]].concat();
    let mut stream = site.connect();
    // The server refuses after 16 KiB; the rest may find the connection closed.
    let _closed = stream.write_all(&megabytes);
    assert!(until(&mut stream, "\r\n").starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_body_that_nobody_reads_is_dropped_or_ends_the_connection() {
    let site = serve();
    let mut client = site.client();
    client.ask(&Ask::post("/hello").body(vec![b'x'; 60_000]), LONG).unwrap();
    assert!(client.is_kept(), "a small one is read and dropped");
    assert_eq!(client.ask(&Ask::get("/hello"), LONG).unwrap().text(), "hello\n");
    let reply = client.ask(&Ask::post("/hello").body(vec![b'x'; 70_000]), LONG).unwrap();
    assert_eq!((reply.text().as_str(), client.is_kept()), ("hello\n", false));
    let reply = site.ask(&Ask::post("/echo").body(vec![b'x'; 5_000_000]));
    assert_eq!(reply.status, Status::CONTENT_TOO_LARGE, "told although the body was not read");
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let many = head.to_owned() + &chunk.repeat(7) + "0\r\n\r\n";
    assert!(site.raw(many).starts_with("HTTP/1.1 413 "), "a chunked body that grows too large");
}

#[test]
fn a_slow_head_is_cut_off_as_a_whole() {
    let site = serve_with(100, Times { head: Duration::from_millis(300), ..Times::default() });
    let mut stream = site.connect();
    let begin = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let head = b"GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ";
    let mut answer = Vec::new();
    // A byte whenever 20 ms have passed without an answer: no gap is ever long.
    for byte in head.iter().chain(std::iter::repeat(&b'x')) {
        let mut part = [0; 1024];
        let _closed = stream.write_all(&[*byte]);
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&part[..n]),
            Err(_) if answer.is_empty() => assert!(begin.elapsed() < LONG, "never cut off"),
            Err(_) => break,
        }
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_connection_that_asks_nothing_is_ended_without_a_word() {
    let site = serve_with(100, Times { idle: Duration::from_millis(100), ..Times::default() });
    assert_eq!(until_end(&mut site.connect()), "");
    let mut used = site.connect();
    used.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let answer = until_end(&mut used);
    assert!(answer.ends_with("hello\n") && answers(&answer) == 1, "{answer}");
}

#[test]
fn a_message_that_is_cut_is_never_acted_on() {
    let site = serve();
    for cut in ["GET /hel", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nshort"] {
        let mut stream = site.connect();
        stream.write_all(cut.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = until_end(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(site.told(), format!("failed: {}", Refused::Cut));
    }
}

#[test]
fn a_body_that_fails_never_ends_like_one_that_is_whole() {
    let site = serve();
    for path in ["/short", "/long", "/early-panic"] {
        let reply = site.ask(&Ask::get(path));
        assert_eq!(reply.status, Status::INTERNAL_SERVER_ERROR, "{path}: nothing had left yet");
    }
    for path in ["/late-short", "/late-panic"] {
        let error = site.client().ask(&Ask::get(path), LONG).unwrap_err();
        assert!(matches!(error, HttpError::Refused(Refused::Cut)), "{path}: {error}");
    }
}

#[test]
fn a_malformed_body_ends_the_connection() {
    let site = serve();
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let next = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    for body in ["zz\r\n", "1\r\nab\r\n0\r\n\r\n", "1\r\na\n0\r\n\r\n", "0\r\nContent-Length : 5\r\n\r\n"] {
        let answer = site.raw(format!("{head}{body}{next}"));
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(answers(&answer), 1, "{body:?}");
    }
    let tunnel = site.raw(format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n{next}"));
    assert!(tunnel.starts_with("HTTP/1.1 501 ") && answers(&tunnel) == 1, "{tunnel}");
}

#[test]
fn a_full_crew_says_so_and_when_to_come_again() {
    let site = serve_with(1, Times::default());
    let mut client = site.client();
    client.ask(&Ask::get("/hello"), LONG).unwrap();
    let reply = site.ask(&Ask::get("/hello"));
    assert_eq!((reply.status, reply.headers.get("retry-after")), (Status::SERVICE_UNAVAILABLE, Some("1")));
    assert_eq!(site.told(), "turned away: TooManyConnections");
    assert_eq!(client.ask(&Ask::get("/hello"), LONG).unwrap().status, Status::OK);
}

#[test]
fn a_client_cannot_be_made_to_ask_two_things() {
    let site = serve();
    for target in ["/hello HTTP/1.1\r\nHost: a\r\n\r\nGET /admin", "/a b", "", "hello", "/\u{e4}"] {
        let error = ask(site.crew.address(), &Ask::get(target), LONG).unwrap_err();
        assert!(matches!(error, HttpError::Refused(Refused::Target)), "{target:?}: {error}");
    }
    assert!(Ask::get("/").header("X", "a\r\nB: c").is_err());
    assert!(Ask::get("/").header("X y", "a").is_err());
}

#[test]
fn nothing_behind_a_refused_request_is_ever_answered() {
    let site = serve();
    for (bytes, why, status) in heads::refused() {
        let mut stream = site.connect();
        let smuggled = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".repeat(3);
        // The server may have refused before all of it is sent.
        let _closed = stream.write_all(&[bytes.as_slice(), &smuggled].concat());
        let answer = until_end(&mut stream);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
        assert_eq!((answers(&answer), site.told()), (1, format!("failed: {why}")), "{shown:?}");
    }
}

#[test]
fn a_slow_body_is_cut_off_whatever_the_gaps() {
    let site = serve_with(100, Times { body: Duration::from_millis(300), ..Times::default() });
    let mut stream = site.connect();
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let begin = Instant::now();
    let mut part = [0; 1024];
    let answer = loop {
        let _closed = stream.write_all(b"x");
        match stream.read(&mut part) {
            Ok(n) => break String::from_utf8_lossy(&part[..n]).into_owned(),
            Err(_) => assert!(begin.elapsed() < LONG, "never cut off"),
        }
    };
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(begin.elapsed() >= Duration::from_millis(300));
}
