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

mod identity;
mod prepare;
mod sample;

pub mod once;
mod titles;

mod sqlite;

#[cfg(test)]
pub(crate) mod kit;

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod remote;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "mysql")]
mod mysql;

pub use error::SqlError;
#[cfg(feature = "mysql")]
use mysql::MySql;
pub use once::{Refusal, Returned};
#[cfg(feature = "postgres")]
pub(crate) use postgres::Own;
#[cfg(feature = "postgres")]
use postgres::Postgres;
pub use prepare::{Admin, init, script};
pub(crate) use prepare::{define, plainly};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use remote::RemoteError;
pub use sqlite::{FileError, Sqlite};
pub use watch::{Interrupt, Watch};

use protocol::{database::DatabaseConfig, id::RequestId, limits::MAX_SQL, output::say, value::Value};
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

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file of SQLite cannot.
    #[error(transparent)]
    File(#[from] FileError),
    /// The database on a server of its own cannot.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The engine is one that this build does not contain.
    #[error(
        "database.json asks for {engine}, which this program does not have; it has {engines}. Build it with `cargo build -p server \
         --features {feature}`, or take SQLite, which needs no more than: {{\"engine\": \"sqlite\", \"path\": \"runs/database.sqlite\"}}",
        engines = ENGINES
    )]
    NotBuiltIn {
        /// What the engine is called.
        engine: &'static str,
        /// The cargo feature with which it is built.
        feature: &'static str,
    },
}

/// The engines of this build, as they are written in `database.json`.
const ENGINES: &str = match (cfg!(feature = "postgres"), cfg!(feature = "mysql")) {
    (true, true) => "sqlite, postgres and mysql",
    (true, false) => "sqlite and postgres",
    (false, true) => "sqlite and mysql",
    (false, false) => "sqlite",
};

impl OpenError {
    /// For an engine that is not in this build.
    fn not_built_in(config: &DatabaseConfig) -> Self {
        match config {
            DatabaseConfig::Postgres(_) => Self::NotBuiltIn { engine: "PostgreSQL", feature: "postgres" },
            _ => Self::NotBuiltIn { engine: "MySQL", feature: "mysql" },
        }
    }
}

/// Opens the database that `database.json` names.
///
/// # Errors
/// A sentence that says what to do.
pub fn open(config: &DatabaseConfig) -> Result<Box<dyn Database>, OpenError> {
    Ok(match config {
        DatabaseConfig::Sqlite { path } => {
            let database = Sqlite::open(path)?;
            if database.is_new() {
                say!("Made a new database at {}, with the sample data.", path.display());
            }
            Box::new(database)
        }
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(account) => Box::new(Postgres::open(account)?),
        #[cfg(feature = "mysql")]
        DatabaseConfig::MySql(account) => Box::new(MySql::open(account)?),
        other => return Err(OpenError::not_built_in(other)),
    })
}

/// What no engine takes, whatever it says.
fn check_text(sql: &str) -> Result<(), SqlError> {
    if sql.len() > MAX_SQL {
        return Err(SqlError::TooLarge(format!("A statement may have {MAX_SQL} bytes at most.")));
    }
    if sql.contains('\0') {
        // SQLite and PostgreSQL would take it for the end and quietly leave out what follows.
        return Err(SqlError::BadRequest("The statement has a NUL in it."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn an_engine_that_is_not_built_in_is_told_and_with_what_to_build_it() {
        let file = br#"{"engine": "mysql", "database": "lab", "user": "server", "password": "secret"}"#;
        let config = DatabaseConfig::parse(file, Path::new("database.json")).unwrap();
        let said = OpenError::not_built_in(&config).to_string();
        assert!(said.contains("asks for MySQL") && said.contains(&format!("it has {ENGINES}.")), "{said}");
        assert!(said.contains("--features mysql`"), "{said}");
    }

    /// As `.ci/run` builds it once: without the engines that need a server of their own.
    #[test]
    #[cfg(not(feature = "postgres"))]
    fn a_database_of_an_engine_that_is_not_built_in_is_not_opened() {
        let file = br#"{"database": "lab", "user": "server", "password": "secret"}"#;
        let config = DatabaseConfig::parse(file, Path::new("database.json")).unwrap();
        let said = open(&config).err().unwrap().to_string();
        assert!(said.contains("asks for PostgreSQL") && said.contains("--features postgres`"), "{said}");
        let said = init(&config, &Admin { user: None, password: protocol::database::Password::new("x") });
        assert!(said.unwrap_err().to_string().contains("asks for PostgreSQL"));
    }
}
