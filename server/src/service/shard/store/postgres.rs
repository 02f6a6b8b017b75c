//! A schema of a PostgreSQL database, one for each replica.
//!
//! **The idea.** Servers of one table may share a database, as they share a machine: each has a schema of its own, `shards_ID`, made
//! at its start ([`home`]). One connection writes, and holds an *advisory lock* on the schema: whoever writes without the lock
//! would need another connection, and there is none. A connection that is lost takes the lock along, so that a
//! server that comes back from that first takes the lock again. Others read, in transactions that see one moment (REPEATABLE READ).
//!
//! **When it fails.** A connection that is lost in the middle of a change leaves open whether the change is there; then nothing is said of
//! its number, and whoever numbers finds out. The next call connects anew.
//!
//! **Values** are stored as JSON (type `json`, which keeps a text as it is written): a column takes numbers and text, which PostgreSQL has
//! no type for, and text may have a NUL in it, which its texts may not. So a row comes back to the byte as from SQLite.
//!
//! **When it is wrong.** A reader that has looked up a table which a fill drops before the reader comes to it is told an error; of
//! a shard that is being filled nobody reads. A pool between server and PostgreSQL that lends connections by the transaction
//! would lend the lock, too.

mod home;

use self::home::Home;
use super::engine::{Act, Broken, Dialect, Done, Engine, Session};
use crate::sql::{Own, SqlError};
use parking_lot::{Condvar, Mutex};
use protocol::{database::Account, deadline::Deadline, value::Value};
use std::{ops::ControlFlow, path::Path, sync::Arc, time::Duration};

/// Most connections of one server that read: PostgreSQL takes 100 altogether unless told otherwise, and six servers share it.
const READERS: usize = 8;

/// How long a call may wait for a connection, or for the schema's lock: whoever numbers waits for 2 s altogether.
const SOON: Duration = Duration::from_millis(1_500);

/// A column of a row takes any value; system columns have names that no other may have.
const DIALECT: Dialect = Dialect {
    key: "bigint PRIMARY KEY",
    value: "json NOT NULL",
    any_value: false,
    drops_rows: false,
    // Who still reads the table is not waited for with the writer in hand.
    before_drop: &["SET LOCAL lock_timeout = 100"],
    longest_name: 63,
    reserved: &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"],
};

/// The schema.
pub(super) struct Postgres {
    home: Arc<Home>,
    /// The connection that writes, with the lock; none after one was lost. Held during a transaction.
    writer: Mutex<Option<Own>>,
    readers: Arc<Readers>,
}

impl Postgres {
    /// Opens the schema of this server, and makes it if there is none. `mark`: the file that says that it is there.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub(super) fn open(account: &Account, id: &str, mark: &Path) -> Result<Self, String> {
        let (home, writer) = Home::open(account, id, mark)?;
        let home = Arc::new(home);
        let state = Mutex::new(Free { kept: Vec::new(), more: READERS });
        let readers = Arc::new(Readers { home: Arc::clone(&home), state, given_back: Condvar::new() });
        Ok(Self { home, writer: Mutex::new(Some(writer)), readers })
    }
}

impl Engine for Postgres {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn write(&self, act: &mut Act<'_>) -> Done<()> {
        let mut writer = self.writer.lock();
        // One that fails in between is not put back: what was begun with it is undone when PostgreSQL finds it closed.
        let mut own = match writer.take().filter(Own::is_fit) {
            Some(own) => own,
            None => self.home.writer(SOON).map_err(broken)?,
        };
        own.queue("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", &[&[]]).map_err(broken)?;
        let end = if act(&mut Within(&mut own))? { "COMMIT" } else { "ROLLBACK" };
        own.queue(end, &[&[]]).map_err(broken)?;
        // A COMMIT of what has failed is reported as a ROLLBACK.
        let done = own.run().map_err(broken)?;
        *writer = Some(own);
        if done == end { Ok(()) } else { Err(Broken(format!("a {end} has ended in a {done}"))) }
    }

    fn read(&self) -> Done<Box<dyn Session + Send>> {
        let mut own = self.readers.take()?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        own.own()?.queue(begin, &[&[]]).map_err(broken)?;
        Ok(Box::new(own))
    }
}

/// A connection in a transaction.
struct Within<'a>(&'a mut Own);

impl Session for Within<'_> {
    fn run(&mut self, sql: &str, values: &[Value]) -> Done<u64> {
        self.0.queue(sql, &[values]).map_err(broken)?;
        let done = self.0.run().map_err(broken)?;
        Ok(done.rsplit(' ').next().and_then(|rows| rows.parse().ok()).unwrap_or(0))
    }

    fn run_each(&mut self, sql: &str, rows: &[&[Value]]) -> Done<()> {
        self.0.queue(sql, rows).map_err(broken)
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>) -> Done<()> {
        self.0.query(sql, values, each).map_err(broken)
    }
}

fn broken(error: SqlError) -> Broken {
    Broken(match error {
        SqlError::Unavailable(why) => why,
        other => other.to_string().trim_end_matches('.').to_owned(),
    })
}

// ------------------------------------------------------------------------------------------------------------- readers

/// Connections that read.
struct Readers {
    home: Arc<Home>,
    /// Held for a push or a pop.
    state: Mutex<Free>,
    given_back: Condvar,
}

struct Free {
    /// Connections that nobody uses.
    kept: Vec<Own>,
    /// How many more may be opened.
    more: usize,
}

impl Readers {
    fn take(self: &Arc<Self>) -> Done<Reading> {
        let until = Deadline::after(SOON);
        let mut state = self.state.lock();
        let kept = loop {
            if let Some(own) = state.kept.pop() {
                break Some(own);
            }
            if state.more > 0 {
                state.more -= 1;
                break None;
            }
            if self.given_back.wait_until(&mut state, until.instant()).timed_out() {
                return Err(Broken(format!("{READERS} calls are reading already")));
            }
        };
        drop(state);
        let mut reading = Reading { own: kept.filter(Own::is_fit), readers: Arc::clone(self) };
        if reading.own.is_none() {
            reading.own = Some(self.home.reader(SOON).map_err(broken)?);
        }
        Ok(reading)
    }
}

/// The right to read, and a connection. It goes back when this is dropped, with the connection if that may be kept.
struct Reading {
    own: Option<Own>,
    readers: Arc<Readers>,
}

impl Reading {
    fn own(&mut self) -> Done<&mut Own> {
        self.own.as_mut().ok_or_else(|| Broken("the session has ended".to_owned()))
    }
}

impl Session for Reading {
    fn run(&mut self, sql: &str, values: &[Value]) -> Done<u64> {
        Within(self.own()?).run(sql, values)
    }

    fn run_each(&mut self, sql: &str, rows: &[&[Value]]) -> Done<()> {
        Within(self.own()?).run_each(sql, rows)
    }

    fn query(&mut self, sql: &str, values: &[Value], each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>) -> Done<()> {
        let read = Within(self.own()?).query(sql, values, each);
        if read.is_err() {
            self.own = None;
        }
        read
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let ended = |own: &mut Own| own.queue("ROLLBACK", &[&[]]).is_ok() && own.run().is_ok();
        let kept = self.own.take().filter(|own| own.is_fit()).and_then(|mut own| ended(&mut own).then_some(own));
        let mut state = self.readers.state.lock();
        match kept {
            Some(own) => state.kept.push(own),
            None => state.more += 1,
        }
        drop(state);
        self.readers.given_back.notify_one();
    }
}
