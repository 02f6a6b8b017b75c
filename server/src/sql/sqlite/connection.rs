//! One connection to SQLite, made safe for strangers' SQL.

use super::{
    alarm::{Alarm, Armed},
    guard::{Denial, Guard, OURS, not_ours},
    records,
};
use crate::sql::{SqlError, Watch};
use protocol::{
    limits::{MAX_HEADER, MAX_RECORDED, MAX_SQL},
    value::Value,
};
use rusqlite::{
    CachedStatement, Connection, OpenFlags, Row,
    config::DbConfig,
    hooks::{AuthContext, Authorization},
    limits::Limit,
    types::ValueRef,
};
use std::{path::Path, sync::Arc};

/// Steps of SQLite's virtual machine between two questions whether to go on; some ten microseconds.
const STEPS_PER_LOOK: i32 = 1_000;

/// Longest value, and longest row as SQLite stores it, in bytes. Longer ones are refused with `too-large`.
const MAX_VALUE: i32 = 1024 * 1024;

/// Longest record of an outcome, as SQLite stores it, in bytes: [`MAX_RECORDED`] of rows, and what stands around them.
const MAX_RECORD: i32 = 2 * 1024 * 1024;
const _: () = assert!(MAX_RECORDED + MAX_HEADER < MAX_RECORD as usize);

/// Longest pattern of LIKE and GLOB, in bytes. Matching takes pattern times text, and nothing can end it half-way:
/// 256 bytes against a text of 1 MiB are half a second at worst.
const MAX_PATTERN: i32 = 256;

/// What SQLite may allocate in this process altogether, in bytes. Far more than any statement needs (sorting and
/// large intermediate results go to temporary files); a statement that wants more is refused with `too-large`.
const MAX_HEAP: i64 = 256 * 1024 * 1024;

/// Most pages of the database: 4 GiB at 4 KiB each, so that no statement fills the disk.
const MAX_PAGES: i64 = 1024 * 1024;

/// The log is cut back to this many bytes after a checkpoint, should a large statement have made it longer.
const MAX_LOG: i64 = 64 * 1024 * 1024;

/// Statements kept prepared on each connection.
const KEPT_STATEMENTS: usize = 64;

/// Longest statement that is kept prepared, in bytes: long ones rarely come twice and cost memory.
const LONGEST_KEPT: usize = 4 * 1024;

/// Whether a connection may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Reads,
    Writes,
}

/// A connection with its guard (what may a statement do?) and its alarm (may it go on?).
pub(super) struct Conn {
    pub(super) db: Connection,
    guard: Arc<Guard>,
    alarm: Arc<Alarm>,
}

impl Conn {
    /// Opens the file, which exists.
    pub(super) fn open(path: &Path, mode: Mode) -> rusqlite::Result<Self> {
        let access = match mode {
            Mode::Reads => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Mode::Writes => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        // One thread at a time uses a connection, so SQLite's own mutex is not needed.
        let mut db = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        harden(&db)?;
        limit(&db)?;
        db.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
        let (guard, alarm) = (Arc::new(Guard::default()), Arc::new(Alarm::default()));
        let (asked, looking, waiting) = (Arc::clone(&guard), Arc::clone(&alarm), Arc::clone(&alarm));
        db.progress_handler(STEPS_PER_LOOK, Some(move || looking.rings()))?;
        db.busy_handler(Some(move |_: i32| waiting.wait_for_lock()))?;
        db.authorizer(Some(move |context: AuthContext<'_>| -> Authorization { asked.ask(&context) }))?;
        Ok(Self { db, guard, alarm })
    }

    /// Works for this watch until the value returned is dropped.
    pub(super) fn work_for(&self, watch: &Arc<dyn Watch>) -> Armed<'_> {
        self.guard.forget();
        self.alarm.arm(watch)
    }

    /// Prepares a client's statement and gives it to `work`, which steps it.
    pub(super) fn with_statement<T>(
        &self,
        sql: &str,
        work: impl FnOnce(&mut rusqlite::Statement<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if sql.len() > LONGEST_KEPT {
            let mut statement = self.prepare(sql, || self.db.prepare(sql))?;
            return check(&statement).and_then(|()| work(&mut statement));
        }
        let mut statement = self.prepare(sql, || self.db.prepare_cached(sql))?;
        check(&statement).and_then(|()| work(&mut statement))
    }

    /// Prepares, and when that fails, once more with the schema read anew. SQLite notices that another process has
    /// changed the schema when a statement begins to run, but not always when one is prepared: it may refuse a column
    /// that is there since yesterday, or ask the guard about a trigger that is long gone.
    fn prepare<T>(&self, sql: &str, prepare: impl Fn() -> rusqlite::Result<T>) -> Result<T, SqlError> {
        prepare().or_else(|_| {
            self.refresh_schema()?;
            self.guard.forget();
            prepare().map_err(|e| self.explain_prepare(sql, e))
        })
    }

    fn refresh_schema(&self) -> Result<(), SqlError> {
        let looked = self.guard.trusting(|| {
            self.db.prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 1").and_then(|mut look| look.exists([]))
        });
        looked.map(|_| ()).map_err(|e| self.explain(e))
    }

    /// Runs a statement of our own.
    pub(super) fn ours(&self, sql: &str) -> rusqlite::Result<()> {
        self.guard.trusting(|| self.db.execute_batch(sql))
    }

    /// Runs a statement of our own that has parameters, kept prepared. Its values may be longer than a client's, for a
    /// record holds a whole outcome. Its failures are never the client's.
    pub(super) fn ours_with<T>(
        &self,
        sql: &str,
        work: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, SqlError> {
        let done = self.guard.trusting(|| {
            let _room = Room::for_records(&self.db)?;
            self.db.prepare_cached(sql).and_then(|mut statement| work(&mut statement))
        });
        done.map_err(|e| match self.explain(e) {
            error if error.is_final() => SqlError::Unavailable(format!("the records of outcomes failed ({error})")),
            error => error,
        })
    }

    /// Translates an error with what the guard and the alarm have noted.
    pub(super) fn explain(&self, error: rusqlite::Error) -> SqlError {
        SqlError::translate(error, self.alarm.fired(), self.guard.denial())
    }

    fn explain_prepare(&self, sql: &str, error: rusqlite::Error) -> SqlError {
        // rusqlite prepares what stands behind the first statement, too: an error in there is a second statement.
        match &error {
            rusqlite::Error::SqlInputError { sql: part, .. } if part.len() < sql.len() => {
                self.explain(rusqlite::Error::MultipleStatement)
            }
            _ => self.explain(error),
        }
    }

    /// Whether the transaction has made something that bears or references one of our names, which the guard cannot see:
    /// it is not told the new name of a renamed table, nor the target of a foreign key.
    pub(super) fn check_schema(&self) -> Result<(), SqlError> {
        if !self.guard.changes_schema() {
            return Ok(());
        }
        let names = format!(
            "SELECT name, 0 FROM sqlite_schema WHERE name LIKE '{OURS}%' AND name NOT IN ('lab_identity', {})
             UNION ALL
             SELECT f.\"table\", 1 FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f
             WHERE s.type = 'table' AND f.\"table\" LIKE '{OURS}%'",
            records::TABLES
        );
        let found = self.guard.trusting(|| -> rusqlite::Result<Vec<(String, bool)>> {
            let mut statement = self.db.prepare(&names)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        });
        for (name, reference) in found.map_err(|e| self.explain(e))? {
            // LIKE's underscore matches any letter.
            if not_ours(&name).is_err() {
                let denial = if reference { Denial::ReferenceToOurs(name) } else { Denial::Ours(name) };
                return Err(SqlError::Forbidden(denial.to_string()));
            }
        }
        Ok(())
    }
}

/// Lets values be as long as records need until it is dropped.
struct Room<'a>(&'a Connection);

impl<'a> Room<'a> {
    fn for_records(db: &'a Connection) -> rusqlite::Result<Self> {
        db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_RECORD).map(|_| Self(db))
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // Fails only for a number below zero.
        let _before = self.0.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE);
    }
}

/// What is refused although SQLite could prepare it.
fn check(statement: &rusqlite::Statement<'_>) -> Result<(), SqlError> {
    if statement.parameter_count() > 0 {
        return Err(SqlError::BadRequest("The statement has a parameter (? or :name), and a request gives no values."));
    }
    // Only a text without a statement has no columns, writes nothing, and has no text of its own.
    if statement.column_count() == 0 && statement.readonly() && statement.expanded_sql().is_none() {
        return Err(SqlError::BadRequest("The request holds no statement."));
    }
    Ok(())
}

/// Switches off what a stranger's SQL, or a damaged file, could use against this process.
fn harden(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false)?;
    // Without it a statement of ours with a parameter behind LIMIT is compiled anew each time it is used.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "mmap_size", 0)?;
    db.pragma_update(None, "foreign_keys", true)?;
    // A commit is on the disk when it is answered, whatever happens to the machine.
    db.pragma_update(None, "synchronous", "FULL")
}

fn limit(db: &Connection) -> rusqlite::Result<()> {
    let limits = [
        (Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, i32::try_from(MAX_SQL).unwrap_or(MAX_VALUE)),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
        (Limit::SQLITE_LIMIT_VDBE_OP, 5_000_000),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 32),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    limits.into_iter().try_for_each(|(limit, value)| db.set_limit(limit, value).map(|_| ()))?;
    for (name, value) in [("hard_heap_limit", MAX_HEAP), ("max_page_count", MAX_PAGES), ("journal_size_limit", MAX_LOG)]
    {
        // These pragmas answer with the new value, so they are queries.
        db.pragma_update_and_check(None, name, value, |_| Ok(()))?;
    }
    Ok(())
}

/// Copies a row out of SQLite.
pub(super) fn copy_row(row: &Row<'_>, columns: usize, into: &mut Vec<Value>) -> rusqlite::Result<()> {
    into.clear();
    for column in 0..columns {
        into.push(match row.get_ref(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            // SQLite stores any bytes as text when it is told to; what is no text travels as bytes.
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Bytes(bytes.to_vec()),
            },
            ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        });
    }
    Ok(())
}
