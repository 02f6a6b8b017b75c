//! Statements, honest and hostile, against a PostgreSQL server.
//!
//! `LAB_POSTGRES` says where one is (`user:password@host:port`); without it one is looked for on this machine. Where there is none,
//! these tests say so and pass, unless `DATABASES=required`.

mod at_commit;
mod fallen_silent;
mod held;
mod hostile;
mod identity;
mod once;
mod opening;
mod values;

use super::{setup, *};
use crate::sql::{
    Database, Interrupt, Statement,
    kit::{remote::*, *},
};
use protocol::{
    database::{Account, Tls},
    id::draw_client_number,
    message::ErrorCode,
};
use std::{
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

/// A database of its own, dropped at the end.
struct Fixture {
    db: Postgres,
    account: Account,
    admin: Account,
}

/// The superuser of the server that is tested with.
fn admin() -> Account {
    administrator("LAB_POSTGRES", "postgres:postgres@127.0.0.1:5432", "postgres")
}

/// The server is asked by one fixture at a time to make a database: all are copies of one template.
static MAKING: Mutex<()> = Mutex::new(());

fn fixture() -> Option<Fixture> {
    let admin = admin();
    if_there("PostgreSQL", &admin, Session::open(&admin, &ByTime::after(LONG)).map(drop))?;
    let account = temporary(&admin);
    let _alone = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    setup::init(&account, &admin).unwrap();
    Some(Fixture { db: Postgres::open(&account).unwrap(), account, admin })
}

impl Fixture {
    /// Asks as the superuser, in this database.
    fn inside(&self, sql: &str) -> Vec<records::Row> {
        let there = Account { database: self.account.database.clone(), ..self.admin.clone() };
        setup::ask_as(&there, sql).unwrap()
    }

    fn number(&self, sql: &str) -> i64 {
        number(&self.db, sql)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let drop = |sql: String| setup::ask_as(&self.admin, &sql);
        let (database, user) = (&self.account.database, &self.account.user);
        let gone = drop(format!("DROP DATABASE IF EXISTS \"{database}\" WITH (FORCE)"));
        let gone = gone.and_then(|_| drop(format!("DROP ROLE IF EXISTS \"{user}\"")));
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

#[test]
fn the_sample_of_the_course_and_one_of_100_000_rows() {
    let Some(fixture) = fixture() else { return };
    let (_, sink) = run(&fixture.db, "SELECT * FROM COLORS LIMIT 3;").unwrap();
    assert_eq!(sink.titles, ["name", "hex", "rgb"], "PostgreSQL folds names");
    assert_eq!(sink.rows[0], ["White", "#FFFFFF", "rgb(100,100,100)"].map(text));
    assert_eq!(fixture.number("SELECT count(*) FROM MEASUREMENTS"), 100_000);
}

#[test]
fn writes_are_committed_counted_and_seen_by_another_server() {
    let Some(fixture) = fixture() else { return };
    let other = Postgres::open(&fixture.account).unwrap();
    assert_eq!(other.identity(), fixture.db.identity());
    assert_eq!(changed(&fixture.db, "INSERT INTO COLORS VALUES ('Sky', '#87CEEB', 'x')"), 1);
    assert_eq!(number(&other, "SELECT count(*) FROM COLORS WHERE Name = 'Sky'"), 1);
    let returned = rows(&other, "UPDATE COLORS SET HEX = 'y' WHERE Name = 'Sky' RETURNING Name, HEX");
    assert_eq!(returned, [["Sky", "y"].map(text).to_vec()]);
    assert_eq!(changed(&other, "DELETE FROM COLORS WHERE Name = 'Sky'"), 1);
    assert_eq!(changed(&other, "CREATE TABLE t (a int)"), 0);
    assert_eq!(changed(&fixture.db, "INSERT INTO t SELECT generate_series(1, 1000)"), 1000);
}

/// Where it comes to write behind its first rows, what was handed on cannot be taken back.
#[test]
fn an_answer_is_that_of_a_read_or_that_of_a_write_and_never_of_both() {
    let Some(fixture) = fixture() else { return };
    let db = &fixture.db;
    changed(db, "CREATE TABLE t (a int)");
    changed(
        db,
        "CREATE FUNCTION f(i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (i); RETURN i; END'",
    );
    let (outcome, sink) = run(db, "SELECT f(1)").unwrap();
    assert!(matches!(&outcome, Outcome::Returned(returned) if returned.rows == 1), "{outcome:?}");
    assert!(sink.titles.is_empty(), "the titles of what returned nothing were handed on");
    let mut sink = Sink::default();
    let sql = "SELECT CASE WHEN i > 2 THEN f(i) END FROM generate_series(1, 5) AS i";
    let answer = db.run(&statement(sql), &patient(), &mut sink).map_err(|error| error.failure());
    assert!(matches!(&answer, Err(failure) if failure.code == ErrorCode::Forbidden && failure.definite), "{answer:?}");
    assert_eq!((sink.rows.len(), fixture.number("SELECT count(*) FROM t")), (2, 1));
}

#[test]
fn a_million_rows_stream() {
    let Some(fixture) = fixture() else { return };
    assert_a_million_rows_stream(
        &fixture.db,
        "SELECT i, 'a row of the long answer' FROM generate_series(1, 1000000) AS i",
    );
}
