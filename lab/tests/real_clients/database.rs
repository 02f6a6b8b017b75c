//! The laboratory on databases of its own: the same answers on SQLite, PostgreSQL and MariaDB, and no write lost or doubled when
//! servers are killed and the database is restarted.

use crate::{
    kit::{Answer, Asking, LONG, Lab, World, peak_resident},
    mysql::{self, MariaDb},
    postgres::{self, Postgres},
    programs::are_here,
    scenario::SCENARIO,
};
use protocol::value::Value;
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

/// A folder whose servers share a database of this PostgreSQL, made ready by `server init-database`.
pub fn world(postgres: &Postgres) -> World {
    world_on("postgres", postgres.address)
}

pub fn world_on(engine: &str, address: SocketAddr) -> World {
    let world = World::new();
    let port = address.port();
    let config = format!(
        r#"{{"engine": "{engine}", "port": {port}, "database": "lab", "user": "lab_server", "password": "x"}}"#
    );
    std::fs::write(world.path("database.json"), config).unwrap();
    make_ready(world)
}

fn make_ready(world: World) -> World {
    let output = world.command(&["server", "init-database"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    world
}

/// A database that can be crashed.
trait Engine {
    fn world(&self) -> World;

    fn crash_and_start_again(&mut self);

    /// Carries a CREATE or a DROP out, as who may do it with this engine. `false`: a client may.
    fn define(&self, sql: &str) -> bool;
}

impl Engine for Postgres {
    fn world(&self) -> World {
        world(self)
    }

    fn crash_and_start_again(&mut self) {
        self.crash();
        self.start_again();
    }

    fn define(&self, _: &str) -> bool {
        false
    }
}

impl Engine for MariaDb {
    fn world(&self) -> World {
        world_on("mariadb", self.address)
    }

    fn crash_and_start_again(&mut self) {
        self.crash();
        self.start_again();
    }

    fn define(&self, sql: &str) -> bool {
        self.ask("lab", sql);
        true
    }
}

/// Answers one step of the scenario as it is written there.
fn step(asking: &mut Asking, engine: Option<&dyn Engine>, sql: &str) -> String {
    let defines = ["CREATE", "DROP"].iter().any(|verb| sql.starts_with(verb));
    if defines && engine.is_some_and(|engine| engine.define(sql)) {
        return "0 changed".into();
    }
    match asking.query(sql) {
        Answer::Rows { rows, .. } => {
            let line = |row: &Vec<Value>| row.iter().map(shown).collect::<Vec<_>>().join("|");
            rows.iter().map(line).collect::<Vec<_>>().join(" / ")
        }
        Answer::Changed { rows, .. } => format!("{rows} changed"),
        Answer::Failed(failure) => format!("{:?}{}", failure.code, if failure.definite { "" } else { ", unsure" }),
        Answer::File { .. } => panic!("a file"),
    }
}

/// With a mark of its type where text could be taken for it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => format!("'{text}'"),
        Value::Bytes(bytes) => format!("{bytes:?}"),
    }
}

fn follow_the_scenario(world: World, engine: Option<&dyn Engine>) {
    let lab = Lab::start_in(world, &["0", "0"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    let answers = SCENARIO.iter().map(|(sql, expected)| (sql, expected, step(&mut asking, engine, sql)));
    let other: Vec<_> = answers.filter(|(_, expected, answer)| *expected != answer).collect();
    assert!(other.is_empty(), "{} of {}: {other:#?}", other.len(), SCENARIO.len());
}

#[test]
fn the_scenario_on_sqlite() {
    follow_the_scenario(make_ready(World::new()), None);
}

#[test]
fn the_scenario_on_postgresql() {
    if are_here(&postgres::PROGRAMS) {
        let server = Postgres::start();
        follow_the_scenario(server.world(), Some(&server));
    }
}

#[test]
fn the_scenario_on_mariadb() {
    if are_here(&mysql::PROGRAMS) {
        let server = MariaDb::start();
        follow_the_scenario(server.world(), Some(&server));
    }
}

#[test]
fn nothing_is_lost_or_doubled_when_servers_are_killed_and_postgresql_crashes() {
    if are_here(&postgres::PROGRAMS) {
        nothing_is_lost_or_doubled(Postgres::start());
    }
}

#[test]
fn nothing_is_lost_or_doubled_when_servers_are_killed_and_mariadb_crashes() {
    if are_here(&mysql::PROGRAMS) {
        nothing_is_lost_or_doubled(MariaDb::start());
    }
}

fn nothing_is_lost_or_doubled(mut engine: impl Engine) {
    const CLIENTS: usize = 8;
    const EACH: usize = 40;
    let mut lab = Lab::start_in(engine.world(), &["0", "0", "0"], &["--quiet"]);
    let mut first = Asking::connect(lab.address);
    assert_eq!(step(&mut first, Some(&engine), "CREATE TABLE w (client int, n int)"), "0 changed");
    let (acknowledged, address) = (AtomicUsize::new(0), lab.address);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                let mut asking = Asking::connect(address);
                (0..EACH)
                    .for_each(|n| write(&mut asking, &format!("INSERT INTO w VALUES ({client}, {n})"), acknowledged));
            });
        }
        for round in 1..=3 {
            until(&acknowledged, round * CLIENTS * EACH / 5);
            engine.crash_and_start_again();
            lab.servers[round - 1].kill();
            lab.servers[round - 1] = lab.world.server(&round.to_string(), "0");
        }
    });
    let rows = Asking::connect(lab.address).query("SELECT count(*), count(DISTINCT client * 1000 + n) FROM w").rows();
    let all = Value::Integer((CLIENTS * EACH) as i64);
    assert_eq!(rows, [[all.clone(), all]]);
}

/// Sends a write until it is acknowledged. What surely did not happen is sent again as a new request; what may have is asked for under its id.
fn write(asking: &mut Asking, sql: &str, acknowledged: &AtomicUsize) {
    let begin = Instant::now();
    let mut id = asking.send_query(sql);
    loop {
        match asking.receive(id, true) {
            Answer::Changed { rows: 1, .. } => break,
            Answer::Failed(failure) if begin.elapsed() < 2 * LONG => {
                thread::park_timeout(std::time::Duration::from_millis(20));
                id = if failure.definite { asking.send_query(sql) } else { asking.send_again(id, sql) };
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    acknowledged.fetch_add(1, Ordering::Relaxed);
}

fn until(acknowledged: &AtomicUsize, number: usize) {
    crate::kit::eventually("enough is written", || acknowledged.load(Ordering::Relaxed) >= number);
}

/// Most memory of a program that streams, in bytes: many times what it needs, and a small part of a million rows.
const MEMORY: u64 = 40 * 1024 * 1024;

#[test]
fn a_million_rows_stream_in_flat_memory_from_mariadb() {
    if !are_here(&mysql::PROGRAMS) {
        return;
    }
    let server = MariaDb::start();
    let mut lab = Lab::start_in(server.world(), &["0"], &["--quiet"]);
    let sql = "SELECT a.id, 'a text that makes the rows of this answer long enough to be missed' FROM MEASUREMENTS a \
         JOIN MEASUREMENTS b ON b.id <= 10";
    let rows = Asking::connect(lab.address).query(sql).rows();
    assert_eq!(rows.len(), 1_000_000);
    let [server, balancer] = [&mut lab.servers[0], &mut lab.balancer].map(|process| peak_resident(process.pid()));
    assert!(server < MEMORY && balancer < MEMORY, "{server} and {balancer} bytes");
}
