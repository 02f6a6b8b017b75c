//! The tables of records, and all SQL that touches them.
//!
//! Ids stand in them as blobs of eight bytes, big endian, because these sort as the numbers do: SQLite's integers have a
//! sign. A client number begins with the minute in which it was drawn, so the tables are sorted by age, and whatever
//! has to go for its age stands at their beginning: no index by time is needed, and looking for it costs one step.
//!
//! Every statement here has a parameter. That is more than convenience: they are kept prepared in the same place
//! as clients' statements, found by their text, and a client's statement with a parameter is refused. So no client can come
//! upon one that was prepared with our permissions by sending its text.

use super::connection::Conn;
use crate::sql::{
    SqlError,
    once::{Asked, Facts, Record, Written, mark_to_raise, may_be_forgotten},
};
use rusqlite::{CachedStatement, OptionalExtension, ToSql, params};
use std::time::{SystemTime, UNIX_EPOCH};

/// Most records that one transaction deletes for each reason: more than one transaction adds, so that what has
/// gathered while nobody wrote goes away in time, and few enough that nobody notices who pays.
pub(super) const DELETED_AT_ONCE: u32 = 32;

/// The tables. `at` is seconds since 1970, and there for people.
pub(super) const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS lab_outcomes (
        client BLOB NOT NULL, sequence BLOB NOT NULL, fingerprint BLOB NOT NULL, outcome TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (client, sequence)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS lab_clients (client BLOB PRIMARY KEY NOT NULL, low_water BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS lab_forgotten (client BLOB NOT NULL);
    INSERT INTO lab_forgotten (client) SELECT zeroblob(8) WHERE NOT EXISTS (SELECT 1 FROM lab_forgotten);
";

/// The names of the tables, as a list of SQL texts.
pub(super) const TABLES: &str = "'lab_outcomes', 'lab_clients', 'lab_forgotten'";

const LOOK: &str = "
    SELECT (SELECT client FROM lab_forgotten), (SELECT low_water FROM lab_clients WHERE client = ?1), fingerprint, outcome
    FROM (SELECT 1) LEFT JOIN lab_outcomes ON client = ?1 AND sequence = ?2";

const NOTE: &str = "INSERT INTO lab_outcomes (client, sequence, fingerprint, outcome, at) VALUES (?1, ?2, ?3, ?4, ?5)";

const RAISE: &str = "
    INSERT INTO lab_clients (client, low_water) VALUES (?1, ?2)
    ON CONFLICT (client) DO UPDATE SET low_water = excluded.low_water";

const DELETE_SETTLED: &str = "
    DELETE FROM lab_outcomes WHERE client = ?1 AND sequence IN
        (SELECT sequence FROM lab_outcomes WHERE client = ?1 AND sequence < ?2 ORDER BY sequence LIMIT ?3)";

const OLDEST_OUTCOMES: &str = "SELECT client, sequence FROM lab_outcomes ORDER BY client, sequence LIMIT ?1";
const OLDEST_CLIENTS: &str = "SELECT client, low_water FROM lab_clients ORDER BY client LIMIT ?1";
const DELETE_OUTCOMES: &str = "DELETE FROM lab_outcomes WHERE (client, sequence) <= (?1, ?2)";
const DELETE_CLIENTS: &str = "DELETE FROM lab_clients WHERE client <= ?1";
const FORGET: &str = "UPDATE lab_forgotten SET client = max(client, ?1)";

/// All of them.
#[cfg(test)]
pub(super) const ALL: [&str; 9] =
    [LOOK, NOTE, RAISE, DELETE_SETTLED, OLDEST_OUTCOMES, OLDEST_CLIENTS, DELETE_OUTCOMES, DELETE_CLIENTS, FORGET];

/// What the database knows about a request.
pub(super) fn look(conn: &Conn, asked: &Asked) -> Result<Facts, SqlError> {
    conn.ours_with(LOOK, |statement| {
        statement.query_row(params![blob(asked.id.client), blob(asked.id.sequence)], |row| {
            let fingerprint: Option<[u8; 32]> = row.get(2)?;
            let outcome: Option<String> = row.get(3)?;
            Ok(Facts {
                forgotten: u64::from_be_bytes(row.get(0)?),
                low_water: row.get::<_, Option<[u8; 8]>>(1)?.map_or(0, u64::from_be_bytes),
                record: fingerprint.zip(outcome).map(|(fingerprint, outcome)| Record { fingerprint, outcome }),
            })
        })
    })
}

/// Deletes what is settled or too old, a bounded number of records. Before the statement, so that a database that
/// is full has room for it again.
pub(super) fn make_room(conn: &Conn, asked: &Asked, low_water: u64, now: SystemTime) -> Result<(), SqlError> {
    let client = blob(asked.id.client);
    if let Some(mark) = mark_to_raise(asked, low_water) {
        change(conn, RAISE, &[&client, &blob(mark)])?;
        change(conn, DELETE_SETTLED, &[&client, &blob(mark), &DELETED_AT_ONCE])?;
    }
    if let Some((client, sequence)) = last_that_may_go(conn, OLDEST_OUTCOMES, now)? {
        change(conn, DELETE_OUTCOMES, &[&client, &sequence])?;
        change(conn, FORGET, &[&client])?;
    }
    if let Some((client, _)) = last_that_may_go(conn, OLDEST_CLIENTS, now)? {
        change(conn, DELETE_CLIENTS, &[&client])?;
        change(conn, FORGET, &[&client])?;
    }
    Ok(())
}

/// Notes the outcome.
pub(super) fn note(conn: &Conn, asked: &Asked, written: &Written, now: SystemTime) -> Result<(), SqlError> {
    let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
    let (client, sequence) = (blob(asked.id.client), blob(asked.id.sequence));
    change(conn, NOTE, &[&client, &sequence, &asked.fingerprint, &written.encode()?, &at])
}

/// Client and the second column.
type Place = ([u8; 8], [u8; 8]);

/// Of the oldest records, the last one that is old enough to go.
fn last_that_may_go(conn: &Conn, oldest: &str, now: SystemTime) -> Result<Option<Place>, SqlError> {
    conn.ours_with(oldest, |statement| {
        let mut rows = statement.query([DELETED_AT_ONCE])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let client = row.get(0)?;
            if !may_be_forgotten(u64::from_be_bytes(client), now) {
                break;
            }
            last = Some((client, row.get(1)?));
        }
        Ok(last)
    })
}

fn change(conn: &Conn, sql: &str, values: &[&dyn ToSql]) -> Result<(), SqlError> {
    conn.ours_with(sql, |statement: &mut CachedStatement<'_>| statement.execute(values).map(|_| ()))
}

fn blob(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Whether the tables are there.
pub(super) fn are_there(db: &rusqlite::Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'lab_forgotten'";
    db.query_row(sql, [], |_| Ok(())).optional().map(|found| found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::sqlite::connection::Mode;
    use protocol::id::{RequestId, draw_client_number};
    use rusqlite::StatementStatus;

    #[test]
    fn no_statement_is_compiled_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database.sqlite");
        crate::sql::sqlite::opening::make_ready(&path).unwrap();
        let conn = Conn::open(&path, Mode::Writes).unwrap();
        let compiled = |sql: &str| {
            let work = |statement: &mut CachedStatement<'_>| Ok(statement.get_status(StatementStatus::RePrepare));
            conn.ours_with(sql, work).unwrap()
        };
        for sequence in 1..100 {
            let id = RequestId { client: draw_client_number(SystemTime::UNIX_EPOCH), sequence };
            let asked = Asked { id, fingerprint: [0; 32], low_water: 20 * sequence };
            make_room(&conn, &asked, look(&conn, &asked).unwrap().low_water, SystemTime::now()).unwrap();
            note(&conn, &asked, &Written::Changed { rows: 1 }, SystemTime::now()).unwrap();
        }
        assert_eq!(ALL.map(compiled), [0; ALL.len()]);
    }

    #[test]
    fn each_statement_has_a_parameter_so_that_no_client_can_send_it() {
        let db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch(CREATE).unwrap();
        for sql in ALL {
            assert!(db.prepare(sql).unwrap().parameter_count() > 0, "{sql}");
        }
    }
}
