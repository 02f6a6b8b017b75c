//! Statements, honest and hostile, against a MariaDB server.
//!
//! `LAB_MARIADB` says where one is (`user:password@host:port`, an administrator); without it one is looked for on this machine. Where there
//! is none, these tests say so and pass, unless `DATABASES=required`.

mod hostile;
mod identity;
mod once;
mod values;

use super::{setup, *};
use crate::sql::{Database, Interrupt, Statement, once::Refusal, remote::RemoteError};
use protocol::{
    database::{Account, Password, Tls},
    id::{IdSource, RequestId, draw_client_number},
    message::{ErrorCode, Failure, read_rows},
};
use std::{
    env,
    sync::{Arc, LazyLock},
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
    db: MySql,
    account: Account,
    admin: Account,
}

/// The administrator of the server that is tested with.
fn admin() -> Account {
    let text = env::var("LAB_MARIADB").unwrap_or_else(|_| "root:@127.0.0.1:3306".into());
    let (who, place) = text.rsplit_once('@').unwrap();
    let ((user, password), (host, port)) = (who.split_once(':').unwrap(), place.rsplit_once(':').unwrap());
    Account {
        host: host.into(),
        port: port.parse().unwrap(),
        database: "mysql".into(),
        user: user.into(),
        password: Password::new(password),
        tls: Tls::Disable,
    }
}

fn fixture() -> Option<Fixture> {
    let admin = admin();
    if let Err(trouble) = Session::open(&admin, None, &ByTime::after(LONG)) {
        let required = env::var_os("DATABASES").is_some_and(|wish| wish == "required");
        assert!(!required, "no MariaDB: {trouble:?}");
        let name = std::thread::current().name().unwrap_or("this").to_owned();
        protocol::output::show!("not tested here: {name} (no MariaDB at {}:{})", admin.host, admin.port);
        return None;
    }
    let name = format!("lab_test_{:016x}", fastrand::u64(..));
    let account =
        Account { database: name.clone(), user: name, password: Password::new("it's a \\ secret"), ..admin.clone() };
    setup::init(&account, &admin).unwrap();
    Some(Fixture { db: MySql::open(&account).unwrap(), account, admin })
}

impl Fixture {
    /// Asks as the administrator, in this database; `RECORDS` stands for that of the records.
    fn inside(&self, sql: &str) -> Vec<session::Row> {
        let sql = sql.replace("RECORDS", &format!("{}_records", self.account.database));
        setup::ask_as(&self.admin, Some(&self.account.database), &[&sql]).unwrap()
    }

    fn number(&self, sql: &str) -> i64 {
        number(&self.db, sql)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let (database, user) = (&self.account.database, &self.account.user);
        let all = [
            format!("DROP DATABASE IF EXISTS {database}"),
            format!("DROP DATABASE IF EXISTS {database}_records"),
            format!("DROP USER IF EXISTS {user}"),
        ];
        let gone = setup::ask_as(&self.admin, None, &all.each_ref().map(String::as_str));
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

fn ask(db: &MySql, statement: &Statement<'_>) -> Result<Outcome, Failure> {
    db.run(statement, &within(LONG, Interrupt::TimeLimit), &mut Sink::default()).map_err(|error| error.failure())
}

fn run(db: &MySql, sql: &str) -> Result<(Outcome, Sink), SqlError> {
    let mut sink = Sink::default();
    db.run(&statement(sql), &within(LONG, Interrupt::TimeLimit), &mut sink).map(|outcome| (outcome, sink))
}

fn changed(db: &MySql, sql: &str) -> u64 {
    match run(db, sql) {
        Ok((Outcome::Changed { rows }, _)) => rows,
        other => panic!("{sql}: {:?}", other.map(|(outcome, _)| outcome)),
    }
}

fn rows(db: &MySql, sql: &str) -> Vec<Vec<Value>> {
    match run(db, sql) {
        Ok((Outcome::Returned(returned), _)) => read_rows(returned.lines.as_bytes()).collect::<Result<_, _>>().unwrap(),
        Ok((Outcome::Rows { rows }, sink)) if rows == sink.rows.len() as u64 => sink.rows,
        other => panic!("{sql}: {:?}", other.map(|(outcome, _)| outcome)),
    }
}

fn number(db: &MySql, sql: &str) -> i64 {
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
    assert_eq!(sink.titles, ["Name", "HEX", "RGB"]);
    assert_eq!(sink.rows[0], ["White", "#FFFFFF", "rgb(100,100,100)"].map(text));
    assert_eq!(fixture.number("SELECT count(*) FROM MEASUREMENTS"), 100_000);
    // Once more, after the password was changed; what a class has made of the samples stays.
    changed(&fixture.db, "DELETE FROM COLORS WHERE Name <> 'White'");
    let account = Account { password: Password::new("another"), ..fixture.account.clone() };
    setup::init(&account, &fixture.admin).unwrap();
    let db = MySql::open(&account).unwrap();
    assert_eq!((number(&db, "SELECT count(*) FROM COLORS"), db.identity()), (1, fixture.db.identity()));
    assert_eq!(changed(&db, "DELETE FROM COLORS"), 1);
}

#[test]
fn what_is_printed_for_an_administrator_makes_a_database_ready() {
    let Some(admin) = fixture().map(|fixture| fixture.admin.clone()) else { return };
    let name = format!("lab_test_{:016x}", fastrand::u64(..));
    let account =
        Account { database: name.clone(), user: name, password: Password::new("it's a \\ secret"), ..admin.clone() };
    let script = setup::printed(&account).unwrap();
    let statements = script.strip_prefix("-- mysql -u root\nDELIMITER $$\n").unwrap();
    let statements: Vec<&str> = statements.strip_suffix("\n$$\nDELIMITER ;").unwrap().split("\n$$\n").collect();
    setup::ask_as(&admin, None, &statements).unwrap();
    let fixture = Fixture { db: MySql::open(&account).unwrap(), account, admin };
    fixture.inside("CREATE TABLE t (a int)");
    assert_eq!(changed(&fixture.db, "INSERT INTO t VALUES (1)"), 1);
}

#[test]
fn writes_are_committed_counted_and_seen_by_another_server() {
    let Some(fixture) = fixture() else { return };
    let other = MySql::open(&fixture.account).unwrap();
    assert_eq!(other.identity(), fixture.db.identity());
    assert_eq!(changed(&fixture.db, "INSERT INTO COLORS VALUES ('Sky', '#87CEEB', 'x')"), 1);
    assert_eq!(
        changed(&other, "UPDATE COLORS SET RGB = 'x' WHERE Name = 'Sky'"),
        1,
        "it was so already, and was found"
    );
    let returned = rows(&other, "DELETE FROM COLORS WHERE Name = 'Sky' RETURNING Name, RGB");
    assert_eq!(returned, [["Sky", "x"].map(text).to_vec()]);
    fixture.inside("CREATE TABLE t (a int)");
    assert_eq!(changed(&fixture.db, "INSERT INTO t SELECT seq FROM seq_1_to_1000"), 1000);
    assert_eq!(number(&other, "SELECT count(*) FROM t"), 1000);
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
    let sql = "SELECT seq, 'a row of the long answer' FROM seq_1_to_1000000";
    let outcome = fixture.db.run(&statement(sql), &within(LONG, Interrupt::TimeLimit), &mut count).unwrap();
    assert_eq!((outcome, count.0), (Outcome::Rows { rows: 1_000_000 }, 1_000_000));
}

#[test]
fn a_wrong_password_and_a_database_that_is_not_there_are_told() {
    let Some(fixture) = fixture() else { return };
    let said = |account: &Account| MySql::open(account).map(|_| ()).unwrap_err().to_string();
    let account = Account { password: Password::new("wrong"), ..fixture.account.clone() };
    let error = said(&account);
    assert!(error.contains("refused the login: Access denied"), "{error}");
    let error = said(&fixture.admin);
    assert!(error.contains("`server init-database` does that"), "{error}");
    let error: Result<_, RemoteError> = setup::init(&fixture.account, &fixture.account);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("Access denied"), "{error}");
}
