//! The same request twice: at one server, at several, late, at the same moment, and after a lost connection.

use super::*;

#[test]
fn a_write_that_is_asked_for_again_is_not_carried_out_again() {
    let Some(fixture) = fixture() else { return };
    let other = MySql::open(&fixture.account).unwrap();
    let sql = "INSERT INTO COLORS VALUES ('Sky', '#87CEEB', 'it''s \\') RETURNING Name, rand(), RGB";
    assert_a_write_is_not_carried_out_again([&fixture.db, &other], sql);
}

#[test]
fn a_failure_is_an_outcome_and_stays_one_when_its_cause_is_gone() {
    let Some(fixture) = fixture() else { return };
    let (db, client) = (&fixture.db, client());
    fixture.inside("CREATE TABLE p (a int PRIMARY KEY)");
    fixture.inside("CREATE TABLE t (a int UNIQUE, b int REFERENCES p (a), CHECK (a < 100))");
    changed(db, "INSERT INTO t VALUES (1, NULL)");
    let table = [
        "INSERT INTO t VALUES (2, NULL), (1, NULL)",
        "INSERT INTO t VALUES (3, 7)",
        "INSERT INTO t VALUES (1/0, NULL)",
        "INSERT INTO t VALUES (100, NULL)",
        "INSERT INTO t VALUES ('many', NULL)",
        "CREATE TABLE u (a int)",
    ];
    for (n, sql) in table.into_iter().enumerate() {
        let failure = ask(db, &again(sql, id(client, n as u64))).unwrap_err();
        assert!(failure.definite, "{sql}: {failure:?}");
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
    let other = MySql::open(&fixture.account).unwrap();
    fixture.inside("CREATE TABLE n (client int, n int)");
    assert_each_id_is_carried_out_once([&fixture.db, &other]);
}

#[test]
fn settled_and_old_ids_are_refused_and_their_records_go() {
    let Some(fixture) = fixture() else { return };
    let (db, number) = (&fixture.db, client());
    for n in 1..=40 {
        let sql = format!("INSERT INTO COLORS (Name) VALUES ('{n}')");
        ask(db, &Statement { low_water: n, ..first(&sql, id(number, n)) }).unwrap();
    }
    let count = |rows: Vec<session::Row>| rows[0][0].as_deref().unwrap().parse::<u64>().unwrap();
    assert!(count(fixture.inside("SELECT count(*) FROM RECORDS.outcomes")) < 30);
    let failure = ask(db, &again("INSERT INTO COLORS (Name) VALUES ('1')", id(number, 1))).unwrap_err();
    assert_eq!(failure.code, ErrorCode::Expired);
    let old = draw_client_number(SystemTime::now() - Duration::from_secs(26 * 3600));
    assert_eq!(ask(db, &first("DELETE FROM COLORS", id(old, 1))).unwrap_err().code, ErrorCode::Expired);
    fixture.inside(&format!("INSERT INTO RECORDS.outcomes VALUES ({old}, 1, '', 'x', NOW())"));
    changed(db, "INSERT INTO COLORS (Name) VALUES ('41')");
    assert_eq!(count(fixture.inside(&format!("SELECT count(*) FROM RECORDS.outcomes WHERE client = {old}"))), 0);
    assert_eq!(count(fixture.inside("SELECT client FROM RECORDS.forgotten")), old);
}

#[test]
fn a_deadlock_is_tried_again_and_nobody_hears_of_it() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    fixture.inside("CREATE TABLE d (a int PRIMARY KEY, n int)");
    changed(db, "INSERT INTO d VALUES (1, 0), (2, 0)");
    // The rows are met in the order that is asked for, with a pause between them.
    let both = |order: &str| format!("UPDATE d SET n = n + 1 + sleep(0.05) ORDER BY a {order}");
    std::thread::scope(|scope| {
        for order in ["ASC", "DESC", "ASC", "DESC"] {
            let sql = both(order);
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(changed(db, &sql), 2);
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
        let found =
            fixture.inside(&format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{user}' {when}"));
        let ids: Vec<String> = found.into_iter().flatten().flatten().collect();
        // It may have gone meanwhile.
        ids.iter().for_each(|id| drop(setup::ask_as(&fixture.admin, None, &[&format!("KILL CONNECTION {id}")])));
        ids
    };
    for n in 0..5 {
        assert_eq!(changed(db, &format!("INSERT INTO COLORS (Name) VALUES ('cut {n}')")), 1);
        assert!(!ended("").is_empty(), "while it is kept");
    }
    std::thread::scope(|scope| {
        let writing =
            scope.spawn(|| changed(db, "INSERT INTO COLORS (Name) SELECT 'slow' FROM (SELECT sleep(0.5)) AS s"));
        let until = Instant::now() + LONG;
        while ended("AND INFO LIKE 'INSERT%sleep%'").is_empty() {
            assert!(Instant::now() < until && !writing.is_finished(), "it was not seen at work");
        }
        assert_eq!(writing.join().unwrap(), 1, "in the middle of a statement");
    });
    assert_eq!(fixture.number("SELECT count(*) FROM COLORS WHERE Name LIKE 'cut%' OR Name = 'slow'"), 6);
}

/// A claim can be committed without an outcome only by a mistake of ours. It says nothing, and so must mean nothing.
#[test]
fn a_claim_that_was_left_without_an_outcome_is_no_record() {
    let Some(fixture) = fixture() else { return };
    let number = client();
    fixture
        .inside(&format!("INSERT INTO RECORDS.outcomes (client, sequence, fingerprint) VALUES ({number}, 1, 'other')"));
    let sql = "INSERT INTO COLORS (Name) VALUES ('claimed')";
    for _ in 0..2 {
        assert_eq!(ask(&fixture.db, &again(sql, id(number, 1))), Ok(Outcome::Changed { rows: 1 }));
    }
    assert_eq!(fixture.number("SELECT count(*) FROM COLORS WHERE Name = 'claimed'"), 1);
}

#[test]
fn while_a_table_cannot_be_rolled_back_nothing_is_written() {
    let Some(fixture) = fixture() else { return };
    fixture.inside("CREATE SEQUENCE s ENGINE=Aria");
    fixture.inside("CREATE VIEW v AS SELECT * FROM COLORS");
    for (engine, versions) in [("MyISAM", ""), ("Aria", ""), ("MEMORY", ""), ("Aria", "WITH SYSTEM VERSIONING")] {
        fixture.inside(&format!("CREATE TABLE m (a int) ENGINE={engine} {versions}"));
        for sql in ["INSERT INTO m VALUES (1)", "INSERT INTO COLORS (Name) VALUES ('x')"] {
            let failure = ask(&fixture.db, &statement(sql)).unwrap_err();
            assert!(failure.definite && failure.code == ErrorCode::Unavailable, "{failure:?}");
            assert!(failure.message.contains(&format!("its table m is of the engine {engine}")), "{failure:?}");
        }
        assert_eq!(fixture.number("SELECT count(*) FROM m"), 0, "{engine}");
        if !versions.is_empty() {
            fixture.inside("ALTER TABLE m DROP SYSTEM VERSIONING");
        }
        fixture.inside("ALTER TABLE m ENGINE=InnoDB");
        assert_eq!(changed(&fixture.db, "INSERT INTO m VALUES (1)"), 1);
        fixture.inside("DROP TABLE m");
    }
}

/// An administrator sets another password, or replaces the procedures, while servers are at work.
#[test]
fn a_repeat_that_the_records_do_not_answer_is_told_nothing_about_the_first_time() {
    let Some(fixture) = fixture() else { return };
    let (db, client, sql) = (&fixture.db, client(), "INSERT INTO COLORS (Name) VALUES ('once')");
    let told = |n, marked| {
        let statement = if marked { again(sql, id(client, n)) } else { first(sql, id(client, n)) };
        ask(db, &statement).map_err(|failure| (failure.code, failure.definite))
    };
    assert_eq!(told(1, false), Ok(Outcome::Changed { rows: 1 }));
    let account = Account { password: Password::new("another"), ..fixture.account.clone() };
    setup::init(&account, &fixture.admin).unwrap();
    assert_eq!(told(1, true), Err((ErrorCode::Unavailable, false)), "the key is another");
    assert_eq!(told(2, false), Err((ErrorCode::Unavailable, true)), "nobody sent it before");
    setup::init(&fixture.account, &fixture.admin).unwrap();
    assert_eq!(told(1, true), Ok(Outcome::Changed { rows: 1 }));
    for procedure in ["claim", "look"] {
        fixture.inside(&format!("DROP PROCEDURE RECORDS.{procedure}"));
        assert_eq!(told(3, true), Err((ErrorCode::Unavailable, false)), "{procedure} is missing");
    }
    assert_eq!(fixture.number("SELECT count(*) FROM COLORS WHERE Name = 'once'"), 1);
}

/// Nothing is sent on the first session any more, as if its server had stopped between the claim and the COMMIT.
#[test]
fn a_server_that_stops_in_the_middle_of_a_write_does_not_hold_its_locks() {
    let Some(fixture) = fixture() else { return };
    let watch = ByTime::after(LONG);
    let mut stopped = Session::open(&fixture.account, Some(&fixture.account.database), &watch).unwrap();
    stopped.tidy().unwrap();
    let update = "UPDATE COLORS SET RGB = 'x' WHERE Name = 'White'";
    stopped.begin(&["SET SESSION idle_write_transaction_timeout = 1", update], &watch).unwrap();
    assert_eq!(changed(&fixture.db, update), 1);
    let gone = stopped.run(&["SELECT 1"], &watch);
    assert!(matches!(gone, Err(Trouble::Lost(_))), "{gone:?}");
}
