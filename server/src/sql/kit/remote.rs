//! What the tests of the engines on servers of their own do alike: finding a server, databases of their own there, and
//! what must hold for each of these engines.

use crate::sql::{
    Database, Interrupt, Outcome, RowSink, SqlError, Statement, Watch,
    kit::{again, ask, client, first, id, number, patient, statement, text},
};
use parking_lot::Mutex;
use protocol::{
    database::{Account, Password, Tls},
    message::ErrorCode,
    value::Value,
};
use std::{env, fmt::Debug, thread};

/// The administrator of the server that is tested with: as `variable` says (`user:password@host:port`), or `usual`.
pub(crate) fn administrator(variable: &str, usual: &str, database: &str) -> Account {
    let text = env::var(variable).unwrap_or_else(|_| usual.into());
    let (who, place) = text.rsplit_once('@').unwrap();
    let ((user, password), (host, port)) = (who.split_once(':').unwrap(), place.rsplit_once(':').unwrap());
    Account {
        host: host.into(),
        port: port.parse().unwrap(),
        database: database.into(),
        user: user.into(),
        password: Password::new(password),
        tls: Tls::Disable,
    }
}

/// What this server gave, if it is there. If not, the test says that it was not done, and has failed if servers are required.
pub(crate) fn if_there<T, E: Debug>(engine: &str, admin: &Account, tried: Result<T, E>) -> Option<T> {
    let why = match tried {
        Ok(there) => return Some(there),
        Err(why) => why,
    };
    let required = env::var_os("DATABASES").is_some_and(|wish| wish == "required");
    assert!(!required, "no {engine}: {why:?}");
    let name = thread::current().name().unwrap_or("this").to_owned();
    protocol::output::show!("not tested here: {name} (no {engine} at {}:{}: {why:?})", admin.host, admin.port);
    None
}

/// An account for a database that nobody else has, and of the same name.
pub(crate) fn temporary(admin: &Account) -> Account {
    let name = format!("lab_test_{:016x}", fastrand::u64(..));
    Account { database: name.clone(), user: name, password: Password::new("it's a \\ secret"), ..admin.clone() }
}

/// Lets a question wait until it is given up: somebody's session holds the table that it reads, and ends when the question's time
/// is over.
pub(crate) struct UntilGivenUp<S>(Mutex<Option<S>>);

impl<S: Send> UntilGivenUp<S> {
    /// While this session holds the table.
    pub(crate) fn held_by(session: S) -> Self {
        Self(Mutex::new(Some(session)))
    }

    /// Whether that was so.
    pub(crate) fn was_given_up(&self) -> bool {
        self.0.lock().is_none()
    }
}

impl<S: Send> Watch for UntilGivenUp<S> {
    fn interrupted(&self) -> Option<Interrupt> {
        drop(self.0.lock().take());
        Some(Interrupt::TimeLimit)
    }
}

/// Each of many ids is carried out once though two servers get it at the same moment. There is a table `n` of two numbers, which is
/// empty.
pub(crate) fn assert_each_id_is_carried_out_once(servers: [&dyn Database; 2]) {
    thread::scope(|scope| {
        for thread in 0..8u64 {
            let client = client();
            for server in servers {
                scope.spawn(move || {
                    for n in 1..=50 {
                        let sql = format!("INSERT INTO n VALUES ({thread}, {n})");
                        let statement = Statement { low_water: n, ..again(&sql, id(client, n)) };
                        let outcome = ask(server, &statement);
                        let settled = matches!(&outcome, Err(failure) if failure.code == ErrorCode::Expired);
                        assert!(outcome == Ok(Outcome::Changed { rows: 1 }) || settled, "{outcome:?}");
                    }
                });
            }
        }
    });
    assert_eq!(number(servers[0], "SELECT count(*) FROM n"), 400);
    assert_eq!(number(servers[0], "SELECT count(*) FROM (SELECT DISTINCT client, n FROM n) AS d"), 400);
}

/// A million rows stream. `sql` counts to a million, and says `a row of the long answer` beside each number.
pub(crate) fn assert_a_million_rows_stream(db: &dyn Database, sql: &str) {
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
    let outcome = db.run(&statement(sql), &patient(), &mut count).unwrap();
    assert_eq!((outcome, count.0), (Outcome::Rows { rows: 1_000_000 }, 1_000_000));
}

/// A write that is asked for again is not carried out again. `sql` inserts one colour called Sky, and returns it with something random.
pub(crate) fn assert_a_write_is_not_carried_out_again(servers: [&dyn Database; 2], sql: &str) {
    let (db, client) = (servers[0], client());
    let answer = ask(db, &first(sql, id(client, 1)));
    assert!(
        matches!(&answer, Ok(Outcome::Returned(returned)) if returned.rows == 1 && returned.recorded),
        "{answer:?}"
    );
    for server in servers {
        assert_eq!(ask(server, &again(sql, id(client, 1))), answer, "marked");
        assert_eq!(ask(server, &first(sql, id(client, 1))), answer, "or not");
    }
    assert_eq!(number(db, "SELECT count(*) FROM COLORS WHERE Name = 'Sky'"), 1);
    let failure = ask(db, &again("DELETE FROM COLORS", id(client, 1))).unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::IdReused, true));
}
