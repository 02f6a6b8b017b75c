//! The same request twice: at one server, at several, late, at the same moment, and after a lost connection.

use super::*;

#[test]
fn a_write_that_is_asked_for_again_is_not_carried_out_again() {
    let Some(fixture) = fixture() else { return };
    let other = Postgres::open(&fixture.account).unwrap();
    let sql = "INSERT INTO COLORS VALUES ('Sky', '#87CEEB', 'x') RETURNING Name, random()";
    assert_a_write_is_not_carried_out_again([&fixture.db, &other], sql);
}

#[test]
fn what_fails_the_second_time_has_succeeded_the_first_time() {
    let Some(fixture) = fixture() else { return };
    let client = client();
    for (n, sql) in ["CREATE TABLE t (a int)", "ALTER TABLE t RENAME TO u", "DROP TABLE u"].into_iter().enumerate() {
        assert_eq!(ask(&fixture.db, &first(sql, id(client, n as u64))), Ok(Outcome::Changed { rows: 0 }), "{sql}");
        assert_eq!(ask(&fixture.db, &again(sql, id(client, n as u64))), Ok(Outcome::Changed { rows: 0 }), "{sql}");
    }
}

#[test]
fn a_failure_is_an_outcome_and_stays_one_when_its_cause_is_gone() {
    let Some(fixture) = fixture() else { return };
    let (db, client) = (&fixture.db, client());
    changed(db, "CREATE TABLE p (a int PRIMARY KEY)");
    changed(db, "CREATE TABLE t (a int UNIQUE, b int REFERENCES p DEFERRABLE INITIALLY DEFERRED)");
    changed(db, "INSERT INTO t VALUES (1, NULL)");
    let table =
        ["INSERT INTO t VALUES (2, NULL), (1, NULL)", "INSERT INTO t VALUES (3, 7)", "INSERT INTO t VALUES (1/0)"];
    for (n, sql) in table.into_iter().enumerate() {
        let request = id(client, n as u64);
        let failure = ask(db, &again(sql, request)).unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::SqlError, true), "{sql}: {failure:?}");
        assert_eq!(fixture.number("SELECT count(*) FROM t"), 1, "{sql}");
    }
    changed(db, "DELETE FROM t");
    changed(db, "INSERT INTO p VALUES (7)");
    for (n, sql) in table.into_iter().enumerate() {
        assert!(ask(db, &again(sql, id(client, n as u64))).is_err(), "{sql}");
        assert!(ask(db, &first(sql, id(client, n as u64))).is_err(), "{sql}");
    }
    assert_eq!(fixture.number("SELECT count(*) FROM t"), 0);
}

#[test]
fn each_of_many_ids_is_carried_out_once_though_two_servers_get_it_at_the_same_moment() {
    let Some(fixture) = fixture() else { return };
    let other = Postgres::open(&fixture.account).unwrap();
    changed(&fixture.db, "CREATE TABLE n (client int, n int)");
    assert_each_id_is_carried_out_once([&fixture.db, &other]);
}

#[test]
fn settled_and_old_ids_are_refused_and_their_records_go() {
    let Some(fixture) = fixture() else { return };
    let (db, number) = (&fixture.db, client());
    for n in 1..=40 {
        let sql = format!("INSERT INTO COLORS VALUES ('{n}')");
        ask(db, &Statement { low_water: n, ..first(&sql, id(number, n)) }).unwrap();
    }
    assert!(fixture.inside("SELECT count(*) FROM lab.outcomes")[0][0].as_deref().unwrap().parse::<u32>().unwrap() < 30);
    assert_eq!(ask(db, &again("INSERT INTO COLORS VALUES ('1')", id(number, 1))).unwrap_err().code, ErrorCode::Expired);
    let old = draw_client_number(SystemTime::now() - Duration::from_secs(26 * 3600));
    assert_eq!(ask(db, &first("DELETE FROM COLORS", id(old, 1))).unwrap_err().code, ErrorCode::Expired);
    fixture.inside(&format!("INSERT INTO lab.outcomes VALUES ('\\x{old:016x}', '\\x0000000000000001', '\\x00', 'x')"));
    changed(db, "INSERT INTO COLORS VALUES ('41')");
    let gone = fixture.inside(&format!("SELECT count(*) FROM lab.outcomes WHERE client = '\\x{old:016x}'"));
    assert_eq!(gone[0][0].as_deref(), Some("0"));
    assert_eq!(fixture.inside("SELECT client FROM lab.forgotten")[0][0], Some(format!("\\x{old:016x}")));
}

#[test]
fn a_deadlock_is_tried_again_and_nobody_hears_of_it() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    changed(db, "CREATE TABLE d (a int PRIMARY KEY, n int)");
    changed(db, "INSERT INTO d VALUES (1, 0), (2, 0)");
    let both = |a: u32, b: u32| {
        format!(
            "DO $$ BEGIN UPDATE d SET n = n + 1 WHERE a = {a}; PERFORM pg_sleep(0.05); UPDATE d SET n = n + 1 WHERE a = {b}; END $$"
        )
    };
    std::thread::scope(|scope| {
        for (a, b) in [(1, 2), (2, 1), (1, 2), (2, 1)] {
            let sql = both(a, b);
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(changed(db, &sql), 0);
                }
            });
        }
    });
    assert_eq!(rows(db, "SELECT n FROM d"), [[Value::Integer(20)], [Value::Integer(20)]]);
}

#[test]
fn a_connection_that_is_cut_costs_nobody_anything() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    let ended = |when: &str| {
        let user = &fixture.account.user;
        fixture
            .inside(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}' {when}"))
    };
    for n in 0..5 {
        assert_eq!(changed(db, &format!("INSERT INTO COLORS VALUES ('cut {n}')")), 1);
        assert!(!ended("").is_empty(), "while it is kept");
    }
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| changed(db, "INSERT INTO COLORS SELECT 'slow' FROM pg_sleep(0.5)"));
        let until = Instant::now() + LONG;
        while ended("AND query LIKE 'INSERT%' AND state = 'active'").is_empty() {
            assert!(Instant::now() < until && !writing.is_finished(), "it was not seen at work");
        }
        assert_eq!(writing.join().unwrap(), 1, "in the middle of a statement");
    });
    assert_eq!(fixture.number("SELECT count(*) FROM COLORS WHERE Name LIKE 'cut%' OR Name = 'slow'"), 6);
}

/// Somebody has made the database ready for another password, or not for this version, and connections are kept.
#[test]
fn a_server_that_the_records_do_not_let_in_says_nothing_for_certain_of_what_was_sent_before() {
    for change in [
        "UPDATE lab.settings SET key_digest = '\\x00'",
        "ALTER FUNCTION lab.look(bytea, bytea, bytea) RENAME TO look_away",
    ] {
        let Some(fixture) = fixture() else { return };
        let (db, request, sql) = (&fixture.db, id(client(), 1), "INSERT INTO COLORS VALUES ('Sky', '#87CEEB', 'x')");
        assert_eq!(ask(db, &first(sql, request)), Ok(Outcome::Changed { rows: 1 }));
        fixture.inside(change);
        let failure = ask(db, &again(sql, request)).unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::Unavailable, false), "{}", failure.message);
    }
}

/// The claim says no more of a statement than the look does.
#[test]
fn a_claim_that_is_refused_is_not_the_outcome_of_the_statement() {
    let Some(fixture) = fixture() else { return };
    let (db, request, sql) = (&fixture.db, id(client(), 1), "INSERT INTO COLORS VALUES ('Sky', '#87CEEB', 'x')");
    fixture.inside("ALTER FUNCTION lab.claim(bytea, bytea, bytea, bytea) RENAME TO claim_away");
    let failure = ask(db, &first(sql, request)).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Unavailable, true), "{}", failure.message);
    let failure = ask(db, &again(sql, request)).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Unavailable, false), "{}", failure.message);
    fixture.inside("ALTER FUNCTION lab.claim_away(bytea, bytea, bytea, bytea) RENAME TO claim");
    assert_eq!(ask(db, &again(sql, request)), Ok(Outcome::Changed { rows: 1 }));
}

/// It would be noted in one encoding and told again in another.
#[test]
fn a_write_that_changes_the_encoding_is_told_again_as_it_was_told() {
    let Some(fixture) = fixture() else { return };
    let (db, request) = (&fixture.db, id(client(), 1));
    let sql =
        "INSERT INTO COLORS VALUES ('ä') RETURNING Name, set_config('client_encoding', 'LATIN1', false) AS \"fällig\"";
    let answer = ask(db, &first(sql, request));
    assert!(matches!(&answer, Ok(Outcome::Returned(returned)) if returned.columns == ["name", "fällig"]), "{answer:?}");
    assert_eq!(ask(db, &again(sql, request)), answer);
    assert_eq!(rows(db, "SELECT Name FROM COLORS WHERE Name = 'ä'"), [[text("ä")]]);
}
