//! What SQL may not do, and what it may look at.

use super::*;
use crate::sql::sqlite::records;

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
        ("SELECT * FROM lab_outcomes", Forbidden),
        ("SELECT outcome FROM COLORS, Lab_Outcomes", Forbidden),
        ("WITH x AS (SELECT * FROM lab_clients) SELECT * FROM x", Forbidden),
        ("SELECT count(*) FROM lab_forgotten", Forbidden),
        ("INSERT INTO lab_outcomes VALUES (x'00', x'00', x'00', '', 0)", Forbidden),
        ("INSERT OR REPLACE INTO lab_clients VALUES (x'00', x'00')", Forbidden),
        ("UPDATE lab_outcomes SET outcome = ''", Forbidden),
        ("UPDATE lab_clients SET low_water = x'00'", Forbidden),
        ("DELETE FROM lab_outcomes", Forbidden),
        ("DELETE FROM \"main\".[LAB_FORGOTTEN]", Forbidden),
        ("DELETE FROM COLORS RETURNING (SELECT count(*) FROM lab_outcomes)", Forbidden),
        ("INSERT INTO COLORS SELECT client, outcome, at FROM lab_outcomes", Forbidden),
        ("DROP TABLE lab_outcomes", Forbidden),
        ("DROP TABLE IF EXISTS lab_clients", Forbidden),
        ("ALTER TABLE lab_outcomes RENAME TO mine", Forbidden),
        ("ALTER TABLE lab_outcomes DROP COLUMN at", Forbidden),
        ("CREATE INDEX i ON lab_outcomes (at)", Forbidden),
        ("CREATE TRIGGER r AFTER INSERT ON lab_outcomes BEGIN DELETE FROM COLORS; END", Forbidden),
        ("CREATE TRIGGER r BEFORE DELETE ON lab_outcomes BEGIN SELECT RAISE(IGNORE); END", Forbidden),
        ("REINDEX lab_outcomes", Forbidden),
        ("ANALYZE lab_outcomes", Forbidden),
        ("CREATE TABLE lab_outcomes (a)", Forbidden),
        ("CREATE TABLE Lab_Outcomes AS SELECT 1", Forbidden),
        ("CREATE VIEW lab_view AS SELECT 1", Forbidden),
        ("CREATE INDEX lab_index ON COLORS (Name)", Forbidden),
        ("ALTER TABLE COLORS RENAME TO lab_colors", Forbidden),
        ("ALTER TABLE COLORS RENAME TO lab_colors", Forbidden),
        ("ALTER TABLE COLORS RENAME TO LAB_COLORS", Forbidden),
        ("UPDATE sqlite_temp_master SET sql = 'x'", Sql),
        ("UPDATE sqlite_temp_schema SET sql = 'x'", Sql),
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
    changed(db, "CREATE VIEW v AS SELECT (SELECT count(*) FROM lab_outcomes) AS n");
    changed(db, "CREATE TRIGGER r INSTEAD OF INSERT ON v BEGIN UPDATE lab_clients SET low_water = x'00'; END");
    changed(
        db,
        "CREATE TRIGGER s BEFORE INSERT ON COLORS BEGIN INSERT INTO lab_outcomes SELECT * FROM lab_outcomes; END",
    );
    for sql in ["SELECT n FROM v", "INSERT INTO v VALUES (1)", "INSERT INTO COLORS VALUES (1, 2, 3)"] {
        assert_eq!(run(db, sql).map(|_| ()).unwrap_err().failure().code, ErrorCode::Forbidden, "{sql}");
    }
    assert_eq!(changed(db, "DELETE FROM COLORS"), 139);
}

#[test]
fn our_own_statements_are_not_open_to_a_client_who_sends_their_text() {
    let Fixture { db, .. } = &fixture();
    let sql = "DELETE FROM COLORS WHERE Name = 'Red'";
    let repeat = Statement { repeated: true, ..statement(sql) };
    db.run(&repeat, &patient(), &mut Sink::default()).unwrap();
    for sql in records::ALL {
        let failure = run(db, sql).map(|_| ()).unwrap_err().failure();
        assert!(matches!(failure.code, ErrorCode::Forbidden | ErrorCode::BadRequest), "{sql}: {failure:?}");
    }
}

#[test]
fn tables_and_columns_may_be_renamed() {
    let Fixture { db, .. } = &fixture();
    changed(db, "CREATE VIEW v AS SELECT Name FROM COLORS");
    changed(db, "ALTER TABLE COLORS RENAME TO colours");
    changed(db, "ALTER TABLE colours RENAME COLUMN Name TO label");
    assert_eq!(number(db, "SELECT count(*) FROM v"), 139);
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
        db.run(&statement, &patient(), &mut Sink::default()).map_err(|e| e.failure().code)
    };
    assert_eq!(marked("SELECT 1"), Ok(Outcome::Rows { rows: 1 }));
    assert_eq!(marked("WITH x AS (SELECT 1) DELETE FROM COLORS"), Err(ErrorCode::Forbidden));
    assert_eq!(number(db, "SELECT count(*) FROM COLORS"), 139);
}
