//! Making a database ready, whatever its engine.

use super::{Database, Interrupt, OpenError, Outcome, RowSink, SqlError, Sqlite, Statement, Watch, sample};
use protocol::{
    database::{Account, DatabaseConfig, Password},
    id::RequestId,
    value::Value,
};
use std::sync::Arc;

/// Who makes a database ready on a server of its own.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The account's name, if it is not the usual one.
    pub user: Option<String>,
    /// Its password.
    pub password: Password,
}

impl Admin {
    #[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code, reason = "SQLite needs nobody"))]
    fn account(&self, servers: &Account, usual: &str, database: &str) -> Account {
        let user = self.user.clone().unwrap_or_else(|| usual.to_owned());
        Account { user, password: self.password.clone(), database: database.to_owned(), ..servers.clone() }
    }
}

/// Makes the database ready: what the servers need, and the sample tables if they were never made.
///
/// # Errors
/// A sentence that says what to do.
pub fn init(
    config: &DatabaseConfig,
    #[cfg_attr(
        not(any(feature = "postgres", feature = "mysql")),
        allow(unused_variables, reason = "SQLite needs nobody")
    )]
    admin: &Admin,
) -> Result<(), OpenError> {
    match config {
        DatabaseConfig::Sqlite { path } => {
            let db = Sqlite::open(path)?;
            Ok(measure(&db).map_err(|error| super::FileError::Sample { path: path.clone(), error })?)
        }
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(account) => {
            Ok(super::postgres::setup::init(account, &admin.account(account, "postgres", "postgres"))?)
        }
        #[cfg(feature = "mysql")]
        DatabaseConfig::MySql(account) => {
            Ok(super::mysql::setup::init(account, &admin.account(account, "root", &account.database))?)
        }
        other => Err(OpenError::not_built_in(other)),
    }
}

/// Makes a table, or changes one. It is done as the servers' account, or, where the engine commits it by itself and no client may do it, as
/// an administrator.
///
/// # Errors
/// A sentence that says why not.
pub(crate) fn define(
    config: &DatabaseConfig,
    db: &dyn Database,
    #[cfg_attr(not(feature = "mysql"), allow(unused_variables, reason = "nobody else commits by itself"))]
    admin: &Admin,
    sql: &str,
) -> Result<(), String> {
    match config {
        #[cfg(feature = "mysql")]
        DatabaseConfig::MySql(account) => {
            let admin = admin.account(account, "root", &account.database);
            super::mysql::setup::define(&admin, sql).map_err(|error| error.to_string())
        }
        _ => plainly(db, sql).map(|_| ()).map_err(|error| error.failure().message),
    }
}

/// What [`init`] would do, as SQL for an administrator to read or to type.
///
/// # Errors
/// If the engine needs none, or is not built in.
pub fn script(config: &DatabaseConfig) -> Result<String, OpenError> {
    match config {
        DatabaseConfig::Sqlite { .. } => Ok("-- SQLite needs nobody to make it ready: its servers do.".to_owned()),
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(account) => Ok(super::postgres::setup::printed(account)?),
        #[cfg(feature = "mysql")]
        DatabaseConfig::MySql(account) => Ok(super::mysql::setup::printed(account)?),
        other => Err(OpenError::not_built_in(other)),
    }
}

/// Adds the second sample table to a file of SQLite, unless it is there.
fn measure(db: &Sqlite) -> Result<(), SqlError> {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match plainly(db, "SELECT 1 FROM sqlite_schema WHERE name = 'MEASUREMENTS'")? {
        Outcome::Rows { rows: 0 } => {
            sample::script(literal).iter().skip(2).try_for_each(|sql| plainly(db, sql).map(|_| ()))
        }
        _ => Ok(()),
    }
}

/// Runs a statement of the program's own user, without an id and a limit.
pub(crate) fn plainly(db: &dyn Database, sql: &str) -> Result<Outcome, SqlError> {
    let statement = Statement { sql, request: RequestId::NONE, read_only: false, repeated: false, low_water: 0 };
    let watch: Arc<dyn Watch> = Arc::new(Patient);
    db.run(&statement, &watch, &mut Nowhere)
}

struct Patient;

impl Watch for Patient {
    fn interrupted(&self) -> Option<Interrupt> {
        None
    }
}

struct Nowhere;

impl RowSink for Nowhere {
    fn columns(&mut self, _: &[String]) -> Result<(), SqlError> {
        Ok(())
    }

    fn row(&mut self, _: &[Value]) -> Result<(), SqlError> {
        Ok(())
    }
}
