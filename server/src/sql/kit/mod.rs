//! What the tests of all engines do alike: asking a database, and saying what must come of it.

#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) mod remote;

use super::{Database, Interrupt, Outcome, RowSink, SqlError, Statement, Watch};
use protocol::{
    id::{IdSource, RequestId, draw_client_number},
    message::{Failure, read_rows},
    value::Value,
};
use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant, SystemTime},
};

/// How long anything may take before a test has failed.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Keeps what comes.
#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) titles: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl RowSink for Sink {
    fn columns(&mut self, titles: &[String]) -> Result<(), SqlError> {
        assert!(self.titles.is_empty(), "titles come once");
        self.titles = titles.to_vec();
        Ok(())
    }

    fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
        assert_eq!(row.len(), self.titles.len());
        self.rows.push(row.to_vec());
        Ok(())
    }
}

/// Ends a statement at a point in time.
pub(crate) struct Until(pub(crate) Instant, pub(crate) Interrupt);

impl Watch for Until {
    fn interrupted(&self) -> Option<Interrupt> {
        (Instant::now() >= self.0).then_some(self.1)
    }
}

/// Ends a statement so many milliseconds from now.
pub(crate) fn after(ms: u64, interrupt: Interrupt) -> Arc<dyn Watch> {
    Arc::new(Until(Instant::now() + Duration::from_millis(ms), interrupt))
}

/// Ends a statement that takes longer than anything may.
pub(crate) fn patient() -> Arc<dyn Watch> {
    Arc::new(Until(Instant::now() + LONG, Interrupt::TimeLimit))
}

/// A statement under an id that nobody else has.
pub(crate) fn statement(sql: &str) -> Statement<'_> {
    static IDS: LazyLock<IdSource> = LazyLock::new(|| IdSource::new(draw_client_number(SystemTime::now())));
    Statement { sql, request: IDS.next(), read_only: false, repeated: false, low_water: 0 }
}

/// A client of its own.
pub(crate) fn client() -> u64 {
    draw_client_number(SystemTime::now())
}

/// The id of a request of this client.
pub(crate) fn id(client: u64, sequence: u64) -> RequestId {
    RequestId { client, sequence }
}

/// A statement that is sent for the first time under this id.
pub(crate) fn first(sql: &str, request: RequestId) -> Statement<'_> {
    Statement { request, ..statement(sql) }
}

/// One that may have been sent before under this id.
pub(crate) fn again(sql: &str, request: RequestId) -> Statement<'_> {
    Statement { repeated: true, ..first(sql, request) }
}

/// The answer to a statement, as it would be told.
pub(crate) fn ask(db: &dyn Database, statement: &Statement<'_>) -> Result<Outcome, Failure> {
    db.run(statement, &patient(), &mut Sink::default()).map_err(|error| error.failure())
}

/// What comes of this SQL, and its rows if it reads.
pub(crate) fn run(db: &dyn Database, sql: &str) -> Result<(Outcome, Sink), SqlError> {
    let mut sink = Sink::default();
    db.run(&statement(sql), &patient(), &mut sink).map(|outcome| (outcome, sink))
}

/// How many rows this SQL changes, which returns none.
pub(crate) fn changed(db: &dyn Database, sql: &str) -> u64 {
    match run(db, sql) {
        Ok((Outcome::Changed { rows }, _)) => rows,
        other => panic!("{sql}: {:?}", other.map(|(outcome, _)| outcome)),
    }
}

/// The rows of this SQL, whether it reads or writes.
pub(crate) fn rows(db: &dyn Database, sql: &str) -> Vec<Vec<Value>> {
    match run(db, sql) {
        Ok((Outcome::Returned(returned), _)) => read_rows(returned.lines.as_bytes()).collect::<Result<_, _>>().unwrap(),
        Ok((Outcome::Rows { rows }, sink)) if rows == sink.rows.len() as u64 => sink.rows,
        other => panic!("{sql}: {:?}", other.map(|(outcome, _)| outcome)),
    }
}

/// The number that this SQL asks for.
pub(crate) fn number(db: &dyn Database, sql: &str) -> i64 {
    match rows(db, sql).first().map(Vec::as_slice) {
        Some([Value::Integer(number)]) => *number,
        other => panic!("{sql}: {other:?}"),
    }
}

/// A value of text.
pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.into())
}
