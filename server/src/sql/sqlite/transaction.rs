//! One write: `BEGIN IMMEDIATE`, the record, the statement, the record, `COMMIT`; or nothing at all.

use super::{
    connection::{Conn, copy_row},
    guard::Denial,
    records, titles,
};
use crate::sql::{
    SqlError, Watch,
    once::{Asked, Returned, Verdict, Written, judge},
    titles::fitting,
};
use protocol::{limits::MAX_RECORDED, message::push_row};
use std::{sync::Arc, time::SystemTime};

/// A write, and what it needs to know.
pub(super) struct Write<'a> {
    pub(super) sql: &'a str,
    /// `None` if it leaves no record.
    pub(super) asked: Option<&'a Asked>,
    pub(super) watch: &'a Arc<dyn Watch>,
    /// Asked inside the transaction: waiting for the lock may take long.
    pub(super) clock: &'a dyn Fn() -> SystemTime,
}

/// How a transaction is to end.
enum End {
    /// The outcome is new, and noted if it is to be: commit.
    New(Written),
    /// The request was carried out before, and nothing was done now.
    Earlier(Written),
}

impl Write<'_> {
    /// Carries the statement out, unless its record says that it was before. `Ok` means that the outcome is stored.
    pub(super) fn carry_out(&self, conn: &Conn) -> Result<Written, SqlError> {
        let done =
            self.transaction(conn, || carry_out(conn, self.sql).and_then(|done| conn.check_schema().map(|()| done)));
        match done {
            Err(error) if error.is_final() && self.asked.is_some() => self.settle(conn, &error),
            other => other,
        }
    }

    /// Makes this failure the outcome of the request, unless it has another. In a transaction of its own: what has failed
    /// is rolled back whole first, because `ON CONFLICT ROLLBACK` does so anyway and a savepoint would have to copy
    /// every page that the statement changes. If an attempt at another server comes in between, its outcome holds.
    pub(super) fn settle(&self, conn: &Conn, error: &SqlError) -> Result<Written, SqlError> {
        self.transaction(conn, || Ok(Written::Failed(error.failure())))
    }

    fn transaction(&self, conn: &Conn, work: impl FnOnce() -> Result<Written, SqlError>) -> Result<Written, SqlError> {
        if !conn.db.is_autocommit() {
            // A panic has left a transaction open.
            roll_back(conn)?;
        }
        let armed = conn.work_for(self.watch);
        conn.ours("BEGIN IMMEDIATE").map_err(|e| conn.explain(e))?;
        let end = match self.asked {
            None => work().map(End::New),
            Some(asked) => self.once(conn, asked, work),
        };
        // From here on nothing may end it: a commit is not to be interrupted.
        drop(armed);
        match end {
            Ok(End::New(written)) => commit(conn).map(|()| written),
            Ok(End::Earlier(written)) => roll_back(conn).map(|()| written),
            Err(error) => {
                roll_back(conn)?;
                Err(error)
            }
        }
    }

    fn once(
        &self,
        conn: &Conn,
        asked: &Asked,
        work: impl FnOnce() -> Result<Written, SqlError>,
    ) -> Result<End, SqlError> {
        let now = (self.clock)();
        let facts = records::look(conn, asked)?;
        let low_water = facts.low_water;
        match judge(asked, facts, now) {
            Verdict::Replay(outcome) => Written::decode(&outcome).map(End::Earlier),
            Verdict::Refuse(refusal) => Err(SqlError::Refused(refusal)),
            Verdict::Execute => {
                records::make_room(conn, asked, low_water, now)?;
                let written = work()?;
                records::note(conn, asked, &written, now)?;
                Ok(End::New(written))
            }
        }
    }
}

/// Steps a writing statement to its end and keeps the rows it returns.
fn carry_out(conn: &Conn, sql: &str) -> Result<Written, SqlError> {
    let before = conn.db.total_changes();
    conn.with_statement(sql, |statement| {
        let (mut lines, mut count, mut values) = (Vec::new(), 0, Vec::new());
        let mut columns = None;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|e| vacuum_or(conn.explain(e)))? {
            // As many as there are after the first step: SQLite may prepare the statement anew in it.
            let columns = *columns.get_or_insert_with(|| row.as_ref().column_count());
            copy_row(row, columns, &mut values).map_err(|e| conn.explain(e))?;
            push_row(&mut lines, &values);
            count += 1;
            if lines.len() > MAX_RECORDED {
                return Err(SqlError::TooLarge(format!(
                    "A statement that writes may return {MAX_RECORDED} bytes at most, and this one returns more. It was rolled back."
                )));
            }
        }
        drop(rows);
        if statement.column_count() > 0 {
            let columns = fitting(titles(statement))?;
            let lines = String::from_utf8(lines).map_err(|_| SqlError::Unreadable)?;
            return Ok(Written::Returned(Returned { columns, rows: count, lines, recorded: true }));
        }
        // `changes` still shows the statement before when this one changes no rows, as CREATE does.
        let changed = if conn.db.total_changes() == before { 0 } else { conn.db.changes() };
        Ok(Written::Changed { rows: changed })
    })
}

/// The guard is not asked about VACUUM. Within a transaction SQLite refuses it by itself, in words that would mislead.
fn vacuum_or(error: SqlError) -> SqlError {
    match error {
        SqlError::Sql(words) if words.starts_with("Cannot VACUUM") => SqlError::Forbidden(Denial::Vacuum.to_string()),
        other => other,
    }
}

/// Commits, or says how it failed: refused for certain, or with an open end.
fn commit(conn: &Conn) -> Result<(), SqlError> {
    let Err(error) = conn.ours("COMMIT") else { return Ok(()) };
    let error = conn.explain(error);
    if let Err(SqlError::Unavailable(words)) = roll_back(conn) {
        return Err(SqlError::Unsure(words));
    }
    Err(match error {
        SqlError::Unavailable(words) | SqlError::Damaged(words) => SqlError::Unsure(words),
        // A deferred constraint, or a lock that somebody holds: SQLite has not begun to write.
        certain => certain,
    })
}

/// Rolls back, unless SQLite has done so already, as it does after some errors.
fn roll_back(conn: &Conn) -> Result<(), SqlError> {
    if conn.db.is_autocommit() {
        return Ok(());
    }
    // The connection is closed after this error, which rolls back for certain.
    conn.ours("ROLLBACK").map_err(|e| SqlError::Unavailable(e.to_string()))
}
