//! Answering a statement: rows in batches, or the number of rows changed.

use super::{
    answer::Answer,
    requester::{Lost, Requester},
};
use crate::sql::{Database, Interrupt, Outcome, Returned, RowSink, SqlError, Statement, Watch};
use parking_lot::Mutex;
use protocol::{
    deadline::Deadline,
    frame::Kind,
    limits::MAX_BODY,
    message::{End, Head, RowsHeader, push_row},
    output::{Plain, say},
    value::Value,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A batch of rows is sent when it has this many bytes: enough that the cost per frame disappears.
const BATCH: usize = 60 * 1024;

/// Or when its first row is this old, so that the rows of a slow statement are seen as they come.
const BATCH_AGE: Duration = Duration::from_millis(200);

/// Most rows of an answer. They are not kept anywhere; this only keeps a forgotten join from filling the client's disk.
const MAX_ROWS: u64 = 10_000_000;

/// The time that a statement has. What is spent on sending rows to a slow reader is not the statement's: there the least
/// rate holds instead.
pub(crate) struct Limit {
    /// When the statement must have ended.
    statement: Deadline,
    /// When the first byte must have left; `None` once it has.
    first_byte: Option<Deadline>,
}

/// Ends the statement when its time is over or its requester has lost interest.
pub(crate) struct RequestWatch {
    requester: Arc<Mutex<Requester>>,
    /// Only the request's own thread takes it, for a comparison or an addition.
    limit: Mutex<Limit>,
}

impl RequestWatch {
    pub(crate) fn new(requester: &Arc<Mutex<Requester>>, statement: Duration, first_byte: Option<Deadline>) -> Self {
        let limit = Limit { statement: Deadline::after(statement), first_byte };
        Self { requester: Arc::clone(requester), limit: Mutex::new(limit) }
    }

    /// Takes the time that `send` takes off the statement's account.
    fn sending<T>(&self, send: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = send();
        let mut limit = self.limit.lock();
        limit.statement = Deadline::at(limit.statement.instant() + begin.elapsed());
        limit.first_byte = None;
        result
    }
}

impl Watch for RequestWatch {
    fn interrupted(&self) -> Option<Interrupt> {
        let time_is_over = {
            let limit = self.limit.lock();
            limit.statement.has_passed() || limit.first_byte.is_some_and(Deadline::has_passed)
        };
        if time_is_over {
            return Some(Interrupt::TimeLimit);
        }
        // Nobody else holds it while the statement runs; but a look is not worth waiting for.
        self.requester.try_lock().and_then(|mut requester| requester.lost_interest())
    }
}

/// Answers a statement.
pub(crate) fn answer_sql(
    database: &dyn Database,
    statement: &Statement<'_>,
    watch: RequestWatch,
    answer: Answer<'_>,
) -> Result<(), Lost> {
    let watch = Arc::new(watch);
    let mut rows = Rows { answer, watch: Arc::clone(&watch), batch: Vec::new(), count: 0, total: 0, began: None };
    let watch: Arc<dyn Watch> = watch;
    let result = database.run(statement, &watch, &mut rows).and_then(|outcome| rows.rest().map(|()| outcome));
    let mut answer = rows.answer;
    match result {
        Ok(Outcome::Rows { rows }) => answer.end(End { rows: Some(rows), ..End::default() })?,
        Ok(Outcome::Changed { rows }) => {
            answer.frame(Kind::Head, &Head::Changed { rows }, &[])?;
            answer.end(End::default())?;
        }
        Ok(Outcome::Returned(Returned { columns, rows, lines, recorded })) => {
            // A million bytes at most, so one frame, and a repeat gets the same frames.
            answer.frame(Kind::Head, &Head::Rows { columns, recorded }, &[])?;
            if rows > 0 {
                answer.frame(Kind::Data, &RowsHeader { rows }, lines.as_bytes())?;
            }
            answer.end(End { rows: Some(rows), ..End::default() })?;
        }
        Err(SqlError::Undeliverable) => return Err(Lost),
        Err(error) => {
            let failure = error.failure();
            say!("{}", Plain(&failure.message));
            return answer.fail(failure);
        }
    }
    say!("Response sent!");
    Ok(())
}

/// Gathers rows into batches and sends them.
struct Rows<'a> {
    answer: Answer<'a>,
    watch: Arc<RequestWatch>,
    /// JSON Lines.
    batch: Vec<u8>,
    /// Rows in the batch.
    count: u64,
    /// Rows so far.
    total: u64,
    /// When the batch was begun.
    began: Option<Instant>,
}

impl RowSink for Rows<'_> {
    fn columns(&mut self, titles: &[String]) -> Result<(), SqlError> {
        let head = Head::Rows { columns: titles.to_vec(), recorded: false };
        self.answer.frame(Kind::Head, &head, &[]).map_err(undeliverable)
    }

    fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
        self.total += 1;
        if self.total > MAX_ROWS {
            return Err(SqlError::TooLarge(format!("An answer may have {MAX_ROWS} rows; use LIMIT.")));
        }
        let before = self.batch.len();
        push_row(&mut self.batch, row);
        let length = self.batch.len() - before;
        if length > MAX_BODY {
            self.batch.truncate(before);
            return Err(SqlError::TooLarge(format!("A row takes {length} bytes; at most {MAX_BODY} are sent.")));
        }
        if self.batch.len() > MAX_BODY {
            // A large row behind small ones: they leave first.
            let row = self.batch.split_off(before);
            self.send()?;
            self.batch = row;
        }
        self.count += 1;
        let began = *self.began.get_or_insert_with(Instant::now);
        if self.batch.len() >= BATCH || began.elapsed() >= BATCH_AGE {
            self.send()?;
        }
        Ok(())
    }
}

impl Rows<'_> {
    /// Sends the batch now.
    fn send(&mut self) -> Result<(), SqlError> {
        let watch = Arc::clone(&self.watch);
        watch.sending(|| self.rest().and_then(|()| self.answer.flush().map_err(undeliverable)))?;
        self.answer.requester().lock().lost_interest().map_or(Ok(()), |interrupt| Err(interrupt.into()))
    }

    /// Adds the batch to the answer; it leaves with the next frame.
    fn rest(&mut self) -> Result<(), SqlError> {
        self.began = None;
        if self.count == 0 {
            return Ok(());
        }
        let header = RowsHeader { rows: std::mem::take(&mut self.count) };
        let added = self.answer.frame(Kind::Data, &header, &self.batch).map_err(undeliverable);
        self.batch.clear();
        added
    }
}

fn undeliverable(_: Lost) -> SqlError {
    SqlError::Undeliverable
}
