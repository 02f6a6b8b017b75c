//! The embedded engine: one SQLite file, shared by all server processes of a machine.
//!
//! Readers never wait: WAL lets them see the last committed state while somebody writes. Writers go one after the other,
//! within the process by a mutex and between processes by SQLite's lock on the file. `BEGIN IMMEDIATE` takes that
//! lock at the beginning, because a transaction that begins by reading and then wants to write may have to be
//! refused (`SQLITE_BUSY_SNAPSHOT`), and no waiting would help it.
//!
//! Figures from the design: a read on a kept connection with a kept statement costs 1.3 µs, opening the file 27 µs, a durable
//! commit 130 µs. So connections and statements are kept, and the writing connection is one: a second could only wait.

use super::{
    Database, Interrupt, OpenError, Outcome, RowSink, SqlError, Statement, Watch,
    connection::{Conn, Mode, copy_row},
    opening,
    pool::{Place, Readers},
};
use parking_lot::{Mutex, MutexGuard};
use protocol::{limits::MAX_SQL, value::Value};
use std::{
    path::{Path, absolute},
    sync::Arc,
    time::Duration,
};

/// What a writing statement may return, in bytes: its rows are kept until it is committed. More, and it is rolled back with
/// `too-large`.
const MAX_RETURNED: usize = 1024 * 1024;

/// How often a thread that waits for the writing connection looks whether its request is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// An SQLite file.
pub struct Sqlite {
    place: Place,
    identity: String,
    readers: Readers,
    /// The one writing connection of this process; `None` before its first use and after a failure of the disk. Held
    /// for a whole write transaction, so it is only ever taken with a deadline, and nothing is sent while it is
    /// held.
    writer: Mutex<Option<Conn>>,
}

/// What a reading connection found out.
enum Read {
    Done(Outcome),
    ItWrites,
}

/// What a writing statement has done, once it is committed.
enum Written {
    Changed(u64),
    Returned { titles: Vec<String>, rows: Vec<Vec<Value>> },
}

impl Sqlite {
    /// Opens the file, and makes it when it is not there.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let folder_error = |source| OpenError::Folder { folder: path.to_owned(), source };
        let path = absolute(path).map_err(folder_error)?;
        let identity = opening::make_ready(&path)?;
        let place = Place::new(path.clone()).map_err(folder_error)?;
        let writer = Conn::open(&path, Mode::Writes).map_err(|source| OpenError::Sqlite { path, source })?;
        Ok(Self { place, identity, readers: Readers::default(), writer: Mutex::new(Some(writer)) })
    }

    /// Runs the statement if it only reads.
    fn read(&self, sql: &str, watch: &Arc<dyn Watch>, sink: &mut dyn RowSink) -> Result<Read, SqlError> {
        let reader = self.readers.take(&self.place)?;
        let armed = reader.work_for(watch);
        let result = reader.with_statement(sql, |statement| {
            if !statement.readonly() {
                return Ok(Read::ItWrites);
            }
            stream(&reader, statement, sink).map(Read::Done)
        });
        drop(armed);
        if result.as_ref().is_err_and(SqlError::spoils_the_connection) {
            reader.give_up();
        }
        result
    }

    /// Runs the statement in a transaction of its own, and hands its rows on when it is committed.
    fn write(&self, sql: &str, watch: &Arc<dyn Watch>, sink: &mut dyn RowSink) -> Result<Outcome, SqlError> {
        let mut writer = self.wait_for_writer(watch)?;
        let conn = match &mut *writer {
            Some(conn) => self.place.check().map(|()| &*conn),
            empty => self.place.open(Mode::Writes).map(|conn| &*empty.insert(conn)),
        }?;
        let written = transaction(conn, sql, watch);
        if written.as_ref().is_err_and(SqlError::spoils_the_connection) {
            *writer = None;
        }
        drop(writer);
        match written? {
            Written::Changed(rows) => Ok(Outcome::Changed { rows }),
            Written::Returned { titles, rows } => {
                sink.columns(&titles)?;
                rows.iter().try_for_each(|row| sink.row(row))?;
                Ok(Outcome::Rows { rows: rows.len() as u64 })
            }
        }
    }

    fn wait_for_writer(&self, watch: &Arc<dyn Watch>) -> Result<MutexGuard<'_, Option<Conn>>, SqlError> {
        loop {
            if let Some(writer) = self.writer.try_lock_for(LOOK_EVERY) {
                return Ok(writer);
            }
            match watch.interrupted() {
                Some(Interrupt::TimeLimit) => return Err(Interrupt::Locked.into()),
                Some(interrupt) => return Err(interrupt.into()),
                None => {}
            }
        }
    }
}

impl Database for Sqlite {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn run(
        &self,
        statement: &Statement<'_>,
        watch: &Arc<dyn Watch>,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, SqlError> {
        if statement.sql.len() > MAX_SQL {
            return Err(SqlError::TooLarge(format!("A statement may have {MAX_SQL} bytes at most.")));
        }
        if statement.sql.contains('\0') {
            // SQLite would take it for the end and quietly leave out what follows.
            return Err(SqlError::BadRequest("The statement has a NUL in it."));
        }
        match self.read(statement.sql, watch, sink)? {
            Read::Done(outcome) => Ok(outcome),
            Read::ItWrites if statement.read_only => Err(SqlError::Forbidden(
                "The request is marked as one that only reads, and its statement would write.".into(),
            )),
            Read::ItWrites => self.write(statement.sql, watch, sink),
        }
    }
}

/// Steps a statement and passes each row on as it comes.
fn stream(conn: &Conn, statement: &mut rusqlite::Statement<'_>, sink: &mut dyn RowSink) -> Result<Outcome, SqlError> {
    let mut rows = statement.raw_query();
    let mut count = 0;
    let mut values = Vec::new();
    // The titles are those after the first step: SQLite may prepare the statement anew in it.
    let mut columns = None;
    while let Some(row) = rows.next().map_err(|e| conn.explain(e))? {
        let columns = match columns {
            Some(columns) => columns,
            None => {
                let titles = titles(row.as_ref());
                sink.columns(&titles)?;
                *columns.insert(titles.len())
            }
        };
        copy_row(row, columns, &mut values).map_err(|e| conn.explain(e))?;
        sink.row(&values)?;
        count += 1;
    }
    drop(rows);
    if columns.is_none() {
        if statement.column_count() == 0 {
            return Ok(Outcome::Changed { rows: 0 });
        }
        sink.columns(&titles(statement))?;
    }
    Ok(Outcome::Rows { rows: count })
}

fn titles(statement: &rusqlite::Statement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}

/// `BEGIN IMMEDIATE`, the statement, `COMMIT`; or nothing at all.
fn transaction(conn: &Conn, sql: &str, watch: &Arc<dyn Watch>) -> Result<Written, SqlError> {
    if !conn.db.is_autocommit() {
        // A panic has left a transaction open.
        roll_back(conn)?;
    }
    let armed = conn.work_for(watch);
    conn.ours("BEGIN IMMEDIATE").map_err(|e| conn.explain(e))?;
    // Here an earlier outcome of the same request would be looked for, and after the statement the new one noted: in
    // the same transaction as the change itself.
    let written = carry_out(conn, sql).and_then(|written| conn.check_schema().map(|()| written));
    // From here on nothing may end it: a commit is not to be interrupted.
    drop(armed);
    match written {
        Ok(written) => commit(conn).map(|()| written),
        Err(error) => {
            roll_back(conn)?;
            Err(error)
        }
    }
}

/// Steps a writing statement to its end and keeps the rows it returns.
fn carry_out(conn: &Conn, sql: &str) -> Result<Written, SqlError> {
    let before = conn.db.total_changes();
    let (titles, rows) = conn.with_statement(sql, |statement| {
        let titles = titles(statement);
        let mut rows = Vec::new();
        let mut kept = 0;
        let mut stepping = statement.raw_query();
        while let Some(row) = stepping.next().map_err(|e| vacuum_or(conn.explain(e)))? {
            let mut values = Vec::new();
            copy_row(row, titles.len(), &mut values).map_err(|e| conn.explain(e))?;
            kept += values.iter().map(footprint).sum::<usize>();
            if kept > MAX_RETURNED {
                return Err(SqlError::TooLarge(format!(
                    "A statement that writes may return {MAX_RETURNED} bytes at most, and this one returns more. It was rolled back."
                )));
            }
            rows.push(values);
        }
        Ok((titles, rows))
    })?;
    if !titles.is_empty() {
        return Ok(Written::Returned { titles, rows });
    }
    // `changes` still shows the statement before when this one changes no rows, as CREATE does.
    let changed = if conn.db.total_changes() == before { 0 } else { conn.db.changes() };
    Ok(Written::Changed(changed))
}

/// The guard is not asked about VACUUM. Within a transaction SQLite refuses it by itself, in words that would mislead.
fn vacuum_or(error: SqlError) -> SqlError {
    match error {
        SqlError::Sql(words) if words.starts_with("Cannot VACUUM") => {
            SqlError::Forbidden(super::guard::Denial::Vacuum.to_string())
        }
        other => other,
    }
}

/// What a kept value costs, in bytes.
fn footprint(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Integer(_) | Value::Real(_) => 0,
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
        }
}

/// Commits, or says how it failed: refused for certain, or with an open end.
fn commit(conn: &Conn) -> Result<(), SqlError> {
    let Err(error) = conn.ours("COMMIT") else { return Ok(()) };
    let error = conn.explain(error);
    roll_back(conn)?;
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
