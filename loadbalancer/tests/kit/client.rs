//! A client that speaks frames, and tells exactly what came back.

use super::SOON;
use protocol::{
    deadline::{Deadline, Phase},
    frame::{FLAG_READ_ONLY, Kind, Prefix},
    id::RequestId,
    limits::HEADER_TIME,
    message::{ErrorCode, Failure, FileRequest, QueryRequest},
    wire::{Connection, from_header, to_header},
};
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

/// One frame of an answer: kind, header, body.
pub type Frame = (Kind, Vec<u8>, Vec<u8>);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub frames: Vec<Frame>,
}

impl Answer {
    /// The kinds of its frames, as letters.
    pub fn kinds(&self) -> String {
        self.frames.iter().map(|(kind, ..)| char::from(*kind as u8)).collect()
    }

    /// What it brought, if it is complete.
    pub fn text(&self) -> String {
        let complete = matches!(self.frames.last(), Some((Kind::End | Kind::Pong | Kind::ServerList, ..)));
        assert!(complete, "no complete answer: {} {:?}", self.kinds(), self.failure());
        let bodies: Vec<u8> = self.frames.iter().flat_map(|(.., body)| body.iter().copied()).collect();
        String::from_utf8(bodies).unwrap()
    }

    /// The failure it ended with, if it did.
    pub fn failed(&self) -> Option<Failure> {
        let (kind, header, _) = self.frames.last()?;
        (*kind == Kind::Error).then(|| serde_json::from_slice(header).unwrap())
    }

    /// The failure it ended with.
    pub fn failure(&self) -> Failure {
        self.failed().unwrap_or_else(|| panic!("no failure: {}", self.kinds()))
    }

    /// Code and certainty of the failure it ended with.
    pub fn verdict(&self) -> (ErrorCode, bool) {
        let failure = self.failure();
        (failure.code, failure.definite)
    }
}

/// A client.
pub struct Client {
    pub connection: Connection,
    /// Its number in request ids: the same for all clients unless a test says otherwise, so that ids collide.
    pub number: u64,
    sequence: u64,
    header: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        // The load balancer gives a server the time of a block before it gives up: its client must wait longer.
        let connection = Connection::connect(address, SOON).unwrap().with_patience(SOON);
        Self { connection, number: 7, sequence: 0, header: Vec::new() }
    }

    pub fn next_id(&mut self) -> RequestId {
        self.sequence += 1;
        RequestId { client: self.number, sequence: self.sequence }
    }

    /// Sends a statement.
    pub fn sql(&mut self, text: &str) -> RequestId {
        let id = self.next_id();
        let header = to_header(&QueryRequest { request: id, client: "2".into(), timeout_ms: None, low_water: 0 });
        let prefix = Prefix::new(Kind::Query, id, header.len(), text.len());
        self.connection.send(&prefix, &header, text.as_bytes()).unwrap();
        id
    }

    /// Sends a statement under the mark that it must not write.
    pub fn read_only_sql(&mut self, text: &str) -> RequestId {
        let id = self.next_id();
        let header = to_header(&QueryRequest { request: id, client: "2".into(), timeout_ms: None, low_water: 0 });
        let prefix = Prefix { flags: FLAG_READ_ONLY, ..Prefix::new(Kind::Query, id, header.len(), text.len()) };
        self.connection.send(&prefix, &header, text.as_bytes()).unwrap();
        id
    }

    /// Asks for a file.
    pub fn file(&mut self, name: &str) -> RequestId {
        let id = self.next_id();
        let (client, name) = ("2".to_owned(), name.to_owned());
        let request = FileRequest { request: id, client, name, timeout_ms: None, offset: 0, sha256: None };
        self.connection.send_message(Kind::File, id, &request).unwrap();
        id
    }

    /// Asks for a file, willing to wait this long.
    pub fn file_within(&mut self, name: &str, timeout_ms: u64) -> RequestId {
        let id = self.next_id();
        let (client, name, timeout_ms) = ("2".to_owned(), name.to_owned(), Some(timeout_ms));
        let request = FileRequest { request: id, client, name, timeout_ms, offset: 0, sha256: None };
        self.connection.send_message(Kind::File, id, &request).unwrap();
        id
    }

    /// Sends any frame.
    pub fn send(&mut self, kind: Kind, header: &[u8], body: &[u8]) -> RequestId {
        let id = self.next_id();
        self.connection.send(&Prefix::new(kind, id, header.len(), body.len()), header, body).unwrap();
        id
    }

    /// Takes a request back.
    pub fn cancel(&mut self, id: RequestId) {
        self.connection.send(&Prefix::new(Kind::Cancel, id, 2, 0), b"{}", &[]).unwrap();
    }

    /// One frame of the answer to this request.
    pub fn frame(&mut self, id: RequestId) -> Frame {
        let soon = Some(Deadline::after(SOON));
        let next = self.connection.next(&mut self.header, Phase::Answer, soon, HEADER_TIME);
        let prefix = next.unwrap().expect("an answer, not the end of the connection");
        assert_eq!(prefix.id, id, "a frame of another request");
        let mut body = Vec::new();
        self.connection.append_body(prefix.body_len as usize, &mut body).unwrap();
        (prefix.kind, self.header.clone(), body)
    }

    /// The whole answer to this request.
    pub fn answer(&mut self, id: RequestId) -> Answer {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame(id);
            let over = frame.0.ends_an_answer();
            frames.push(frame);
            if over {
                return Answer { frames };
            }
        }
    }

    /// Sends a statement and waits for its answer.
    pub fn ask(&mut self, sql: &str) -> Answer {
        let id = self.sql(sql);
        self.answer(id)
    }

    /// Asks for a file and waits for it.
    pub fn fetch(&mut self, name: &str) -> Answer {
        let id = self.file(name);
        self.answer(id)
    }

    /// That this connection is still good for a request.
    pub fn assert_usable(&mut self) {
        let word = format!("still here {}", self.sequence);
        assert!(self.ask(&word).text().contains(&word));
    }
}

/// What a client is told that is cut off: the failure, after which the connection must end. `None`: it ended without
/// a word.
pub fn farewell(stream: TcpStream) -> Option<Failure> {
    let mut connection = Connection::new(Arc::new(stream)).unwrap();
    let (mut header, soon) = (Vec::new(), Some(Deadline::after(SOON)));
    let Ok(Some(prefix)) = connection.next(&mut header, Phase::Answer, soon, HEADER_TIME) else { return None };
    assert_eq!(prefix.kind, Kind::Error, "{prefix:?}");
    let failure = from_header(connection.peer(), &prefix, &header).unwrap();
    let end = connection.next(&mut header, Phase::Answer, soon, HEADER_TIME);
    assert!(!matches!(end, Ok(Some(_))), "more after the farewell: {end:?}");
    Some(failure)
}
