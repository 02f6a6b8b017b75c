//! Whatever could be read in two ways is refused or framed anew: an origin never sees more requests than a client has sent.

use super::kit::{Front, Origin, hello};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

/// What is hidden. An origin that hears this line was deceived.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// Says these bytes and the end of them, and hears all that is said. Who has ended its half is waited for only if its last
/// request said so (`Connection: close`).
fn say(front: &Front, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(front.address).unwrap();
    // Whoever is refused may find the connection closed already.
    let _refused = stream.write_all(bytes);
    let _refused = stream.shutdown(Shutdown::Write);
    let mut heard = Vec::new();
    let _reset = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

fn statuses(heard: &str) -> Vec<&str> {
    let codes = heard.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3));
    codes.filter(|code| code.bytes().all(|digit| digit.is_ascii_digit())).collect()
}

/// Requests that are refused with 400 (or 501), with what stands behind the request line and `Host`, up to the hidden one.
const REFUSED: &[(&str, &str)] = &[
    ("both lengths", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("both lengths, turned", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("two lengths", "Content-Length: 0\r\nContent-Length: 36\r\n\r\n"),
    ("two equal lengths", "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
    ("a list of lengths", "Content-Length: 0, 36\r\n\r\n"),
    ("a length with a sign", "Content-Length: +0\r\n\r\n"),
    ("a length in hexadecimal", "Content-Length: 0x0\r\n\r\n"),
    ("a length with zeros", "Content-Length: 00\r\n\r\n"),
    ("a length that overflows", "Content-Length: 18446744073709551616\r\n\r\n"),
    ("a length with a space in it", "Content-Length: 3 6\r\n\r\n"),
    ("no length", "Content-Length:\r\n\r\n"),
    ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked, identity", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("identity", "Transfer-Encoding: identity\r\n\r\n"),
    ("xchunked", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in quotes", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("chunked behind a vertical tab", "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("a space before the colon", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("a tab before the colon", "Content-Length\t: 36\r\n\r\n"),
    ("a folded coding", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("a folded field", "X: 1\r\n Content-Length: 36\r\n\r\n"),
    ("a field without a name", ": x\r\n\r\n"),
    ("a line without a colon", "Nothing\r\n\r\n"),
    ("bare LF between fields", "X: 1\nContent-Length: 36\r\n\r\n"),
    ("bare LF at the end", "X: 1\r\n\n"),
    ("bare CR in a value", "X: 1\rContent-Length: 36\r\n\r\n"),
    ("NUL in a value", "X: 1\0\r\n\r\n"),
    ("NUL in a name", "Content-Length\0: 36\r\n\r\n"),
    ("two hosts", "Host: b\r\n\r\n"),
    ("a chunk size with 0x", "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n"),
    ("a chunk size with a sign", "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n"),
    ("a chunk size with a space", "Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n"),
    ("a chunk size that overflows", "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n"),
    ("bare LF behind a chunk size", "Transfer-Encoding: chunked\r\n\r\n0\n\r\n"),
    ("bare LF in an extension", "Transfer-Encoding: chunked\r\n\r\n0;x\ny\r\n\r\n"),
    ("a chunk without its end", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi0\r\n\r\n"),
    ("a chunk with another end", "Transfer-Encoding: chunked\r\n\r\n2\r\nhixx0\r\n\r\n"),
    ("bare LF in a trailer", "Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\n\r\n"),
    ("no coding", "Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
    ("chunked behind a comma", "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    ("chunked before a comma", "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    ("chunked twice in a list", "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked with a parameter", "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    ("chunked behind a no-break space", "Transfer-Encoding: \u{a0}chunked\r\n\r\n0\r\n\r\n"),
    ("chunked, with letters that only look like it", "Transfer-Encoding: chun\u{212a}ed\r\n\r\n0\r\n\r\n"),
    ("chunked before bare LF", "Transfer-Encoding: chunked\nX: 1\r\n\r\n0\r\n\r\n"),
    ("a coding in a name with a NUL", "Transfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n"),
    ("a coding in a name with a colon before", ":Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a coding behind a bare CR", "X: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a coding folded away", "X: 1\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a length with a comma", "Content-Length: 0,\r\n\r\n"),
    ("a length below zero", "Content-Length: -1\r\n\r\n"),
    ("a length in parts of a thousand", "Content-Length: 1_0\r\n\r\n"),
    ("a length in full-width digits", "Content-Length: \u{ff10}\r\n\r\n"),
    ("a length with a fraction", "Content-Length: 0.0\r\n\r\n"),
    ("bare LF behind the first line's fields", "\nContent-Length: 36\r\n\r\n"),
    ("a chunk size below zero", "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"),
    ("a chunk size with an underscore", "Transfer-Encoding: chunked\r\n\r\n0_0\r\n\r\n"),
    ("a chunk size behind a space", "Transfer-Encoding: chunked\r\n\r\n 0\r\n\r\n"),
    ("a chunk size behind a tab", "Transfer-Encoding: chunked\r\n\r\n\t0\r\n\r\n"),
    ("no chunk size", "Transfer-Encoding: chunked\r\n\r\n\r\n\r\n"),
    ("an extension without a chunk size", "Transfer-Encoding: chunked\r\n\r\n;x\r\n\r\n"),
    ("a chunk size with a NUL", "Transfer-Encoding: chunked\r\n\r\n0\0\r\n\r\n"),
    ("bare CR in an extension", "Transfer-Encoding: chunked\r\n\r\n0;x\ry\r\n\r\n"),
    ("NUL in an extension", "Transfer-Encoding: chunked\r\n\r\n0;x\0\r\n\r\n"),
    ("bare CR behind a chunk", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r0\r\n\r\n"),
    ("bare LF behind a chunk", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\n0\r\n\r\n"),
    ("a folded trailer", "Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n Y: 2\r\n\r\n"),
    ("a space before the colon in a trailer", "Transfer-Encoding: chunked\r\n\r\n0\r\nX : 1\r\n\r\n"),
    ("NUL in a trailer", "Transfer-Encoding: chunked\r\n\r\n0\r\nX: \0\r\n\r\n"),
    ("two expectations", "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n"),
    ("an unknown expectation", "Content-Length: 1\r\nExpect: magic\r\n\r\n"),
];

#[test]
fn what_can_be_read_in_two_ways_never_reaches_an_origin() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    for (what, rest) in REFUSED {
        let bytes = format!("POST /first HTTP/1.1\r\nHost: a\r\n{rest}{HIDDEN}");
        let heard = say(&front, bytes.as_bytes());
        let told = statuses(&heard);
        let allowed = ["400", "501", "417"];
        assert!(told.len() == 1 && allowed.contains(&told[0]), "{what}: {heard:?}");
        assert!(heard.contains("Connection: close"), "{what}: {heard:?}");
    }
    assert!(origin.raw().is_empty(), "{:?}", String::from_utf8_lossy(&origin.raw()));
}

#[test]
fn request_lines_that_can_be_read_in_two_ways_never_reach_an_origin() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET / HTTP/1.1\rX",
        "GET /\0 HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET",
        "G(T / HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET http://b/ HTTP/1.1",
        "GET http://a@a/ HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "\r\n\r\nGET / HTTP/1.1",
        "GET http://a:81/ HTTP/1.1",
        "GET http:///path HTTP/1.1",
        "GET //a@b:c HTTP/1.1 HTTP/1.1",
        "GET / HTTP/1.1\nX: 1",
        "GET\0/ HTTP/1.1",
        "GET / HTTP/1.1\r\n X: folded",
        "GET / HTTP/01.1",
        "GET / HTTP/1.10",
        "GET / HTTP/0.9",
        "GET / HTTP/1,1",
        "GET \\\\a\\b HTTP/1.1",
    ] {
        let heard = say(&front, format!("{line}\r\nHost: a\r\n\r\n{HIDDEN}").as_bytes());
        let told = statuses(&heard);
        assert!(told.len() == 1 && ["400", "505"].contains(&told[0]), "{line:?}: {heard:?}");
    }
    let heard = say(&front, format!("GET / HTTP/1.1\r\n\r\n{HIDDEN}").as_bytes());
    assert_eq!(statuses(&heard), ["400"], "no Host");
    assert!(origin.raw().is_empty(), "{:?}", String::from_utf8_lossy(&origin.raw()));
}

#[test]
fn a_body_that_looks_like_a_request_stays_a_body() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    let length = HIDDEN.len();
    let bodies = [
        format!("Content-Length: {length}\r\n\r\n{HIDDEN}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"),
        format!("transfer-encoding:chunked\r\n\r\n{length:X};a=\"b\"\r\n{HIDDEN}\r\n000\r\nX: {{GET}}\r\n\r\n"),
    ];
    for (count, body) in bodies.iter().enumerate() {
        let heard = say(
            &front,
            format!("POST /p HTTP/1.1\r\nHost: a\r\n{body}GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        );
        assert_eq!(statuses(&heard), ["200", "200"], "{heard:?}");
        let seen = origin.heard();
        assert_eq!(seen.len(), 2 * (count + 1));
        assert_eq!(seen[2 * count].body, HIDDEN.as_bytes());
        assert_eq!(seen[2 * count + 1].line(), "GET /next HTTP/1.1");
    }
}

#[test]
fn an_early_answer_to_an_unread_body_does_not_make_the_body_a_request() {
    // This origin answers at once, keeps the connection and reads no further: what comes behind it would be its next request.
    let (end, ends) = crossbeam_channel::bounded::<()>(0);
    let origin = Origin::start("1", move |talk| {
        talk.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        let _test_is_over = ends.recv();
        false
    });
    let front = Front::before(&origin, &["--http-answer-time", "2s"]);
    // More than all buffers on the way hold.
    let body = HIDDEN.repeat(500_000);
    let head = format!("POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    for _ in 0..3 {
        let heard = say(&front, [head.as_bytes(), body.as_bytes()].concat().as_slice());
        // A reset may overtake the answer for a client that is still sending; it gets no other one.
        assert!(["403", ""].contains(&statuses(&heard).concat().as_str()), "{heard:?}");
    }
    assert_eq!(origin.connections(), 3, "a connection with an unread body was used again");
    drop(end);
}

#[test]
fn what_follows_a_request_that_was_answered_early_is_not_mixed_up_with_its_body() {
    // The answer comes before the body; the body does, too, and then the next request on the same connection.
    let origin = Origin::start("1", |talk| {
        let early = talk.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        talk.body();
        early
    });
    let front = Front::before(&origin, &[]);
    for round in 1..=3 {
        let length = HIDDEN.len();
        let heard = say(
            &front,
            format!(
                "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{HIDDEN}\
                 GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            )
            .as_bytes(),
        );
        assert_eq!(statuses(&heard), ["403", "403"], "{heard:?}");
        let seen = origin.heard();
        assert_eq!(seen.len(), 2 * round, "{seen:?}");
        assert!(seen.iter().all(|one| !one.line().contains("hidden")), "{seen:?}");
    }
}

#[test]
fn a_trailer_says_nothing_about_framing_or_host() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    let trailer = "Content-Length: 36\r\nTransfer-Encoding: chunked\r\nHost: b\r\nX-Sum: 1\r\n";
    let heard = say(
        &front,
        format!(
            "POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\n{trailer}\r\n{HIDDEN}"
        )
        .as_bytes(),
    );
    assert_eq!(statuses(&heard), ["200"], "{heard:?}");
    let seen = origin.heard();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].all("host"), ["a"], "{}", seen[0].head);
    let told = format!("{}{}", seen[0].head, seen[0].trailer).to_ascii_lowercase();
    assert!(!told.contains("36") && !told.contains("host: b") && seen[0].body == b"hi", "{told}");
}

#[test]
fn what_a_connection_field_names_cannot_take_away_what_we_add() {
    let origin = Origin::start("1", hello);
    let front = Front::before(&origin, &[]);
    let names = "close, Host, X-Forwarded-For, Via, X-Request-Id, Content-Length, Transfer-Encoding";
    let heard = say(
        &front,
        format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: {names}\r\nContent-Length: 2\r\n\r\nhi").as_bytes(),
    );
    assert_eq!(statuses(&heard), ["200"]);
    let seen = &origin.heard()[0];
    for name in ["host", "x-forwarded-for", "via", "x-request-id", "content-length"] {
        assert_eq!(seen.all(name).len(), 1, "{name}: {}", seen.head);
    }
    assert_eq!(seen.body, b"hi");
}

#[test]
fn answers_that_can_be_read_in_two_ways_never_reach_a_client() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        "HTTP/1.1 200 OK\r\nX: 1\nY: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
        "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 999 No\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "220 mail.example\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let origin = Origin::start("1", move |talk| talk.say(answer) && false_after(talk));
        let front = Front::before(&origin, &[]);
        let heard = say(&front, b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(statuses(&heard), ["502"], "{answer:?}: {heard:?}");
    }
}

fn false_after(talk: &mut super::kit::Talk) -> bool {
    talk.until_gone();
    false
}

#[test]
fn bytes_behind_an_answer_are_no_answer_to_the_next_client() {
    let origin = Origin::start("1", |talk| {
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    });
    let front = Front::before(&origin, &[]);
    for _ in 0..5 {
        assert_eq!(front.caller().get("/").text(), "hi");
    }
    assert_eq!(origin.connections(), 5);
}
