//! SQL for strangers: one statement a request, each its own transaction.
//!
//! **The problem.** A client's text goes to a database that all servers share. The text may be wrong, endless,
//! hostile, or two statements instead of one; its answer may be a million rows for somebody who does not read; and
//! the client may be gone before it is finished.
//!
//! **The idea.** A database engine already knows how to read SQL, so nothing here does. The engine says whether a
//! statement reads or writes ([`sqlite3_stmt_readonly`]), asks permission for every object it touches (the *guard*),
//! and asks every few microseconds whether it shall go on (the *watch*). Rows leave one by one through a
//! [`RowSink`], so that an answer of any length needs the memory of one batch.
//!
//! **A worked example.** `INSERT INTO COLORS VALUES ('Sky','#87CEEB','rgb(53,81,92)') RETURNING Name` is prepared on a
//! reading connection, where SQLite says that it writes. It is prepared again on the one writing connection inside
//! `BEGIN IMMEDIATE`, stepped to its end while its row is kept, committed together with a record of the outcome, and only
//! then answered: a row that a client has seen is a row that is stored, and whoever asks again with the same id gets the
//! same answer ([`once`]).
//!
//! **What is simplified.** No sessions, no transactions over several requests, no bound parameters. Production
//! systems have all three, and pay for them with state on the server that a load balancer must not lose.
//!
//! [`sqlite3_stmt_readonly`]: https://sqlite.org/c3ref/stmt_readonly.html

mod error;
mod watch;

mod connection;
mod guard;
mod medium;
mod opening;
mod pool;
mod sample;

pub mod once;
mod titles;
mod transaction;

mod sqlite;

pub use error::SqlError;
pub use once::{Refusal, Returned};
pub use opening::OpenError;
pub use sqlite::Sqlite;
pub use watch::{Interrupt, Watch};

use protocol::{id::RequestId, value::Value};
use std::sync::Arc;

/// One statement, as a client asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// The text, which must hold exactly one statement.
    pub sql: &'a str,
    /// The identity of the request: the same in every attempt.
    pub request: RequestId,
    /// Whether it must not write, whatever it says: copies of a request carry this mark.
    pub read_only: bool,
    /// Whether the request was sent before, and may have been carried out.
    pub repeated: bool,
    /// The lowest sequence of its client that may still be asked for; 0 says nothing.
    pub low_water: u64,
}

/// What came of a statement that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It only read; its rows have gone through the sink.
    Rows {
        /// How many.
        rows: u64,
    },
    /// It wrote, returned no rows, and is committed.
    Changed {
        /// How many rows it inserted, changed or deleted.
        rows: u64,
    },
    /// It wrote, returned rows, and is committed; the sink was not used.
    Returned(Returned),
}

/// Where the rows of a reading statement go. Called from the thread that runs the statement, the titles first, exactly once, then each row.
///
/// An error ends the statement and is what [`Database::run`] returns.
pub trait RowSink {
    /// The titles of the columns, also when no row follows.
    ///
    /// # Errors
    /// Why the answer cannot go on.
    fn columns(&mut self, titles: &[String]) -> Result<(), SqlError>;

    /// One row, with as many values as there are columns.
    ///
    /// # Errors
    /// Why the answer cannot go on.
    fn row(&mut self, row: &[Value]) -> Result<(), SqlError>;
}

/// A database that all servers share. What every engine promises:
///
/// * **One statement.** A text with none, or with more than one, is refused before anything is carried out.
/// * **Its own transaction.** A statement is carried out whole and durably, or not at all. `Ok` means committed.
/// * **Reading is decided by the engine**, never from the text; a statement marked `read_only` that would write
///   is refused.
/// * **Exactly once.** A request with an id that writes is carried out once, however often it is asked for, at whichever server
///   of the database, and every time with the same outcome. See the module [`once`].
/// * **Rows of a reading statement stream**: one at a time, in the memory of one row. Rows of a *writing* statement are
///   kept (up to a limit, past which the statement is rolled back) and handed on after the commit.
/// * **It can be stopped.** While a statement runs or waits for a lock, `watch` is asked at least every 50 ms; when
///   it says so, the statement ends, is rolled back, and the error is [`SqlError::Interrupted`].
/// * **Errors are certain** (nothing was changed), except where [`SqlError::failure`] says that they are not.
/// * **It stays inside.** No statement reaches another file or database, our own tables (names that begin with `lab_`),
///   or a later request (no temporary tables, no transactions, no settings that last).
/// * **Many threads may call it.** A thread that panics inside leaves no lock held and no transaction open.
pub trait Database: Send + Sync {
    /// The UUID of the database: the same for every server that shares it, another for every other database.
    fn identity(&self) -> &str;

    /// Runs one statement; see the promises above.
    ///
    /// # Errors
    /// Why it was not carried out.
    fn run(
        &self,
        statement: &Statement<'_>,
        watch: &Arc<dyn Watch>,
        rows: &mut dyn RowSink,
    ) -> Result<Outcome, SqlError>;
}

#[cfg(test)]
mod tests;
