//! Reading an answer: which frames may follow which.
//!
//! **The problem.** An answer is several frames, and the other side may be wrong, or broken off, or not what it
//! seems: rows without a head, a file where rows were asked for, three values under two titles, an end that counts
//! other rows than came. A client that believes frames one by one prints nonsense.
//!
//! **The idea.** A small machine that knows what was asked for and what has come. Each frame moves it on, or is
//! refused with a sentence:
//!
//! ```text
//!            ┌─ head(file) ─ data* ─ end
//!  begin ────┼─ head(rows) ─ data* ─ end          an error may stand in place of any of these,
//!            ├─ head(changed) ────── end          and then the answer is over
//!            └─ servers, or pong
//! ```
//!
//! What is worth showing goes to a [`Sink`] at once, row by row, so that an answer of any length needs the memory of
//! one frame. Whether a *file* has its size and digest is checked where it is written, in [`crate::received`].
//!
//! Pure: no connection, no clock.

use crate::{received::ReceiveError, request::Request};
use protocol::{
    frame::Kind,
    id::RequestId,
    limits::MAX_COLUMNS,
    message::{ChunkHeader, End, Failure, Head, ServerStatus, read_rows},
    value::Value,
};
use serde::de::DeserializeOwned;

/// A piece of an answer that is worth showing.
#[derive(Debug)]
pub enum Part<'a> {
    /// A file of this many bytes begins.
    File(u64),
    /// The next bytes of the file, and the SHA-256 (hexadecimal) of all of it up to their end.
    Chunk(&'a [u8], &'a str),
    /// Rows under these titles begin.
    Columns(Vec<String>),
    /// The next row; as many values as titles.
    Row(Vec<Value>),
    /// A statement was carried out and touched this many rows.
    Changed(u64),
    /// A ping came back.
    Pong,
    /// The load balancer's list.
    Servers(Vec<ServerStatus>),
}

/// Where the pieces of an answer go.
pub trait Sink {
    /// The request is about to be sent: the connection is there, and what follows is the way there and back.
    fn sending(&mut self) {}

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it cannot be kept or shown; then the rest of the answer is given up.
    fn take(&mut self, part: Part<'_>) -> Result<(), SinkError>;

    /// A frame of another request came, and was dropped.
    fn foreign(&mut self, request: RequestId);

    /// The answer is complete. A file gets its name here.
    ///
    /// # Errors
    /// When what came is not what was announced, or cannot be kept or shown.
    fn end(&mut self, end: &End) -> Result<(), SinkError>;
}

/// Why a piece of an answer could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file could not be written, or was not what was announced.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// Nobody reads what is printed.
    #[error("The answer cannot be printed: {0}.")]
    Output(#[from] std::io::Error),
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// A header or a list is not the JSON it must be.
    #[error("A frame of kind {kind:?} of the answer cannot be read: {source}.")]
    Unreadable {
        /// The kind of the frame.
        kind: Kind,
        /// What is wrong with the JSON.
        source: serde_json::Error,
    },
    /// A frame that may not come here.
    #[error("The answer has a frame of kind {0:?} where none may be.")]
    Order(Kind),
    /// More columns than an answer may have.
    #[error("The answer has {0} columns; at most {MAX_COLUMNS} are allowed.")]
    Columns(usize),
    /// A row of another width than the titles.
    #[error("The answer has {columns} columns, but a row of {values} values.")]
    Width {
        /// How many titles came.
        columns: usize,
        /// How many values the row has.
        values: usize,
    },
    /// Other rows came than were announced.
    #[error("{announced} rows were announced, but {came} came.")]
    Count {
        /// How many the header or the end names.
        announced: u64,
        /// How many came.
        came: u64,
    },
    /// A file without a digest cannot be checked.
    #[error("The answer ends without the SHA-256 of the file, so that it cannot be checked.")]
    NoDigest,
}

/// What a frame means for the answer.
#[derive(Debug)]
pub enum Step {
    /// More follows.
    GoesOn,
    /// The answer is complete.
    Complete(End),
    /// The request failed.
    Failed(Failure),
}

/// Why an answer goes no further.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The other side is to blame.
    #[error(transparent)]
    Bad(#[from] BadAnswer),
    /// This side is, or the content of a file.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// An answer, as far as it has come.
#[derive(Debug)]
pub struct Answer {
    state: State,
}

#[derive(Debug)]
enum State {
    Begin(Asked),
    File,
    Rows { columns: usize, came: u64 },
    Changed,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    File,
    Query,
    Ping,
    Servers,
}

impl Answer {
    /// The answer to this request, before its first frame.
    #[must_use]
    pub fn to(request: &Request) -> Self {
        let asked = match request {
            Request::File(_) => Asked::File,
            Request::Query(_) => Asked::Query,
            Request::Ping => Asked::Ping,
            Request::Servers => Asked::Servers,
        };
        Self { state: State::Begin(asked) }
    }

    /// Whether nothing of the answer has come yet.
    #[must_use]
    pub fn has_not_begun(&self) -> bool {
        matches!(self.state, State::Begin(_))
    }

    /// Takes the next frame and gives what it holds to the sink.
    ///
    /// # Errors
    /// When the frame makes no sense here, or the sink takes no more. Then the answer is of no use any more.
    pub fn step(&mut self, kind: Kind, header: &[u8], body: &[u8], sink: &mut dyn Sink) -> Result<Step, StepError> {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, kind) {
            (State::Over, kind) => Err(BadAnswer::Order(kind).into()),
            (_, Kind::Error) => Ok(Step::Failed(json(kind, header)?)),
            (State::Begin(Asked::Servers), Kind::ServerList) => {
                sink.take(Part::Servers(json(kind, body)?))?;
                whole(sink)
            }
            (State::Begin(Asked::Ping), Kind::Pong) => {
                sink.take(Part::Pong)?;
                whole(sink)
            }
            (State::Begin(asked), Kind::Head) => self.head(asked, json(kind, header)?, sink),
            (State::File, Kind::Data) => {
                let ChunkHeader { sha256 } = json(kind, header)?;
                sink.take(Part::Chunk(body, &sha256))?;
                self.state = State::File;
                Ok(Step::GoesOn)
            }
            (State::Rows { columns, came }, Kind::Data) => {
                let came = came + rows(columns, header, body, sink)?;
                self.state = State::Rows { columns, came };
                Ok(Step::GoesOn)
            }
            (state @ (State::File | State::Rows { .. } | State::Changed), Kind::End) => {
                let end: End = json(kind, header)?;
                check_end(&state, &end)?;
                sink.end(&end)?;
                Ok(Step::Complete(end))
            }
            (_, kind) => Err(BadAnswer::Order(kind).into()),
        }
    }

    fn head(&mut self, asked: Asked, head: Head, sink: &mut dyn Sink) -> Result<Step, StepError> {
        self.state = match (asked, head) {
            (Asked::File, Head::File { size, .. }) => {
                sink.take(Part::File(size))?;
                State::File
            }
            (Asked::Query, Head::Rows { columns, .. }) if columns.len() > MAX_COLUMNS => {
                return Err(BadAnswer::Columns(columns.len()).into());
            }
            (Asked::Query, Head::Rows { columns: titles, .. }) => {
                let columns = titles.len();
                sink.take(Part::Columns(titles))?;
                State::Rows { columns, came: 0 }
            }
            (Asked::Query, Head::Changed { rows }) => {
                sink.take(Part::Changed(rows))?;
                State::Changed
            }
            _ => return Err(BadAnswer::Order(Kind::Head).into()),
        };
        Ok(Step::GoesOn)
    }
}

/// An answer of one frame is complete with it.
fn whole(sink: &mut dyn Sink) -> Result<Step, StepError> {
    let end = End::default();
    sink.end(&end)?;
    Ok(Step::Complete(end))
}

/// Gives the rows of one frame to the sink, and says how many they were.
fn rows(columns: usize, header: &[u8], body: &[u8], sink: &mut dyn Sink) -> Result<u64, StepError> {
    let announced = json::<protocol::message::RowsHeader>(Kind::Data, header)?.rows;
    let mut came = 0;
    for row in read_rows(body) {
        let row = row.map_err(|source| BadAnswer::Unreadable { kind: Kind::Data, source })?;
        if row.len() != columns {
            return Err(BadAnswer::Width { columns, values: row.len() }.into());
        }
        sink.take(Part::Row(row))?;
        came += 1;
    }
    if came != announced {
        return Err(BadAnswer::Count { announced, came }.into());
    }
    Ok(came)
}

fn check_end(state: &State, end: &End) -> Result<(), BadAnswer> {
    match (state, end) {
        (State::File, End { sha256: None, .. }) => Err(BadAnswer::NoDigest),
        (State::Rows { came, .. }, End { rows: Some(announced), .. }) if came != announced => {
            Err(BadAnswer::Count { announced: *announced, came: *came })
        }
        _ => Ok(()),
    }
}

fn json<M: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<M, BadAnswer> {
    serde_json::from_slice(bytes).map_err(|source| BadAnswer::Unreadable { kind, source })
}

#[cfg(test)]
mod tests;
