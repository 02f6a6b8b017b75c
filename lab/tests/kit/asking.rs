//! A client that counts on nothing but the protocol.

use super::LONG;
use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::{IdSource, RequestId, draw_client_number},
    message::{End, Failure, FileRequest, Head, QueryRequest, ServerStatus, read_rows},
    value::Value,
    wire::{Connection, from_header, to_header},
};
use sha2::{Digest, Sha256};
use std::{net::SocketAddr, time::SystemTime};

/// A connection to the load balancer.
pub struct Asking {
    pub connection: Connection,
    ids: IdSource,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    File { size: u64, sha256: String, server: String, bytes: Option<Vec<u8>> },
    Rows { columns: Vec<String>, rows: Vec<Vec<Value>>, server: String },
    Changed { rows: u64, server: String },
    Failed(Failure),
}

impl Answer {
    pub fn server(&self) -> &str {
        match self {
            Self::File { server, .. } | Self::Rows { server, .. } | Self::Changed { server, .. } => server,
            Self::Failed(failure) => panic!("failed: {failure:?}"),
        }
    }

    pub fn failure(self) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            other => panic!("did not fail: {other:?}"),
        }
    }

    pub fn rows(self) -> Vec<Vec<Value>> {
        match self {
            Self::Rows { rows, .. } => rows,
            other => panic!("no rows: {other:?}"),
        }
    }
}

impl Asking {
    pub fn connect(balancer: SocketAddr) -> Self {
        Self::with_client_number(balancer, draw_client_number(SystemTime::now()))
    }

    pub fn with_client_number(balancer: SocketAddr, number: u64) -> Self {
        Self { connection: Connection::connect(balancer, LONG).unwrap(), ids: IdSource::new(number) }
    }

    /// Sends a request for a file and returns its id.
    pub fn send_file(&mut self, name: &str) -> RequestId {
        let request = self.ids.next();
        let name = name.to_owned();
        let asked = FileRequest { request, client: "2".into(), name, timeout_ms: None, offset: 0, sha256: None };
        self.connection.send_message(Kind::File, request, &asked).unwrap();
        request
    }

    /// Sends a statement and returns its id.
    pub fn send_query(&mut self, sql: &str) -> RequestId {
        let request = self.ids.next();
        self.send_again(request, sql)
    }

    /// Sends a statement under an id that it had before.
    pub fn send_again(&mut self, request: RequestId, sql: &str) -> RequestId {
        let header = to_header(&QueryRequest { request, client: "2".into(), timeout_ms: None, low_water: 0 });
        let prefix = Prefix::new(Kind::Query, request, header.len(), sql.len());
        self.connection.send(&prefix, &header, sql.as_bytes()).unwrap();
        request
    }

    pub fn query(&mut self, sql: &str) -> Answer {
        let id = self.send_query(sql);
        self.receive(id, true)
    }

    /// Asks for a file and keeps its bytes.
    pub fn file(&mut self, name: &str) -> Answer {
        let id = self.send_file(name);
        self.receive(id, true)
    }

    /// Asks for a file and only hashes its bytes.
    pub fn large_file(&mut self, name: &str) -> Answer {
        let id = self.send_file(name);
        self.receive(id, false)
    }

    pub fn servers(&mut self) -> Vec<ServerStatus> {
        let id = self.ids.next();
        self.connection.send(&Prefix::new(Kind::Servers, id, 0, 0), &[], &[]).unwrap();
        let (prefix, _, body) = self.frame();
        assert_eq!((prefix.kind, prefix.id), (Kind::ServerList, id));
        serde_json::from_slice(&body).unwrap()
    }

    /// The next frame, whole.
    pub fn frame(&mut self) -> (Prefix, Vec<u8>, Vec<u8>) {
        let (mut header, mut body) = (Vec::new(), Vec::new());
        let deadline = Some(Deadline::after(LONG));
        let prefix = self.connection.next(&mut header, Phase::Answer, deadline, LONG).unwrap();
        let prefix = prefix.expect("the load balancer closed the connection");
        self.connection.append_body(prefix.body_len as usize, &mut body).unwrap();
        (prefix, header, body)
    }

    /// Reads the whole answer to this request, and checks everything that can be checked.
    pub fn receive(&mut self, id: RequestId, keep: bool) -> Answer {
        let (mut head, mut rows, mut bytes, mut size) = (None, Vec::new(), Vec::new(), 0_u64);
        let mut digest = Sha256::new();
        loop {
            let (prefix, header, body) = self.frame();
            assert_eq!(prefix.id, id, "an answer to another request");
            let peer = self.connection.peer();
            match (prefix.kind, &head) {
                (Kind::Error, _) => return Answer::Failed(from_header(peer, &prefix, &header).unwrap()),
                (Kind::Head, None) => head = Some(from_header::<Head>(peer, &prefix, &header).unwrap()),
                (Kind::Data, Some(Head::Rows { .. })) => rows.extend(read_rows(&body).map(Result::unwrap)),
                (Kind::Data, Some(Head::File { .. })) => {
                    digest.update(&body);
                    size += body.len() as u64;
                    if keep {
                        bytes.extend_from_slice(&body);
                    }
                }
                (Kind::End, Some(begun)) => {
                    let end: End = from_header(peer, &prefix, &header).unwrap();
                    return whole(begun.clone(), end, rows, (size, digest), keep.then_some(bytes));
                }
                (kind, _) => panic!("a frame {kind:?} makes no sense here"),
            }
        }
    }
}

fn whole(begun: Head, end: End, rows: Vec<Vec<Value>>, file: (u64, Sha256), bytes: Option<Vec<u8>>) -> Answer {
    let server = end.server;
    match begun {
        Head::Changed { rows } => Answer::Changed { rows, server },
        Head::Rows { columns, .. } => {
            assert_eq!(end.rows, Some(rows.len() as u64));
            Answer::Rows { columns, rows, server }
        }
        Head::File { size, .. } => {
            let sha256 = protocol::value::to_hex(&file.1.finalize());
            assert_eq!((end.size, end.sha256.as_ref()), (Some(file.0), Some(&sha256)));
            assert_eq!(size, file.0);
            Answer::File { size, sha256, server, bytes }
        }
    }
}
