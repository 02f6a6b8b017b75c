//! SQLite's errors in the words of all engines.

use super::guard::Denial;
use crate::sql::{
    Interrupt, SqlError,
    error::{ONE_STATEMENT, sentence},
};
use rusqlite::ffi::ErrorCode as Sqlite;

impl SqlError {
    /// Translates an error of SQLite; `interrupt` and `denial` are what the watch and the guard have noted.
    pub(super) fn translate(error: rusqlite::Error, interrupt: Option<Interrupt>, denial: Option<Denial>) -> Self {
        let words = words(&error);
        if matches!(error, rusqlite::Error::MultipleStatement) {
            return Self::BadRequest(ONE_STATEMENT);
        }
        if let Some(denial) = denial {
            return Self::Forbidden(denial.to_string());
        }
        match error.sqlite_error_code() {
            Some(Sqlite::OperationInterrupted | Sqlite::DatabaseBusy | Sqlite::DatabaseLocked) => {
                Self::Interrupted(interrupt.unwrap_or(Interrupt::Locked))
            }
            Some(Sqlite::AuthorizationForStatementDenied) => Self::Forbidden(sentence(&words)),
            Some(Sqlite::TooBig) => Self::TooLarge(format!("A value or the statement is too large: {words}.")),
            Some(Sqlite::OutOfMemory) => {
                Self::TooLarge("The statement needs more memory than this server grants to SQL.".into())
            }
            Some(Sqlite::DatabaseCorrupt | Sqlite::NotADatabase) => Self::Damaged(words),
            Some(
                Sqlite::SystemIoFailure
                | Sqlite::DiskFull
                | Sqlite::CannotOpen
                | Sqlite::FileLockingProtocolFailed
                | Sqlite::NoLargeFileSupport
                | Sqlite::PermissionDenied
                | Sqlite::ReadOnly
                | Sqlite::SchemaChanged,
            ) => Self::Unavailable(words),
            _ => Self::Sql(sentence(&words)),
        }
    }
}

/// SQLite's own words, without the statement's text that rusqlite repeats behind them.
fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::SqliteFailure(code, None) => code.to_string(),
        other => other.to_string(),
    }
}
