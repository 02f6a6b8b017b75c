//! The embedded engine: one SQLite file, shared by all server processes of a machine.
//!
//! Readers never wait: WAL lets them see the last committed state while somebody writes. Writers go one after the other,
//! within the process by a mutex and between processes by SQLite's lock on the file. `BEGIN IMMEDIATE` takes that
//! lock at the beginning, because a transaction that begins by reading and then wants to write may have to be
//! refused (`SQLITE_BUSY_SNAPSHOT`), and no waiting would help it.
//!
//! Figures from the design: a read on a kept connection with a kept statement costs 1.3 µs, opening the file 27 µs, a durable
//! commit 130 µs. So connections and statements are kept, and the writing connection is one: a second could only wait.

mod alarm;
mod explain;

mod connection;
mod guard;
mod medium;
mod opening;
mod pool;

mod records;
mod transaction;

pub use opening::FileError;

use self::{
    connection::{Conn, Mode, copy_row},
    opening::Made,
    pool::{Place, Readers},
    transaction::Write,
};
use super::{
    Database, Interrupt, Outcome, RowSink, SqlError, Statement, Watch, check_text,
    once::{Asked, Verdict, Written, judge},
    titles::fitting,
    watch::LOOK_EVERY,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    path::{Path, absolute},
    sync::Arc,
    time::SystemTime,
};

/// An SQLite file.
pub struct Sqlite {
    place: Place,
    identity: String,
    /// Whether this opening made it.
    new: bool,
    readers: Readers,
    /// The one writing connection of this process; `None` before its first use and after a failure of the disk. Held
    /// for a whole write transaction, so it is only ever taken with a deadline, and nothing is sent while it is
    /// held.
    writer: Mutex<Option<Conn>>,
    /// What time it is: ids of requests have an age.
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// What a reading connection found out.
enum Read {
    Done(Outcome),
    ItWrites,
    /// The statement cannot be compiled, so whether it writes is not known.
    Unclear(SqlError),
}

impl Sqlite {
    /// Opens the file, and makes it when it is not there.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let folder_error = |source| FileError::Folder { folder: path.to_owned(), source };
        let path = absolute(path).map_err(folder_error)?;
        let Made { uuid: identity, new } = opening::make_ready(&path)?;
        let place = Place::new(path.clone()).map_err(folder_error)?;
        let writer = Conn::open(&path, Mode::Writes).map_err(|source| FileError::Sqlite { path, source })?;
        Ok(Self {
            place,
            identity,
            new,
            readers: Readers::default(),
            writer: Mutex::new(Some(writer)),
            clock: Box::new(SystemTime::now),
        })
    }

    /// Whether there was no such database before: with another path than the usual one that may be a slip.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// The same database, by another clock.
    #[cfg(test)]
    pub(super) fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// The recorded outcome of a request that was sent before, if there is one. Readers need no lock, so this is answered
    /// also while a stopped process holds it.
    fn earlier(&self, asked: &Asked, watch: &Arc<dyn Watch>) -> Result<Option<Written>, SqlError> {
        let facts = self.with_reader(watch, |reader| records::look(reader, asked))?;
        match judge(asked, facts, (self.clock)()) {
            Verdict::Replay(outcome) => Written::decode(&outcome).map(Some),
            // What this says may be wrong by now. If the statement writes, it is asked again in its transaction.
            Verdict::Execute | Verdict::Refuse(_) => Ok(None),
        }
    }

    /// Runs the statement if it only reads.
    fn read(&self, sql: &str, watch: &Arc<dyn Watch>, sink: &mut dyn RowSink) -> Result<Read, SqlError> {
        let mut compiled = false;
        let read = self.with_reader(watch, |reader| {
            reader.with_statement(sql, |statement| {
                compiled = true;
                // One that only reads and has no columns is `DROP TRIGGER IF EXISTS` and the like with nothing to do. On
                // another day it would have: so it goes the way of those that write.
                if !statement.readonly() || statement.column_count() == 0 {
                    return Ok(Read::ItWrites);
                }
                stream(reader, statement, sink).map(Read::Done)
            })
        });
        match read {
            Err(error) if !compiled => Ok(Read::Unclear(error)),
            read => read,
        }
    }

    /// Runs a statement that nobody has sent before, or that must not write.
    fn run_first(
        &self,
        statement: &Statement<'_>,
        watch: &Arc<dyn Watch>,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, SqlError> {
        match self.read(statement.sql, watch, sink)? {
            Read::Done(outcome) => Ok(outcome),
            Read::ItWrites if statement.read_only => Err(SqlError::Forbidden(
                "The request is marked as one that only reads, and its statement would write.".into(),
            )),
            Read::ItWrites => {
                let asked = Asked::of(statement);
                let write = self.writing(statement, asked.as_ref(), watch);
                self.with_writer(watch, |conn| write.carry_out(conn))?.told(asked.is_some())
            }
            Read::Unclear(error) => Err(error),
        }
    }

    /// Runs a statement that was sent before, and may have been carried out or be under way.
    fn run_again(
        &self,
        statement: &Statement<'_>,
        watch: &Arc<dyn Watch>,
        sink: &mut dyn RowSink,
    ) -> Result<Outcome, SqlError> {
        let Some(asked) = Asked::of(statement) else {
            return self.run_first(statement, watch, sink).map_err(|error| SqlError::Repeated(Box::new(error)));
        };
        // Before it is compiled: a CREATE TABLE that has succeeded could not be any more.
        if let Some(written) = self.earlier(&asked, watch).map_err(SqlError::of_a_repeat)? {
            return written.told(true);
        }
        let write = self.writing(statement, Some(&asked), watch);
        let written = match self.read(statement.sql, watch, sink)? {
            Read::Done(outcome) => return Ok(outcome),
            Read::ItWrites => self.with_writer(watch, |conn| write.carry_out(conn)),
            // Another attempt may be under way, at a server where it can be compiled: what is told here must bind it.
            Read::Unclear(error) if error.is_final() => self.with_writer(watch, |conn| write.settle(conn, &error)),
            Read::Unclear(error) => Err(error),
        };
        written.map_err(SqlError::of_a_repeat)?.told(true)
    }

    fn writing<'a>(
        &'a self,
        statement: &Statement<'a>,
        asked: Option<&'a Asked>,
        watch: &'a Arc<dyn Watch>,
    ) -> Write<'a> {
        Write { sql: statement.sql, asked, watch, clock: &*self.clock }
    }

    fn with_reader<T>(
        &self,
        watch: &Arc<dyn Watch>,
        work: impl FnOnce(&Conn) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let reader = self.readers.take(&self.place)?;
        let armed = reader.work_for(watch);
        let result = work(&reader);
        drop(armed);
        if result.as_ref().is_err_and(SqlError::spoils_the_connection) {
            reader.give_up();
        }
        result
    }

    /// Does a piece of writing on the one connection for it.
    fn with_writer<T>(
        &self,
        watch: &Arc<dyn Watch>,
        work: impl FnOnce(&Conn) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let mut writer = self.wait_for_writer(watch)?;
        // Out of its place while it works: if the work panics the connection is closed, and no transaction stays open.
        let conn = match writer.take() {
            Some(conn) => self.place.check().map(|()| conn),
            None => self.place.open(Mode::Writes),
        }?;
        let result = work(&conn);
        if !result.as_ref().is_err_and(SqlError::spoils_the_connection) {
            *writer = Some(conn);
        }
        result
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
        check_text(statement.sql)?;
        if statement.repeated && !statement.read_only {
            self.run_again(statement, watch, sink)
        } else {
            self.run_first(statement, watch, sink)
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
                sink.columns(&fitting(titles(row.as_ref()))?)?;
                *columns.insert(row.as_ref().column_count())
            }
        };
        copy_row(row, columns, &mut values).map_err(|e| conn.explain(e))?;
        sink.row(&values)?;
        count += 1;
    }
    drop(rows);
    if columns.is_none() {
        sink.columns(&fitting(titles(statement))?)?;
    }
    Ok(Outcome::Rows { rows: count })
}

/// The titles of the columns; right only after the first step, in which SQLite may prepare the statement anew.
fn titles(statement: &rusqlite::Statement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
