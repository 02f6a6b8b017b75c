//! The first use of a database of MySQL or MariaDB: who made it ready, and for whom.
//!
//! Servers do not make a database ready by themselves: it takes rights that their account must not have. `server init-database` does it
//! once, as an administrator, or prints the SQL for whoever wants to see it first.

use super::{
    MySql,
    session::{Row, SETTINGS, Session},
};
use crate::sql::{
    SqlError, Watch,
    remote::{
        ByTime, Remote, RemoteError, Trouble,
        opening::{self, OPEN_TIME, SETUP_TIME, new_identity, patiently, ready},
    },
    sample,
};
use protocol::{database::Account, value::to_hex};
use sha2::{Digest, Sha256};

/// The records' tables and procedures.
const SCHEMA: &str = include_str!("schema.sql");

/// Where connections come from.
pub(in crate::sql) struct Place {
    pub(super) account: Account,
    pub(super) identity: String,
    pub(super) secret: String,
}

impl Place {
    /// The name of the records' database, as it is written in SQL.
    pub(super) fn records(&self) -> String {
        records(&self.account)
    }
}

impl MySql {
    /// Logs in and looks whether the database is ready, and the account harmless.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(in crate::sql) fn open(account: &Account) -> Result<Self, RemoteError> {
        let place = patiently(|| look(account)).map_err(|trouble| explain(account, trouble))?;
        Ok(Remote::new(place.identity.clone(), place))
    }
}

/// Logs in and looks.
pub(super) fn look(account: &Account) -> Result<Place, Trouble> {
    check_name(account)?;
    let mut session = Session::open(account, Some(&account.database), &ByTime::after(OPEN_TIME))?;
    let identity = identity(&mut session, account, &ByTime::after(OPEN_TIME))?;
    // Rights to the whole server are listed under these; who has none has the right USAGE.
    let dangerous =
        "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE <> 'USAGE' LIMIT 1";
    if let Some(right) = first(ask(&mut session, &[dangerous])?) {
        return Err(SqlError::Forbidden(format!(
            "The account {} may do more than a stranger's SQL must ({right}): log in as another. `server init-database` makes one",
            account.user
        ))
        .into());
    }
    // Of the records' database it may call the procedures, and see no table.
    let others = "SELECT TABLE_SCHEMA FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA NOT IN (DATABASE(), 'information_schema', 'performance_schema', 'sys') LIMIT 1";
    if let Some(other) = first(ask(&mut session, &[others])?) {
        return Err(SqlError::Forbidden(format!(
            "The account {} sees tables of the database {other}, which is not its own: REVOKE that right from it, or from PUBLIC if everybody \
             has it",
            account.user
        ))
        .into());
    }
    let secret = secret(account, &identity);
    Ok(Place { account: account.clone(), identity, secret })
}

/// Refuses a name under which a database is open to every account, as MariaDB and MySQL are installed; that of the records would
/// begin likewise.
fn check_name(account: &Account) -> Result<(), SqlError> {
    let name = account.database.to_ascii_lowercase();
    if name == "test" || name.starts_with("test_") {
        return Err(SqlError::Forbidden(
            "Every account may write in databases named test or test_…, as MariaDB is installed: give it another name in database.json".into(),
        ));
    }
    Ok(())
}

/// The UUID of the database that this session of a server is in.
pub(super) fn identity(session: &mut Session, account: &Account, watch: &dyn Watch) -> Result<String, Trouble> {
    let told = session.run(&[&format!("CALL {}.identity()", records(account))], watch);
    ready(told.map(|mut results| results.pop().and_then(first)))
}

/// The UUID of the database that this session of an administrator is in, if it has one.
fn known(session: &mut Session, account: &Account, watch: &dyn Watch) -> Result<Option<String>, Trouble> {
    match session.try_run(&[&format!("SELECT uuid FROM {}.settings", records(account))], watch)? {
        Ok(mut results) => Ok(results.pop().and_then(first)),
        Err(refused) if refused.is_of_no_table() => Ok(None),
        Err(refused) => Err(refused.trouble("")),
    }
}

fn first(rows: Vec<Row>) -> Option<String> {
    rows.into_iter().flatten().flatten().next()
}

/// The key of the records: nobody computes it who does not know the password.
fn secret(account: &Account, identity: &str) -> String {
    let once = |text: &str| to_hex(&Sha256::digest(text.as_bytes()));
    let password = once(account.password.reveal());
    once(&format!("{password}{}", once(&format!("{password}records of the laboratory in {identity}"))))
}

/// Asks in a session of its own, in this database or none.
pub(super) fn ask_as(account: &Account, database: Option<&str>, statements: &[&str]) -> Result<Vec<Row>, Trouble> {
    let mut session = Session::open(account, database, &ByTime::after(OPEN_TIME))?;
    ask(&mut session, &[SETTINGS])?;
    ask(&mut session, statements)
}

/// Runs statements, one after the other, until one fails; the rows of the last.
fn ask(session: &mut Session, statements: &[&str]) -> Result<Vec<Row>, Trouble> {
    let mut rows = Vec::new();
    for sql in statements {
        rows = session.run(&[sql], &ByTime::after(SETUP_TIME))?.pop().unwrap_or_default();
    }
    Ok(rows)
}

fn explain(account: &Account, trouble: Trouble) -> RemoteError {
    opening::explain("MySQL or MariaDB", account, trouble)
}

/// What [`init`] does, for whoever runs it with the client `mysql`; without the sample tables.
///
/// # Errors
/// If the system gives no random numbers.
pub(in crate::sql) fn printed(account: &Account) -> Result<String, RemoteError> {
    let drawn = check_name(account).map_err(Trouble::from).and_then(|()| new_identity());
    let identity = drawn.map_err(|trouble| explain(account, trouble))?;
    let statements = [vec![SETTINGS.to_owned(), make_database(account)], script(account, &identity)].concat();
    Ok(format!("-- mysql -u root\nDELIMITER $$\n{}\n$$\nDELIMITER ;", statements.join("\n$$\n")))
}

/// Makes a database ready: the account of the servers, our own tables, the sample tables. `admin` is an administrator; the database is
/// made if it is not there.
///
/// # Errors
/// A sentence that says what to do.
pub(in crate::sql) fn init(account: &Account, admin: &Account) -> Result<(), RemoteError> {
    let there = Account { database: account.database.clone(), ..admin.clone() };
    let made = || -> Result<(), Trouble> {
        check_name(account)?;
        ask_as(admin, None, &[&make_database(account)])?;
        let mut session = Session::open(admin, Some(&account.database), &ByTime::after(OPEN_TIME))?;
        make_ready(&mut session, account, &ByTime::after(SETUP_TIME))
    };
    made().map_err(|trouble| explain(&there, trouble))
}

/// Makes the database ready that this session of an administrator is in. `asking`: how long it may take to say who it is.
pub(super) fn make_ready(session: &mut Session, account: &Account, asking: &dyn Watch) -> Result<(), Trouble> {
    ask(session, &[SETTINGS])?;
    let known = known(session, account, asking)?;
    let fresh = known.is_none();
    let identity = known.map_or_else(new_identity, Ok)?;
    let mut all = script(account, &identity);
    if fresh {
        all.extend(sample::script(literal));
    }
    all.iter().try_for_each(|sql| ask(session, &[sql]).map(|_| ()))
}

/// Runs a statement of an administrator that MySQL commits by itself.
///
/// # Errors
/// A sentence that says what to do.
pub(in crate::sql) fn define(admin: &Account, sql: &str) -> Result<(), RemoteError> {
    ask_as(admin, Some(&admin.database), &[sql]).map(|_| ()).map_err(|trouble| explain(admin, trouble))
}

/// Text is compared letter by letter, as in the other engines.
fn make_database(account: &Account) -> String {
    format!(
        "CREATE DATABASE IF NOT EXISTS {} CHARACTER SET utf8mb4 /*M! COLLATE utf8mb4_nopad_bin */ /*!80017 COLLATE utf8mb4_0900_bin */",
        name(&account.database)
    )
}

/// What makes a database ready that is there, statement by statement.
fn script(account: &Account, identity: &str) -> Vec<String> {
    let records = records(account);
    let user = format!("{}@'%'", literal(&account.user));
    let password = literal(account.password.reveal());
    // In the name of a database that rights are given to, `_` and `%` stand for any letters.
    let database = name(&account.database).replace('_', "\\_").replace('%', "\\%");
    let mut script: Vec<String> = SCHEMA.split("$$").map(|sql| sql.trim().replace("{records}", &records)).collect();
    script.extend([
        format!("CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {password}"),
        format!("ALTER USER {user} IDENTIFIED BY {password}"),
        format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {user}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON {database}.* TO {user}"),
    ]);
    let procedures = ["identity", "look", "claim", "note"];
    script.extend(procedures.map(|procedure| format!("GRANT EXECUTE ON PROCEDURE {records}.{procedure} TO {user}")));
    let secret = secret(account, identity);
    // In one step, so that servers that are at work do not miss it.
    script.extend([
        "START TRANSACTION".to_owned(),
        format!("DELETE FROM {records}.settings"),
        format!("INSERT INTO {records}.settings VALUES ({}, '{secret}')", literal(identity)),
        "COMMIT".to_owned(),
    ]);
    script
}

/// The name of the records' database, as it is written in SQL.
fn records(account: &Account) -> String {
    name(&format!("{}_records", account.database))
}

/// A name as it is written in SQL.
fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as it is written in SQL, under our settings.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
