//! Statements, honest and hostile, against a real file.

use super::*;
use protocol::message::ErrorCode;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
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

fn statement(sql: &str) -> Statement<'_> {
    Statement { sql, request: RequestId { client: 1, sequence: 1 }, read_only: false }
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
    assert!(matches!(error, SqlError::TooLarge(_)), "{error}");
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

/// What is refused, and with which code. After all of it nothing has changed.
#[test]
fn hostile_statements_are_refused_with_a_reason_and_change_nothing() {
    use ErrorCode::{BadRequest, Forbidden, SqlError as Sql, TooLarge};
    let Fixture { db, folder } = &fixture();
    changed(db, "CREATE VIEW peek AS SELECT 1 AS uuid");
    let long_name = format!("SELECT '{}'", "x".repeat(2 * 1024 * 1024));
    let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let table = [
        // No statement, or several.
        ("", BadRequest),
        (" \n\t", BadRequest),
        (";;;", BadRequest),
        ("-- only a comment", BadRequest),
        ("/* not closed", BadRequest),
        ("SELECT 1; SELECT 2", BadRequest),
        ("SELECT 1; -- x\nDELETE FROM COLORS", BadRequest),
        ("SELECT 1 /* ; */; DROP TABLE COLORS;", BadRequest),
        ("INSERT INTO COLORS VALUES (1,2,3); INSERT INTO COLORS VALUES (1,2,3)", BadRequest),
        ("DELETE FROM COLORS; SELEC", BadRequest),
        ("DELETE FROM COLORS;\0 DROP TABLE COLORS", BadRequest),
        ("SELECT ?", BadRequest),
        ("DELETE FROM COLORS WHERE Name = :name", BadRequest),
        // Wrong SQL.
        ("SELEC 1", Sql),
        ("SELECT * FROM nowhere", Sql),
        ("SELECT nothing FROM COLORS", Sql),
        ("SELECT 'open", Sql),
        ("INSERT INTO COLORS VALUES (1)", Sql),
        ("SELECT abs(-9223372036854775808)", Sql),
        ("SELECT readfile('/etc/passwd')", Sql),
        ("SELECT writefile('x', 'y')", Sql),
        ("SELECT fts3_tokenizer('simple')", Forbidden),
        (".tables", Sql),
        // Other files and databases.
        ("ATTACH 'other.sqlite' AS other", Forbidden),
        ("AtTaCh /* x */ DATABASE '/etc/passwd' AS p", Forbidden),
        ("ATTACH ':memory:' AS m", Forbidden),
        ("ATTACH '' || 'x' AS m", Forbidden),
        ("DETACH main", Forbidden),
        ("VACUUM", Forbidden),
        ("VACUUM INTO 'copy.sqlite'", Forbidden),
        ("VACUUM main INTO 'co' || 'py.sqlite'", Forbidden),
        ("SELECT load_extension('evil.so')", Forbidden),
        ("SELECT LOAD_EXTENSION('evil.so', 'main') FROM COLORS", Forbidden),
        ("INSERT INTO COLORS SELECT load_extension('x'), 1, 2", Forbidden),
        ("CREATE TABLE v (a, b AS (load_extension(a)))", Forbidden),
        ("CREATE TABLE v (a DEFAULT (load_extension('x')), CHECK (load_extension(a)))", Forbidden),
        ("CREATE INDEX i ON COLORS (load_extension(Name))", Forbidden),
        // Transactions.
        ("BEGIN", Forbidden),
        ("BEGIN IMMEDIATE", Forbidden),
        ("BEGIN EXCLUSIVE", Forbidden),
        ("COMMIT", Forbidden),
        ("END", Forbidden),
        ("ROLLBACK", Forbidden),
        ("SAVEPOINT s", Forbidden),
        ("RELEASE s", Forbidden),
        ("ROLLBACK TO s", Forbidden),
        // Settings.
        ("PRAGMA writable_schema = ON", Forbidden),
        ("PRAGMA writable_schema", Forbidden),
        ("PRAGMA main.journal_mode = DELETE", Forbidden),
        ("PRAGMA journal_mode(OFF)", Forbidden),
        ("PRAGMA synchronous = OFF", Forbidden),
        ("PRAGMA foreign_keys = OFF", Forbidden),
        ("PRAGMA user_version = 7", Forbidden),
        ("PRAGMA busy_timeout = 100000", Forbidden),
        ("PRAGMA query_only = OFF", Forbidden),
        ("PRAGMA temp_store_directory = '/tmp'", Forbidden),
        ("PRAGMA locking_mode = EXCLUSIVE", Forbidden),
        ("PRAGMA wal_checkpoint(TRUNCATE)", Forbidden),
        ("PRAGMA hard_heap_limit = 1", Forbidden),
        ("PRAGMA max_page_count = 1", Forbidden),
        ("PRAGMA trusted_schema = ON", Forbidden),
        ("PRAGMA database_list", Forbidden),
        ("PRAGMA optimize", Forbidden),
        ("SELECT * FROM pragma_database_list", Forbidden),
        ("SELECT * FROM pragma_journal_mode('delete')", Sql),
        ("SELECT * FROM pragma_wal_checkpoint", Sql),
        // State that the next request would not find.
        ("CREATE TEMP TABLE t (a)", Forbidden),
        ("CREATE TEMPORARY VIEW v AS SELECT 1", Forbidden),
        ("CREATE TEMP TRIGGER r AFTER INSERT ON COLORS BEGIN SELECT 1; END", Forbidden),
        ("CREATE TABLE temp.t (a)", Forbidden),
        ("CREATE TABLE TEMP.t AS SELECT 1", Forbidden),
        ("CREATE VIEW temp.v AS SELECT 1", Forbidden),
        ("CREATE TRIGGER temp.r AFTER INSERT ON COLORS BEGIN SELECT 1; END", Forbidden),
        ("CREATE VIRTUAL TABLE f USING fts5(a)", Forbidden),
        ("CREATE VIRTUAL TABLE f USING fts5(uuid, content='lab_identity')", Forbidden),
        ("CREATE VIRTUAL TABLE r USING rtree(a, b, c)", Forbidden),
        // Our own tables.
        ("SELECT * FROM lab_identity", Forbidden),
        ("SELECT count(*) FROM LAB_IDENTITY", Forbidden),
        ("SELECT rowid FROM \"lab_identity\" AS harmless", Forbidden),
        ("SELECT 1 FROM COLORS WHERE EXISTS (SELECT 1 FROM lab_identity)", Forbidden),
        ("WITH x AS (SELECT uuid FROM lab_identity) SELECT * FROM x", Forbidden),
        ("UPDATE lab_identity SET uuid = 'x'", Forbidden),
        ("DELETE FROM lab_identity", Forbidden),
        ("INSERT INTO lab_identity VALUES ('x')", Forbidden),
        ("INSERT INTO COLORS SELECT uuid, 1, 2 FROM lab_identity", Forbidden),
        ("DROP TABLE lab_identity", Forbidden),
        ("ALTER TABLE lab_identity RENAME TO mine", Forbidden),
        ("ALTER TABLE lab_identity ADD COLUMN x", Forbidden),
        ("CREATE INDEX i ON lab_identity (uuid)", Forbidden),
        ("CREATE TRIGGER r AFTER INSERT ON lab_identity BEGIN SELECT 1; END", Forbidden),
        ("CREATE TABLE lab_outcomes (a)", Forbidden),
        ("CREATE TABLE Lab_Outcomes AS SELECT 1", Forbidden),
        ("CREATE VIEW lab_view AS SELECT 1", Forbidden),
        ("CREATE INDEX lab_index ON COLORS (Name)", Forbidden),
        ("ALTER TABLE COLORS RENAME TO lab_colors", Forbidden),
        ("CREATE TABLE x (a REFERENCES lab_identity (uuid) ON DELETE CASCADE)", Forbidden),
        ("ALTER TABLE COLORS ADD COLUMN l REFERENCES LAB_identity (uuid)", Forbidden),
        ("ANALYZE lab_identity", Forbidden),
        // The catalogue.
        ("DELETE FROM sqlite_schema", Sql),
        ("UPDATE sqlite_master SET sql = 'x'", Sql),
        ("INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x (a)')", Sql),
        ("DROP TABLE sqlite_schema", Sql),
        ("CREATE TABLE sqlite_mine (a)", Sql),
        // Too much.
        (&long_name, TooLarge),
        (&deep, Sql),
        ("SELECT randomblob(2000000)", TooLarge),
        ("SELECT zeroblob(1048577)", TooLarge),
        ("SELECT hex(randomblob(1000000))", TooLarge),
        ("SELECT printf('%.*c', 5000000, 'x')", TooLarge),
        (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 400000) SELECT group_concat(x) FROM c",
            TooLarge,
        ),
    ];
    let before = rows(db, "SELECT type, name, sql FROM sqlite_schema");
    for (sql, expected) in table {
        let shown: String = sql.chars().take(100).collect();
        let failure = run(db, sql).map(|(outcome, _)| outcome).expect_err(&shown).failure();
        assert_eq!(failure.code, expected, "{shown}: {}", failure.message);
        assert!(failure.definite && failure.message.ends_with(['.', '!']), "{shown}: {}", failure.message);
        assert!(!failure.message.contains("/tmp"), "{shown}: {}", failure.message);
    }
    assert_eq!(rows(db, "SELECT type, name, sql FROM sqlite_schema"), before);
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| name.to_string_lossy().starts_with("database.sqlite")), "{files:?}");
}

#[test]
fn a_view_or_trigger_made_before_does_not_open_our_tables() {
    let Fixture { db, .. } = &fixture();
    // Making them is harmless and SQLite does not ask about what is in them; using them is what is refused.
    changed(db, "CREATE VIEW v AS SELECT * FROM lab_identity");
    changed(db, "CREATE VIEW w AS SELECT load_extension('x')");
    changed(db, "CREATE TRIGGER r AFTER DELETE ON COLORS BEGIN DELETE FROM lab_identity; END");
    for sql in ["SELECT * FROM v", "DELETE FROM COLORS"] {
        assert_eq!(run(db, sql).map(|_| ()).unwrap_err().failure().code, ErrorCode::Forbidden, "{sql}");
    }
    let unsafe_use = run(db, "SELECT * FROM w").map(|_| ()).unwrap_err();
    assert_eq!(unsafe_use.to_string(), "Unsafe use of load_extension().");
    changed(db, "DROP TRIGGER r");
    changed(db, "DROP VIEW v");
    assert_eq!(changed(db, "DELETE FROM COLORS"), 139);
}

#[test]
fn the_catalogue_may_be_read() {
    let Fixture { db, .. } = &fixture();
    assert_eq!(number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'COLORS'"), 1);
    assert_eq!(rows(db, "PRAGMA table_info(COLORS)").len(), 3);
    assert_eq!(rows(db, "SELECT name FROM pragma_table_info('COLORS')").len(), 3);
    assert_eq!(rows(db, "PRAGMA journal_mode"), [[text("wal")]]);
    assert_eq!(rows(db, "PRAGMA integrity_check"), [[text("ok")]]);
    assert!(!rows(db, "EXPLAIN QUERY PLAN SELECT * FROM COLORS").is_empty());
    assert!(!rows(db, "EXPLAIN DELETE FROM COLORS").is_empty());
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139, "EXPLAIN carries nothing out");
    changed(db, "ANALYZE COLORS");
}

#[test]
fn a_request_marked_read_only_never_writes() {
    let Fixture { db, .. } = &fixture();
    let marked = |sql| {
        let statement = Statement { read_only: true, ..statement(sql) };
        db.run(&statement, &patient(), &mut Kept::default()).map_err(|e| e.failure().code)
    };
    assert_eq!(marked("SELECT 1"), Ok(Outcome::Rows { rows: 1 }));
    assert_eq!(marked("WITH x AS (SELECT 1) DELETE FROM COLORS"), Err(ErrorCode::Forbidden));
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139);
}

const FOR_EVER: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)";

#[test]
fn a_statement_that_would_run_for_ever_is_ended() {
    let Fixture { db, .. } = &fixture();
    let table = [
        (format!("{FOR_EVER} SELECT count(*) FROM c"), Interrupt::TimeLimit, ErrorCode::Timeout),
        (format!("{FOR_EVER} SELECT count(*) FROM c"), Interrupt::Gone, ErrorCode::Cancelled),
        (format!("{FOR_EVER} SELECT x FROM c WHERE x < 0"), Interrupt::Gone, ErrorCode::Cancelled),
        (format!("INSERT INTO COLORS {FOR_EVER} SELECT x, 1, 2 FROM c"), Interrupt::Cancelled, ErrorCode::Cancelled),
        ("SELECT count(*) FROM COLORS a, COLORS b, COLORS c, COLORS d, COLORS e".into(), Interrupt::TimeLimit, ErrorCode::Timeout),
        ("SELECT DISTINCT a.Name || b.Name || c.Name || d.Name FROM COLORS a, COLORS b, COLORS c, COLORS d ORDER BY 1".into(), Interrupt::TimeLimit, ErrorCode::Timeout),
    ];
    for (sql, interrupt, code) in table {
        let begin = Instant::now();
        let error = db.run(&statement(&sql), &after(100, interrupt), &mut Kept::default()).unwrap_err();
        assert_eq!(error.failure().code, code, "{sql}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{sql} took {:?}", begin.elapsed());
    }
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139, "the insert was rolled back");
}

#[test]
fn a_writer_waits_for_another_server_and_is_told_when_that_takes_too_long() {
    let Fixture { db, folder } = &fixture();
    let stopped = rusqlite::Connection::open(folder.path().join("database.sqlite")).unwrap();
    stopped.execute_batch("BEGIN IMMEDIATE").unwrap();
    let insert = "INSERT INTO COLORS VALUES (1, 2, 3)";
    let error = db.run(&statement(insert), &after(100, Interrupt::TimeLimit), &mut Kept::default()).unwrap_err();
    assert!(matches!(error, SqlError::Interrupted(Interrupt::Locked)), "{error}");
    let error = db.run(&statement(insert), &after(100, Interrupt::Gone), &mut Kept::default()).unwrap_err();
    assert_eq!(error.failure().code, ErrorCode::Cancelled, "{error}");
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139, "readers do not wait");
    stopped.execute_batch("COMMIT").unwrap();
    assert_eq!(changed(db, insert), 1);
}

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

/// Refuses after some rows, as when nobody reads them.
struct Short(u64);

impl RowSink for Short {
    fn columns(&mut self, _: &[String]) -> Result<(), SqlError> {
        Ok(())
    }

    fn row(&mut self, _: &[Value]) -> Result<(), SqlError> {
        self.0 = self.0.checked_sub(1).ok_or(SqlError::Undeliverable)?;
        Ok(())
    }
}

#[test]
fn a_sink_that_fails_ends_the_statement_and_the_connection_is_good_again() {
    let Fixture { db, .. } = &fixture();
    for _ in 0..3 {
        let endless = format!("{FOR_EVER} SELECT x FROM c");
        let error = db.run(&statement(&endless), &patient(), &mut Short(1000)).unwrap_err();
        assert!(matches!(error, SqlError::Undeliverable), "{error}");
    }
    assert_eq!(changed(db, "UPDATE COLORS SET HEX = HEX"), 139);
}

/// Panics in the middle, as a defect would.
struct Broken;

impl RowSink for Broken {
    fn columns(&mut self, _: &[String]) -> Result<(), SqlError> {
        panic!("a defect, on purpose");
    }

    fn row(&mut self, _: &[Value]) -> Result<(), SqlError> {
        Ok(())
    }
}

#[test]
fn a_panic_in_the_middle_leaves_nothing_locked() {
    let Fixture { db, .. } = &fixture();
    for sql in ["SELECT * FROM COLORS", "INSERT INTO COLORS VALUES (1, 2, 3) RETURNING Name"] {
        let run = || db.run(&statement(sql), &patient(), &mut Broken).map(|_| ());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
    assert_eq!(changed(db, "DELETE FROM COLORS"), 140, "the insert was committed before its rows were handed on");
}

#[cfg(unix)]
#[test]
fn a_database_that_was_removed_meanwhile_is_noticed() {
    let Fixture { db, folder } = &fixture();
    assert_eq!(number(db, "SELECT 1"), 1);
    std::fs::remove_file(folder.path().join("database.sqlite")).unwrap();
    for sql in ["SELECT 1", "DELETE FROM COLORS"] {
        assert_eq!(run(db, sql).map(|_| ()).unwrap_err().failure().code, ErrorCode::Unavailable, "{sql}");
    }
}

#[test]
fn a_pattern_that_takes_long_to_match_is_too_short_to_hurt() {
    let Fixture { db, .. } = &fixture();
    let pattern = "%a".repeat(127);
    let sql = format!("SELECT replace(hex(zeroblob(250000)), '0', 'ab') LIKE '{pattern}c'");
    let begin = Instant::now();
    assert_eq!(number(db, &sql), 0);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let longer = format!("SELECT 'x' LIKE '{}'", "%a".repeat(200));
    assert!(run(db, &longer).is_err());
}
