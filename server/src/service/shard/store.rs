//! The store of a replica: its shards, the number of each, and what was answered to the latest changes.
//!
//! | table | a row for each |
//! |---|---|
//! | `replica_schema` | – (one row: the columns, as JSON) |
//! | `replica_shards` | shard: its table, its number, its rows |
//! | `replica_answers` | of the last 1,000 changes of a shard: what it was, what was answered |
//! | `replica_scratch` | table that is no shard's: one that is being filled, one that is to be dropped |
//! | `shard_1`, `shard_2` … | row of that shard |
//!
//! A change is one transaction over all of them, durable before it is answered. Whoever reads sees one moment, whatever is written
//! meanwhile. Both is for the engine to promise ([`engine`]); what a change does, and what is said to it, is written once, so that
//! replicas on different engines come to the same.
//!
//! | file | what is in it |
//! |---|---|
//! | [`engine`] | what an engine must be able to do |
//! | [`sqlite`] | SQLite: a file |
//! | `postgres` | PostgreSQL: a schema of a database |
//! | [`book`] | columns, shards and numbers |
//! | [`table`] | the rows of a shard |
//! | [`answers`] | what was answered |
//! | [`deed`](mod@deed) | what a change does |
//! | [`fill`] | taking in a copy, while others write |
//! | [`rows`] | rows of one moment, as they are read |

mod engine;
mod sqlite;
#[cfg(feature = "postgres")]
mod postgres;
mod book;
mod table;
mod answers;
mod deed;
mod fill;
mod rows;

pub use rows::Rows;

#[cfg(feature = "postgres")]
use self::postgres::Postgres;
use self::{
    answers::{answered, fingerprint, remember},
    deed::deed,
    engine::{Broken, Done, Engine, Session},
    fill::Filling,
    sqlite::Sqlite,
};
use super::calls::{self, Change, State, Told, refused, unknown_shard};
use parking_lot::Mutex;
use protocol::{database::DatabaseConfig, http::Status, shard::Schema};
use std::{
    collections::HashSet,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicI64},
};

/// The store of a replica.
pub struct Store {
    engine: Box<dyn Engine>,
    /// The numbers of the scratch tables that are being filled. Held for a look.
    filling: Mutex<HashSet<i64>>,
    /// The last number that was given to a table in this process: none is given twice, so that whoever drops a table late drops that one.
    last: AtomicI64,
    /// Held while tables are dropped: one sweep after the other, each with a list that nobody has made shorter meanwhile.
    sweeping: Mutex<()>,
}

impl Store {
    /// Opens the store of the server of this id, and makes it if there is none: a file, or a part of a database, of which the file then
    /// says that it is there.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn open(id: &str, file: &Path, database: Option<&DatabaseConfig>) -> Result<Self, ShardStoreError> {
        let engine = open_engine(id, file, database)?;
        let (filling, sweeping) = (Mutex::default(), Mutex::default());
        let store = Self { engine, filling, last: AtomicI64::new(0), sweeping };
        store.sweep(false);
        Ok(store)
    }

    /// Has these shards, with these columns. What is there stays.
    ///
    /// # Errors
    /// If there are other columns already.
    pub fn configure(&self, schema: &Schema, shards: &[String]) -> Result<(), Told> {
        self.change(|session| {
            match book::schema(session)? {
                Some(there) if there != *schema => {
                    return Ok(Err(refused(Status::CONFLICT, "This server is configured with another schema")));
                }
                Some(_) => {}
                None => book::set_schema(session, schema)?,
            }
            for name in shards {
                if book::find(session, name)?.is_none() {
                    book::add_shard(session, self.engine.dialect(), &self.last, name, schema)?;
                }
            }
            Ok(Ok(()))
        })
    }

    /// What there is.
    ///
    /// # Errors
    /// If the engine fails.
    pub fn state(&self) -> Result<State, Told> {
        let read = || {
            let mut session = self.engine.read()?;
            let shards = book::shards(&mut *session)?.into_iter().map(|(name, shard)| (name, shard.at)).collect();
            Ok(State { schema: book::schema(&mut *session)?.map(Arc::new), shards })
        };
        read().map_err(|error| broken(&error))
    }

    /// Applies a change, or gives the answer that it has had already.
    ///
    /// # Errors
    /// What is told instead: it cannot be, or not now.
    pub fn apply(&self, change: &Change) -> Result<Told, Told> {
        let dialect = self.engine.dialect();
        self.change(|session| {
            let Some(shard) = book::find(session, &change.shard)? else {
                return Ok(Err(unknown_shard(&change.shard)));
            };
            let Some(seq) = change.seq else {
                // Without a number, what is refused has not happened.
                return Ok(match deed(session, dialect, &shard, change)? {
                    Ok((told, rows)) => {
                        book::advance(session, &shard, shard.at.seq + 1, rows)?;
                        Ok(told)
                    }
                    Err(told) => Err(told),
                });
            };
            let fingerprint = fingerprint(&change.deed);
            let out_of_order = || Err(calls::out_of_order(&change.shard, shard.at.seq, seq));
            if seq <= shard.at.seq {
                return Ok(answered(session, &shard, seq, fingerprint)?.unwrap_or_else(out_of_order));
            }
            if seq != shard.at.seq + 1 {
                return Ok(out_of_order());
            }
            // With one, a refusal is what this number has come to, at every replica.
            let (told, rows) = deed(session, dialect, &shard, change)?.unwrap_or_else(|told| (told, shard.at.rows));
            book::advance(session, &shard, seq, rows)?;
            remember(session, &shard, seq, fingerprint, &told)?;
            Ok(Ok(told))
        })
    }

    /// Takes in what another replica's `/copy` has given, instead of what these shards had. Others write meanwhile. What is of no use
    /// after it is there until [`Self::tidy`].
    ///
    /// # Errors
    /// If it is no whole copy, or not of shards that are here, or one of them is changed meanwhile; then nothing has changed.
    pub fn fill(&self, copy: impl Read) -> Result<State, Told> {
        let schema = self.engine.read().and_then(|mut session| book::schema(&mut *session));
        match schema.map_err(|error| broken(&error))? {
            Some(schema) => Filling::new(self, schema).take(copy),
            None => Err(refused(Status::CONFLICT, "This server is not configured")),
        }
    }

    /// Drops what fills have left behind, in small pieces: that takes as long as there are rows.
    pub fn tidy(&self) {
        self.sweep(true);
    }

    /// The rows of these shards, at this moment.
    ///
    /// # Errors
    /// If one of them is not here.
    pub fn rows(&self, shards: &[String]) -> Result<Rows, Told> {
        let mut session = self.engine.read().map_err(|error| broken(&error))?;
        let mut look = || {
            let schema = book::schema(&mut *session)?;
            let find = |name: &String| {
                let found = book::find(&mut *session, name)?;
                Ok(found.map(|shard| (name.clone(), shard)).ok_or_else(|| unknown_shard(name)))
            };
            Ok((schema, shards.iter().map(find).collect::<Done<Result<Vec<_>, Told>>>()?))
        };
        let (schema, found) = look().map_err(|error| broken(&error))?;
        let (Some(schema), shards) = (schema, found?) else { return Err(unknown_shard(&shards[0])) };
        Ok(Rows { session, dialect: self.engine.dialect(), schema, shards })
    }

    /// A transaction that is kept if it comes to something, and undone if it does not.
    fn change<T>(&self, mut act: impl FnMut(&mut dyn Session) -> Done<Result<T, Told>>) -> Result<T, Told> {
        let mut came_to = None;
        let done = self.engine.write(&mut |session| Ok(came_to.insert(act(session)?).is_ok()));
        let nothing = || Err(broken(&Broken("nothing was done".to_owned())));
        done.map_or_else(|error| Err(broken(&error)), |()| came_to.unwrap_or_else(nothing))
    }

    /// Drops the tables that are no shard's, and that nobody fills. What cannot be dropped now is dropped another time. `gently`: others
    /// want to write meanwhile.
    fn sweep(&self, gently: bool) {
        let _one_after_the_other = self.sweeping.lock();
        let listed = self.change(|session| book::scratch(session).map(Ok));
        listed.unwrap_or_default().into_iter().for_each(|number| self.discard(number, gently));
    }

    /// Drops this table, if it is no shard's and nobody fills it. That is looked for in each transaction: much may have happened since
    /// it was listed.
    pub(super) fn discard(&self, number: i64, gently: bool) {
        let dialect = self.engine.dialect();
        let is_unused = |session: &mut dyn Session| {
            Ok::<_, Broken>(!self.filling.lock().contains(&number) && book::is_scratch(session, number)?)
        };
        let thin = || {
            let thinned = |session: &mut dyn Session| {
                if is_unused(session)? { book::thin_scratch(session, number) } else { Ok(0) }
            };
            self.change(|session| thinned(session).map(Ok))
        };
        if gently && dialect.drops_rows {
            while matches!(thin(), Ok(1..)) {}
        }
        let _another_time = self.engine.write(&mut |session| {
            let unused = is_unused(session)?;
            if unused {
                book::drop_scratch(session, dialect, number)?;
            }
            Ok(unused)
        });
    }
}

fn broken(Broken(why): &Broken) -> Told {
    protocol::output::warn!("The shards' store cannot be used: {why}.");
    refused(Status::INTERNAL_SERVER_ERROR, "The database of this server cannot be used")
}

/// The engine that is asked for. All servers read one `database.json`, and a file of SQLite is one server's; so it is `--shard-file`
/// that names it then, too.
fn open_engine(id: &str, file: &Path, database: Option<&DatabaseConfig>) -> Result<Box<dyn Engine>, ShardStoreError> {
    match database {
        None | Some(DatabaseConfig::Sqlite { .. }) => match Sqlite::open(file) {
            Ok(engine) => Ok(Box::new(engine)),
            Err(why) => Err(ShardStoreError::File { path: file.to_owned(), why }),
        },
        #[cfg(feature = "postgres")]
        Some(DatabaseConfig::Postgres(account)) => match Postgres::open(account, id, file) {
            Ok(engine) => Ok(Box::new(engine)),
            Err(why) => Err(ShardStoreError::Database(why)),
        },
        #[cfg(not(feature = "postgres"))]
        Some(DatabaseConfig::Postgres(_)) => Err(ShardStoreError::NotBuiltIn { id: id.to_owned() }),
        Some(_) => Err(ShardStoreError::NotYet),
    }
}

/// What keeps the shards of a replica cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShardStoreError {
    /// The file cannot.
    #[error("The file {path} for shards cannot be used: {why}. Give another one with --shard-file.")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// The database cannot.
    #[cfg(feature = "postgres")]
    #[error("{0}")]
    Database(String),
    /// This program cannot reach it.
    #[cfg(not(feature = "postgres"))]
    #[error(
        "Server {id} is to keep its shards in PostgreSQL, which this program does not have. Leave out --shard-database."
    )]
    NotBuiltIn {
        /// The server.
        id: String,
    },
    /// No replica keeps its shards there.
    #[error(
        "Shards are kept in SQLite or PostgreSQL, and the file of --shard-database names MySQL. Leave the flag out for SQLite."
    )]
    NotYet,
}
