//! What goes wrong has the status that says so.

use super::kit::{Front, Origin, SOON, eventually, hello};
use std::{thread, time::Duration};

fn ask(front: &Front, text: &str) -> super::kit::Said {
    front.caller().say(text).hear()
}

#[test]
fn what_the_request_itself_is_at_fault_for() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &["--http-max-body", "10", "--http-host", "a"]);
    let (long, head) = ("x".repeat(9_000), format!("X: {}\r\n", "y".repeat(1_000)).repeat(17));
    let table = [
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n".to_owned()),
        (413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n".to_owned()),
        (
            413,
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n"
                .to_owned(),
        ),
        (414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (417, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: wonders\r\n\r\nx".to_owned()),
        (421, "GET / HTTP/1.1\r\nHost: b\r\n\r\n".to_owned()),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n")),
        (501, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_owned()),
        (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned()),
        (505, "GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned()),
        (508, format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "Via: 1.1 x, 1.1 loadbalancer\r\n".repeat(8))),
    ];
    for (code, text) in table {
        let said = ask(&front, &text);
        assert_eq!(said.code(), code, "{}", text.lines().next().unwrap());
        assert_eq!(said.field("content-type"), Some("application/json"));
    }
    assert!(origin.raw().is_empty());
    assert_eq!(ask(&front, "GET / HTTP/1.1\r\nHost: A:8080\r\n\r\n").code(), 200);
    let said = ask(&front, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789");
    assert_eq!(said.code(), 200);
    let passed = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "Via: 1.1 loadbalancer, 1.0 other\r\n".repeat(7));
    assert_eq!(ask(&front, &passed).code(), 200, "seven of us in a row are no circle");
}

#[test]
fn who_is_too_slow_is_told_so() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    let slow = ["GET / HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"];
    thread::scope(|scope| {
        for text in slow {
            let front = &front;
            scope.spawn(move || assert_eq!(ask(front, text).code(), 408, "{text}"));
        }
    });
    assert!(origin.raw().is_empty());
}

#[test]
fn an_idle_client_is_let_go_without_a_word() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &["--http-idle", "100ms"]);
    let mut caller = front.caller();
    caller.get("/");
    caller.assert_closed();
}

#[test]
fn a_server_that_answers_with_nonsense_or_not_at_all() {
    let nonsense = Origin::start("1", |talk| talk.say("220 hello, this is mail\r\n") && talk.more());
    let front = Front::before(&nonsense, &[]);
    assert_eq!(ask(&front, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").code(), 502);
    let silent = Origin::start("2", |talk| {
        talk.until_gone();
        false
    });
    let front = Front::before(&silent, &["--http-answer-time", "200ms"]);
    let said = ask(&front, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(said.code(), 504);
    assert!(said.text().contains("\"definite\":false"), "{}", said.text());
}

#[test]
fn nobody_to_ask_means_come_again() {
    let front = Front::new(&[]);
    let said = ask(&front, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((said.code(), said.field("retry-after")), (503, Some("1")));
}

#[test]
fn a_full_queue_means_come_again() {
    let origin = Origin::start("1", |talk| {
        talk.until_gone();
        false
    });
    let front = Front::with_queue(&[], SOON, 1);
    front.join_with(&origin, 1);
    let mut first = front.caller();
    first.say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the first has the server", || origin.heard().len() == 1);
    let mut second = front.caller();
    second.say("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the second waits", || front.pool.waiting() == 1);
    let said = ask(&front, "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((said.code(), said.field("retry-after")), (503, Some("1")));
    // A client that leaves the queue is not served any more.
    drop(second);
    eventually("the second has left the queue", || front.pool.waiting() == 0);
}

#[test]
fn a_wait_that_is_too_long_means_come_again() {
    let origin = Origin::start("1", |talk| {
        talk.until_gone();
        false
    });
    let front = Front::timed(&[], Duration::from_millis(300));
    front.join_with(&origin, 1);
    let mut first = front.caller();
    first.say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the first has the server", || origin.heard().len() == 1);
    let said = ask(&front, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((said.code(), said.field("retry-after")), (503, Some("1")));
    assert_eq!(first.hear().code(), 504);
}

#[test]
fn people_get_a_page_and_heads_no_body() {
    let front = Front::before(&Origin::start("1", hello), &["--http-host", "a"]);
    let said = ask(&front, "GET / HTTP/1.1\r\nHost: b\r\nAccept: text/html,*/*;q=0.8\r\n\r\n");
    assert_eq!(said.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(said.text().contains("<h1>421 Misdirected Request</h1>"));
    let mut caller = front.caller();
    let said = caller.say("HEAD / HTTP/1.1\r\nHost: b\r\n\r\n").try_hear(&protocol::http::Method::Head).unwrap();
    assert_eq!((said.code(), said.body.len()), (421, 0));
    assert_eq!(caller.say("GET / HTTP/1.1\r\nHost: b\r\n\r\n").hear().code(), 421, "the connection was kept");
}
