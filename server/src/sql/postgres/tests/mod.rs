//! Statements, honest and hostile, against a PostgreSQL server.
//!
//! `LAB_POSTGRES` says where one is (`user:password@host:port`); without it one is looked for on this machine. Where there is none,
//! these tests say so and pass, unless `DATABASES=required`.

mod at_commit;
mod hostile;
mod identity;
mod once;
mod opening;
mod values;

use super::{setup, *};
use crate::sql::{Database, Interrupt, Statement, once::Refusal};
use protocol::{
    database::{Account, Password, Tls},
    id::{IdSource, RequestId, draw_client_number},
    message::{ErrorCode, Failure, read_rows},
};
use std::{
    env,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant, SystemTime},
};

/// How long anything may take before a test has failed.
const LONG: Duration = Duration::from_secs(60);

/// Keeps what comes.
#[derive(Default)]
struct Sink {
    titles: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl RowSink for Sink {
    fn columns(&mut self, titles: &[String]) -> Result<(), SqlError> {
        self.titles = titles.to_vec();
        Ok(())
    }

    fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
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

fn within(time: Duration, interrupt: Interrupt) -> Arc<dyn Watch> {
    Arc::new(Until(Instant::now() + time, interrupt))
}

/// A database of its own, dropped at the end.
struct Fixture {
    db: Postgres,
    account: Account,
    admin: Account,
}

/// The superuser of the server that is tested with.
fn admin() -> Account {
    let text = env::var("LAB_POSTGRES").unwrap_or_else(|_| "postgres:postgres@127.0.0.1:5432".into());
    let (who, place) = text.rsplit_once('@').unwrap();
    let ((user, password), (host, port)) = (who.split_once(':').unwrap(), place.rsplit_once(':').unwrap());
    Account {
        host: host.into(),
        port: port.parse().unwrap(),
        database: "postgres".into(),
        user: user.into(),
        password: Password::new(password),
        tls: Tls::Disable,
    }
}

/// The server is asked by one fixture at a time to make a database: all are copies of one template.
static MAKING: Mutex<()> = Mutex::new(());

fn fixture() -> Option<Fixture> {
    let admin = admin();
    if let Err(trouble) = Session::open(&admin, &ByTime::after(LONG)) {
        let required = env::var_os("DATABASES").is_some_and(|wish| wish == "required");
        assert!(!required, "no PostgreSQL: {trouble:?}");
        let name = std::thread::current().name().unwrap_or("this").to_owned();
        protocol::output::show!("not tested here: {name} (no PostgreSQL at {}:{})", admin.host, admin.port);
        return None;
    }
    let name = format!("lab_test_{:016x}", fastrand::u64(..));
    let account =
        Account { database: name.clone(), user: name, password: Password::new("it's a \\ secret"), ..admin.clone() };
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

/// A statement under an id that nobody else has.
fn statement(sql: &str) -> Statement<'_> {
    static IDS: LazyLock<IdSource> = LazyLock::new(|| IdSource::new(draw_client_number(SystemTime::now())));
    Statement { sql, request: IDS.next(), read_only: false, repeated: false, low_water: 0 }
}

fn id(client: u64, sequence: u64) -> RequestId {
    RequestId { client, sequence }
}

fn client() -> u64 {
    draw_client_number(SystemTime::now())
}

fn first(sql: &str, request: RequestId) -> Statement<'_> {
    Statement { request, ..statement(sql) }
}

fn again(sql: &str, request: RequestId) -> Statement<'_> {
    Statement { repeated: true, ..first(sql, request) }
}

fn ask(db: &Postgres, statement: &Statement<'_>) -> Result<Outcome, Failure> {
    db.run(statement, &within(LONG, Interrupt::TimeLimit), &mut Sink::default()).map_err(|error| error.failure())
}

fn run(db: &Postgres, sql: &str) -> Result<(Outcome, Sink), SqlError> {
    let mut sink = Sink::default();
    db.run(&statement(sql), &within(LONG, Interrupt::TimeLimit), &mut sink).map(|outcome| (outcome, sink))
}

fn changed(db: &Postgres, sql: &str) -> u64 {
    match run(db, sql) {
        Ok((Outcome::Changed { rows }, _)) => rows,
        other => panic!("{sql}: {:?}", other.map(|(outcome, _)| outcome)),
    }
}

fn rows(db: &Postgres, sql: &str) -> Vec<Vec<Value>> {
    match run(db, sql) {
        Ok((Outcome::Returned(returned), _)) => read_rows(returned.lines.as_bytes()).collect::<Result<_, _>>().unwrap(),
        Ok((Outcome::Rows { rows }, sink)) if rows == sink.rows.len() as u64 => sink.rows,
        other => panic!("{sql}: {:?}", other.map(|(outcome, _)| outcome)),
    }
}

fn number(db: &Postgres, sql: &str) -> i64 {
    match rows(db, sql).first().map(Vec::as_slice) {
        Some([Value::Integer(number)]) => *number,
        other => panic!("{sql}: {other:?}"),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
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

#[test]
fn a_million_rows_stream() {
    let Some(fixture) = fixture() else { return };
    struct Count(u64);
    impl RowSink for Count {
        fn columns(&mut self, _: &[String]) -> Result<(), SqlError> {
            Ok(())
        }
        fn row(&mut self, row: &[Value]) -> Result<(), SqlError> {
            self.0 += 1;
            assert_eq!(row, [Value::Integer(self.0 as i64), text("a row of the long answer")]);
            Ok(())
        }
    }
    let mut count = Count(0);
    let sql = "SELECT i, 'a row of the long answer' FROM generate_series(1, 1000000) AS i";
    let outcome = fixture.db.run(&statement(sql), &within(LONG, Interrupt::TimeLimit), &mut count).unwrap();
    assert_eq!((outcome, count.0), (Outcome::Rows { rows: 1_000_000 }, 1_000_000));
}
