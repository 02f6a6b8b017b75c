//! `POST /sql`: one statement in, its outcome out, as JSON.
//!
//! ```text
//! POST /sql                                          HTTP/1.1 200 OK
//! Content-Type: application/json                     Content-Type: application/json
//! Idempotency-Key: 0372a6…-0000000000000001
//!
//! {"sql":"SELECT Name FROM COLORS LIMIT 2"}          {"columns":["Name"],"rows":[["White"],["Silver"]]}
//! {"sql":"DELETE FROM COLORS WHERE Name='Red'"}      {"changed":1}
//! ```
//!
//! **Exactly once.** A request with an id (in the field `Idempotency-Key`, or as `"request"` in the body) is carried out once,
//! however often it arrives, at whichever server of the database, and answered every time with the same bytes
//! ([`once`](crate::sql::once)). A request may come from a load balancer that tries again without a word, so one with an id
//! is always treated as one that was sent before: its record is looked for first, and what says nothing about the
//! statement (a time limit, a lock) is not called definite. The id has the form of the lab protocol's, because it must tell its
//! age: records are not kept for ever. `GET /request-id` gives one; only for a key that the *same* client made up
//! before it asked could more be promised, and a UUID does not say when it was made.
//!
//! **Only reading.** With the field `Lab-Read-Only: true`, as copies of a request carry it, a statement that would write is
//! refused with 403.
//!
//! **Why only `application/json`.** A page of any site can make a browser send a form, or text, to `localhost`; it cannot
//! make it send this type without asking first. So nobody's open browser tab writes into the database.
//!
//! **Simplified.** The status stands before the rows, and whether a statement succeeds is known behind the last one. So an
//! answer is made whole before it is sent, and may have [`MAX_ANSWER`]; the lab protocol streams, and tells a failure at the
//! end. Production systems page through large results.

use super::{
    super::{Terms, lab::beginning},
    admission::{self, Asker},
    failed,
    failed::Unanswered,
};
use crate::{
    sql::{Database, Interrupt, Outcome, Returned, RowSink, SqlError, Statement, Watch},
    work::Interest,
};
use protocol::{
    deadline::Deadline,
    http::{BodyReader, Request, Response, Status},
    id::RequestId,
    limits::{MAX_BODY, MAX_SQL},
    message::ErrorCode,
    output::say,
    value::Value,
};
use serde::Deserialize;
use serde_json::json;
use std::{net::TcpStream, sync::Arc, time::Duration};

/// Longest body of a request, in bytes: a statement of [`MAX_SQL`] in which every other byte is escaped. A longer one is
/// answered with 413.
const MAX_QUESTION: u64 = 2 * MAX_SQL as u64;

/// Longest answer, in bytes of its rows. A longer one is refused with 422; nothing of it has been sent then.
const MAX_ANSWER: usize = MAX_BODY;

/// The mark of a request that must not write, whatever its statement says.
const READ_ONLY: &str = "Lab-Read-Only";

/// Carries out statements.
pub(super) struct Sql {
    pub(super) database: Arc<dyn Database>,
    /// How long a statement may run.
    pub(super) time: Duration,
}

/// The body of a request.
#[derive(Debug, Deserialize)]
struct Question {
    sql: String,
    #[serde(default)]
    request: Option<String>,
}

impl Sql {
    /// Reads the statement, takes a place, carries it out.
    pub(super) fn answer(
        &self,
        terms: &Terms,
        request: &Request,
        body: &mut BodyReader<'_>,
    ) -> Result<Response, Unanswered> {
        check_type(request)?;
        let read_only = is_read_only(request)?;
        let question: Question = body.json(MAX_QUESTION)?;
        let id = request_id(request, question.request.as_deref())?;
        let _place = admission::admit(terms, &beginning(&question.sql), body)?;
        let statement = Statement {
            sql: &question.sql,
            request: id.unwrap_or(RequestId::NONE),
            read_only,
            repeated: id.is_some(),
            low_water: 0,
        };
        let watch: Arc<dyn Watch> =
            Arc::new(RequestWatch { stream: Arc::clone(body.stream()), until: Deadline::after(self.time) });
        let mut rows = Rows::default();
        match self.database.run(&statement, &watch, &mut rows) {
            Ok(outcome) => {
                say!("Response sent!");
                Ok(rows.answer(outcome)?)
            }
            Err(SqlError::Interrupted(Interrupt::Gone | Interrupt::Cancelled)) => Err(admission::gone(body.peer())),
            Err(error) => Err(error.into()),
        }
    }
}

fn bad(words: &str) -> Unanswered {
    failed::refuse(Status::BAD_REQUEST, ErrorCode::BadRequest, words).into()
}

fn check_type(request: &Request) -> Result<(), Unanswered> {
    let media = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    if media.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let words = "A statement comes as JSON: Content-Type: application/json, and {\"sql\":\"SELECT …\"} as the body.";
    Err(failed::refuse(Status::UNSUPPORTED_MEDIA_TYPE, ErrorCode::BadRequest, words).into())
}

fn is_read_only(request: &Request) -> Result<bool, Unanswered> {
    let mut marks = request.headers.all(READ_ONLY);
    match (marks.next(), marks.next()) {
        (None, _) => Ok(false),
        (Some(b"true"), None) => Ok(true),
        (Some(b"false"), None) => Ok(false),
        _ => Err(bad("The field Lab-Read-Only is either true or false.")),
    }
}

/// The id that the request came with, in the one place or the other.
fn request_id(request: &Request, in_body: Option<&str>) -> Result<Option<RequestId>, Unanswered> {
    let mut keys = request.headers.all("idempotency-key");
    let key = match (keys.next().map(str::from_utf8), keys.next()) {
        (None, _) => None,
        // The draft of the field says that it is in quotes; many leave them out.
        (Some(Ok(key)), None) => Some(key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(key)),
        _ => return Err(bad("The field Idempotency-Key came twice, or is no text.")),
    };
    match (key, in_body) {
        (Some(key), Some(own)) if key != own => Err(bad("The request has two ids, and they differ.")),
        (None, None) => Ok(None),
        (one, other) => one.or(other).map(parse_id).transpose(),
    }
}

fn parse_id(text: &str) -> Result<RequestId, Unanswered> {
    let id = text.parse().ok().filter(|id: &RequestId| id.client != RequestId::NONE.client);
    id.ok_or_else(|| {
        bad("The request's id must tell its age, so it has the form of this laboratory: two numbers of 16 hexadecimal \
             digits joined by '-'. GET /request-id gives one.")
    })
}

/// Ends the statement when its time is over or its requester is gone.
struct RequestWatch {
    stream: Arc<TcpStream>,
    until: Deadline,
}

impl Watch for RequestWatch {
    fn interrupted(&self) -> Option<Interrupt> {
        if self.until.has_passed() { Some(Interrupt::TimeLimit) } else { Asker(&self.stream).lost() }
    }
}

/// Gathers rows as the members of a JSON array.
#[derive(Default)]
struct Rows {
    columns: Vec<String>,
    members: Vec<u8>,
}

impl RowSink for Rows {
    fn columns(&mut self, titles: &[String]) -> Result<(), SqlError> {
        self.columns = titles.to_vec();
        Ok(())
    }

    fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
        if !self.members.is_empty() {
            self.members.push(b',');
        }
        let written = serde_json::to_writer(&mut self.members, row);
        if written.is_err() || self.members.len() > MAX_ANSWER {
            let mib = MAX_ANSWER / (1024 * 1024);
            return Err(SqlError::TooLarge(format!(
                "An answer over HTTP may have {mib} MiB; use LIMIT, or the lab protocol."
            )));
        }
        Ok(())
    }
}

impl Rows {
    fn answer(self, outcome: Outcome) -> Result<Response, Unanswered> {
        let (columns, members) = match outcome {
            Outcome::Changed { rows } => return Ok(Response::json(Status::OK, &json!({ "changed": rows }))),
            Outcome::Rows { .. } => (self.columns, self.members),
            // Lines of JSON: whatever ends a line stands between two rows.
            Outcome::Returned(Returned { columns, lines, .. }) => {
                (columns, lines.trim_end_matches('\n').replace('\n', ",").into_bytes())
            }
        };
        let mut text = serde_json::to_vec(&json!({ "columns": columns })).unwrap_or_default();
        text.pop();
        text.extend_from_slice(b",\"rows\":[");
        text.extend_from_slice(&members);
        text.extend_from_slice(b"]}\n");
        Ok(Response::whole(Status::OK, "application/json", text)?)
    }
}
