//! Statements, honest and hostile, against a MariaDB server.
//!
//! `LAB_MARIADB` says where one is (`user:password@host:port`, an administrator); without it one is looked for on this machine. Where there
//! is none, these tests say so and pass, unless `DATABASES=required`.

mod hostile;
mod identity;
mod once;
mod values;

use super::{setup, *};
use crate::sql::{
    Database, Interrupt, Statement,
    kit::{remote::*, *},
    remote::RemoteError,
};
use protocol::{
    database::{Account, Password},
    id::draw_client_number,
    message::ErrorCode,
};
use std::time::{Duration, Instant, SystemTime};

/// A database of its own, dropped at the end.
struct Fixture {
    db: MySql,
    account: Account,
    admin: Account,
}

/// The administrator of the server that is tested with.
fn admin() -> Account {
    administrator("LAB_MARIADB", "root:@127.0.0.1:3306", "mysql")
}

fn fixture() -> Option<Fixture> {
    let admin = admin();
    if_there("MariaDB", &admin, Session::open(&admin, None, &ByTime::after(LONG)).map(drop))?;
    let account = temporary(&admin);
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
    let account = temporary(&admin);
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
    assert_a_million_rows_stream(&fixture.db, "SELECT seq, 'a row of the long answer' FROM seq_1_to_1000000");
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
