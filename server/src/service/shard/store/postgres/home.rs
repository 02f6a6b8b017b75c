//! The schema of a replica: whose it is, and how it is made.
//!
//! **The problem.** A file of SQLite lies in the folder of its table: who removes the folder begins anew, and two tables in two folders
//! never meet. A schema lies in a database that everybody reaches, and would still be there: a new table would begin with the rows of
//! an earlier one, because whoever has most is believed.
//!
//! **The idea.** Where the file of SQLite would be there is a *mark*: a file that says which schema holds the shards, and carries a
//! number that is drawn when the schema is made and stands in it, too.
//!
//! | mark | schema | |
//! |---|---|---|
//! | none | none | both are made |
//! | with its number | is there | this is it |
//! | none | of this place (this folder of this machine) | its mark was removed, to begin anew: it is dropped, and made again |
//! | none, or with another number | of another place | refused: nobody knows who needs it |
//! | with a number | none | somebody has dropped it, or this is not the database that has it; it is made, with the number of the mark |
//!
//! **Why that number.** A replica whose schema is gone is filled like one that has lost its file; or, if nobody else has its rows, waits for
//! them. A cluster that comes back, or a copy that is put back, has the number that the mark has had all the time, and fits.

use crate::sql::{Own, SqlError};
use protocol::{
    database::Account,
    deadline::Deadline,
    output::say,
    registry::replace_file,
    value::{Value, to_hex},
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{fs, io, ops::ControlFlow, path::Path, thread, time::Duration};

/// How long a server waits at its start for the database, and for another server that has its schema: one that was killed may still be at
/// its last change.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long PostgreSQL may say nothing.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Longest name in PostgreSQL, in bytes.
const LONGEST_NAME: usize = 63;

const CREATE: [&str; 5] = [
    "CREATE TABLE replica_owner (number text NOT NULL, place text NOT NULL)",
    "CREATE TABLE replica_schema (columns text NOT NULL)",
    "CREATE TABLE replica_shards
         (number bigint PRIMARY KEY, name text NOT NULL UNIQUE, seq bigint NOT NULL, rows bigint NOT NULL)",
    "CREATE TABLE replica_answers
         (shard bigint NOT NULL, seq bigint NOT NULL, fingerprint bigint NOT NULL, status bigint NOT NULL,
          body text NOT NULL, PRIMARY KEY (shard, seq))",
    "CREATE TABLE replica_scratch (number bigint PRIMARY KEY)",
];

/// Where a replica's connections lead.
pub(super) struct Home {
    account: Account,
    schema: String,
}

impl Home {
    /// Finds or makes the schema of this server; and the connection that writes there.
    pub(super) fn open(account: &Account, id: &str, mark: &Path) -> Result<(Self, Own), String> {
        let home = Self { account: account.clone(), schema: name(id) };
        let explain = |error: SqlError| {
            let why = match error {
                SqlError::Unavailable(why) => why,
                SqlError::Forbidden(why) => home.right_missing(&why),
                other => other.to_string(),
            };
            let Account { host, port, database, .. } = account;
            let why = why.trim_end_matches('.');
            format!("Shards cannot be kept in the PostgreSQL database {database} at {host}:{port}: {why}.")
        };
        let mut writer = home.patiently().map_err(explain)?;
        home.settle(&mut writer, mark).map_err(explain)?;
        Ok((home, writer))
    }

    fn right_missing(&self, why: &str) -> String {
        let (schema, Account { user, database, .. }) = (&self.schema, &self.account);
        format!(
            "{why} An administrator may let {user} make schemas: GRANT CREATE ON DATABASE \"{database}\" TO \"{user}\"; \
             or make this one: CREATE SCHEMA \"{schema}\" AUTHORIZATION \"{user}\""
        )
    }

    fn patiently(&self) -> Result<Own, SqlError> {
        let until = Deadline::after(PATIENCE);
        let mut told = false;
        loop {
            match self.writer(until.remaining()) {
                Err(SqlError::Unavailable(why)) if !until.has_passed() => {
                    if !std::mem::replace(&mut told, true) {
                        say!("Waiting for the database: {why}.");
                    }
                    thread::sleep(LOOK_AGAIN);
                }
                other => return other,
            }
        }
    }

    /// A connection that may write: it has the lock on the schema as long as it lives.
    pub(super) fn writer(&self, patience: Duration) -> Result<Own, SqlError> {
        let until = Deadline::after(patience);
        let mut own = self.reader(patience)?;
        // Whatever this server or role is set to. Who alone writes waits for a lock only if a person has taken one.
        for setting in ["synchronous_commit = on", "lock_timeout = 1500"] {
            own.queue(&format!("SET {setting}"), &[&[]])?;
        }
        let digest = Sha256::digest(format!("shards in {}", self.schema));
        let key = Value::Integer(i64::from_be_bytes(std::array::from_fn(|at| digest[at])));
        loop {
            let mut locked = None;
            own.query("SELECT pg_catalog.pg_try_advisory_lock($1)", std::slice::from_ref(&key), &mut |row| {
                locked = row.into_iter().next();
                ControlFlow::Continue(())
            })?;
            match locked {
                Some(Value::Integer(1)) => return Ok(own),
                _ if until.has_passed() => {
                    return Err(SqlError::Unavailable(format!("another server has the schema {}", self.schema)));
                }
                _ => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// A connection that reads.
    pub(super) fn reader(&self, patience: Duration) -> Result<Own, SqlError> {
        let mut own = Own::open(&self.account, patience.max(LOOK_AGAIN))?.patient(ANSWER_TIME);
        let search_path = format!("search_path = \"{}\"", self.schema);
        for setting in [search_path.as_str(), "statement_timeout = 0", "idle_in_transaction_session_timeout = 0"] {
            own.queue(&format!("SET {setting}"), &[&[]])?;
        }
        own.run().map(|_| own)
    }

    /// Sees to it that there are schema and mark.
    fn settle(&self, own: &mut Own, mark: &Path) -> Result<(), SqlError> {
        let (number, place) = (self.read_mark(mark)?, place(mark));
        match (number, self.owner(own)?) {
            (Some(number), Some((there, _))) if number == there => Ok(()),
            (None, Some((_, there))) if there == place => self.make_marked(own, mark, true),
            (_, Some((_, there))) => Err(SqlError::Unavailable(format!(
                "its schema {} is that of a server in another place ({there}). If nobody needs it any more: \
                 DROP SCHEMA \"{}\" CASCADE; otherwise name another database, or give this server another id",
                self.schema, self.schema
            ))),
            (Some(number), None) => self.make(own, mark, &number, false),
            (None, None) => self.make_marked(own, mark, false),
        }
    }

    /// Number and place of the schema, if it is there.
    fn owner(&self, own: &mut Own) -> Result<Option<(String, String)>, SqlError> {
        let ask = |own: &mut Own, sql: &str, values: &[Value]| {
            let mut found = None;
            own.query(sql, values, &mut |row| {
                found = Some(row);
                ControlFlow::Continue(())
            })?;
            Ok::<_, SqlError>(found)
        };
        let there = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'replica_owner'";
        if ask(own, there, &[Value::Text(self.schema.clone())])?.is_none() {
            return Ok(None);
        }
        match ask(own, "SELECT number, place FROM replica_owner", &[])?.as_deref() {
            Some([Value::Text(number), Value::Text(place)]) => Ok(Some((number.clone(), place.clone()))),
            _ => Err(SqlError::Unavailable(format!("its schema {} is not what a server has made", self.schema))),
        }
    }

    /// Makes schema and mark, with a new number.
    fn make_marked(&self, own: &mut Own, mark: &Path, anew: bool) -> Result<(), SqlError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| SqlError::Unavailable(error.to_string()))?;
        let number = to_hex(&random);
        self.make(own, mark, &number, anew)?;
        self.write_mark(mark, &number).map_err(|why| unusable(mark, &why))
    }

    /// Makes the schema. Without its mark, one of this place is made again.
    fn make(&self, own: &mut Own, mark: &Path, number: &str, anew: bool) -> Result<(), SqlError> {
        let schema = &self.schema;
        own.queue("BEGIN", &[&[]])?;
        if anew {
            // Not the schema: it may have been an administrator who made it.
            self.tables(own)?.iter().try_for_each(|table| own.queue(&format!("DROP TABLE \"{table}\""), &[&[]]))?;
        }
        let there = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
        let mut is_there = false;
        own.query(there, &[Value::Text(schema.clone())], &mut |_| {
            is_there = true;
            ControlFlow::Continue(())
        })?;
        // Not IF NOT EXISTS, for which the right to make one is asked all the same.
        if !is_there {
            own.queue(&format!("CREATE SCHEMA \"{schema}\""), &[&[]])?;
        }
        CREATE.iter().try_for_each(|sql| own.queue(sql, &[&[]]))?;
        let owner = [Value::Text(number.to_owned()), Value::Text(place(mark))];
        own.queue("INSERT INTO replica_owner VALUES ($1, $2)", &[&owner])?;
        own.queue("COMMIT", &[&[]])?;
        own.run().map(drop)
    }

    fn tables(&self, own: &mut Own) -> Result<Vec<String>, SqlError> {
        let mut tables = Vec::new();
        let sql = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = $1";
        own.query(sql, &[Value::Text(self.schema.clone())], &mut |row| {
            tables.extend(row.into_iter().map(|name| name.to_string()));
            ControlFlow::Continue(())
        })?;
        Ok(tables)
    }

    fn write_mark(&self, mark: &Path, number: &str) -> Result<(), String> {
        let Account { host, port, database, .. } = &self.account;
        let text = json!({
            "engine": "postgres", "host": host, "port": port, "database": database, "schema": self.schema, "number": number,
        });
        if let Some(folder) = mark.parent() {
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        // Durably: without its mark, a schema is made anew.
        replace_file(mark, format!("{text}\n").as_bytes()).map_err(|error| error.to_string())
    }

    /// The number in the mark, if there is one.
    fn read_mark(&self, mark: &Path) -> Result<Option<String>, SqlError> {
        let bytes = match fs::read(mark) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(mark, &error.to_string())),
        };
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let number = read["number"].as_str().map(str::to_owned);
        number.map(Some).ok_or_else(|| {
            unusable(mark, "it says of no schema; does it hold shards itself? Then start without --shard-database")
        })
    }
}

fn unusable(mark: &Path, why: &str) -> SqlError {
    SqlError::Unavailable(format!("the file {} that is to say where they are cannot be used: {why}", mark.display()))
}

/// The schema of the server of this id, which may be a little longer than a name in PostgreSQL.
fn name(id: &str) -> String {
    let name = format!("shards_{id}");
    if name.len() <= LONGEST_NAME { name } else { format!("shards_{}", &to_hex(&Sha256::digest(id))[..32]) }
}

/// Which folder of which machine a mark is in.
fn place(mark: &Path) -> String {
    let machine = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let path = std::path::absolute(mark).unwrap_or_else(|_| mark.to_owned());
    format!("{}:{}", machine.trim(), path.display())
}
