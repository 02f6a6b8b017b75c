//! The JSON headers of frames: what is asked, what is answered, and how a failure is told.
//!
//! Each kind of frame has one header type here. Keys that a side does not know are ignored, so that a key can be
//! added without a new version; a key that changes its meaning needs a new version.

use crate::{
    id::RequestId,
    token::{Role, Token},
    value::Value,
};
use serde::{Deserialize, Serialize};

/// Header of an `F` frame: asks for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRequest {
    /// The request itself; the prefix may carry a load balancer's tag instead.
    pub request: RequestId,
    /// The id of the client, as it was typed when the client was started.
    #[serde(default)]
    pub client: String,
    /// Name of the file, below the servers' directory.
    pub name: String,
    /// How long the client is willing to wait for the first byte of the answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The first byte wanted, from 0: more than 0 when a transfer goes on after a loss.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: u64,
    /// With an offset: SHA-256 (hexadecimal) of the bytes before it, which the server checks against its own copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Header of a `Q` frame: asks for the result of the SQL statement in its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryRequest {
    /// The request itself; the prefix may carry a load balancer's tag instead.
    pub request: RequestId,
    /// The id of the client, as it was typed when the client was started.
    #[serde(default)]
    pub client: String,
    /// How long the client is willing to wait for the first byte of the answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The lowest sequence of this client number that may still be asked for: records below it can go, and requests
    /// below it are refused. 0 says nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub low_water: u64,
}

/// Header of an `h` frame: the beginning of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Head {
    /// A file follows.
    File {
        /// Its name, as it was asked for.
        name: String,
        /// Its whole size in bytes, also when the answer begins at an offset.
        size: u64,
    },
    /// Rows follow.
    Rows {
        /// The titles of the columns.
        columns: Vec<String>,
        /// Whether this is the recorded outcome of a write, which a repeat of the request returns to the byte.
        #[serde(default, skip_serializing_if = "is_false")]
        recorded: bool,
    },
    /// A statement that returns no rows was carried out and committed.
    Changed {
        /// How many rows it inserted, changed or deleted; 0 for CREATE and the like.
        rows: u64,
    },
}

/// Header of a `d` frame with a chunk of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkHeader {
    /// SHA-256 (hexadecimal) of the file's bytes from its beginning to the end of this chunk.
    pub sha256: String,
}

/// Header of a `d` frame with rows: JSON Lines, one array of [`Value`]s a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsHeader {
    /// How many rows the body holds.
    pub rows: u64,
}

/// Header of an `e` frame: the answer is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The server that answered.
    pub server: String,
    /// Of a file: SHA-256 (hexadecimal) of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Of a file: its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Of a query: how many rows were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// What went wrong, for programs. The names are stable; a new one may be added, so an unknown name is read as
/// [`ErrorCode::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The file is not there.
    NotFound,
    /// The name or the statement is not allowed.
    Forbidden,
    /// The request cannot be understood.
    BadRequest,
    /// The database refused the statement.
    SqlError,
    /// Something is larger than a limit.
    TooLarge,
    /// A deadline passed.
    Timeout,
    /// The request was taken back by its client.
    Cancelled,
    /// No room: a full queue, a full server, too many connections.
    Busy,
    /// The program that was asked is ending.
    Draining,
    /// No server could answer.
    Unavailable,
    /// The request was sent and its answer lost: it may have been carried out.
    UnknownOutcome,
    /// The request is older than the records that are kept, or its client has said that it is settled: whether it
    /// was carried out cannot be told any more, and it is not carried out now.
    Expired,
    /// The id was used before, for another statement.
    IdReused,
    /// The other side speaks another version of the protocol.
    Version,
    /// What was read from a disk or a database is damaged or changed while it was read.
    Damaged,
    /// A defect of the program.
    Internal,
    /// A code that this version does not know.
    #[serde(other)]
    Other,
}

impl ErrorCode {
    /// The code as it stands in a frame, such as `not-found`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Forbidden => "forbidden",
            Self::BadRequest => "bad-request",
            Self::SqlError => "sql-error",
            Self::TooLarge => "too-large",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::UnknownOutcome => "unknown-outcome",
            Self::Expired => "expired",
            Self::IdReused => "id-reused",
            Self::Version => "version",
            Self::Damaged => "damaged",
            Self::Internal => "internal",
            Self::Other => "other",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Longest message of a failure, in characters. Even if each is escaped as six it fits into a header.
const LONGEST_MESSAGE: usize = 2_000;

/// Header of an `x` frame: the request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What went wrong, for people: a full sentence, without paths of the machine.
    pub message: String,
    /// Whether the request surely was not and will not be carried out. Never true when in doubt.
    pub definite: bool,
    /// How many servers the request was tried at.
    #[serde(default)]
    pub attempts: u32,
    /// The server that said so, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// When it makes sense to ask again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure that is certain: the request was not carried out.
    pub fn definite(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, definite: true, attempts: 0, server: None, retry_after_ms: None }.cut()
    }

    /// The same failure with a message that surely fits into a frame's header: words of others (a parser that echoes
    /// what it could not read) may be in it.
    #[must_use]
    pub fn cut(mut self) -> Self {
        if let Some((end, _)) = self.message.char_indices().nth(LONGEST_MESSAGE) {
            self.message.truncate(end);
            self.message.push('…');
        }
        self
    }

    /// A failure after which nobody here knows whether the request was carried out.
    pub fn indefinite(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { definite: false, ..Self::definite(code, message) }
    }

    /// The same failure, said by this server, at which the request was tried.
    #[must_use]
    pub fn from_server(self, server: &str) -> Self {
        Self { server: Some(server.to_owned()), attempts: self.attempts.max(1), ..self }
    }

    /// The same failure, with the time after which asking again makes sense.
    #[must_use]
    pub fn retry_after_ms(self, ms: u64) -> Self {
        Self { retry_after_ms: Some(ms), ..self }
    }
}

/// Header of an `I` frame: who are you?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identify {
    /// A random text that the answer repeats, so that an old answer is not taken for this one.
    pub nonce: String,
}

/// Header of an `i` frame: a server says who it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The nonce of the question.
    pub nonce: String,
    /// The id the server was started with.
    pub id: String,
    /// Drawn at random when the process started: another number under the same id is another process.
    pub incarnation: u64,
    /// What it serves: `lab` for files and SQL, or another name, such as `echo` or `http`.
    pub service: String,
    /// Where it serves.
    pub address: std::net::SocketAddr,
    /// What it spends on each request, in seconds; less is stronger.
    pub processing_time: f64,
    /// How many requests it serves at once; [`UNLIMITED`](crate::flags::UNLIMITED), a number here, for as many as come.
    pub capacity: u32,
    /// The UUID of its database, if it has one. A retry of a write never leaves its database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The oldest version of the lab protocol it speaks.
    pub min_version: u8,
    /// The newest version of the lab protocol it speaks.
    pub max_version: u8,
    /// The number of its process.
    pub pid: u32,
}

/// Header of an `i` frame, with the proof of a server that has a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identified {
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// That somebody who knows the token says so; see [`Identity::prove`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

impl Identity {
    /// The proof that somebody who knows the token says all this, to the one who drew the nonce.
    #[must_use]
    pub fn prove(&self, token: &Token) -> String {
        let parts = self.parts();
        token.prove(Role::ControlPort, &parts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Whether this is that proof.
    #[must_use]
    pub fn is_proved_by(&self, token: &Token, proof: &str) -> bool {
        let parts = self.parts();
        token.is_proof(proof, Role::ControlPort, &parts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What the proof covers, in its order.
    fn parts(&self) -> Vec<String> {
        vec![
            self.nonce.clone(),
            self.id.clone(),
            self.incarnation.to_string(),
            self.service.clone(),
            self.address.to_string(),
            self.processing_time.to_string(),
            self.capacity.to_string(),
            self.database.clone().unwrap_or_default(),
            self.min_version.to_string(),
            self.max_version.to_string(),
            self.pid.to_string(),
        ]
    }
}

/// Header of a `b` frame: a server lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// The same number as in [`Identity`].
    pub incarnation: u64,
    /// How many requests it is serving now.
    pub active: u32,
    /// Whether it is ending and takes no new requests.
    #[serde(default)]
    pub draining: bool,
}

/// One line of the load balancer's list of servers (body of an `s` frame: a JSON array of these).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The id of the server.
    pub id: String,
    /// Where it serves.
    pub address: std::net::SocketAddr,
    /// `idle`, `busy`, `down`, `drain` …
    pub state: String,
    /// What it spends on each request, in seconds.
    pub processing_time: f64,
    /// How many requests it serves at once; [`UNLIMITED`](crate::flags::UNLIMITED), a number here, for as many as come.
    pub capacity: u32,
    /// How many it is serving now.
    pub active: u32,
    /// How many it has answered since the load balancer started.
    pub answered: u64,
    /// How many it has lost or failed since then.
    pub failed: u64,
    /// Why it is in its state, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Appends one row to a batch of JSON Lines.
pub fn push_row(batch: &mut Vec<u8>, row: &[Value]) {
    // Writing JSON into memory cannot fail: there is no I/O and `Value` has no key that is not a text.
    if serde_json::to_writer(&mut *batch, row).is_ok() {
        batch.push(b'\n');
    }
}

/// The rows of a batch of JSON Lines.
///
/// # Errors
/// What is wrong with the first line that is not an array of values.
pub fn read_rows(batch: &[u8]) -> impl Iterator<Item = Result<Vec<Value>, serde_json::Error>> + '_ {
    batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_their_type() {
        let head = Head::File { name: "colors.csv".into(), size: 3 };
        assert_eq!(serde_json::to_string(&head).unwrap(), r#"{"type":"file","name":"colors.csv","size":3}"#);
        assert_eq!(serde_json::to_string(&Head::Changed { rows: 1 }).unwrap(), r#"{"type":"changed","rows":1}"#);
    }

    #[test]
    fn a_failure_of_a_later_version_is_still_readable() {
        let json = r#"{"code":"moon-phase","message":"Wait.","definite":false,"phase":"full"}"#;
        let failure: Failure = serde_json::from_str(json).unwrap();
        assert_eq!((failure.code, failure.definite, failure.attempts), (ErrorCode::Other, false, 0));
    }

    #[test]
    fn codes_are_written_as_they_are_named() {
        for code in [ErrorCode::NotFound, ErrorCode::UnknownOutcome, ErrorCode::SqlError, ErrorCode::Busy] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn an_ordinary_file_request_is_short() {
        let request = FileRequest {
            request: RequestId { client: 1, sequence: 1 },
            client: "2".into(),
            name: "a b".into(),
            timeout_ms: None,
            offset: 0,
            sha256: None,
        };
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(json, r#"{"request":"0000000000000001-0000000000000001","client":"2","name":"a b"}"#);
        assert_eq!(serde_json::from_str::<FileRequest>(&json).unwrap(), request);
    }

    #[test]
    fn rows_are_lines_of_json() {
        let rows = vec![vec![Value::Text("two\nlines".into()), Value::Null], vec![Value::Integer(1), Value::Real(0.5)]];
        let mut batch = Vec::new();
        rows.iter().for_each(|row| push_row(&mut batch, row));
        assert_eq!(batch, b"[\"two\\nlines\",null]\n[1,0.5]\n");
        assert_eq!(read_rows(&batch).collect::<Result<Vec<_>, _>>().unwrap(), rows);
        assert!(read_rows(b"[1]\n[1").any(|row| row.is_err()));
    }
}
