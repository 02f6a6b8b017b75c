//! A small site that a crew serves, and those who ask it.

use crate::{
    http::{
        BodyReader, HttpError, HttpService, Request, Respond, Response, Status, Times,
        client::{Ask, Client, ask},
    },
    listener::{Crew, CrewOptions, Refusal},
};
use crossbeam_channel::{Receiver, Sender, unbounded};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

pub(super) const LONG: Duration = Duration::from_secs(20);
/// Most bytes that `/echo` takes.
pub(super) const ECHO_LIMIT: u64 = 100_000;

/// Answers a few paths, and tells the test what happened.
pub(super) struct Site {
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
            "/late-short" => Ok(Response::stream(Status::OK, "text/plain", Some(10), |out| {
                out.write_all(b"short")?;
                out.flush()
            })?),
            "/early-panic" => Ok(Response::stream(Status::OK, "text/plain", None, |out| {
                out.write_all(b"so far")?;
                panic!("before anything left")
            })?),
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

pub(super) struct Served {
    pub crew: Crew,
    told: Receiver<String>,
    pub release: Sender<()>,
}

pub(super) fn serve_with(max_connections: usize, times: Times) -> Served {
    let (tell, told) = unbounded();
    let (release, hold) = unbounded();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = HttpService::new(Site { told: tell, hold }).with_times(times);
    let crew = Crew::start(listener, CrewOptions { name: "http", max_connections }, Arc::new(service)).unwrap();
    Served { crew, told, release }
}

pub(super) fn serve() -> Served {
    serve_with(100, Times::default())
}

impl Served {
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.crew.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Sends these bytes and reads what comes until the server closes.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).unwrap();
        until_end(&mut stream)
    }

    pub fn ask(&self, question: &Ask) -> crate::http::client::Reply {
        ask(self.crew.address(), question, LONG).unwrap()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.crew.address(), LONG).unwrap()
    }

    pub fn told(&self) -> String {
        self.told.recv_timeout(LONG).unwrap()
    }
}

pub(super) fn until_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until these bytes have come.
pub(super) fn until(stream: &mut TcpStream, end: &str) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(end.as_bytes()) && stream.read(&mut byte).unwrap() == 1 {
        bytes.extend_from_slice(&byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How many answers a text holds.
pub(super) fn answers(text: &str) -> usize {
    text.split("HTTP/1.1 ").skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).count()
}
