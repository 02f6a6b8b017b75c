//! What only PostgreSQL can do to a replica.

use super::{On, Status, ask, ids, schema, state, student, write};
use crate::{
    service::{
        fixture::{Fixture, LONG},
        shard::store::Store,
    },
    sql::{
        Own, SqlError,
        kit::remote::{administrator, if_there},
    },
};
use protocol::{
    database::{Account, DatabaseConfig},
    http::{
        Method,
        client::{Ask, Client},
    },
    value::Value,
};
use serde_json::{Value as Json, json};
use std::{ops::ControlFlow, path::Path};

/// A database of its own, dropped at the end.
pub(super) struct Made {
    pub(super) account: Account,
    admin: Account,
}

impl Made {
    pub(super) fn new() -> Option<Self> {
        let admin = administrator("LAB_POSTGRES", "postgres:postgres@127.0.0.1:5432", "postgres");
        let database = format!("lab_shards_{:016x}", fastrand::u64(..));
        if_there("PostgreSQL", &admin, run(&admin, &format!("CREATE DATABASE {database}")))?;
        Some(Self { account: Account { database, ..admin.clone() }, admin })
    }

    /// Does this in the database.
    fn run(&self, sql: &str) {
        run(&self.account, sql).unwrap();
    }

    /// Asks for a number there.
    pub(super) fn number(&self, sql: &str) -> usize {
        let mut number = None;
        Own::open(&self.account, LONG)
            .unwrap()
            .query(sql, &[], &mut |row| {
                number = Some(row);
                ControlFlow::Continue(())
            })
            .unwrap();
        let Some([Value::Integer(number)]) = number.as_deref() else { panic!("{sql}: {number:?}") };
        usize::try_from(*number).unwrap()
    }

    /// Breaks all connections.
    fn break_all(&self) {
        let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(self.number(&format!("SELECT count(pg_terminate_backend(pid, 10000)) {others}")) > 0);
    }

    fn open(&self, account: &Account, mark: &Path) -> Result<Store, String> {
        Store::open("0", mark, Some(&DatabaseConfig::Postgres(account.clone()))).map_err(|error| error.to_string())
    }
}

fn run(account: &Account, sql: &str) -> Result<(), SqlError> {
    let mut own = Own::open(account, LONG)?;
    own.queue(sql, &[&[]])?;
    own.run().map(drop)
}

impl Drop for Made {
    fn drop(&mut self) {
        let gone = run(&self.admin, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.account.database));
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

/// What each engine does with the same calls: the answers, and the rows at the end.
fn answers(on: &On, calls: &[(Method, &str, Json)]) -> Vec<(Status, String)> {
    let server: Fixture = on.start("0", |_| {});
    calls.iter().map(|(method, path, body)| ask(&server, method.clone(), path, body)).collect()
}

/// Also what is odd: the least and greatest numbers, text that looks like one, a NUL, names that PostgreSQL keeps for itself.
#[test]
fn both_engines_answer_the_same_to_the_byte() {
    let Some(postgres) = On::postgres() else { return };
    let long = "x".repeat(64);
    let columns = ["Stud_id", "xmin", &long, "Value", "a.b-c"];
    let schema = json!({ "columns": columns, "dtypes": ["Number", "String", "String", "String", "Number"] });
    let mut seq = 0;
    let mut change = |mut body: Json| {
        seq += 1;
        (body["shard"], body["seq"]) = (json!("sh1"), json!(seq));
        body
    };
    let row = |id: i64, value: Json, number: Json| {
        let mut row = json!({ "Stud_id": id, "xmin": "a", "Value": value, "a.b-c": number });
        row[&long] = json!("b");
        row
    };
    let values = [
        (json!("27"), json!(27)),
        (json!(27), json!(-27)),
        (json!("\u{0}\u{1}\"\\'\u{1F600} \u{fffd}"), json!(0.1)),
        (json!(""), json!(1e300)),
        (json!(" null "), json!(5e-324)),
        (json!(i64::MIN), json!(i64::MAX)),
        (json!("null"), json!(1.0)),
        (json!("x".repeat(100_000)), json!(123_456_789.123_456_78)),
        (json!(-0.0), json!(0)),
        (json!(2.5e10), json!(1e22)),
    ];
    let rows: Vec<Json> =
        values.iter().zip(0..).map(|((text, number), id)| row(id, text.clone(), number.clone())).collect();
    let all = json!({ "shard": "sh1", "Stud_id": { "low": i64::MIN, "high": i64::MAX } });
    let mut calls = vec![
        (Method::Post, "/config", json!({ "schema": schema, "shards": ["sh1", "sh2"] })),
        (Method::Post, "/write", change(json!({ "data": rows }))),
        (
            Method::Post,
            "/write",
            change(json!({ "data": [row(i64::MIN, json!("low"), json!(1)), row(i64::MAX, json!("high"), json!(1))] })),
        ),
        (Method::Post, "/write", change(json!({ "data": [row(100, json!(1), json!(1)), row(4, json!(1), json!(1))] }))),
        (Method::Put, "/update", change(json!({ "Stud_id": 3, "data": { "xmin": "\u{0}", "Value": 7 } }))),
        (Method::Put, "/update", change(json!({ "Stud_id": 77, "data": { "xmin": 1 } }))),
        (Method::Delete, "/del", change(json!({ "Stud_id": 4 }))),
        (Method::Delete, "/del", change(json!({ "Stud_id": 4 }))),
        (Method::Post, "/write", json!({ "shard": "a\u{0}b", "data": [] })),
        (Method::Post, "/read", json!({ "shard": "sh\u{0}1", "Stud_id": { "low": 1, "high": 1 } })),
        (Method::Get, "/state", json!({})),
        (Method::Post, "/read", all),
        (Method::Get, "/copy", json!({ "shards": ["sh2", "sh1"] })),
    ];
    let many: Vec<Json> = (1_000..3_000).map(|id| row(id, json!(id), json!(id))).collect();
    calls.insert(3, (Method::Post, "/write", change(json!({ "data": many }))));
    let (one, other) = (answers(&On::sqlite(), &calls), answers(&postgres, &calls));
    for ((call, sqlite), postgres) in calls.iter().zip(&one).zip(&other) {
        assert!(sqlite == postgres, "{} {}: {sqlite:.300?} {postgres:.300?}", call.0, call.1);
        assert!(sqlite.0 != Status::INTERNAL_SERVER_ERROR, "{} {}: {sqlite:.300?}", call.0, call.1);
    }
}

/// Whoever was connected may lose that at any moment; the next call is answered as if nothing had been.
#[test]
fn a_replica_connects_again_when_its_connections_were_broken() {
    let Some(on) = On::postgres() else { return };
    let server = on.replica("0", &["sh1", "sh2"]);
    write(&server, "sh1", Some(1), 1..=3);
    on.made().unwrap().break_all();
    assert_eq!(ids(&server, "sh1", 0, 9), [1, 2, 3]);
    assert_eq!(write(&server, "sh1", Some(2), [4]).0, Status::OK);
    let fill = super::SlowFill::begin(&server, &super::begun_copy("sh2", 0..1_500));
    super::until_scratch(&on, &server, 1);
    // Between two of its transactions: one that is broken in the middle of one has failed.
    let until = std::time::Instant::now() + LONG;
    while on.made().unwrap().number("SELECT count(*) FROM shards_0.shard_3") < 1_000 {
        assert!(std::time::Instant::now() < until, "the first thousand rows are not there");
    }
    on.made().unwrap().break_all();
    assert_eq!(write(&server, "sh1", Some(3), [5]).0, Status::OK, "also during a fill");
    assert!(fill.end(r#"],"seq":{"sh2":4},"status":"success"}"#).contains(r#""sh2":{"rows":1500,"seq":4}"#));
    assert_eq!((state(&server)["sh1"], ids(&server, "sh1", 0, 9)), ((3, 5), vec![1, 2, 3, 4, 5]));
}

/// The connection breaks in the middle of a change: nothing is said of its number, and asked again it is carried out, once.
#[test]
fn a_change_whose_connection_breaks_says_nothing_of_its_number() {
    let Some(on) = On::postgres() else { return };
    let (server, made) = (on.replica("0", &["sh1"]), on.made().unwrap());
    write(&server, "sh1", Some(1), [1]);
    let mut locker = Own::open(&made.account, LONG).unwrap();
    locker.queue("BEGIN", &[&[]]).unwrap();
    locker.queue("LOCK TABLE shards_0.shard_1", &[&[]]).unwrap();
    locker.run().unwrap();
    let body = json!({ "shard": "sh1", "seq": 2, "data": [student(2)] });
    let change = || {
        let mut client = Client::connect(server.running.address(), LONG).unwrap();
        let reply = client.ask(&Ask::post("/write").json(&body).unwrap(), LONG).unwrap();
        (reply.status, reply.headers.get("shard-seq").map(str::to_owned))
    };
    std::thread::scope(|scope| {
        let broken = scope.spawn(change);
        let waits = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while !broken.is_finished()
            && made.number(&format!("SELECT count(pg_terminate_backend(pid, 10000)) {waits}")) == 0
        {}
        assert_eq!(broken.join().unwrap(), (Status::INTERNAL_SERVER_ERROR, None));
    });
    drop(locker);
    assert_eq!(change(), (Status::OK, Some("2".into())));
    assert_eq!(change(), (Status::OK, Some("2".into())));
    assert_eq!((state(&server)["sh1"], ids(&server, "sh1", 0, 9)), ((2, 2), vec![1, 2]));
}

/// A server that is gone without a word has its lock until PostgreSQL finds its connection closed; one that lives keeps it.
#[test]
fn a_schema_has_one_server_at_a_time() {
    let Some(on) = On::postgres() else { return };
    let made = on.made().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("shards.sqlite");
    let first = made.open(&made.account, &mark).unwrap();
    let said = made.open(&made.account, &mark).err().unwrap();
    assert!(said.contains("another server has the schema shards_0"), "{said}");
    drop(first);
    made.open(&made.account, &mark).unwrap();
}

/// As with files: who removes the folder begins anew, and nobody finds the rows of an earlier table, or of another one.
#[test]
fn a_schema_belongs_to_the_place_of_its_mark() {
    let Some(on) = On::postgres() else { return };
    let made = on.made().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mark, other) = (folder.path().join("0.sqlite"), folder.path().join("other.sqlite"));
    let shards = ["sh1".to_owned()];
    let schema = serde_json::from_value(schema()).unwrap();
    let rows = |store: &Store| store.state().unwrap().shards.values().map(|at| at.rows).sum::<u64>();
    let fill = json!({ "sh1": [student(1)], "seq": { "sh1": 1 }, "status": "success" }).to_string();
    let store = made.open(&made.account, &mark).unwrap();
    store.configure(&schema, &shards).unwrap();
    store.fill(fill.as_bytes()).unwrap();
    drop(store);
    assert_eq!(rows(&made.open(&made.account, &mark).unwrap()), 1, "its mark is there");
    let said = made.open(&made.account, &other).err().unwrap();
    assert!(said.contains("a server in another place") && said.contains("DROP SCHEMA \"shards_0\" CASCADE"), "{said}");
    std::fs::copy(&mark, folder.path().join("kept")).unwrap();
    std::fs::remove_file(&mark).unwrap();
    assert_eq!(rows(&made.open(&made.account, &mark).unwrap()), 0, "its mark was removed");
    std::fs::copy(folder.path().join("kept"), &mark).unwrap();
    assert!(made.open(&made.account, &mark).err().unwrap().contains("another place"), "the mark of an earlier one");
    std::fs::write(&mark, "SQLite format 3").unwrap();
    assert!(made.open(&made.account, &mark).err().unwrap().contains("start without --shard-database"));
}

/// The database is empty for a while (another cluster, a restore that takes time): what comes back still belongs to the mark.
#[test]
fn a_schema_that_was_away_fits_when_it_is_back() {
    let Some(on) = On::postgres() else { return };
    let made = on.made().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("0.sqlite");
    let schema = serde_json::from_value(schema()).unwrap();
    let rows = |store: &Store| store.state().unwrap().shards.values().map(|at| at.rows).collect::<Vec<_>>();
    let store = made.open(&made.account, &mark).unwrap();
    store.configure(&schema, &["sh1".to_owned()]).unwrap();
    store
        .fill(json!({ "sh1": [student(1)], "seq": { "sh1": 1 }, "status": "success" }).to_string().as_bytes())
        .unwrap();
    drop(store);
    let kept = std::fs::read(&mark).unwrap();
    made.run("ALTER SCHEMA shards_0 RENAME TO away");
    for _ in 0..2 {
        assert!(rows(&made.open(&made.account, &mark).unwrap()).is_empty(), "an empty one, each time");
        assert_eq!(std::fs::read(&mark).unwrap(), kept);
    }
    made.run("DROP SCHEMA shards_0 CASCADE");
    made.run("ALTER SCHEMA away RENAME TO shards_0");
    assert_eq!(rows(&made.open(&made.account, &mark).unwrap()), [1]);
}

#[test]
fn a_right_that_is_missing_is_named_with_what_grants_it() {
    let Some(on) = On::postgres() else { return };
    let made = on.made().unwrap();
    let user = made.account.database.clone();
    made.run(&format!("CREATE ROLE {user} LOGIN PASSWORD 'x'"));
    let file = json!({
        "engine": "postgres", "host": made.account.host, "port": made.account.port, "database": user, "user": user, "password": "x",
    });
    let config = DatabaseConfig::parse(file.to_string().as_bytes(), Path::new("/database.json")).unwrap();
    let DatabaseConfig::Postgres(account) = config else { panic!() };
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("0.sqlite");
    let said = made.open(&account, &mark).err().unwrap();
    let grant = format!("CREATE SCHEMA \"shards_0\" AUTHORIZATION \"{user}\"");
    assert!(said.contains("GRANT CREATE ON DATABASE") && said.contains(&grant), "{said}");
    made.run(&grant);
    let opened = made.open(&account, &mark).map(drop);
    made.run(&format!("DROP OWNED BY {user}"));
    made.run(&format!("DROP ROLE {user}"));
    assert_eq!(opened, Ok(()));
}
