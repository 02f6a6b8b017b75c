//! Requests and answers pass, each whole and each understood the same on both sides.

use super::kit::{Caller, Front, Origin, Talk, eventually, hello};
use protocol::http::{Method, Status};

fn echo(talk: &mut Talk) -> bool {
    let body = talk.body();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    talk.say([head.as_bytes(), &body].concat())
}

#[test]
fn a_request_reaches_the_origin_with_what_a_proxy_adds() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    let said = front
        .caller()
        .say(
            "GET /a?b=c HTTP/1.1\r\nHost: Shop.example:81\r\nConnection: X-Mine, close\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\
             X-Forwarded-For: 1.1.1.1\r\nX_Under: 1\r\nUpgrade: h2c\r\nX-Kept: yes\r\n\r\n",
        )
        .hear();
    assert_eq!((said.code(), said.text().as_str()), (200, "hello"));
    let heard = &origin.heard()[0];
    assert_eq!(heard.line(), "GET /a?b=c HTTP/1.1");
    assert_eq!(heard.all("host"), ["shop.example:81"]);
    assert_eq!(heard.all("x-kept"), ["yes"]);
    assert_eq!(heard.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(heard.all("x-forwarded-proto"), ["http"]);
    assert_eq!(heard.all("x-forwarded-host"), ["shop.example:81"]);
    assert_eq!(heard.all("forwarded"), ["for=127.0.0.1;host=\"shop.example:81\";proto=http"]);
    assert_eq!(heard.all("via"), ["1.1 loadbalancer"]);
    for gone in ["connection", "x-mine", "keep-alive", "x_under", "upgrade"] {
        assert!(heard.all(gone).is_empty(), "{gone}: {}", heard.head);
    }
    assert_eq!(heard.all("x-request-id"), [said.field("x-request-id").unwrap()]);
    assert_eq!(said.field("connection"), Some("close"));
}

#[test]
fn a_trusted_proxy_is_believed() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &["--http-trust", "127.0.0.0/8", "--http-underscores", "pass"]);
    front
        .caller()
        .say("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX_Under: 1\r\n\r\n")
        .hear();
    let heard = &origin.heard()[0];
    assert_eq!(heard.all("x-forwarded-for"), ["1.1.1.1, 127.0.0.1"]);
    assert_eq!(heard.all("x-forwarded-proto"), ["https"]);
    assert_eq!(heard.all("x_under"), ["1"]);
}

#[test]
fn connections_are_kept_on_both_sides() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    let mut callers: Vec<_> = (0..4).map(|_| front.caller()).collect();
    for round in 0..5 {
        for caller in &mut callers {
            assert_eq!(caller.get(&format!("/{round}")).text(), "hello");
        }
    }
    assert_eq!((origin.heard().len(), origin.connections()), (20, 1), "one after the other, they share a connection");
}

#[test]
fn pipelined_requests_are_answered_in_order_each_alone() {
    let origin = Origin::start("1", echo);
    let front = Front::before(&origin, &[]);
    let mut caller = front.caller();
    let post = |text: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n";
    caller.say([post("one").as_str(), chunked, &post("three")].concat());
    for text in ["one", "two", "three"] {
        assert_eq!(caller.hear().text(), text);
    }
    assert_eq!(origin.heard().len(), 3);
}

#[test]
fn bodies_of_every_size_and_framing_pass_in_both_directions() {
    let origin = Origin::start("1", |talk| {
        let body = talk.body();
        let chunked = talk.heard.line().contains("chunked");
        let head =
            if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", body.len()) };
        talk.say(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
        if !chunked {
            return talk.say(&body);
        }
        for part in body.chunks(70_000) {
            talk.say([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
        }
        talk.say("0\r\n\r\n")
    });
    let front = Front::before(&origin, &[]);
    let mut caller = front.caller();
    for size in [0, 1, 100, 16 * 1024, 65_535, 262_143, 262_144, 262_145, 3_000_000] {
        let body: Vec<u8> = (0..size).map(|at| (at * 7 + at / 251) as u8).collect();
        for path in ["/plain", "/chunked"] {
            caller.say(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")).say(&body);
            let said = caller.hear();
            assert!(said.body == body, "{path} {size}: {} bytes came", said.body.len());
            caller.say(format!("PUT {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
            for part in body.chunks(50_000) {
                caller.say(format!("{:x};x=1\r\n", part.len())).say(part).say("\r\n");
            }
            assert!(caller.say("0\r\n\r\n").hear().body == body, "{path} {size} in chunks");
        }
    }
    let heard = origin.heard();
    assert!(heard.iter().all(|heard| !heard.head.contains("x=1")), "extensions end here");
    assert_eq!(heard.len(), 36);
}

#[test]
fn trailers_pass_in_both_directions() {
    let origin = Origin::start("1", |talk| {
        talk.body();
        talk.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\nHost: evil\r\n\r\n")
    });
    let front = Front::before(&origin, &[]);
    let said = front
        .caller()
        .say("PUT / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Up: 7\r\n\r\n")
        .hear();
    assert_eq!((said.text().as_str(), said.trailer), ("ok", vec![("X-Sum".to_owned(), "9".to_owned())]));
    let heard = &origin.heard()[0];
    assert_eq!((heard.trailer.as_str(), &heard.body[..]), ("X-Up: 7\r\n", &b"hi"[..]));
    assert_eq!((heard.all("te"), heard.all("connection")), (vec!["trailers"], vec!["TE"]));
}

#[test]
fn head_and_304_say_a_length_and_send_nothing() {
    let origin = Origin::start("1", |talk| {
        let status = if talk.heard.line().contains("same") { "304 Not Modified" } else { "200 OK" };
        talk.say(format!("HTTP/1.1 {status}\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n"))
    });
    let front = Front::before(&origin, &[]);
    let mut caller = front.caller();
    for (line, code) in [("HEAD /new", 200), ("GET /same", 304)] {
        let method = Method::parse(line.split(' ').next().unwrap().as_bytes()).unwrap();
        let said = caller.say(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n")).try_hear(&method).unwrap();
        assert_eq!((said.code(), said.field("content-length"), said.body.len()), (code, Some("1000"), 0));
    }
}

#[test]
fn http_1_0_is_spoken_with_clients() {
    let origin = Origin::start("1", |talk| {
        talk.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    });
    let front = Front::before(&origin, &[]);
    let mut kept = front.caller();
    for _ in 0..2 {
        let said = kept.say("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").hear();
        assert_eq!((said.text().as_str(), said.field("connection")), ("hello", Some("keep-alive")));
        assert_eq!(said.field("transfer-encoding"), None);
    }
    let all = front.caller().say("GET / HTTP/1.0\r\n\r\n").rest();
    assert!(all.ends_with(b"hello"), "{}", String::from_utf8_lossy(&all));
    // As `nc -N` does it: it ends its half and still wants its answer.
    let all = front.caller().say("GET / HTTP/1.0\r\n\r\n").end().rest();
    assert!(all.ends_with(b"hello"), "{}", String::from_utf8_lossy(&all));
    assert!(origin.heard().iter().all(|heard| heard.line() == "GET / HTTP/1.1" && heard.all("host").len() == 1));
}

#[test]
fn http_1_0_is_understood_from_origins() {
    let origin = Origin::start("1", |talk| {
        talk.say("HTTP/1.0 200 OK\r\n\r\n");
        talk.say(vec![b'x'; 300_000]);
        false
    });
    let front = Front::before(&origin, &[]);
    let mut caller = front.caller();
    for _ in 0..2 {
        let said = caller.get("/");
        assert_eq!((said.body.len(), said.field("transfer-encoding")), (300_000, Some("chunked")));
    }
    assert_eq!(origin.connections(), 2, "a connection that ends with its answer is not kept");
}

#[test]
fn interim_answers_pass_but_not_to_http_1_0() {
    let origin = Origin::start("1", |talk| {
        talk.say("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let front = Front::before(&origin, &[]);
    let all = front.caller().say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").rest();
    let all = String::from_utf8(all).unwrap();
    assert!(all.starts_with("HTTP/1.1 103 ") && all.contains("Link: </a.css>"), "{all}");
    assert!(all.contains("HTTP/1.1 200 OK") && all.ends_with("ok"), "{all}");
    let all = String::from_utf8(front.caller().say("GET / HTTP/1.0\r\n\r\n").rest()).unwrap();
    assert!(all.starts_with("HTTP/1.1 200 OK"), "{all}");
}

#[test]
fn a_client_that_waits_for_continue_hears_it_when_the_origin_wants_the_body() {
    let origin = Origin::start("1", |talk| {
        if talk.heard.line().contains("refuse") {
            talk.say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
            return false;
        }
        assert_eq!(talk.heard.all("expect"), ["100-continue"]);
        if talk.heard.line().contains("willing") {
            talk.say("HTTP/1.1 100 Continue\r\n\r\n");
        }
        echo(talk)
    });
    let front = Front::before(&origin, &[]);
    let ask = |caller: &mut Caller, path: &str| {
        let head = "Host: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
        caller.say(format!("POST {path} HTTP/1.1\r\n{head}"));
    };
    for path in ["/willing", "/old"] {
        let mut caller = front.caller();
        ask(&mut caller, path);
        let mut interim = [0; 25];
        std::io::Read::read_exact(&mut &*caller.stream, &mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(caller.say("body").hear().text(), "body");
    }
    let mut caller = front.caller();
    ask(&mut caller, "/refuse");
    let said = caller.hear();
    assert_eq!((said.answer.status, said.field("connection")), (Status::UNAUTHORIZED, Some("close")));
    caller.assert_closed();
}

#[test]
fn events_of_an_answer_are_seen_as_they_come() {
    let origin = Origin::start("1", |talk| {
        talk.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n");
        talk.say("9\r\ndata: 1\n\n\r\n");
        talk.until_gone();
        false
    });
    let front = Front::before(&origin, &[]);
    let caller = &mut front.caller();
    caller.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: 1\n\n\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut &*caller.stream, &mut byte).unwrap();
        seen.push(byte[0]);
    }
    caller.stream.shutdown(std::net::Shutdown::Both).unwrap();
    // The origin's connection ends with the client, and its place is free.
    eventually("the place is free", || front.pool.status()[0].active == 0);
}
