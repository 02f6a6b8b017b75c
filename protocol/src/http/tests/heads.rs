//! Heads: what is understood, and every class of what is refused.

use crate::http::{
    Answer, Form, Framing, Method, Refused, Request, Status, Version,
    limits::{MAX_FIELDS, MAX_FIRST_LINE, MAX_HEAD},
    lines::{Lines, Of},
};

/// Requests that are refused, and why: the first line and `Host` are added to those that begin with a field.
pub(super) fn refused() -> Vec<(Vec<u8>, Refused, u16)> {
    let mut cases: Vec<(Vec<u8>, Refused, u16)> = Vec::new();
    let mut add = |bytes: &[u8], why: Refused, status: u16| cases.push((bytes.to_vec(), why, status));
    let with_fields = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");

    // Two ways to find the end of the body.
    for (fields, why) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Refused::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Refused::LengthAndCoding),
        ("Transfer-Encoding: identity\r\nContent-Length: 5", Refused::LengthAndCoding),
        ("Transfer-Encoding:\r\nContent-Length: 0", Refused::LengthAndCoding),
        ("tRANSFER-eNCODING: chunked\r\ncONTENT-lENGTH: 5", Refused::LengthAndCoding),
        ("Content-Length: 5\r\nContent-Length: 6", Refused::LengthTwice),
        ("Content-Length: 5\r\nContent-Length: 5", Refused::LengthTwice),
        ("Content-Length: 5\r\nX: y\r\ncontent-length: 5", Refused::LengthTwice),
        ("Content-Length: 5, 5", Refused::LengthTwice),
        ("Content-Length: 5,", Refused::LengthTwice),
        ("Content-Length: +5", Refused::Length),
        ("Content-Length: -5", Refused::Length),
        ("Content-Length: 5 6", Refused::Length),
        ("Content-Length: 0x5", Refused::Length),
        ("Content-Length: 5.0", Refused::Length),
        ("Content-Length: 05", Refused::Length),
        ("Content-Length: 5;", Refused::Length),
        ("Content-Length:", Refused::Length),
        ("Content-Length: \u{665}", Refused::Length),
        ("Content-Length: 18446744073709551616", Refused::Length),
        ("Content-Length: 99999999999999999999999999", Refused::Length),
        ("Transfer-Encoding: identity", Refused::Coding),
        ("Transfer-Encoding: xchunked", Refused::Coding),
        ("Transfer-Encoding: chunked-x", Refused::Coding),
        ("Transfer-Encoding: \"chunked\"", Refused::Coding),
        ("Transfer-Encoding: chunked;q=1", Refused::Coding),
        ("Transfer-Encoding: chunked, chunked", Refused::Coding),
        ("Transfer-Encoding: chunked, identity", Refused::Coding),
        ("Transfer-Encoding: chunked,", Refused::Coding),
        ("Transfer-Encoding: , chunked", Refused::Coding),
        ("Transfer-Encoding:", Refused::Coding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Refused::Coding),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", Refused::Coding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", Refused::Coding),
    ] {
        add(with_fields(fields).as_bytes(), why, 400);
    }
    add(with_fields("Transfer-Encoding: gzip, chunked").as_bytes(), Refused::CodingUnknown, 501);
    add(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Refused::CodingInOldVersion, 400);

    // Lines and characters.
    for (bytes, why) in [
        (&b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..], Refused::BareLineFeed),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", Refused::BareLineFeed),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", Refused::BareLineFeed),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused::NotHttp),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n", Refused::BareCarriageReturn),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", Refused::BareCarriageReturn),
        (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Refused::BareCarriageReturn),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r \r\n", Refused::BareCarriageReturn),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Refused::FieldValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x0bb\r\n\r\n", Refused::FieldValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", Refused::FieldValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", Refused::FieldValue),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Refused::FoldedLine),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", Refused::FoldedLine),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refused::FoldedLine),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", Refused::FoldedLine),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n", Refused::FieldName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n", Refused::FieldName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\0: chunked\r\n\r\n", Refused::FieldName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX y: 5\r\n\r\n", Refused::FieldName),
        (b"GET / HTTP/1.1\r\nHost: a\r\n: 5\r\n\r\n", Refused::FieldName),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", Refused::FieldName),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\xc3\xa4: 5\r\n\r\n", Refused::FieldName),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refused::NotHttp),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Refused::NotHttp),
        (b"\0", Refused::NotHttp),
    ] {
        add(bytes, why, 400);
    }

    // The first line.
    for (line, why, status) in [
        ("GET / HTTP/2.0", Refused::Version, 505),
        ("GET / HTTP/1.2", Refused::Version, 505),
        ("GET / HTTP/0.9", Refused::Version, 505),
        ("PRI * HTTP/2.0", Refused::Version, 505),
        ("GET / HTTP/3", Refused::Version, 505),
        ("GET / http/1.1", Refused::RequestLine, 400),
        ("GET / HTTP/1.10", Refused::RequestLine, 400),
        ("GET / HTTP/+1.1", Refused::RequestLine, 400),
        ("GET / HTTP/1.1 ", Refused::RequestLine, 400),
        ("GET / HTTP/1.1 x", Refused::RequestLine, 400),
        ("GET  / HTTP/1.1", Refused::RequestLine, 400),
        ("GET /  HTTP/1.1", Refused::RequestLine, 400),
        ("GET\t/ HTTP/1.1", Refused::RequestLine, 400),
        ("GET /", Refused::RequestLine, 400),
        ("GET", Refused::RequestLine, 400),
        ("GET  HTTP/1.1", Refused::Target, 400),
        ("G\"T / HTTP/1.1", Refused::Method, 400),
        ("G\u{0}T / HTTP/1.1", Refused::Method, 400),
        ("AMETHODTHATISLONGERTHANANYTHATISREGISTERED / HTTP/1.1", Refused::Method, 400),
        ("GET relative HTTP/1.1", Refused::Target, 400),
        ("GET /a\u{e4} HTTP/1.1", Refused::Target, 400),
        ("GET /a#b HTTP/1.1", Refused::Target, 400),
        ("GET /a\\b HTTP/1.1", Refused::Target, 400),
        ("GET /a\u{0}b HTTP/1.1", Refused::Target, 400),
        ("GET /a\tb HTTP/1.1", Refused::Target, 400),
        ("GET /a\u{7f} HTTP/1.1", Refused::Target, 400),
        ("GET /?<b> HTTP/1.1", Refused::Target, 400),
        ("GET ftp://a/ HTTP/1.1", Refused::Target, 400),
        ("GET http:///x HTTP/1.1", Refused::Host, 400),
        ("GET http://me@a/ HTTP/1.1", Refused::Host, 400),
        ("GET http://b/ HTTP/1.1", Refused::HostDiffers, 400),
        ("GET http://a:81/ HTTP/1.1", Refused::HostDiffers, 400),
        ("GET * HTTP/1.1", Refused::TargetForm, 400),
        ("CONNECT / HTTP/1.1", Refused::TargetForm, 400),
        ("CONNECT a HTTP/1.1", Refused::TargetForm, 400),
        ("CONNECT a:80/ HTTP/1.1", Refused::TargetForm, 400),
        ("CONNECT b:80 HTTP/1.1", Refused::HostDiffers, 400),
        ("GET a:80 HTTP/1.1", Refused::Target, 400),
    ] {
        add(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), why, status);
    }

    // The host.
    for (fields, why) in [
        ("", Refused::HostMissing),
        ("Host: a\r\nHost: a\r\n", Refused::HostTwice),
        ("Host: a\r\nX: y\r\nhost: b\r\n", Refused::HostTwice),
        ("Host:\r\n", Refused::Host),
        ("Host: a b\r\n", Refused::Host),
        ("Host: a, b\r\n", Refused::Host),
        ("Host: a/b\r\n", Refused::Host),
        ("Host: me@a\r\n", Refused::Host),
        ("Host: a%00b\r\n", Refused::Host),
        ("Host: a:65536\r\n", Refused::Host),
        ("Host: a:+80\r\n", Refused::Host),
        ("Host: a:80:80\r\n", Refused::Host),
        ("Host: ::1\r\n", Refused::Host),
        ("Host: [::1\r\n", Refused::Host),
        ("Host: [::1]x\r\n", Refused::Host),
        ("Host: [a]\r\n", Refused::Host),
        ("Host: \u{e4}\r\n", Refused::Host),
    ] {
        add(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes(), why, 400);
    }
    add(b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Refused::HostTwice, 400);

    // Expectations and sizes.
    add(with_fields("Expect: tea").as_bytes(), Refused::Expectation, 417);
    add(with_fields("Expect: 100-continue\r\nExpect: 100-continue").as_bytes(), Refused::Expectation, 417);
    add(format!("GET /{} ", "x".repeat(MAX_FIRST_LINE)).as_bytes(), Refused::TargetTooLong, 414);
    add("X".repeat(MAX_FIRST_LINE + 1).as_bytes(), Refused::Method, 400);
    let long = format!("X: {}\r\n", "x".repeat(1_000));
    add(format!("GET / HTTP/1.1\r\nHost: a\r\n{}", long.repeat(17)).as_bytes(), Refused::HeadTooLarge, 431);
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(MAX_HEAD));
    add(endless.as_bytes(), Refused::HeadTooLarge, 431);
    add(with_fields(&["X: y"; MAX_FIELDS].join("\r\n")).as_bytes(), Refused::TooManyFields, 431);
    cases
}

/// Requests that are understood.
pub(super) const UNDERSTOOD: [&str; 9] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b?c=d HTTP/1.0\r\n\r\n",
    "POST /x HTTP/1.1\r\nhost:a.b:8080\r\nContent-Length:   17  \r\nX:\r\nY: \t a b\tc \r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n",
    "GET http://A.b/c HTTP/1.1\r\nHost: a.B:80\r\nConnection: x, close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "M-SEARCH /?{|}^` HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \u{e4}\r\n\r\n",
];

/// What `Request::parse` says when the bytes come one by one.
pub(super) fn bytewise(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refused> {
    let mut lines = Lines::new(Of::Request);
    for end in 0..=bytes.len() {
        if let Some(head) = lines.find(&bytes[..end])? {
            let end = head.end;
            return Ok(Some((Request::from_head(&bytes[head])?, end)));
        }
    }
    Ok(None)
}

fn understood(text: &str) -> Request {
    Request::parse(text.as_bytes()).unwrap().unwrap().0
}

#[test]
fn whatever_can_be_read_in_two_ways_is_refused() {
    for (bytes, why, status) in refused() {
        let shown = String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>();
        let error = Request::parse(&bytes).expect_err(&shown);
        assert_eq!((&error, error.status().code()), (&why, status), "{shown:?}");
        assert_eq!(bytewise(&bytes), Err(why), "byte by byte: {shown:?}");
    }
}

#[test]
fn a_request_is_the_same_however_it_is_cut() {
    for text in UNDERSTOOD {
        let bytes = text.as_bytes();
        let (request, used) = Request::parse(bytes).unwrap_or_else(|e| panic!("{text:?}: {e}")).expect(text);
        assert_eq!(used, bytes.len());
        for cut in 0..bytes.len() {
            assert_eq!(Request::parse(&bytes[..cut]), Ok(None), "{text:?} cut at {cut}");
        }
        assert_eq!(bytewise(bytes), Ok(Some((request.clone(), used))));
        let followed = [bytes, b"\x00GET / HTTP"].concat();
        assert_eq!(Request::parse(&followed), Ok(Some((request, used))), "what follows is nobody's business");
    }
}

#[test]
fn what_is_understood_is_understood_rightly() {
    let post = understood(UNDERSTOOD[3]);
    assert_eq!((&post.method, post.version, post.framing), (&Method::Post, Version::Http11, Framing::Length(17)));
    let host = post.host.unwrap();
    assert_eq!((host.host.as_str(), host.port), ("a.b", Some(8080)));
    let fields: Vec<_> = post.headers.iter().skip(2).collect();
    assert_eq!(fields, [("X", &b""[..]), ("Y", b"a b\tc")]);

    let put = understood(UNDERSTOOD[4]);
    assert_eq!((put.framing, put.expects_continue, put.keep_alive), (Framing::Chunked, true, true));
    let absolute = understood(UNDERSTOOD[5]);
    assert_eq!((absolute.target.form(), absolute.path(), absolute.keep_alive), (Form::Absolute, "/c", false));
    assert_eq!(absolute.host.unwrap().to_string(), "a.b");
    assert_eq!(understood(UNDERSTOOD[6]).target.form(), Form::Asterisk);
    let connect = understood(UNDERSTOOD[7]);
    assert_eq!((connect.target.form(), connect.host.unwrap().port), (Form::Authority, Some(443)));
    let old = understood(UNDERSTOOD[2]);
    assert_eq!((old.host, old.keep_alive, old.framing), (None, false, Framing::Empty));
    assert!(understood("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
    assert!(!understood("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
    assert!(!understood("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n").expects_continue, "no body");
}

#[test]
fn limits_are_reached_exactly() {
    let room = MAX_FIRST_LINE - "GET / HTTP/1.1\r\n".len();
    let line = |more: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(room + more));
    assert!(Request::parse(line(0).as_bytes()).unwrap().is_some());
    assert_eq!(Request::parse(line(1).as_bytes()), Err(Refused::TargetTooLong));
    let room = MAX_HEAD - "\r\nGET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len() + 2;
    let head = |more: usize| format!("\r\nGET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(room + more));
    assert!(Request::parse(head(0).as_bytes()).unwrap().is_some());
    assert_eq!(Request::parse(head(1).as_bytes()), Err(Refused::HeadTooLarge));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert!(Request::parse(fields(MAX_FIELDS - 1).as_bytes()).unwrap().is_some());
    assert_eq!(Request::parse(fields(MAX_FIELDS).as_bytes()), Err(Refused::TooManyFields));
}

#[test]
fn the_example_of_the_module_is_refused_and_its_numbers_are_right() {
    let bytes = b"POST /search HTTP/1.1\r\nHost: shop\r\nContent-Length: 37\r\nTransfer-Encoding: chunked\r\n\r\n\
                  0\r\n\r\nGET /admin HTTP/1.1\r\nX-Ignore: x";
    assert_eq!(bytes.len(), 122);
    assert_eq!(Request::parse(bytes), Err(Refused::LengthAndCoding));
    let body = &bytes[bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4..];
    let mut chunked = crate::http::Decoder::new(Framing::Chunked);
    assert_eq!((body.len(), chunked.coding(body), chunked.is_done()), (37, Ok(5), true));
}

#[test]
fn paths_and_queries_are_taken_apart_before_their_escapes_are_resolved() {
    let target = understood("GET /a%2Fb/c+d/%C3%A4?x=1+2&y=%26%3d&z&=&& HTTP/1.1\r\nHost: a\r\n\r\n").target;
    assert_eq!(target.segments().unwrap(), ["a/b", "c+d", "\u{e4}"]);
    let pairs = target.pairs().unwrap();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(pairs, [("x", "1 2"), ("y", "&="), ("z", ""), ("", "")]);
    assert_eq!((target.path(), target.query()), ("/a%2Fb/c+d/%C3%A4", Some("x=1+2&y=%26%3d&z&=&&")));
    for broken in ["/%", "/%4", "/%g0", "/%+1", "/%00", "/%ff"] {
        let target = understood(&format!("GET {broken}?{} HTTP/1.1\r\nHost: a\r\n\r\n", &broken[1..])).target;
        assert_eq!((target.segments(), target.pairs()), (None, None), "{broken}");
    }
    let odd = "a b/\u{e4}%+&=?#";
    assert_eq!(crate::http::decode(&crate::http::escape(odd), true).unwrap(), odd);
}

#[test]
fn answers_are_read_as_strictly() {
    let parse = |to: Method, text: &str| Answer::parse(&to, text.as_bytes());
    let framing = |to: Method, text: &str| parse(to, text).unwrap().unwrap().0.framing;
    let get = || Method::Get;
    assert_eq!(framing(get(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Framing::Length(5));
    assert_eq!(framing(get(), "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"), Framing::Chunked);
    assert_eq!(framing(get(), "HTTP/1.1 200 \r\n\r\n"), Framing::UntilClose);
    assert_eq!(framing(get(), "HTTP/1.1 204 No Content\r\n\r\n"), Framing::Empty);
    assert_eq!(framing(get(), "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), Framing::Empty);
    assert_eq!(framing(get(), "HTTP/1.1 100 Continue\r\n\r\n"), Framing::Empty);
    assert_eq!(framing(Method::Head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Framing::Empty);
    assert_eq!(framing(Method::Connect, "HTTP/1.1 200 OK\r\n\r\n"), Framing::Empty);
    let until_close = parse(get(), "HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap().0;
    assert!(!until_close.keep_alive, "nothing can follow it");
    for (text, why) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Refused::LengthAndCoding),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Refused::LengthTwice),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Refused::Coding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Refused::CodingInOldVersion),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Refused::BodyForbidden),
        ("HTTP/1.1 101 Go\r\nTransfer-Encoding: chunked\r\n\r\n", Refused::BodyForbidden),
        ("HTTP/1.1 200 OK\nX: y\r\n\r\n", Refused::BareLineFeed),
        ("HTTP/1.1  200 OK\r\n\r\n", Refused::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", Refused::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", Refused::StatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", Refused::StatusLine),
        ("HTTP/1.1 600 OK\r\n\r\n", Refused::StatusLine),
        ("HTTP/1.1 200 O\u{0}K\r\n\r\n", Refused::StatusLine),
        ("HTTP/2.0 200 OK\r\n\r\n", Refused::Version),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Refused::StatusLine),
        ("ICY\r\n\r\n", Refused::StatusLine),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", Refused::StatusLine),
    ] {
        assert_eq!(parse(get(), text), Err(why), "{text:?}");
    }
    assert_eq!(Refused::StatusLine.status(), Status::BAD_GATEWAY);
}
