//! The same request twice, or a thousand times: at one server, at several, late, and at the same moment.

use super::*;
use protocol::limits::MAX_RECORDED;
use std::sync::Barrier;

#[test]
fn a_write_that_is_asked_for_again_is_not_carried_out_again() {
    let (db, other, _folder) = two_servers();
    let (client, sql) = (client(), "INSERT INTO COLORS VALUES ('Sky', '#87CEEB', 'x')");
    let answer = ask(&db, &first(sql, id(client, 1)));
    assert_eq!(answer, Ok(Outcome::Changed { rows: 1 }));
    for server in [&db, &other] {
        assert_eq!(ask(server, &again(sql, id(client, 1))), answer, "marked");
        assert_eq!(ask(server, &first(sql, id(client, 1))), answer, "or not");
    }
    assert_eq!(number(&db, "SELECT count(*) FROM COLORS WHERE Name = 'Sky'"), 1);
    assert_eq!(ask(&other, &again(sql, id(client, 2))), answer, "a repeat of which nothing is known is carried out");
    assert_eq!(number(&db, "SELECT count(*) FROM COLORS WHERE Name = 'Sky'"), 2);
}

#[test]
fn what_fails_to_be_compiled_the_second_time_has_succeeded_the_first_time() {
    let (db, other, _folder) = two_servers();
    let client = client();
    let table = [
        ("CREATE TABLE t (a INTEGER PRIMARY KEY, b)", Outcome::Changed { rows: 0 }),
        ("CREATE TRIGGER IF NOT EXISTS r AFTER DELETE ON t BEGIN SELECT 1; END", Outcome::Changed { rows: 0 }),
        ("ALTER TABLE t RENAME TO u", Outcome::Changed { rows: 0 }),
        ("INSERT INTO u (b) VALUES (1), (2)", Outcome::Changed { rows: 2 }),
        ("DROP TRIGGER IF EXISTS r", Outcome::Changed { rows: 0 }),
        ("DROP TABLE u", Outcome::Changed { rows: 0 }),
    ];
    for (n, (sql, outcome)) in table.iter().enumerate() {
        assert_eq!(ask(&db, &first(sql, id(client, n as u64))).as_ref(), Ok(outcome), "{sql}");
    }
    for (n, (sql, outcome)) in table.iter().enumerate() {
        assert_eq!(ask(&other, &again(sql, id(client, n as u64))).as_ref(), Ok(outcome), "{sql}");
    }
    assert_eq!(number(&db, "SELECT count(*) FROM sqlite_schema WHERE name IN ('t', 'u', 'r')"), 0);
}

#[test]
fn an_id_that_comes_with_another_statement_is_refused() {
    let (db, other, _folder) = two_servers();
    let id = id(client(), 1);
    ask(&db, &first("DELETE FROM COLORS WHERE Name = 'Red'", id)).unwrap();
    for sql in ["DELETE FROM COLORS", "DELETE FROM COLORS WHERE Name = 'Red' ", "DELETE FROM nowhere"] {
        for server in [&db, &other] {
            let failure = ask(server, &again(sql, id)).unwrap_err();
            assert_eq!((failure.code, failure.definite), (ErrorCode::IdReused, true), "{sql}");
        }
    }
    assert_eq!(ask(&db, &first("DELETE FROM COLORS", id)).unwrap_err().code, ErrorCode::IdReused);
    assert_eq!(number(&db, "SELECT count(*) FROM COLORS"), 138);
}

#[test]
fn returned_rows_are_returned_again_to_the_byte() {
    let (db, other, _folder) = two_servers();
    let client = client();
    let table = [
        "INSERT INTO COLORS VALUES ('ä', x'00ff', 9e999) RETURNING *, random(), randomblob(8) AS \"two\nlines\"",
        "UPDATE COLORS SET HEX = HEX || hex(randomblob(3)) RETURNING HEX, rowid",
        "DELETE FROM COLORS WHERE Name = 'nobody' RETURNING Name",
    ];
    for (n, sql) in table.into_iter().enumerate() {
        let answer = ask(&db, &first(sql, id(client, n as u64))).unwrap();
        assert!(matches!(&answer, Outcome::Returned(returned) if returned.recorded), "{answer:?}");
        assert_eq!(ask(&other, &again(sql, id(client, n as u64))).unwrap(), answer);
        assert_eq!(ask(&db, &first(sql, id(client, n as u64))).unwrap(), answer);
    }
    assert_eq!(number(&db, "SELECT count(*) FROM COLORS"), 140);
}

#[test]
fn the_longest_outcome_that_is_returned_is_recorded_and_one_byte_more_is_not_carried_out() {
    let (db, other, folder) = two_servers();
    let client = client();
    changed(&db, "CREATE TABLE t (a)");
    // A line has a bracket and a quotation mark on each side, and its end.
    let sql = |length: usize| {
        format!("INSERT INTO t VALUES (hex(zeroblob({}))) RETURNING a, '{}'", length / 2, "x".repeat(length % 2))
    };
    let around = "[\"\",\"\"]\n".len();
    let fits = sql(MAX_RECORDED - around);
    let answer = ask(&db, &first(&fits, id(client, 1))).unwrap();
    assert!(matches!(&answer, Outcome::Returned(returned) if returned.lines.len() == MAX_RECORDED));
    assert_eq!(ask(&other, &again(&fits, id(client, 1))).unwrap(), answer);
    let too_long = format!("{}, '12'", sql(MAX_RECORDED - around));
    for server in [&db, &other] {
        assert_eq!(ask(server, &again(&too_long, id(client, 2))).unwrap_err().code, ErrorCode::TooLarge);
    }
    let titles = (0..2_000).map(|n| format!("a AS a_long_title_{n}")).collect::<Vec<_>>().join(",");
    let failure = ask(&db, &first(&format!("INSERT INTO t VALUES (1) RETURNING {titles}"), id(client, 3))).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::TooLarge, true));
    assert_eq!(number(&db, "SELECT count(*) FROM t"), 1, "what is told definite was not carried out");
    let quick = run(&db, "PRAGMA quick_check").map(|_| ());
    assert!(quick.is_ok(), "{quick:?}");
    assert_eq!(inside(&folder, "SELECT count(*) FROM lab_outcomes WHERE length(outcome) > 1048576"), 1);
}

#[test]
fn a_failure_is_an_outcome_and_stays_one_when_its_cause_is_gone() {
    let (db, other, _folder) = two_servers();
    let client = client();
    changed(&db, "CREATE TABLE p (a PRIMARY KEY)");
    changed(&db, "CREATE TABLE t (a UNIQUE, b NOT NULL, c REFERENCES p (a), CHECK (a < 100))");
    changed(&db, "INSERT INTO t VALUES (1, 1, NULL)");
    let table = [
        ("INSERT INTO t VALUES (2, 2, NULL), (1, 1, NULL)", "UNIQUE constraint failed: t.a."),
        ("INSERT OR FAIL INTO t VALUES (3, 3, NULL), (1, 1, NULL)", "UNIQUE constraint failed: t.a."),
        ("INSERT OR ROLLBACK INTO t VALUES (4, 4, NULL), (1, 1, NULL)", "UNIQUE constraint failed: t.a."),
        ("UPDATE t SET b = NULL", "NOT NULL constraint failed: t.b."),
        ("INSERT INTO t VALUES (1000, 1, NULL)", "CHECK constraint failed: a < 100."),
        ("INSERT INTO t VALUES (5, 5, 5) RETURNING a", "FOREIGN KEY constraint failed."),
        ("INSERT INTO t VALUES (6, abs(-9223372036854775808), NULL)", "Integer overflow."),
    ];
    let told: Vec<_> = table
        .iter()
        .enumerate()
        .map(|(n, (sql, words))| {
            let failure = ask(&db, &first(sql, id(client, n as u64))).unwrap_err();
            assert_eq!((failure.code, failure.definite, failure.message.as_str()), (ErrorCode::SqlError, true, *words));
            failure
        })
        .collect();
    assert_eq!(number(&db, "SELECT count(*) FROM t"), 1, "nothing of them is left");
    changed(&db, "DELETE FROM t");
    changed(&db, "INSERT INTO p VALUES (5)");
    for (n, (sql, _)) in table.iter().enumerate() {
        for server in [&db, &other] {
            assert_eq!(ask(server, &again(sql, id(client, n as u64))).unwrap_err(), told[n], "{sql}");
            assert_eq!(ask(server, &first(sql, id(client, n as u64))).unwrap_err(), told[n], "{sql}");
        }
    }
    assert_eq!(number(&db, "SELECT count(*) FROM t"), 0);
}

#[test]
fn a_constraint_that_is_checked_at_the_commit_fails_for_good_as_well() {
    let (db, other, _folder) = two_servers();
    changed(&db, "CREATE TABLE parent (a PRIMARY KEY)");
    changed(&db, "CREATE TABLE child (a REFERENCES parent (a) DEFERRABLE INITIALLY DEFERRED)");
    let (id, sql) = (id(client(), 1), "INSERT INTO child VALUES (7) RETURNING a");
    let failure = ask(&db, &first(sql, id)).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::SqlError, true), "{failure:?}");
    changed(&db, "INSERT INTO parent VALUES (7)");
    assert_eq!(ask(&other, &again(sql, id)).unwrap_err(), failure);
    assert_eq!(number(&db, "SELECT count(*) FROM child"), 0);
}

#[test]
fn a_repeat_that_cannot_be_compiled_here_binds_the_attempt_that_wakes_up_later() {
    let (db, other, _folder) = two_servers();
    let (id, sql) = (id(client(), 1), "INSERT INTO later VALUES (1)");
    let failure = ask(&db, &again(sql, id)).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::SqlError, true));
    changed(&db, "CREATE TABLE later (a)");
    assert_eq!(ask(&other, &first(sql, id)).unwrap_err(), failure, "the attempt that was stopped before it began");
    assert_eq!(number(&db, "SELECT count(*) FROM later"), 0);
}

#[test]
fn what_was_ended_from_outside_has_no_outcome_and_may_still_be_carried_out() {
    let (db, other, folder) = two_servers();
    let (client, endless) = (client(), format!("INSERT INTO COLORS {FOR_EVER} SELECT x, 1, 2 FROM c"));
    for (interrupt, repeated) in [(Interrupt::TimeLimit, false), (Interrupt::Gone, false), (Interrupt::TimeLimit, true)]
    {
        let statement = Statement { repeated, ..first(&endless, id(client, 1)) };
        let failure = db.run(&statement, &after(50, interrupt), &mut Sink::default()).unwrap_err().failure();
        assert_eq!(failure.definite, !repeated, "{failure:?}");
    }
    assert_eq!(inside(&folder, OUTCOMES), 0);
    let failure = ask(&other, &first("INSERT INTO COLORS VALUES (1, 2, 3)", id(client, 1)));
    assert_eq!(failure, Ok(Outcome::Changed { rows: 1 }), "nothing is known of the id");
}

#[test]
fn a_recorded_outcome_is_told_while_somebody_else_holds_the_lock_and_an_unknown_one_waits() {
    let (db, _, folder) = two_servers();
    let (client, sql) = (client(), "DELETE FROM COLORS WHERE Name = 'Red'");
    let answer = ask(&db, &first(sql, id(client, 1)));
    let stopped = rusqlite::Connection::open(folder.path().join("database.sqlite")).unwrap();
    stopped.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(ask(&db, &again(sql, id(client, 1))), answer);
    let waits = |repeated, interrupt| {
        let statement = Statement { repeated, ..first(sql, id(client, 2)) };
        db.run(&statement, &after(50, interrupt), &mut Sink::default()).unwrap_err().failure()
    };
    let failure = waits(false, Interrupt::TimeLimit);
    assert_eq!((failure.code, failure.definite), (ErrorCode::Timeout, true));
    assert!(failure.message.contains("write lock"), "{failure:?}");
    let failure = waits(true, Interrupt::TimeLimit);
    assert_eq!((failure.code, failure.definite), (ErrorCode::Timeout, false), "nobody has looked yet");
    assert_eq!(waits(false, Interrupt::Gone).code, ErrorCode::Cancelled);
    stopped.execute_batch("COMMIT").unwrap();
    assert_eq!(ask(&db, &again(sql, id(client, 2))), Ok(Outcome::Changed { rows: 0 }));
}

#[test]
fn reading_statements_and_those_without_an_id_leave_no_record() {
    let (db, _, folder) = two_servers();
    let id = id(client(), 1);
    for _ in 0..2 {
        assert_eq!(ask(&db, &again("SELECT 1", id)), Ok(Outcome::Rows { rows: 1 }));
        assert!(ask(&db, &again("SELECT abs(-9223372036854775808)", id)).unwrap_err().definite);
        let marked = Statement { read_only: true, ..again("DELETE FROM COLORS", id) };
        let failure = ask(&db, &marked).unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::Forbidden, true));
    }
    let none = first("INSERT INTO COLORS VALUES (1, 2, 3) RETURNING 1", RequestId::NONE);
    for _ in 0..2 {
        let outcome = ask(&db, &none).unwrap();
        assert!(matches!(&outcome, Outcome::Returned(returned) if !returned.recorded), "{outcome:?}");
    }
    assert_eq!(inside(&folder, OUTCOMES), 0);
    assert_eq!(number(&db, "SELECT count(*) FROM COLORS"), 141);
    assert_eq!(ask(&db, &again("DELETE FROM COLORS", id)), Ok(Outcome::Changed { rows: 141 }), "the id was still free");
    assert_eq!(ask(&db, &first("SELECT 1", id)), Ok(Outcome::Rows { rows: 1 }), "whoever reads needs no id");
}

#[test]
fn each_of_many_ids_is_carried_out_once_though_two_servers_get_it_at_the_same_moment() {
    const THREADS: u64 = 16;
    const EACH: u64 = 100;
    let (db, other, _folder) = two_servers();
    let servers = [db, other];
    changed(&servers[0], "CREATE TABLE t (client, n, place INTEGER PRIMARY KEY)");
    let seed = fastrand::u64(..);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let servers = &servers;
            scope.spawn(move || pair_of_clients(servers, thread, EACH, seed));
        }
    });
    assert_eq!(number(&servers[0], "SELECT count(*) FROM t"), (THREADS * EACH) as i64, "seed {seed}");
    assert_eq!(number(&servers[0], "SELECT count(*) FROM (SELECT DISTINCT client, n FROM t)"), (THREADS * EACH) as i64);
}

/// Sends each request to both servers at once.
fn pair_of_clients(servers: &[Sqlite; 2], thread: u64, requests: u64, seed: u64) {
    let (client, together) = (client(), Barrier::new(2));
    let mut random = fastrand::Rng::with_seed(seed ^ thread);
    let repeated: Vec<[bool; 2]> = (0..requests).map(|_| [random.bool(), random.bool()]).collect();
    let one = |which: usize| -> Vec<_> {
        let ask = |n: u64| {
            let sql = format!("INSERT INTO t (client, n) VALUES ({thread}, {n}) RETURNING n, place");
            let repeated = repeated[n as usize][which];
            let statement = Statement { repeated, low_water: n, ..first(&sql, id(client, n)) };
            together.wait();
            ask(&servers[which], &statement)
        };
        (0..requests).map(ask).collect()
    };
    let both = std::thread::scope(|scope| {
        let second = scope.spawn(|| one(1));
        [one(0), second.join().unwrap()]
    });
    for (n, (here, there)) in both[0].iter().zip(&both[1]).enumerate() {
        assert!(here.is_ok() && here == there, "seed {seed}, thread {thread}, request {n}: {here:?}, {there:?}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_never_taken_for_none() {
    let Fixture { db, folder } = fixture();
    let (id, sql) = (id(client(), 1), "DELETE FROM COLORS WHERE Name = 'Red'");
    ask(&db, &first(sql, id)).unwrap();
    inside(&folder, "UPDATE lab_outcomes SET outcome = 'moth-eaten' RETURNING 1");
    for statement in [first(sql, id), again(sql, id)] {
        let failure = ask(&db, &statement).unwrap_err();
        assert_eq!((failure.code, failure.definite), (ErrorCode::UnknownOutcome, false));
    }
    inside(&folder, "DELETE FROM lab_forgotten RETURNING 1");
    assert_eq!(ask(&db, &first(sql, id)).unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(number(&db, "SELECT count(*) FROM COLORS"), 138);
}
