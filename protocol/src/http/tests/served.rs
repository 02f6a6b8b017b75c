//! A crew that serves HTTP, over real sockets.

use crate::{
    http::{
        BodyReader, HttpError, HttpService, Refused, Request, Respond, Response, Status, Times,
        client::{Ask, Client, ask},
    },
    listener::{Crew, CrewOptions, Refusal},
};
use crossbeam_channel::{Receiver, Sender, unbounded};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(20);
/// Most bytes that `/echo` takes.
const ECHO_LIMIT: u64 = 100_000;

/// Answers a few paths, and tells the test what happened.
struct Site {
    told: Sender<String>,
    hold: Receiver<()>,
}

impl Respond for Site {
    fn respond(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError> {
        match request.path() {
            "/hello" => Ok(Response::text(Status::OK, "hello\n")),
            "/echo" => Ok(Response::whole(Status::OK, "application/octet-stream", body.whole(ECHO_LIMIT)?)?),
            "/sum" => {
                let numbers: Vec<i64> = body.json(1_000)?;
                Ok(Response::json(Status::OK, &json!({ "sum": numbers.iter().sum::<i64>() })))
            }
            "/trailer" => {
                body.whole(ECHO_LIMIT)?;
                Ok(Response::text(Status::OK, body.trailer().get("Digest").unwrap_or("none")))
            }
            "/count" => Ok(Response::stream(Status::OK, "text/plain", None, |out| {
                (0..10_000).try_for_each(|n| writeln!(out, "{n}"))?;
                Ok(out.trailer("Count", "10000").map_err(HttpError::from)?)
            })?),
            "/short" => Ok(Response::stream(Status::OK, "text/plain", Some(10), |out| out.write_all(b"short"))?),
            "/long" => Ok(Response::stream(Status::OK, "text/plain", Some(3), |out| out.write_all(b"long"))?),
            "/exact" => Ok(Response::stream(Status::OK, "text/plain", Some(5), |out| out.write_all(b"exact"))?),
            "/panic" => panic!("asked to"),
            "/late-panic" => Ok(Response::stream(Status::OK, "text/plain", None, |out| {
                out.write_all(b"so far")?;
                out.flush()?;
                panic!("in the middle")
            })?),
            "/nothing" => Ok(Response::new(Status::NO_CONTENT)),
            "/split" => Ok(Response::new(Status::OK).header("X", "a\r\nSet-Cookie: b")?),
            "/hold" => {
                let _ = self.told.send("holding".into());
                let _ = self.hold.recv_timeout(LONG);
                Ok(Response::text(Status::OK, "held"))
            }
            "/busy" => Ok(Response::error(Status::SERVICE_UNAVAILABLE, "Later.").retry_after(7)),
            path => Err(HttpError::answer(Status::NOT_FOUND, format!("There is no {path}."))),
        }
    }

    fn failed(&self, _peer: SocketAddr, error: &HttpError) {
        let _ = self.told.send(format!("failed: {error}"));
    }

    fn panicked(&self, message: &str) {
        let _ = self.told.send(format!("panic: {message}"));
    }

    fn turned_away(&self, _peer: Option<SocketAddr>, why: Refusal) {
        let _ = self.told.send(format!("turned away: {why:?}"));
    }
}

struct Served {
    crew: Crew,
    told: Receiver<String>,
    release: Sender<()>,
}

fn serve_with(max_connections: usize, times: Times) -> Served {
    let (tell, told) = unbounded();
    let (release, hold) = unbounded();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = HttpService::new(Site { told: tell, hold }).with_times(times);
    let crew = Crew::start(listener, CrewOptions { name: "http", max_connections }, Arc::new(service)).unwrap();
    Served { crew, told, release }
}

fn serve() -> Served {
    serve_with(100, Times::default())
}

impl Served {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.crew.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Sends these bytes and reads what comes until the server closes.
    fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).unwrap();
        until_end(&mut stream)
    }

    fn ask(&self, question: &Ask) -> crate::http::client::Reply {
        ask(self.crew.address(), question, LONG).unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(self.crew.address(), LONG).unwrap()
    }

    fn told(&self) -> String {
        self.told.recv_timeout(LONG).unwrap()
    }
}

fn until_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until these bytes have come.
fn until(stream: &mut TcpStream, end: &str) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(end.as_bytes()) && stream.read(&mut byte).unwrap() == 1 {
        bytes.extend_from_slice(&byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How many answers a text holds.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

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
        let head = client.ask(&Ask::new(crate::http::Method::Head, path), LONG).unwrap();
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
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = until_end(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(site.told(), format!("failed: {}", Refused::Cut));
    }
}

#[test]
fn a_body_that_fails_never_ends_like_one_that_is_whole() {
    let site = serve();
    for path in ["/short", "/long", "/late-panic"] {
        let error = ask(site.crew.address(), &Ask::get(path), LONG).unwrap_err();
        assert!(matches!(error, HttpError::Refused(Refused::Cut) | HttpError::Wire(_)), "{path}: {error}");
    }
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
