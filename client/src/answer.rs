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
//!            └─ servers
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
    message::{End, Failure, Head, ServerStatus, read_rows},
    value::Value,
};
use serde::de::DeserializeOwned;

/// A piece of an answer that is worth showing.
#[derive(Debug)]
pub enum Part<'a> {
    /// A file of this many bytes begins.
    File(u64),
    /// The next bytes of the file.
    Chunk(&'a [u8]),
    /// Rows under these titles begin.
    Columns(Vec<String>),
    /// The next row; as many values as titles.
    Row(Vec<Value>),
    /// A statement was carried out and touched this many rows.
    Changed(u64),
    /// The load balancer's list.
    Servers(Vec<ServerStatus>),
}

/// Where the pieces of an answer go.
pub trait Sink {
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
    Servers,
}

impl Answer {
    /// The answer to this request, before its first frame.
    #[must_use]
    pub fn to(request: &Request) -> Self {
        let asked = match request {
            Request::File(_) => Asked::File,
            Request::Query(_) => Asked::Query,
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
                let end = End::default();
                sink.end(&end)?;
                Ok(Step::Complete(end))
            }
            (State::Begin(asked), Kind::Head) => self.head(asked, json(kind, header)?, sink),
            (State::File, Kind::Data) => {
                sink.take(Part::Chunk(body))?;
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
mod tests {
    use super::*;

    /// Writes down what it is given.
    #[derive(Default)]
    struct Notes(Vec<String>);

    impl Sink for Notes {
        fn take(&mut self, part: Part<'_>) -> Result<(), SinkError> {
            self.0.push(format!("{part:?}"));
            Ok(())
        }

        fn foreign(&mut self, request: RequestId) {
            self.0.push(format!("foreign {request}"));
        }

        fn end(&mut self, end: &End) -> Result<(), SinkError> {
            self.0.push(format!("end of {}", end.server));
            Ok(())
        }
    }

    type Frame = (Kind, &'static str, &'static str);

    const ROWS: Frame = (Kind::Head, r#"{"type":"rows","columns":["a","b"]}"#, "");
    const FILE: Frame = (Kind::Head, r#"{"type":"file","name":"x","size":3}"#, "");
    const CHANGED: Frame = (Kind::Head, r#"{"type":"changed","rows":2}"#, "");
    const BATCH: Frame = (Kind::Data, r#"{"rows":2}"#, "[1,null]\n[\"x\",2.5]\n");
    const CHUNK: Frame = (Kind::Data, r#"{"sha256":"00"}"#, "abc");
    const END: Frame = (Kind::End, r#"{"server":"2"}"#, "");
    const END_OF_FILE: Frame = (Kind::End, r#"{"server":"2","sha256":"00","size":3}"#, "");
    const ERROR: Frame = (Kind::Error, r#"{"code":"sql-error","message":"No.","definite":true}"#, "");

    fn play(request: &Request, frames: &[Frame]) -> (Vec<String>, Result<Step, StepError>) {
        let mut answer = Answer::to(request);
        let mut notes = Notes::default();
        let mut last = Ok(Step::GoesOn);
        for (kind, header, body) in frames {
            last = answer.step(*kind, header.as_bytes(), body.as_bytes(), &mut notes);
            if last.is_err() {
                break;
            }
        }
        (notes.0, last)
    }

    fn query() -> Request {
        Request::Query("SELECT".into())
    }

    fn file() -> Request {
        Request::File("x".into())
    }

    fn refusal(request: &Request, frames: &[Frame]) -> String {
        match play(request, frames) {
            (_, Err(error)) => error.to_string(),
            (notes, Ok(step)) => panic!("{frames:?} gave {notes:?} and {step:?}"),
        }
    }

    #[test]
    fn rows_are_passed_on_one_by_one() {
        let (notes, last) = play(&query(), &[ROWS, BATCH, BATCH, END]);
        assert!(matches!(last, Ok(Step::Complete(End { server, .. })) if server == "2"));
        assert_eq!(notes.len(), 6);
        assert_eq!(notes[1], "Row([Integer(1), Null])");
        let (notes, _) = play(&query(), &[CHANGED, END]);
        assert_eq!(notes, ["Changed(2)", "end of 2"]);
    }

    #[test]
    fn a_file_is_passed_on_chunk_by_chunk() {
        let (notes, last) = play(&file(), &[FILE, CHUNK, END_OF_FILE]);
        assert!(matches!(last, Ok(Step::Complete(_))));
        assert_eq!(notes, ["File(3)", "Chunk([97, 98, 99])", "end of 2"]);
        assert!(refusal(&file(), &[FILE, CHUNK, END]).contains("without the SHA-256"));
    }

    #[test]
    fn an_error_may_come_at_any_time_and_ends_it() {
        for frames in [&[ERROR][..], &[ROWS, ERROR], &[ROWS, BATCH, ERROR]] {
            assert!(matches!(play(&query(), frames).1, Ok(Step::Failed(_))), "{frames:?}");
        }
        assert!(refusal(&query(), &[ROWS, ERROR, END]).contains("End where none may be"));
    }

    #[test]
    fn frames_out_of_order_are_refused() {
        for frames in [&[BATCH][..], &[END], &[ROWS, ROWS], &[CHANGED, BATCH], &[ROWS, END, BATCH], &[FILE]] {
            assert!(refusal(&query(), frames).contains("where none may be"), "{frames:?}");
        }
        for frames in [&[ROWS][..], &[CHANGED], &[CHUNK], &[FILE, FILE]] {
            assert!(refusal(&file(), frames).contains("where none may be"), "{frames:?}");
        }
        for kind in [Kind::Query, Kind::Pong, Kind::ServerList, Kind::Identity, Kind::Cancel] {
            assert!(refusal(&query(), &[(kind, "{}", "[]")]).contains("where none may be"), "{kind:?}");
        }
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let batch = |header, body| refusal(&query(), &[ROWS, (Kind::Data, header, body)]);
        assert!(batch(r#"{"rows":1}"#, "[1]\n").contains("2 columns, but a row of 1 values"));
        assert!(batch(r#"{"rows":2}"#, "[1,2]\n").contains("2 rows were announced, but 1 came"));
        assert!(batch(r#"{"rows":1}"#, "[1,true]\n").contains("cannot be read"));
        assert!(batch("", "[1,2]\n").contains("cannot be read"));
        let end = (Kind::End, r#"{"server":"2","rows":7}"#, "");
        assert!(refusal(&query(), &[ROWS, BATCH, end]).contains("7 rows were announced, but 2 came"));
    }

    #[test]
    fn two_thousand_columns_are_enough() {
        let head =
            |n: usize| serde_json::to_vec(&Head::Rows { columns: vec![String::new(); n], recorded: false }).unwrap();
        let step = |n| Answer::to(&query()).step(Kind::Head, &head(n), b"", &mut Notes::default());
        assert!(step(MAX_COLUMNS).is_ok());
        assert!(matches!(step(MAX_COLUMNS + 1), Err(StepError::Bad(BadAnswer::Columns(2001)))));
    }

    #[test]
    fn the_list_of_servers_is_one_frame() {
        let (notes, last) = play(&Request::Servers, &[(Kind::ServerList, "", "[]")]);
        assert_eq!((notes[0].as_str(), matches!(last, Ok(Step::Complete(_)))), ("Servers([])", true));
        assert!(refusal(&Request::Servers, &[(Kind::ServerList, "", "{")]).contains("cannot be read"));
    }
}
