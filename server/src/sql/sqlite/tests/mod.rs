//! Statements, honest and hostile, against a real file.

mod cost;
mod ended;
mod forgotten;
mod hostile;
mod twice;

use super::*;
use crate::sql::kit::*;
use protocol::{
    id::{RequestId, draw_client_number},
    message::ErrorCode,
    value::Value,
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};

struct Fixture {
    db: Sqlite,
    folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    Fixture { db: Sqlite::open(&folder.path().join("database.sqlite")).unwrap(), folder }
}

fn two_servers() -> (Sqlite, Sqlite, tempfile::TempDir) {
    let Fixture { db, folder } = fixture();
    let other = Sqlite::open(&folder.path().join("database.sqlite")).unwrap();
    (db, other, folder)
}

/// Looks at our tables, which no client can.
fn inside(folder: &tempfile::TempDir, sql: &str) -> i64 {
    let db = rusqlite::Connection::open(folder.path().join("database.sqlite")).unwrap();
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

const OUTCOMES: &str = "SELECT count(*) FROM lab_outcomes";

#[test]
fn the_sample_of_the_course() {
    let Fixture { db, .. } = &fixture();
    let (_, kept) = run(db, "SELECT * FROM COLORS LIMIT 3;").unwrap();
    assert_eq!(kept.titles, ["Name", "HEX", "RGB"]);
    let expected = [
        ["White", "#FFFFFF", "rgb(100,100,100)"],
        ["Silver", "#C0C0C0", "rgb(75,75,75)"],
        ["Gray", "#808080", "rgb(50,50,50)"],
    ];
    assert_eq!(kept.rows, expected.map(|row| row.map(text).to_vec()));
}

#[test]
fn writes_are_committed_counted_and_seen_by_another_server() {
    let Fixture { db, folder } = &fixture();
    let other = Sqlite::open(&folder.path().join("database.sqlite")).unwrap();
    assert_eq!(db.identity(), other.identity());
    assert_eq!(changed(db, "CREATE TABLE t (a, b)"), 0);
    assert_eq!(changed(db, "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')"), 3);
    assert_eq!(number(&other, "SELECT count(*) FROM t"), 3);
    assert_eq!(changed(&other, "UPDATE t SET b = 'w' WHERE a > 1"), 2);
    assert_eq!(changed(db, "DELETE FROM t"), 3);
    assert_eq!(changed(db, "CREATE INDEX i ON t (a)"), 0);
    assert_eq!(changed(db, "ALTER TABLE t ADD COLUMN c"), 0);
    assert_eq!(rows(&other, "SELECT * FROM t"), Vec::<Vec<Value>>::new());
    assert_eq!(changed(db, "DROP TABLE t"), 0);
}

#[test]
fn returned_rows_are_those_of_a_committed_statement() {
    let Fixture { db, .. } = &fixture();
    changed(db, "CREATE TABLE t (a INTEGER PRIMARY KEY, b)");
    assert_eq!(rows(db, "INSERT INTO t (b) VALUES ('x'), ('y') RETURNING a, b")[1], [Value::Integer(2), text("y")]);
    assert_eq!(number(db, "SELECT count(*) FROM t"), 2);
    let error = run(db, "UPDATE t SET b = randomblob(700000) RETURNING b").map(|_| ()).unwrap_err();
    assert_eq!(error.failure().code, ErrorCode::TooLarge, "{error}");
    assert_eq!(number(db, "SELECT count(*) FROM t WHERE length(b) = 1"), 2, "rolled back");
    assert!(rows(db, "DELETE FROM t WHERE a > 5 RETURNING a").is_empty());
}

#[test]
fn each_type_of_value_arrives_as_it_is_stored() {
    let Fixture { db, .. } = &fixture();
    let row = rows(db, "SELECT NULL, -9223372036854775808, 0.5, 9e999, 'ä\u{1F3A8}', x'00ff', CAST(x'ff' AS TEXT)");
    let expected = [
        Value::Null,
        Value::Integer(i64::MIN),
        Value::Real(0.5),
        Value::Real(f64::INFINITY),
        text("ä\u{1F3A8}"),
        Value::Bytes(vec![0, 255]),
        Value::Bytes(vec![255]),
    ];
    assert_eq!(row, [expected]);
}

#[test]
fn comments_and_semicolons_around_one_statement_are_fine() {
    let Fixture { db, .. } = &fixture();
    let one =
        ["SELECT 1;", ";;SELECT 1", "/* a */ SELECT /* b */ 1 -- c", "SELECT 1; -- d\n ; /* e */ ;", "select 1;\n\n"];
    for sql in one {
        assert_eq!(number(db, sql), 1, "{sql}");
    }
    let semicolons = format!("{}SELECT 1{}", ";".repeat(1000), ";".repeat(500_000));
    assert_eq!(number(db, &semicolons), 1);
}

const FOR_EVER: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)";

#[test]
fn many_writers_of_several_servers_lose_nothing() {
    const SERVERS: u64 = 3;
    const THREADS: u64 = 4;
    const EACH: u64 = 25;
    let Fixture { db, folder } = &fixture();
    changed(db, "CREATE TABLE t (a)");
    let failed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SERVERS {
            let server = Arc::new(Sqlite::open(&folder.path().join("database.sqlite")).unwrap());
            for _ in 0..THREADS {
                let (server, failed) = (Arc::clone(&server), &failed);
                scope.spawn(move || {
                    for n in 0..EACH {
                        let written = run(&*server, &format!("INSERT INTO t VALUES ({n})"));
                        failed.fetch_add(u64::from(written.is_err()), Ordering::Relaxed);
                    }
                });
            }
        }
    });
    assert_eq!(failed.into_inner(), 0);
    assert_eq!(number(db, "SELECT count(*) FROM t"), (SERVERS * THREADS * EACH) as i64);
}

#[test]
fn a_schema_changed_by_another_server_is_seen_at_once() {
    let Fixture { db, folder } = &fixture();
    let other = Sqlite::open(&folder.path().join("database.sqlite")).unwrap();
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139);
    changed(&other, "CREATE TABLE fresh (a)");
    assert_eq!(number(db, "SELECT count(*) FROM fresh"), 0);
    assert_eq!(run(db, "SELECT * FROM fresh").unwrap().1.titles, ["a"]);
    changed(&other, "ALTER TABLE fresh ADD COLUMN b");
    changed(&other, "INSERT INTO fresh VALUES (1, 2)");
    let (_, kept) = run(db, "SELECT * FROM fresh").unwrap();
    assert_eq!((kept.titles, kept.rows[0].len()), (vec!["a".to_owned(), "b".into()], 2));
}
