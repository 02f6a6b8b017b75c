//! A server over real sockets: the walk of the course, and everybody who misbehaves.

mod coming_and_going;
mod once;
mod trouble;
mod work;
mod walk;

use crate::{
    Config, Running, ServiceName, Work,
    service::fixture::{self, Fixture},
};
use protocol::{
    database::DatabaseConfig,
    deadline::{Deadline, Phase},
    frame::{FLAG_READ_ONLY, Kind, Prefix},
    handshake::Control,
    id::{IdSource, RequestId, draw_client_number},
    limits::HEADER_TIME,
    message::{ChunkHeader, End, ErrorCode, Failure, FileRequest, Head, QueryRequest, RowsHeader, read_rows},
    registry::Registry,
    stop::Stop,
    value::{Value, to_hex},
    wire::{Connection, push_frame, to_header},
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::Path,
    sync::LazyLock,
    thread,
    time::{Duration, Instant, SystemTime},
};

const LONG: Duration = Duration::from_secs(20);

fn config(folder: &Path) -> Config {
    fixture::config(folder, ServiceName::Lab)
}

fn start(adjust: impl FnOnce(&mut Config)) -> Fixture {
    fixture::start(ServiceName::Lab, adjust)
}

/// A server whose processing time nobody wants to wait for.
fn slow() -> Fixture {
    start(|config| config.processing_time = 60.0)
}

impl Fixture {
    fn client(&self) -> Client {
        Client::connect(self.running.address())
    }
}

struct Client {
    connection: Connection,
    header: Vec<u8>,
    sequence: u64,
}

/// A frame that was received.
struct Frame {
    kind: Kind,
    id: RequestId,
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Frame {
    fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.header).unwrap()
    }
}

/// A whole answer.
struct Answer {
    head: Option<Head>,
    chunks: Vec<Frame>,
    end: Result<End, Failure>,
}

impl Answer {
    fn code(&self) -> ErrorCode {
        self.end.as_ref().expect_err("a failure").code
    }

    fn bytes(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|chunk| chunk.body.clone()).collect()
    }

    fn rows(&self) -> Vec<Vec<Value>> {
        self.chunks.iter().flat_map(|chunk| read_rows(&chunk.body).map(Result::unwrap)).collect()
    }
}

/// An id that nobody else has.
fn fresh_id() -> RequestId {
    static IDS: LazyLock<IdSource> = LazyLock::new(|| IdSource::new(draw_client_number(SystemTime::now())));
    IDS.next()
}

fn query_header() -> Vec<u8> {
    query_header_of(fresh_id())
}

fn query_header_of(request: RequestId) -> Vec<u8> {
    to_header(&QueryRequest { request, client: "7".into(), timeout_ms: None, low_water: 0 })
}

fn file_request(name: &str) -> FileRequest {
    FileRequest {
        request: RequestId { client: 9, sequence: 9 },
        client: "7".into(),
        name: name.into(),
        timeout_ms: None,
        offset: 0,
        sha256: None,
    }
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        Self { connection: Connection::connect(address, LONG).unwrap(), header: Vec::new(), sequence: 0 }
    }

    fn ask(&mut self, kind: Kind, flags: u16, header: &[u8], body: &[u8]) -> RequestId {
        self.sequence += 1;
        let id = RequestId { client: 77, sequence: self.sequence };
        let prefix = Prefix { flags, ..Prefix::new(kind, id, header.len(), body.len()) };
        self.connection.send(&prefix, header, body).unwrap();
        id
    }

    fn query(&mut self, sql: &str) -> RequestId {
        self.ask(Kind::Query, 0, &query_header(), sql.as_bytes())
    }

    fn cancel(&mut self, id: RequestId) {
        self.connection.send(&Prefix::new(Kind::Cancel, id, 0, 0), &[], &[]).unwrap();
    }

    /// The next frame; `None` when the server has closed the connection.
    fn frame(&mut self) -> Option<Frame> {
        let soon = Some(Deadline::after(LONG));
        let prefix = self.connection.next(&mut self.header, Phase::Answer, soon, HEADER_TIME).ok()??;
        let mut body = Vec::new();
        self.connection.append_body(prefix.body_len as usize, &mut body).ok()?;
        Some(Frame { kind: prefix.kind, id: prefix.id, header: self.header.clone(), body })
    }

    fn answer(&mut self, id: RequestId) -> Answer {
        let (mut head, mut chunks) = (None, Vec::new());
        loop {
            let frame = self.frame().expect("an answer");
            assert_eq!(frame.id, id);
            match frame.kind {
                Kind::Head => assert!(head.replace(frame.read()).is_none(), "one head"),
                Kind::Data => chunks.push(frame),
                Kind::End => return Answer { head, chunks, end: Ok(frame.read()) },
                Kind::Error => return Answer { head, chunks, end: Err(frame.read()) },
                kind => panic!("a frame of kind {kind:?} in an answer"),
            }
        }
    }

    fn sql(&mut self, sql: &str) -> Answer {
        let id = self.query(sql);
        self.answer(id)
    }

    fn file(&mut self, request: &FileRequest) -> Answer {
        let id = self.ask(Kind::File, 0, &to_header(request), &[]);
        self.answer(id)
    }
}

fn sha256(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

const FOR_EVER: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)";
