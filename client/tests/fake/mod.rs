//! A load balancer that says whatever a test wants it to, and a client to hear it.
#![allow(dead_code, reason = "each test program uses a part of this")]

use client::{
    exchange::Exchange,
    interrupt::Bell,
    link::Link,
    received::Inbox,
    render::{Format, Look, Style},
    session::Session,
    voice::Voice,
};
use protocol::{
    deadline::{Deadline, Phase},
    frame::Kind,
    id::RequestId,
    limits::HEADER_TIME,
    value::to_hex,
    wire::{Connection, push_frame},
};
use sha2::{Digest, Sha256};
use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Nothing that a test waits for takes this long.
pub const LONG: Duration = Duration::from_secs(20);

/// A request as it arrived.
pub struct Asked {
    pub kind: Kind,
    pub id: RequestId,
    pub repeated: bool,
    pub header: serde_json::Value,
    pub body: String,
}

/// Whether the connection goes on after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum After {
    GoOn,
    Close,
}

/// The fake. Dropping it frees its port.
pub struct Balancer {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Balancer {
    /// Answers each request as this function does.
    pub fn start(answer: impl Fn(&mut Connection, &Asked) -> After + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stopped = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&connections), Arc::clone(&requests), Arc::clone(&stopped), Arc::new(answer));
        let thread = thread::spawn(move || {
            let (connections, requests, stopped, answer) = shared;
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                thread::spawn(move || serve(stream.unwrap(), &requests, &*answer));
            }
        });
        Self { address, connections, requests, stopped, thread: Some(thread) }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if TcpStream::connect(self.address).is_ok() {
            let _ = self.thread.take().map(thread::JoinHandle::join);
        }
    }
}

fn serve(stream: TcpStream, requests: &AtomicUsize, answer: &(dyn Fn(&mut Connection, &Asked) -> After + Send + Sync)) {
    let Ok(mut connection) = Connection::new(Arc::new(stream)) else { return };
    while let Some(asked) = next_request(&mut connection) {
        requests.fetch_add(1, Ordering::SeqCst);
        if answer(&mut connection, &asked) == After::Close {
            break;
        }
    }
}

/// The next frame of the client, or nothing when it has gone.
pub fn next_request(connection: &mut Connection) -> Option<Asked> {
    let mut header = Vec::new();
    let prefix = connection.next(&mut header, Phase::Idle, Some(Deadline::after(LONG)), HEADER_TIME).ok()??;
    let mut body = Vec::new();
    connection.append_body(prefix.body_len as usize, &mut body).ok()?;
    Some(Asked {
        kind: prefix.kind,
        id: prefix.id,
        repeated: prefix.repeated(),
        header: serde_json::from_slice(&header).unwrap_or_default(),
        body: String::from_utf8(body).unwrap(),
    })
}

/// One frame.
pub fn frame(kind: Kind, id: RequestId, header: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_frame(&mut bytes, kind, id, header.as_bytes(), body);
    bytes
}

/// A whole answer of two rows.
pub fn rows(id: RequestId) -> Vec<u8> {
    [
        frame(Kind::Head, id, r#"{"type":"rows","columns":["Name","HEX"]}"#, b""),
        frame(Kind::Data, id, r#"{"rows":2}"#, b"[\"White\",\"#FFFFFF\"]\n[\"Silver\",\"#C0C0C0\"]\n"),
        frame(Kind::End, id, r#"{"server":"2","rows":2}"#, b""),
    ]
    .concat()
}

/// The digest of this content, as a header carries it.
pub fn sha256(content: &[u8]) -> String {
    to_hex(&Sha256::digest(content))
}

/// The frames of a file in chunks of this size.
pub fn file(id: RequestId, content: &[u8], chunk: usize) -> Vec<u8> {
    let (size, digest) = (content.len(), sha256(content));
    let mut bytes = frame(Kind::Head, id, &format!(r#"{{"type":"file","name":"x","size":{size}}}"#), b"");
    for at in (0..size).step_by(chunk) {
        let end = size.min(at + chunk);
        let so_far = sha256(&content[..end]);
        bytes.extend(frame(Kind::Data, id, &format!(r#"{{"sha256":"{so_far}"}}"#), &content[at..end]));
    }
    bytes.extend(frame(Kind::End, id, &format!(r#"{{"server":"1","sha256":"{digest}","size":{size}}}"#), b""));
    bytes
}

/// An error frame.
pub fn error(id: RequestId, code: &str, message: &str, definite: bool) -> Vec<u8> {
    frame(Kind::Error, id, &format!(r#"{{"code":"{code}","message":"{message}","definite":{definite}}}"#), b"")
}

/// What a decent load balancer says: two colours for `SELECT`, one row changed for `INSERT`, `colors.csv`, errors.
pub fn honest(connection: &mut Connection, asked: &Asked) -> After {
    let id = asked.id;
    let name = asked.header["name"].as_str().unwrap_or_default();
    let answer = match asked.kind {
        Kind::File if name == "colors.csv" => file(id, b"Name,HEX\nWhite,#FFFFFF\n", 7),
        Kind::File if name == "zoë's file.bin" => file(id, &[0, 255, 10, 13], 4),
        Kind::File => error(id, "not-found", &format!("File {name} not found in server!"), true),
        Kind::Servers => frame(
            Kind::ServerList,
            id,
            "",
            br#"[{"id":"1","address":"127.0.0.1:6001","state":"idle","processing_time":0.1,"capacity":1,"active":0,"answered":7,"failed":0}]"#,
        ),
        Kind::Ping => frame(Kind::Pong, id, "", &[0; 68]),
        Kind::Query if asked.body.starts_with("SELECT") => rows(id),
        Kind::Query if asked.body.starts_with("INSERT") => [
            frame(Kind::Head, id, r#"{"type":"changed","rows":1}"#, b""),
            frame(Kind::End, id, r#"{"server":"3"}"#, b""),
        ]
        .concat(),
        Kind::Query if asked.body.starts_with("LOSE") => return After::Close,
        Kind::Query => error(id, "sql-error", "near SELEC: syntax error", true),
        _ => return After::Close,
    };
    if connection.send_raw(&answer).is_ok() { After::GoOn } else { After::Close }
}

/// What was printed, readable while the client lives.
#[derive(Clone, Default)]
pub struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client in this process.
pub struct Client {
    pub session: Session,
    pub out: Paper,
    pub err: Paper,
}

pub fn client(balancer: SocketAddr, received: &Path) -> Client {
    client_with(balancer, received, LONG, None)
}

pub fn client_with(balancer: SocketAddr, received: &Path, patience: Duration, bell: Option<Bell>) -> Client {
    let (out, err) = (Paper::default(), Paper::default());
    let link = Link { client: "2".into(), balancer, connect_timeout: LONG, request_timeout: patience };
    let style = Style { format: Format::Blocks, look: Look::default() };
    let voice = Voice::new(Box::new(out.clone()), Box::new(err.clone()), Format::Blocks, false);
    let inbox = Inbox::new(received.to_owned());
    let session = Session::new("2".into(), Exchange::new(link, bell), inbox, style, voice);
    Client { session, out, err }
}

/// The names in a folder; none if it does not exist.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
