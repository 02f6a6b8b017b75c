//! The first use of a database of PostgreSQL: who made it ready, and for whom.
//!
//! Servers do not make a database ready by themselves: it takes rights that their role must not have. `server init-database` does it
//! once, as a superuser, or prints the SQL for whoever wants to see it first.

use super::{
    Postgres,
    records::{self, Row},
    refusal::Refused,
    session::{Session, UNLOCK_ALL},
};
use crate::sql::{
    SqlError, Watch,
    remote::{
        ByTime, Remote, RemoteError, Trouble,
        opening::{self, OPEN_TIME, SETUP_TIME, new_identity, not_ready, patiently, ready},
    },
    sample,
};
use hmac::{Hmac, KeyInit, Mac};
use protocol::{database::Account, value::to_hex};
use sha2::{Digest, Sha256};

/// What is done once, by a superuser.
const SCHEMA: &str = include_str!("schema.sql");

/// Where connections come from.
pub(in crate::sql) struct Place {
    pub(super) account: Account,
    pub(super) identity: String,
    pub(super) key: String,
}

impl Postgres {
    /// Logs in and looks whether the database is ready, and the role harmless.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(in crate::sql) fn open(account: &Account) -> Result<Self, RemoteError> {
        let place = patiently(|| look(account)).map_err(|trouble| explain(account, trouble))?;
        Ok(Remote::new(place.identity.clone(), place))
    }
}

fn look(account: &Account) -> Result<Place, Trouble> {
    let mut session = Session::open(account, &ByTime::after(OPEN_TIME))?;
    let identity = identity(&mut session, &ByTime::after(OPEN_TIME))?;
    let dangerous = "SELECT 1 FROM pg_catalog.pg_roles r WHERE r.rolname = session_user AND (r.rolsuper OR r.rolcreaterole \
         OR r.rolcreatedb OR r.rolreplication OR pg_has_role(r.oid, 'pg_read_server_files', 'member') \
         OR pg_has_role(r.oid, 'pg_write_server_files', 'member') \
         OR pg_has_role(r.oid, 'pg_execute_server_program', 'member'))";
    if !ask(&mut session, dangerous)?.is_empty() {
        return Err(SqlError::Forbidden(format!(
            "The role {} may do more than a stranger's SQL must: log in as another. `server init-database` makes one",
            account.user
        ))
        .into());
    }
    let guarded =
        "SELECT 1 FROM pg_catalog.pg_event_trigger WHERE evtname = 'lab_nothing_inside_a_commit' AND evtenabled <> 'D'";
    if ask(&mut session, guarded)?.is_empty() {
        return Err(not_ready());
    }
    may_unlock(&mut session, &ByTime::after(OPEN_TIME))?;
    let key = key(account, &identity);
    Ok(Place { account: account.clone(), identity, key })
}

/// The UUID of the database that this session of a server is in.
pub(super) fn identity(session: &mut Session, watch: &dyn Watch) -> Result<String, Trouble> {
    ready(ask_under(watch, session, "SELECT lab.identity()").map(first))
}

/// Refuses a database in which the role may not call what each read ends with: every read would cost a connection.
pub(super) fn may_unlock(session: &mut Session, watch: &dyn Watch) -> Result<(), Trouble> {
    let may = format!("SELECT 1 WHERE pg_catalog.has_function_privilege({UNLOCK_ALL}::oid, 'EXECUTE')");
    match answer(watch, session, &may)? {
        Ok(rows) if !rows.is_empty() => Ok(()),
        _ => Err(SqlError::Unavailable(
            "the servers' role may not release locks there; an administrator has to GRANT EXECUTE ON FUNCTION \
             pg_catalog.pg_advisory_unlock_all() TO PUBLIC in this database"
                .into(),
        )
        .into()),
    }
}

/// The UUID of the database that this session of a superuser is in, if it has one.
fn known(session: &mut Session, watch: &dyn Watch) -> Result<Option<String>, Trouble> {
    match answer(watch, session, "SELECT uuid FROM lab.settings")? {
        Ok(rows) => Ok(first(rows)),
        Err(refused) if refused.is_of_no_table() => Ok(None),
        Err(refused) => Err(refused.trouble()),
    }
}

fn first(rows: Vec<Row>) -> Option<String> {
    rows.into_iter().flatten().flatten().next()
}

/// With which this account reaches the records: nobody computes it who does not know the password.
fn key(account: &Account, identity: &str) -> String {
    let password = account.password.reveal().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(password).expect("a key of HMAC may have any length");
    mac.update(b"records of the laboratory in ");
    mac.update(identity.as_bytes());
    format!("\\x{}", to_hex(&mac.finalize().into_bytes()))
}

/// Asks in a session of its own.
#[cfg(test)]
pub(super) fn ask_as(account: &Account, sql: &str) -> Result<Vec<Row>, Trouble> {
    ask(&mut Session::open(account, &ByTime::after(SETUP_TIME))?, sql)
}

fn ask(session: &mut Session, sql: &str) -> Result<Vec<Row>, Trouble> {
    ask_under(&ByTime::after(SETUP_TIME), session, sql)
}

fn ask_under(watch: &dyn Watch, session: &mut Session, sql: &str) -> Result<Vec<Row>, Trouble> {
    answer(watch, session, sql)?.map_err(Refused::trouble)
}

/// The rows of a statement, or its refusal.
fn answer(watch: &dyn Watch, session: &mut Session, sql: &str) -> Result<Result<Vec<Row>, Refused>, Trouble> {
    session.add_statement(sql, &[])?;
    session.flush(watch)?;
    let mut rows = Vec::new();
    let ended = session.answer(watch, |message| {
        if let postgres_protocol::message::backend::Message::DataRow(body) = message {
            rows.push(records::row(&body)?);
        }
        Ok(())
    })?;
    session.tidy_nothing();
    Ok(ended.refused.map_or(Ok(rows), Err))
}

fn explain(account: &Account, trouble: Trouble) -> RemoteError {
    opening::explain("PostgreSQL", account, trouble)
}

/// What [`init`] does, for whoever runs it with psql; without the sample tables.
///
/// # Errors
/// If the system gives no random numbers.
pub(in crate::sql) fn printed(account: &Account) -> Result<String, RemoteError> {
    let identity = new_identity().map_err(|trouble| explain(account, trouble))?;
    let batches = script(account, &identity);
    let database = name(&account.database);
    Ok(format!("-- psql -U postgres\nCREATE DATABASE {database};\n\\connect {database}\n{}", batches.join("\n")))
}

/// Makes a database ready: the role of the account, our schema, the sample tables. `admin` is a superuser; the database is made
/// if it is not there.
///
/// # Errors
/// A sentence that says what to do.
pub(in crate::sql) fn init(account: &Account, admin: &Account) -> Result<(), RemoteError> {
    make_database(account, admin).map_err(|trouble| explain(admin, trouble))?;
    let there = Account { database: account.database.clone(), ..admin.clone() };
    let opened = Session::open(&there, &ByTime::after(OPEN_TIME));
    let done = opened.and_then(|mut session| make_ready(&mut session, account, &ByTime::after(SETUP_TIME)));
    done.map_err(|trouble| explain(&there, trouble))
}

/// Makes the database ready that this session of a superuser is in. `asking`: how long it may take to say who it is.
pub(super) fn make_ready(session: &mut Session, account: &Account, asking: &dyn Watch) -> Result<(), Trouble> {
    let known = known(session, asking)?;
    let samples = known.is_none().then(|| samples(account));
    let identity = known.map_or_else(new_identity, Ok)?;
    script(account, &identity).iter().chain(&samples).try_for_each(|sql| run(session, sql))
}

fn make_database(account: &Account, admin: &Account) -> Result<(), Trouble> {
    let mut session = Session::open(admin, &ByTime::after(OPEN_TIME))?;
    let there = format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {}", literal(&account.database));
    if ask(&mut session, &there)?.is_empty() {
        run(&mut session, &format!("CREATE DATABASE {}", name(&account.database)))?;
    }
    Ok(())
}

fn run(session: &mut Session, sql: &str) -> Result<(), Trouble> {
    let ended = session.run(sql, &ByTime::after(SETUP_TIME))?;
    ended.refused.map_or(Ok(()), |refused| Err(refused.trouble()))
}

/// What makes a database ready, in batches, each of which is a transaction.
fn script(account: &Account, identity: &str) -> [String; 2] {
    let (role, database, password) = (name(&account.user), name(&account.database), literal(account.password.reveal()));
    let digest = to_hex(&Sha256::digest(protocol::value::from_hex(&key(account, identity)[2..]).unwrap_or_default()));
    let (uuid, user) = (literal(identity), literal(&account.user));
    let make_role = format!("CREATE ROLE {role} LOGIN");
    [
        format!(
            "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {user}) THEN EXECUTE {}; END IF; END $do$;
             ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {password};
             REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {role};
             GRANT USAGE, CREATE ON SCHEMA public TO {role};",
            literal(&make_role)
        ),
        format!(
            "{SCHEMA}
             GRANT USAGE ON SCHEMA lab TO {role};
             GRANT EXECUTE ON FUNCTION lab.identity(), lab.look(bytea, bytea, bytea), lab.claim(bytea, bytea, bytea, bytea),
                 lab.note(bytea, bytea, bytea, text, bytea, bytea), lab.role_state(), lab.same_role(text) TO {role};
             DELETE FROM lab.settings; INSERT INTO lab.settings VALUES ({uuid}, '\\x{digest}', {user});"
        ),
    ]
}

/// The sample tables, which belong to the account.
fn samples(account: &Account) -> String {
    format!("SET ROLE {}; {}; RESET ROLE", name(&account.user), sample::script(literal).join(";\n"))
}

/// A name as it is written in SQL.
fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it is written in SQL, whatever the server is set to.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
