//! The sharded table on a PostgreSQL of its own: no acknowledged change is lost when a server or the database is killed, and replicas on
//! different engines are the same to the byte.

use crate::{
    kit::{LONG, Process, World, address_in, eventually},
    postgres::{PROGRAMS, Postgres},
    programs::are_here,
};
use protocol::http::{
    Method, Status,
    client::{Ask, ask},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{net::SocketAddr, os::unix::fs::PermissionsExt};

const SERVERS: [&str; 3] = ["Server0", "Server1", "Server2"];
const SHARDS: [&str; 2] = ["sh1", "sh2"];

/// A load balancer whose servers keep their shards in this database.
struct Table {
    balancer: Process,
    at: SocketAddr,
    world: World,
}

impl Table {
    fn start(postgres: &Postgres, more: impl FnOnce(&World) -> Vec<String>) -> Self {
        let world = World::new();
        let port = postgres.address.port();
        let config = format!(
            r#"{{"engine": "postgres", "port": {port}, "database": "postgres", "user": "postgres", "password": "x"}}"#
        );
        std::fs::write(world.path("shards.json"), config).unwrap();
        let more = more(&world);
        let more: Vec<&str> = ["--shards", "127.0.0.1:0"].into_iter().chain(more.iter().map(String::as_str)).collect();
        let (mut balancer, _) = world.balancer(&more);
        let at = address_in(&balancer.wait_for("Frontend shards is listening on"));
        let mut table = Self { balancer, at, world };
        let shard =
            |(at, id): (usize, &&str)| json!({ "Stud_id_low": at * 1_000, "Shard_id": id, "Shard_size": 1_000 });
        let body = json!({
            "N": 3,
            "schema": { "columns": ["Stud_id", "Stud_name", "Stud_marks"], "dtypes": ["Number", "String", "String"] },
            "shards": SHARDS.iter().enumerate().map(shard).collect::<Vec<_>>(),
            "servers": { "Server0": SHARDS, "Server1": SHARDS, "Server2": SHARDS },
        });
        table.done("POST /init", &body);
        SERVERS.iter().for_each(|name| eventually("it is in service", || table.services(name) == 1));
        table
    }

    fn ask(&self, line: &str, body: &Value) -> (Status, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let question = Ask::new(Method::parse(method.as_bytes()).unwrap(), path).json(body).unwrap();
        let reply = ask(self.at, &question, LONG).unwrap();
        (reply.status, reply.text())
    }

    fn done(&mut self, line: &str, body: &Value) -> String {
        let (status, told) = self.ask(line, body);
        assert_eq!(status, Status::OK, "{line} {body}: {told}\n{}", self.balancer.said());
        told
    }

    /// Asks until it is done; and once more is not wrong for what sets a value.
    fn insist(&mut self, line: &str, body: &Value) {
        eventually("it is done", || self.ask(line, body).0 == Status::OK);
    }

    fn services(&mut self, name: &str) -> usize {
        self.balancer.said().matches(&format!("Replica {name} is in service")).count()
    }

    /// Kills a server, changes something meanwhile, and waits until it is in service again.
    fn kill(&mut self, name: &str) {
        let before = self.services(name);
        let said = self.balancer.said();
        let started = format!("Started replica {name} (process ");
        let pid = said.rsplit_once(&started).unwrap().1.split(')').next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        for id in [1, 1_001] {
            self.done("PUT /update", &json!({ "Stud_id": id, "data": { "Stud_marks": name } }));
        }
        eventually("it is in service again", || self.services(name) > before);
    }

    /// Every kind of change, with values that an engine might not keep as they are.
    fn change(&mut self) {
        let row = |id: i64| json!({ "Stud_id": id, "Stud_name": format!("N\u{0}{id} '\"\\ é"), "Stud_marks": id });
        let rows: Vec<Value> = (0..600).map(|id| row(id * 3)).chain([1, 1_001].map(row)).collect();
        self.done("POST /write", &json!({ "data": rows }));
        self.done("PUT /update", &json!({ "Stud_id": 3, "data": { "Stud_marks": 0.1 } }));
        self.done("PUT /update", &json!({ "Stud_id": 6, "data": { "Stud_marks": "6" } }));
        self.done("DELETE /del", &json!({ "Stud_id": 9 }));
    }

    /// The rows of the whole table.
    fn rows(&mut self) -> Value {
        let told = self.done("POST /read", &json!({ "Stud_id": { "low": 0, "high": 1_999 } }));
        serde_json::from_str::<Value>(&told).unwrap()["data"].take()
    }

    /// Ends the load balancer, and asks each server for a copy of all that it has.
    fn copies(mut self, database: impl Fn(&str) -> bool) -> Vec<String> {
        self.balancer.kill();
        let copy = |name: &&str| {
            let file = format!("shards/{name}.sqlite");
            let mut args =
                vec!["server", &name["Server".len()..], "0", "0", "--service", "shard", "--shard-file", &file];
            if database(name) {
                args.extend(["--shard-database", "shards.json"]);
            }
            let mut server = self.world.spawn(&args);
            let at = address_in(&server.wait_for("Server is listening on"));
            let question = Ask::new(Method::Get, "/copy").json(&json!({ "shards": SHARDS })).unwrap();
            let reply = ask(at, &question, LONG).unwrap();
            assert_eq!(reply.status, Status::OK, "{}", reply.text());
            reply.text()
        };
        SERVERS.iter().map(copy).collect()
    }
}

#[test]
fn a_table_on_postgresql_has_every_change_when_servers_and_the_database_were_killed() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let mut postgres = Postgres::start();
    let mut table = Table::start(&postgres, |_| vec!["--shard-database".into(), "shards.json".into()]);
    table.change();
    table.kill("Server1");
    table.done("POST /write", &json!({ "data": [{ "Stud_id": 500, "Stud_name": "before", "Stud_marks": 1 }] }));
    postgres.crash();
    let (status, told) = table.ask("PUT /update", &json!({ "Stud_id": 1, "data": { "Stud_marks": 0 } }));
    assert_ne!(status, Status::OK, "{told}");
    postgres.start_again();
    table.insist("PUT /update", &json!({ "Stud_id": 1, "data": { "Stud_marks": "there again" } }));
    table.insist("PUT /update", &json!({ "Stud_id": 1_001, "data": { "Stud_marks": "there again" } }));
    table.kill("Server2");
    let rows = table.rows();
    assert_eq!(rows.as_array().unwrap().len(), 602);
    let marks =
        |id: i64| rows.as_array().unwrap().iter().find(|row| row["Stud_id"] == id).map(|row| &row["Stud_marks"]);
    assert_eq!((marks(1), marks(3), marks(6)), (Some(&json!("Server2")), Some(&json!(0.1)), Some(&json!("6"))));
    assert_eq!((marks(500), marks(9)), (Some(&json!(1)), None));
    let copies = table.copies(|_| true);
    assert!(copies.windows(2).all(|pair| pair[0] == pair[1]), "{copies:.300?}");
}

/// Server0 keeps a file, the others share the database; each is filled from one of the other kind.
#[test]
fn replicas_on_different_engines_are_the_same_to_the_byte() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let postgres = Postgres::start();
    let script = |world: &World| {
        let (script, database) = (world.path("either"), world.path("shards.json"));
        let lab = env!("CARGO_BIN_EXE_lab");
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in\n  *'-- 0 0 '*) exec {lab} server \"$@\" ;;\nesac\nexec {lab} server --shard-database {} \"$@\"\n",
            database.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        vec!["--shard-program".into(), script.to_str().unwrap().into()]
    };
    let mut table = Table::start(&postgres, script);
    table.change();
    SERVERS.iter().for_each(|name| table.kill(name));
    assert_eq!(table.rows().as_array().unwrap().len(), 601);
    let copies = table.copies(|name| name != "Server0");
    assert!(copies.windows(2).all(|pair| pair[0] == pair[1]), "{copies:.300?}");
    let schemas = "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname LIKE 'shards_%'";
    assert_eq!(postgres.ask(schemas), "shards_1 shards_2");
}
