//! Nothing of a client runs inside the COMMIT: it would run behind the check of the role, and nobody could end it.

use super::*;

/// A function that notes that it was called, and a table for that.
fn noting(fixture: &Fixture) {
    changed(&fixture.db, "CREATE TABLE seen (what text)");
    changed(
        &fixture.db,
        "CREATE FUNCTION see() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES ('me'); RETURN 1; END $$",
    );
}

#[test]
fn a_cursor_that_is_held_is_closed_before_its_query_would_run() {
    let Some(fixture) = fixture() else { return };
    noting(&fixture);
    let held = "DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT see()'; CREATE TABLE made (a int); END $$";
    assert_eq!(changed(&fixture.db, held), 0);
    assert_eq!((fixture.number("SELECT count(*) FROM made"), fixture.number("SELECT count(*) FROM seen")), (0, 0));
}

/// It would defer itself again when it is called before the commit.
#[test]
fn a_trigger_that_could_be_deferred_is_refused_where_it_is_made() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    noting(&fixture);
    changed(db, "CREATE TABLE t (a int)");
    let late = "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET CONSTRAINTS ALL DEFERRED; \
                IF NEW.a < 9 THEN INSERT INTO t VALUES (NEW.a + 1); ELSE PERFORM see(); END IF; RETURN NULL; END $$";
    changed(db, late);
    changed(db, "CREATE FUNCTION same(a int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN see(); END $$");
    changed(db, "CREATE TYPE pair AS (a int, b int)");
    changed(db, "CREATE FUNCTION first(p pair) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN see(); END $$");
    let trigger = |more: &str| {
        format!("CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t {more} FOR EACH ROW EXECUTE FUNCTION late()")
    };
    let table = "CREATE TABLE x (a int, EXCLUDE USING btree (same(a) WITH =) DEFERRABLE)";
    for sql in [
        &trigger("DEFERRABLE INITIALLY DEFERRED"),
        &trigger("DEFERRABLE"),
        table,
        "ALTER TABLE t ADD EXCLUDE USING btree (same(a) WITH =) DEFERRABLE INITIALLY DEFERRED",
        &format!("DO $$ BEGIN EXECUTE '{}'; END $$", trigger("DEFERRABLE INITIALLY DEFERRED")),
        "CREATE CAST (pair AS int) WITH FUNCTION first(pair) AS IMPLICIT",
    ] {
        let failure = ask(db, &statement(sql)).unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::Forbidden, true), "{sql}: {}", failure.message);
    }
    for sql in
        ["DROP EVENT TRIGGER lab_nothing_inside_a_commit", "ALTER EVENT TRIGGER lab_nothing_inside_a_commit DISABLE"]
    {
        assert!(ask(db, &statement(sql)).is_err(), "{sql}");
    }
    assert_eq!(changed(db, "INSERT INTO t VALUES (1)"), 1);
    assert_eq!((fixture.number("SELECT count(*) FROM t"), fixture.number("SELECT count(*) FROM seen")), (1, 0));
}

/// What runs no function of a client's may be deferred, to the end of its statement's transaction.
#[test]
fn keys_may_be_deferred() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    changed(db, "CREATE TABLE p (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)");
    changed(db, "CREATE TABLE q (id int UNIQUE)");
    changed(db, "CREATE TABLE c (q int REFERENCES q (id) DEFERRABLE INITIALLY DEFERRED)");
    assert_eq!(changed(db, "INSERT INTO p VALUES (1), (2)"), 2);
    assert_eq!(changed(db, "UPDATE p SET id = 3 - id"), 2);
    let failure = ask(db, &statement("INSERT INTO c VALUES (1)")).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::SqlError, true), "{}", failure.message);
    assert_eq!(fixture.number("SELECT count(*) FROM c"), 0);
}

/// A database that an administrator has made ready with an older script is not used.
#[test]
fn a_database_without_that_guard_is_not_taken() {
    let Some(fixture) = fixture() else { return };
    fixture.inside("DROP EVENT TRIGGER lab_nothing_inside_a_commit");
    let error = Postgres::open(&fixture.account).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`server init-database` does that"), "{error}");
    setup::init(&fixture.account, &fixture.admin).unwrap();
    Postgres::open(&fixture.account).unwrap();
}
