//! A crew that serves HTTP, over real sockets, to those who speak it well.

use super::site::{LONG, answers, serve, until, until_end};
use crate::http::{
    Method, Status,
    client::{Ask, KeptClient, ask},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    thread,
};

#[test]
fn many_questions_on_one_connection() {
    let site = serve();
    let mut client = site.client();
    for n in 0..50_i64 {
        let reply = client.ask(&Ask::post("/sum").json(&[n, 1]).unwrap(), LONG).unwrap();
        assert_eq!((reply.status, reply.json::<Value>().unwrap()), (Status::OK, json!({ "sum": n + 1 })));
        assert_eq!(reply.headers.get("content-type"), Some("application/json"));
        assert!(reply.headers.get("date").unwrap().ends_with(" GMT"));
    }
    assert!(client.is_kept());
    assert_eq!(site.crew.connections(), 1);
}

#[test]
fn whoever_was_answered_badly_asks_again_on_a_new_connection() {
    let site = serve();
    let mut client = KeptClient::new(site.crew.address(), LONG);
    for _ in 0..3 {
        assert_eq!(client.ask(&Ask::get("/hello")).unwrap().text(), "hello\n");
        assert_eq!(client.ask(&Ask::get("/hello")).unwrap().text(), "hello\n");
        client.ask(&Ask::get("/late-short")).unwrap_err();
    }
}

#[test]
fn each_kind_of_body_arrives_whole() {
    let site = serve();
    let mut client = site.client();
    let count: String = (0..10_000).map(|n| format!("{n}\n")).collect();
    let reply = client.ask(&Ask::get("/count"), LONG).unwrap();
    assert_eq!((reply.text(), reply.trailer.get("count")), (count, Some("10000")));
    assert_eq!(client.ask(&Ask::get("/exact"), LONG).unwrap().text(), "exact");
    assert_eq!(client.ask(&Ask::get("/nothing"), LONG).unwrap().text(), "");
    for size in [0, 1, 4_095, 4_096, 8_191, 8_192, 8_193, 65_536, 100_000] {
        let body: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        assert_eq!(client.ask(&Ask::post("/echo").body(body.clone()), LONG).unwrap().body, body);
    }
    assert!(client.is_kept());
}

#[test]
fn head_is_get_without_the_body_on_a_connection_that_is_kept() {
    let site = serve();
    let mut client = site.client();
    for path in ["/hello", "/count", "/exact", "/nothing", "/missing"] {
        let head = client.ask(&Ask::new(Method::Head, path), LONG).unwrap();
        let get = client.ask(&Ask::get(path), LONG).unwrap();
        assert_eq!((head.status, head.headers.get("content-length")), (get.status, get.headers.get("content-length")));
        assert_eq!(head.headers.get("transfer-encoding"), get.headers.get("transfer-encoding"));
        assert!(head.body.is_empty(), "{path}");
    }
    assert!(client.is_kept());
}

#[test]
fn errors_are_json_and_the_connection_lives_on() {
    let site = serve();
    let mut client = site.client();
    let cases = [
        (Ask::get("/missing"), 404, "not-found", "There is no /missing."),
        (Ask::post("/sum").body("[1,"), 400, "bad-request", "The body is not the JSON"),
        (Ask::get("/panic"), 500, "internal-server-error", "The request made the program fail."),
        (Ask::get("/split"), 500, "internal-server-error", "The field \"X\" cannot be sent"),
    ];
    for (question, status, code, message) in cases {
        let reply = client.ask(&question, LONG).unwrap();
        let error: Value = reply.json().unwrap();
        assert_eq!((reply.status.code(), &error["status"], &error["code"]), (status, &json!(status), &json!(code)));
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
    }
    assert_eq!(site.told(), "panic: asked to");
    assert_eq!(client.ask(&Ask::get("/hello"), LONG).unwrap().text(), "hello\n");
    assert_eq!(site.ask(&Ask::get("/busy")).headers.get("retry-after"), Some("7"));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let site = serve();
    let requests = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none\
                    POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
                    POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nunread\
                    GET /missing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\
                    GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let together = site.raw(requests);
    assert_eq!(answers(&together), 5, "what follows a close is not answered: {together}");
    let places: Vec<_> = ["hello\n", "one", "two", "404"].iter().map(|part| together.find(part).unwrap()).collect();
    assert!(places.is_sorted(), "{together}");
    let mut stream = site.connect();
    for byte in requests.bytes() {
        // The server may have closed behind the fifth request.
        let _closed = stream.write_all(&[byte]);
    }
    let mut split = Vec::new();
    let _reset = stream.read_to_end(&mut split);
    assert_eq!(answers(&String::from_utf8(split).unwrap()), 5);
}

#[test]
fn connections_are_kept_as_the_versions_have_it() {
    let site = serve();
    let old = site.raw("GET /hello HTTP/1.0\r\n\r\nGET /hello HTTP/1.0\r\n\r\n");
    assert_eq!(answers(&old), 1);
    assert!(old.contains("\r\nConnection: close\r\n") && old.ends_with("hello\n"), "{old}");
    let kept = site.raw("GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n");
    assert_eq!(answers(&kept), 2);
    assert!(kept.contains("\r\nConnection: keep-alive\r\n"), "{kept}");
    let closed = site.raw("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n");
    assert!(closed.contains("\r\nConnection: close\r\n"), "{closed}");
    let unknown_length = site.raw("GET /count HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(unknown_length.contains("\r\nConnection: close\r\n"), "only the end of the connection ends this body");
    assert!(!unknown_length.contains("chunked") && unknown_length.ends_with("\n9999\n"));
}

#[test]
fn whoever_waits_for_continue_is_told_when_the_body_is_wanted() {
    let site = serve();
    let head = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
    };
    let mut stream = site.connect();
    stream.write_all(head("/echo", 4).as_bytes()).unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"bodyGET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let rest = until_end(&mut stream);
    assert!(rest.contains("\r\n\r\nbodyHTTP/1.1 200 OK") && rest.ends_with("hello\n"), "{rest}");

    let unwanted = site.raw(head("/hello", 4));
    assert!(unwanted.starts_with("HTTP/1.1 200 OK") && unwanted.contains("Connection: close"), "{unwanted}");
    let too_large = site.raw(head("/echo", 200_000));
    assert!(too_large.starts_with("HTTP/1.1 413 ") && answers(&too_large) == 1, "{too_large}");
    let begun = site.raw(head("/echo", 4).replace("Host", "Connection: close\r\nHost") + "body");
    assert!(begun.starts_with("HTTP/1.1 200 OK"), "who does not wait is not told: {begun}");
    let other = site.raw("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 0\r\n\r\n");
    assert!(other.starts_with("HTTP/1.1 417 "), "{other}");
}

#[test]
fn a_drain_ends_the_waiting_and_lets_the_busy_finish() {
    let site = serve();
    let mut waiting = site.connect();
    waiting.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(until(&mut waiting, "hello\n").starts_with("HTTP/1.1 200 "));
    let address = site.crew.address();
    let busy = thread::spawn(move || ask(address, &Ask::get("/hold"), LONG));
    assert_eq!(site.told(), "holding");
    site.crew.drain();
    assert_eq!(until_end(&mut waiting), "", "ended without a word");
    site.release.send(()).unwrap();
    let reply = busy.join().unwrap().unwrap();
    assert_eq!((reply.text().as_str(), reply.headers.get("connection")), ("held", Some("close")));
    assert!(site.crew.join(LONG));
}

#[test]
fn trailers_reach_the_handler_except_those_that_lie() {
    let site = serve();
    let body = "3\r\nabc\r\n0\r\nDigest: x\r\nContent-Length: 99\r\n\r\n";
    let head = "POST /trailer HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert!(site.raw(head.to_owned() + body).ends_with("\r\n\r\nx"));
}
