//! A statement that is kept parsed, and what happens between two who ask the same.

use super::*;
use crate::sql::remote::Begun;

/// One connection, on which each request meets what the one before it has left.
struct Alone {
    connection: Connection,
}

impl Alone {
    fn open(fixture: &Fixture) -> Self {
        let (account, identity) = (fixture.account.clone(), fixture.db.identity().to_owned());
        let place = Place { account, identity, key: "\\x".into() };
        let mut connection = Connection::open(&place, &ByTime::after(LONG)).unwrap();
        // On a machine that is stopped for a while, a statement would be old when it is asked again.
        connection.session.kept_for = LONG;
        Self { connection }
    }

    fn read(&mut self, sql: &str) -> Result<Vec<Vec<Value>>, String> {
        let mut sink = Sink::default();
        let mut begun = Begun::with(&mut sink);
        let read = self.connection.read(sql, &ByTime::after(LONG), &mut begun);
        if matches!(read, Ok(Read::Done(_))) {
            begun.begin().unwrap();
        }
        assert!(self.connection.is_fit(), "it cannot be kept after {sql}: {:?}", read.err());
        match read {
            Ok(Read::Done(Outcome::Rows { rows })) if rows == sink.rows.len() as u64 => Ok(sink.rows),
            Ok(Read::ItWrites) => Err("it writes".into()),
            Ok(Read::Done(other)) => panic!("{sql}: {other:?}"),
            Err(trouble) => Err(format!("{trouble:?}")),
        }
    }

    fn rows(&mut self, sql: &str) -> Vec<Vec<Value>> {
        self.read(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The only value that comes.
    fn number(&mut self, sql: &str) -> i64 {
        match self.rows(sql)[..] {
            [ref row] if row.len() == 1 => match row[0] {
                Value::Integer(number) => number,
                ref other => panic!("{sql}: {other:?}"),
            },
            ref other => panic!("{sql}: {other:?}"),
        }
    }

    /// Asks, and has it kept.
    fn keep(&mut self, sql: &str) -> Vec<Vec<Value>> {
        let rows = self.rows(sql);
        assert!(self.connection.session.holds(sql), "{sql} is not kept");
        rows
    }

    fn session(&mut self) -> Value {
        self.rows("SELECT pg_backend_pid()")[0][0].clone()
    }
}

#[test]
fn it_is_parsed_once_and_stays_until_another_is() {
    let Some(fixture) = fixture() else { return };
    let mut alone = Alone::open(&fixture);
    let sql = "SELECT Name FROM COLORS WHERE HEX = '#FFFFFF'";
    let first = alone.keep(sql);
    assert_eq!((first.len(), alone.rows(sql)), (1, first.clone()));
    assert_eq!(alone.number("SELECT 1"), 1);
    assert!(!alone.connection.session.holds(sql), "there is one place");
    alone.keep(sql);
    assert!(alone.read("SELECT 1 / 0").is_err());
    assert!(!alone.connection.session.holds(sql) && !alone.connection.session.holds("SELECT 1 / 0"), "it was put back");
    assert_eq!(alone.keep(sql), first);
    assert_eq!(alone.read("DELETE FROM COLORS"), Err("it writes".into()));
    assert!(!alone.connection.session.holds(sql));
    assert_eq!(alone.rows(sql), first);
    let now = "SELECT 'now'::timestamp::text";
    assert_ne!(alone.rows(now), alone.rows(now), "it is the time at which it is parsed");
}

#[test]
fn what_is_not_kept_is_not_left_in_the_memory_of_a_session() {
    let Some(fixture) = fixture() else { return };
    let mut alone = Alone::open(&fixture);
    for (sql, code) in [("SELECT 1", None), ("SELECT 'today'::date", Some("26000"))] {
        alone.rows(sql);
        let (session, in_time) = (&mut alone.connection.session, ByTime::after(LONG));
        session.add_statement_again(None, &[]).unwrap();
        session.flush(&in_time).unwrap();
        let refused = session.answer(&in_time, |_| Ok(())).unwrap().refused;
        assert_eq!(refused.as_ref().map(|refused| refused.code.as_str()), code, "{sql}");
        session.tidy_nothing();
    }
}

/// It is the function that releases locks.
#[test]
fn the_function_that_is_called_by_its_number_is_the_one_that_is_meant() {
    let Some(fixture) = fixture() else { return };
    let number = "SELECT 'pg_catalog.pg_advisory_unlock_all()'::regprocedure::oid";
    assert_eq!(fixture.inside(number), [[Some(session::UNLOCK_ALL.to_string())].to_vec()]);
    let mut alone = Alone::open(&fixture);
    for _ in 0..3 {
        assert_eq!(alone.number("SELECT count(*) FROM (SELECT pg_advisory_lock(9)) AS locked"), 1);
        let held = format!("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = {:?}", alone.session());
        let held = held.replace("Integer(", "").replace(')', "");
        assert!(fixture.inside(&held).is_empty());
    }
}

/// What a function prepares under names of ours, or takes away, does nothing to whoever comes next.
#[test]
fn a_function_cannot_put_its_own_in_the_place_of_ours() {
    let Some(fixture) = fixture() else { return };
    let ask = "SELECT reading FROM MEASUREMENTS WHERE id = 50000";
    for (name, body) in [
        // Under the name that is ours, as soon as ours was used, and before it is used again.
        ("ours", "EXECUTE 'PREPARE lab AS SELECT 666 AS reading';"),
        ("all", "EXECUTE 'DEALLOCATE ALL'; EXECUTE 'PREPARE lab AS SELECT 666 AS reading';"),
        (
            "found",
            "FOR it IN SELECT name FROM pg_prepared_statements LOOP EXECUTE format('DEALLOCATE %I', it); \
             EXECUTE format('PREPARE %I AS SELECT 666 AS reading', it); END LOOP;",
        ),
        ("many", "FOR i IN 1..100 LOOP EXECUTE format('PREPARE p%s AS SELECT 666 AS reading', i); END LOOP;"),
        ("plans", "EXECUTE 'DISCARD PLANS';"),
        ("cursor", "EXECUTE 'DECLARE lab CURSOR WITH HOLD FOR SELECT 666 AS reading';"),
        (
            "settings",
            "PERFORM set_config('search_path', 'pg_catalog', false), set_config('transaction_read_only', 'on', false);",
        ),
    ] {
        let made = format!(
            "CREATE FUNCTION poison_{name}() RETURNS int LANGUAGE plpgsql AS $$ DECLARE it text; BEGIN {body} RETURN 1; END $$"
        );
        changed(&fixture.db, &made);
    }
    let mut alone = Alone::open(&fixture);
    let (session, honest) = (alone.session(), alone.rows(ask));
    for name in ["ours", "all", "found", "many", "plans", "cursor", "settings"] {
        let poison = format!("SELECT poison_{name}()");
        for _ in 0..3 {
            assert_eq!(alone.number(&poison), 1, "{poison} itself has only read");
            // Both at the place without a name and behind it.
            assert_eq!(alone.rows(ask), honest, "{poison}");
            assert_eq!(alone.rows(ask), honest, "{poison}");
            assert_eq!(alone.number("SELECT count(*) FROM pg_prepared_statements"), 0, "{poison}");
            assert!(alone.read("EXECUTE lab").is_err(), "{poison}");
            assert_eq!(alone.read("DELETE FROM MEASUREMENTS"), Err("it writes".into()), "{poison}");
            assert_eq!(alone.number("SELECT count(*) FROM pg_cursors WHERE name = 'lab'"), 0, "{poison}");
        }
        // Kept, and then called again where nothing is parsed in between.
        for _ in 0..3 {
            assert_eq!(alone.number(&poison), 1);
        }
        assert_eq!(alone.session(), session, "{poison}: another session says nothing about this one");
    }
    assert_eq!(alone.number("SELECT count(*) FROM MEASUREMENTS"), 100_000);
}

#[test]
fn a_kept_statement_means_what_it_means_now() {
    let Some(fixture) = fixture() else { return };
    let mut alone = Alone::open(&fixture);
    let db = &fixture.db;
    changed(db, "CREATE TABLE t AS SELECT 1 AS a");
    changed(db, "CREATE VIEW v AS SELECT a FROM t");
    changed(db, "CREATE FUNCTION inlined() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'");
    changed(db, "CREATE FUNCTION called() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'");
    let one = |value| vec![vec![value]];
    for (sql, change, after) in [
        ("SELECT * FROM t", "ALTER TABLE t ADD b int DEFAULT 2", vec![vec![Value::Integer(1), Value::Integer(2)]]),
        ("SELECT a FROM t", "ALTER TABLE t ALTER a TYPE text", one(text("1"))),
        ("SELECT count(*) FROM t", "INSERT INTO t VALUES ('2')", one(Value::Integer(2))),
        ("SELECT a FROM v", "CREATE OR REPLACE VIEW v AS SELECT 'other' AS a", one(text("other"))),
        (
            "SELECT inlined()",
            "CREATE OR REPLACE FUNCTION inlined() RETURNS int LANGUAGE sql STABLE AS 'SELECT 2'",
            one(Value::Integer(2)),
        ),
        (
            "SELECT called()",
            "CREATE OR REPLACE FUNCTION called() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2; END'",
            one(Value::Integer(2)),
        ),
    ] {
        if change.contains("ALTER a TYPE") || change.contains("VIEW v AS SELECT 'other'") {
            changed(db, "DROP VIEW IF EXISTS v");
        }
        if sql.ends_with("FROM v") {
            changed(db, "CREATE VIEW v AS SELECT a FROM t");
        }
        let before = alone.keep(sql);
        changed(db, change);
        assert_eq!(alone.rows(sql), after, "{sql}: it was {before:?} before {change}");
    }
    alone.keep("SELECT a FROM t WHERE a = '1'");
    changed(db, "DROP VIEW v");
    changed(db, "DROP TABLE t");
    assert!(alone.read("SELECT a FROM t WHERE a = '1'").unwrap_err().contains("does not exist"));
    changed(db, "CREATE TABLE t AS SELECT 5 AS a");
    assert_eq!(alone.number("SELECT a FROM t WHERE a = '5'"), 5);
}

/// That it only reads is found out each time.
#[test]
fn a_kept_statement_that_has_come_to_write_is_carried_out_as_a_write_once() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    changed(db, "CREATE TABLE t (a int)");
    let make = "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS";
    changed(db, &format!("{make} 'BEGIN RETURN 1; END'"));
    let mut alone = Alone::open(&fixture);
    alone.keep("SELECT f()");
    rows(db, "SELECT f()");
    changed(db, &format!("{make} 'BEGIN INSERT INTO t VALUES (1); RETURN 2; END'"));
    assert_eq!(alone.read("SELECT f()"), Err("it writes".into()));
    assert_eq!(fixture.number("SELECT count(*) FROM t"), 0);
    assert_eq!(rows(db, "SELECT f()"), [[Value::Integer(2)]]);
    assert_eq!(fixture.number("SELECT count(*) FROM t"), 1);
}

#[test]
fn a_kept_statement_follows_the_search_path_and_no_setting_of_another_client() {
    let Some(fixture) = fixture() else { return };
    let mut alone = Alone::open(&fixture);
    let sql = "SELECT count(*) FROM COLORS";
    assert_eq!(alone.keep(sql), [[Value::Integer(139)]]);
    alone.rows("SELECT set_config('search_path', 'pg_catalog', false), set_config('row_security', 'off', false)");
    assert_eq!(alone.keep(sql), [[Value::Integer(139)]]);
    // A schema with the name of the role comes before `public`.
    let user = &fixture.account.user;
    fixture.inside(&format!("CREATE SCHEMA \"{user}\" AUTHORIZATION \"{user}\""));
    assert_eq!(alone.keep(sql), [[Value::Integer(139)]]);
    fixture.inside(&format!("DROP SCHEMA \"{user}\""));
    let hidden = format!("CREATE SCHEMA \"{user}\" CREATE TABLE colors (a int)");
    assert_eq!(alone.keep(sql), [[Value::Integer(139)]]);
    fixture.inside(&hidden);
    fixture.inside(&format!("GRANT ALL ON SCHEMA \"{user}\" TO \"{user}\""));
    fixture.inside(&format!("GRANT ALL ON \"{user}\".colors TO \"{user}\""));
    assert_eq!(alone.keep(sql), [[Value::Integer(0)]]);
    fixture.inside(&format!("DROP SCHEMA \"{user}\" CASCADE"));
    assert_eq!(alone.keep(sql), [[Value::Integer(139)]]);
}

/// The place without a name is empty in a new session.
#[test]
fn a_session_that_was_ended_takes_what_it_kept_with_it() {
    let Some(fixture) = fixture() else { return };
    let sql = "SELECT Name FROM COLORS WHERE HEX = '#FFFFFF'";
    let first = rows(&fixture.db, sql);
    for _ in 0..5 {
        assert_eq!(rows(&fixture.db, sql), first);
        let user = &fixture.account.user;
        let ended = format!("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '{user}'");
        assert!(!fixture.inside(&ended).is_empty());
    }
    assert_eq!(rows(&fixture.db, sql), first);
}

/// What was worked out when a statement was parsed lasts as long as it is kept, and no longer.
#[test]
fn a_statement_that_is_old_is_parsed_anew() {
    let Some(fixture) = fixture() else { return };
    let (mut alone, db) = (Alone::open(&fixture), &fixture.db);
    let make = "CREATE OR REPLACE FUNCTION constant() RETURNS int LANGUAGE plpgsql IMMUTABLE AS";
    let outer =
        "CREATE FUNCTION outer_constant() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN constant(); END'";
    changed(db, &format!("{make} 'BEGIN RETURN 1; END'"));
    changed(db, outer);
    alone.keep("SELECT outer_constant()");
    changed(db, &format!("{make} 'BEGIN RETURN 2; END'"));
    assert_eq!(alone.number("SELECT outer_constant()"), 1, "it is a part of the plan");
    alone.connection.session.kept_for = Duration::ZERO;
    assert_eq!(alone.number("SELECT outer_constant()"), 2);
}

/// The columns of what a function returns are looked at again only when it is carried out, behind the titles.
#[test]
fn a_kept_statement_that_is_refused_is_parsed_anew_however_late_it_is_refused() {
    let Some(fixture) = fixture() else { return };
    let (mut alone, db) = (Alone::open(&fixture), &fixture.db);
    changed(db, "CREATE TABLE p (a int, b int)");
    changed(db, "INSERT INTO p VALUES (1, 2)");
    let body = "BEGIN RETURN QUERY SELECT * FROM p; END";
    changed(db, &format!("CREATE FUNCTION f() RETURNS SETOF p LANGUAGE plpgsql AS '{body}'"));
    alone.keep("SELECT * FROM f()");
    changed(db, "ALTER TABLE p ALTER b TYPE text");
    assert_eq!(alone.rows("SELECT * FROM f()"), [[Value::Integer(1), text("2")]]);
}

/// Two answers are not spliced together, and what fails for having been kept is no outcome of an id.
#[test]
fn a_kept_statement_that_is_refused_behind_rows_has_failed_for_the_moment_only() {
    let Some(fixture) = fixture() else { return };
    let (mut alone, db) = (Alone::open(&fixture), &fixture.db);
    changed(db, "CREATE TABLE n AS SELECT i FROM generate_series(-5, -1) AS i");
    let sql = "SELECT 10 / i FROM n";
    alone.keep(sql);
    changed(db, "INSERT INTO n VALUES (0)");
    for kept in [true, false] {
        assert_eq!(alone.connection.session.holds(sql), kept);
        let mut sink = Sink::default();
        let read = alone.connection.read(sql, &ByTime::after(LONG), &mut Begun::with(&mut sink));
        let Err(Trouble::Failed(error)) = read else { panic!("it divides by zero") };
        assert_eq!((sink.rows.len(), error.is_final()), (5, !kept), "{error}");
        assert!(error.to_string().contains("ivision by zero"), "{error}");
    }
}
