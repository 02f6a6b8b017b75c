//! The first use of a database: WAL mode, our own tables, the sample table.
//!
//! Three servers may start in the same second, and none of them must see a half-made database. Everything is made in
//! one transaction that takes the write lock first; whoever comes second finds it made.

use super::{medium, records};
use crate::sql::{identity::uuid_of, sample};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};
use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a server waits at its start for others that start at the same moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before asking again for WAL mode: SQLite answers "busy" to that without waiting.
const RETRY_EVERY: Duration = Duration::from_millis(10);

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The folder cannot be made.
    #[error("The folder {folder} for the database cannot be made: {source}.")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The folder is on another machine.
    #[error(
        "The database {path} would lie on a network file system ({kind}), where the processes of SQLite's WAL mode cannot \
         share memory and locks. Give a path on a local disk in database.json, such as \
         {{\"engine\":\"sqlite\",\"path\":\"/var/tmp/lab/database.sqlite\"}}."
    )]
    Network {
        /// The database's file.
        path: PathBuf,
        /// What kind of file system.
        kind: &'static str,
    },
    /// WAL mode cannot be had.
    #[error(
        "SQLite cannot use WAL mode for {path} ({answer}); its folder may lie on a file system without shared memory or \
         locks. Give a path on a local disk in database.json."
    )]
    NoWal {
        /// The database's file.
        path: PathBuf,
        /// What SQLite said.
        answer: String,
    },
    /// The file is something else.
    #[error("{0} is not an SQLite database. Give another path in database.json, or move the file away.")]
    NotADatabase(PathBuf),
    /// Others hold the database for too long.
    #[error(
        "{0} was locked by another program for ten seconds. Find out which one uses it, end that, and start again."
    )]
    Locked(PathBuf),
    /// The sample tables cannot be made.
    #[error("The sample tables cannot be made in {path}: {error}")]
    Sample {
        /// The database's file.
        path: PathBuf,
        /// Why.
        error: crate::sql::SqlError,
    },
    /// Anything else that SQLite reports.
    #[error("SQLite cannot open {path}: {source}. Check that the file and its folder can be written.")]
    Sqlite {
        /// The database's file.
        path: PathBuf,
        /// SQLite's words.
        source: rusqlite::Error,
    },
}

/// A database that is ready.
#[derive(Debug)]
pub(super) struct Made {
    /// Its UUID.
    pub uuid: String,
    /// Whether there was nothing in the file before.
    pub new: bool,
}

/// Makes the database ready.
pub(super) fn make_ready(path: &Path) -> Result<Made, FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| FileError::Folder { folder: folder.to_owned(), source })?;
    if let Some(kind) = medium::network(folder) {
        return Err(FileError::Network { path: path.to_owned(), kind });
    }
    let explain = |error| explain(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(explain)?;
    db.busy_timeout(PATIENCE).map_err(explain)?;
    use_wal(&db, path)?;
    create(&mut db).map_err(explain)
}

/// Switches to WAL mode, which stays in the file.
fn use_wal(db: &Connection, path: &Path) -> Result<(), FileError> {
    let begin = Instant::now();
    loop {
        let answer = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match answer {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(FileError::NoWal { path: path.to_owned(), answer: format!("it stayed in mode {mode}") });
            }
            Err(e) if is_busy(&e) && begin.elapsed() < PATIENCE => std::thread::sleep(RETRY_EVERY),
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
                return Err(FileError::NoWal { path: path.to_owned(), answer: e.to_string() });
            }
            Err(e) => return Err(explain(path, e)),
        }
    }
}

/// Creates what is missing: in a new file everything, in one from before there were records their tables. The sample
/// table comes only together with the identity, so that nobody gets it back who dropped it. When nothing is missing, no
/// lock is taken, which a stopped process might hold.
fn create(db: &mut Connection) -> rusqlite::Result<Made> {
    if let Some(uuid) = identity(db)?
        && records::are_there(db)?
    {
        return Ok(Made { uuid, new: false });
    }
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let new = transaction.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    let uuid = match identity(&transaction)? {
        Some(uuid) => uuid,
        None => {
            let uuid = new_uuid(&transaction)?;
            transaction.execute_batch("CREATE TABLE lab_identity (uuid TEXT NOT NULL)")?;
            transaction.execute("INSERT INTO lab_identity (uuid) VALUES (?1)", [&uuid])?;
            create_colors(&transaction)?;
            uuid
        }
    };
    transaction.execute_batch(records::CREATE)?;
    transaction.commit()?;
    Ok(Made { uuid, new })
}

/// The UUID, if the database has one already.
fn identity(db: &Connection) -> rusqlite::Result<Option<String>> {
    let made = db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'lab_identity'", [], |row| row.get(0))?;
    if made { db.query_row("SELECT uuid FROM lab_identity", [], |row| row.get(0)).optional() } else { Ok(None) }
}

/// A random UUID; SQLite's generator is seeded by the system.
fn new_uuid(db: &Connection) -> rusqlite::Result<String> {
    db.query_row("SELECT randomblob(16)", [], |row| row.get(0)).map(uuid_of)
}

/// Creates COLORS and fills it, unless a table of that name is there.
fn create_colors(db: &Connection) -> rusqlite::Result<()> {
    let there = db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'COLORS' COLLATE NOCASE", [], |row| {
        row.get::<_, i64>(0)
    })?;
    if there > 0 {
        return Ok(());
    }
    db.execute_batch(sample::CREATE_COLORS)?;
    let mut insert = db.prepare("INSERT INTO COLORS (Name, HEX, RGB) VALUES (?1, ?2, ?3)")?;
    sample::colors().try_for_each(|color| insert.execute(color).map(|_| ()))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn explain(path: &Path, error: rusqlite::Error) -> FileError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => FileError::NotADatabase(path.to_owned()),
        Some(ErrorCode::FileLockingProtocolFailed) => {
            FileError::NoWal { path: path.to_owned(), answer: error.to_string() }
        }
        _ if is_busy(&error) => FileError::Locked(path.to_owned()),
        _ => FileError::Sqlite { path: path.to_owned(), source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_cannot_have_wal_is_explained() {
        let memory = Connection::open_in_memory().unwrap();
        let error = use_wal(&memory, Path::new("/x/y.sqlite")).unwrap_err();
        assert!(error.to_string().contains("it stayed in mode memory"), "{error}");
        let network = FileError::Network { path: "/home/x/db".into(), kind: "NFS" };
        assert!(network.to_string().contains("(NFS)") && network.to_string().contains("local disk"), "{network}");
    }

    #[test]
    fn another_file_is_not_taken_for_a_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "no database, but long enough to have a header of a hundred bytes ".repeat(4)).unwrap();
        assert!(matches!(make_ready(&path), Err(FileError::NotADatabase(_))));
        assert!(matches!(make_ready(folder.path()), Err(FileError::Sqlite { .. })), "a folder is no file");
        assert!(matches!(make_ready(&path.join("below")), Err(FileError::Folder { .. })));
    }

    #[test]
    fn eight_servers_that_start_at_once_make_one_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("database.sqlite");
        let start = std::sync::Barrier::new(8);
        let all: Vec<Made> = std::thread::scope(|scope| {
            let begin = || {
                start.wait();
                make_ready(&path).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|made| made.uuid == all[0].uuid && made.uuid.len() == 36), "{all:?}");
        assert_eq!(all.iter().filter(|made| made.new).count(), 1, "{all:?}");
        let db = Connection::open(&path).unwrap();
        let count = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM lab_identity"), 1);
        assert_eq!(count("SELECT count(*) FROM COLORS WHERE Name = 'White'"), 1);
    }

    #[test]
    fn a_database_from_before_there_were_records_gets_their_tables_and_keeps_its_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database.sqlite");
        let uuid = make_ready(&path).unwrap().uuid;
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "DROP TABLE lab_outcomes; DROP TABLE lab_clients; DROP TABLE lab_forgotten; DELETE FROM COLORS",
        )
        .unwrap();
        let again = make_ready(&path).unwrap();
        assert_eq!((again.uuid, again.new), (uuid.clone(), false));
        let count = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM lab_outcomes"), 0);
        assert_eq!(count("SELECT count(*) FROM lab_forgotten"), 1);
        assert_eq!(count("SELECT count(*) FROM COLORS"), 0);
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(make_ready(&path).unwrap().uuid, uuid, "nothing is missing, so the lock is not needed");
    }

    #[test]
    fn a_dropped_sample_table_does_not_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database.sqlite");
        let uuid = make_ready(&path).unwrap().uuid;
        Connection::open(&path).unwrap().execute_batch("DROP TABLE COLORS").unwrap();
        assert_eq!(make_ready(&path).unwrap().uuid, uuid);
        assert!(Connection::open(&path).unwrap().prepare("SELECT * FROM COLORS").is_err());
    }
}
