//! Statements, honest and hostile, against a real file.

mod cost;
mod ended;
mod forgotten;
mod hostile;
mod twice;

use super::*;
use protocol::{
    id::{IdSource, RequestId, draw_client_number},
    message::{ErrorCode, Failure, read_rows},
    value::Value,
};
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

/// Keeps what comes.
#[derive(Default)]
struct Kept {
    titles: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl RowSink for Kept {
    fn columns(&mut self, titles: &[String]) -> Result<(), SqlError> {
        assert!(self.titles.is_empty(), "titles come once");
        self.titles = titles.to_vec();
        Ok(())
    }

    fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
        assert_eq!(row.len(), self.titles.len());
        self.rows.push(row.to_vec());
        Ok(())
    }
}

/// Ends a statement at a point in time.
struct Until(Instant, Interrupt);

impl Watch for Until {
    fn interrupted(&self) -> Option<Interrupt> {
        (Instant::now() >= self.0).then_some(self.1)
    }
}

fn patient() -> Arc<dyn Watch> {
    Arc::new(Until(Instant::now() + Duration::from_secs(30), Interrupt::TimeLimit))
}

fn after(ms: u64, interrupt: Interrupt) -> Arc<dyn Watch> {
    Arc::new(Until(Instant::now() + Duration::from_millis(ms), interrupt))
}

struct Fixture {
    db: Sqlite,
    folder: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    Fixture { db: Sqlite::open(&folder.path().join("database.sqlite")).unwrap(), folder }
}

/// A statement under an id that nobody else has.
fn statement(sql: &str) -> Statement<'_> {
    static IDS: LazyLock<IdSource> = LazyLock::new(|| IdSource::new(draw_client_number(SystemTime::now())));
    Statement { sql, request: IDS.next(), read_only: false, repeated: false, low_water: 0 }
}

fn run(db: &Sqlite, sql: &str) -> Result<(Outcome, Kept), SqlError> {
    let mut kept = Kept::default();
    db.run(&statement(sql), &patient(), &mut kept).map(|outcome| (outcome, kept))
}

fn changed(db: &Sqlite, sql: &str) -> u64 {
    match run(db, sql) {
        Ok((Outcome::Changed { rows }, _)) => rows,
        other => panic!("{sql}: {:?}", other.map(|(outcome, _)| outcome)),
    }
}

fn rows(db: &Sqlite, sql: &str) -> Vec<Vec<Value>> {
    match run(db, sql) {
        Ok((Outcome::Returned(returned), _)) => read_rows(returned.lines.as_bytes()).collect::<Result<_, _>>().unwrap(),
        Ok((Outcome::Rows { rows }, kept)) if rows == kept.rows.len() as u64 => kept.rows,
        other => panic!("{sql}: {:?}", other.map(|(outcome, _)| outcome)),
    }
}

fn number(db: &Sqlite, sql: &str) -> i64 {
    match rows(db, sql).first().map(Vec::as_slice) {
        Some([Value::Integer(number)]) => *number,
        other => panic!("{sql}: {other:?}"),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// A client of its own.
fn client() -> u64 {
    draw_client_number(SystemTime::now())
}

fn id(client: u64, sequence: u64) -> RequestId {
    RequestId { client, sequence }
}

/// The answer to a statement under this id, as it would be told.
fn ask(db: &Sqlite, statement: &Statement<'_>) -> Result<Outcome, Failure> {
    db.run(statement, &patient(), &mut Kept::default()).map_err(|error| error.failure())
}

fn first(sql: &str, request: RequestId) -> Statement<'_> {
    Statement { request, ..statement(sql) }
}

fn again(sql: &str, request: RequestId) -> Statement<'_> {
    Statement { repeated: true, ..first(sql, request) }
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
                        let written = run(&server, &format!("INSERT INTO t VALUES ({n})"));
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
