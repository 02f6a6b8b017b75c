//! A replica's own file of SQLite.
//!
//! One connection writes, as SQLite lets only one write at a time anyway; others read, each the moment at which it began, whatever is
//! written meanwhile (WAL). A commit is durable before it is answered (`synchronous = FULL`).

use super::engine::{Act, Broken, Dialect, Done, Engine, Session};
use parking_lot::Mutex;
use protocol::value::Value;
use rusqlite::{
    Connection, TransactionBehavior, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::{
    fs::{File, TryLockError},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Reading connections that are kept while nobody uses them.
const KEPT: usize = 16;

/// How long to wait for another program that looks at the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether another process has let go of the file.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS replica_schema (columns TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS replica_shards
        (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, rows INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS replica_answers
        (shard INTEGER NOT NULL, seq INTEGER NOT NULL, fingerprint INTEGER NOT NULL, status INTEGER NOT NULL,
         body TEXT NOT NULL, PRIMARY KEY (shard, seq)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS replica_scratch (number INTEGER PRIMARY KEY);
";

/// Each page of a table that is dropped goes to the list of free ones. Columns without a type, so that values stay what they are; but for the key, which SQLite finds rows by.
const DIALECT: Dialect = Dialect {
    key: "INTEGER PRIMARY KEY",
    value: "NOT NULL",
    any_value: true,
    drops_rows: true,
    before_drop: &[],
    longest_name: usize::MAX,
    reserved: &[],
};

/// The file.
pub(super) struct Sqlite {
    path: PathBuf,
    /// Locked as long as this process lives: one that was killed may still be at its last change when its successor starts.
    _lock: File,
    /// The connection that writes. Held during a transaction: they come one after the other anyway.
    writer: Mutex<Connection>,
    readers: Kept,
}

/// Connections that read and that nobody uses. Held for a push or a pop.
type Kept = Arc<Mutex<Vec<Connection>>>;

impl Sqlite {
    /// Opens the file, and makes it if there is none.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let lock = lock(path).map_err(|error| error.to_string())?;
        let open = || {
            let db = connect(path)?;
            db.execute_batch(CREATE)?;
            Ok(db)
        };
        let db = open().map_err(|error: rusqlite::Error| error.to_string())?;
        Ok(Self { path: path.to_owned(), _lock: lock, writer: Mutex::new(db), readers: Kept::default() })
    }
}

impl Engine for Sqlite {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn write(&self, act: &mut Act<'_>) -> Done<()> {
        let mut writer = self.writer.lock();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
        if act(&mut Within(&transaction))? { transaction.commit().map_err(broken) } else { Ok(()) }
    }

    fn read(&self) -> Done<Box<dyn Session + Send>> {
        let kept = self.readers.lock().pop();
        let db = kept.map_or_else(|| connect(&self.path), Ok).map_err(broken)?;
        db.execute_batch("BEGIN").map_err(broken)?;
        Ok(Box::new(Reading { db: Some(db), kept: Arc::clone(&self.readers) }))
    }
}

/// A connection in a transaction.
struct Within<'a>(&'a Connection);

impl Session for Within<'_> {
    fn run(&mut self, sql: &str, values: &[Value]) -> Done<u64> {
        let run = || self.0.prepare_cached(sql)?.execute(params_from_iter(values.iter().map(sql_value)));
        run().map(|rows| rows as u64).map_err(broken)
    }

    fn run_each(&mut self, sql: &str, rows: &[&[Value]]) -> Done<()> {
        let mut statement = self.0.prepare_cached(sql).map_err(broken)?;
        let mut run = |row: &&[Value]| statement.execute(params_from_iter(row.iter().map(sql_value))).map(drop);
        rows.iter().try_for_each(&mut run).map_err(broken)
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>) -> Done<()> {
        let mut query = || {
            let mut statement = self.0.prepare_cached(sql)?;
            let columns = statement.column_count();
            let mut rows = statement.query(params_from_iter(values.iter().map(sql_value)))?;
            while let Some(row) = rows.next()? {
                let row = (0..columns).map(|at| row.get_ref(at).map(value)).collect::<rusqlite::Result<_>>()?;
                if each(row).is_break() {
                    break;
                }
            }
            Ok(())
        };
        query().map_err(broken)
    }
}

/// A connection that reads, until this is dropped.
struct Reading {
    db: Option<Connection>,
    kept: Kept,
}

impl Reading {
    fn within(&self) -> Done<Within<'_>> {
        self.db.as_ref().map(Within).ok_or_else(|| Broken("the session has ended".to_owned()))
    }
}

impl Session for Reading {
    fn run(&mut self, sql: &str, values: &[Value]) -> Done<u64> {
        self.within()?.run(sql, values)
    }

    fn run_each(&mut self, sql: &str, rows: &[&[Value]]) -> Done<()> {
        self.within()?.run_each(sql, rows)
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>) -> Done<()> {
        self.within()?.query(sql, values, each)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let Some(db) = self.db.take().filter(|db| db.execute_batch("ROLLBACK").is_ok()) else { return };
        let mut kept = self.kept.lock();
        if kept.len() < KEPT {
            kept.push(db);
        }
    }
}

/// Waits until no other process has this file.
fn lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(name)?;
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::park_timeout(LOOK_AGAIN),
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another server has it")),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    Ok(db)
}

fn broken(error: rusqlite::Error) -> Broken {
    Broken(error.to_string())
}

fn sql_value(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(number) => ValueRef::Integer(*number),
        Value::Real(number) => ValueRef::Real(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Bytes(bytes) => ValueRef::Blob(bytes),
    })
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}
