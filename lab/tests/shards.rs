//! The sharded table: no acknowledged change is lost, doubled or seen half, whatever is killed. All are real processes. (What its calls
//! answer: `shards_text`.)

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(target_os = "linux")]

mod kit;

use kit::{LONG, Process, World, address_in, eventually, peak_resident};
use lab::{
    drill::{
        Setting,
        shards::{Recovery, Scene, play},
    },
    process::Binary,
};
use protocol::{
    http::{
        Method, Status,
        client::{Ask, Client},
    },
    stop::Stop,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::HashMap, net::SocketAddr, thread, time::Duration};

/// A load balancer with a sharded table.
struct Stage {
    balancer: RefCell<Process>,
    at: SocketAddr,
    world: World,
}

/// Starts the load balancer, with the state that there is.
fn balancer(world: &World) -> (Process, SocketAddr) {
    let args = [
        "loadbalancer",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--no-journal",
        "--shards",
        "127.0.0.1:0",
    ];
    let mut balancer = world.spawn(&args);
    let at = address_in(&balancer.wait_for("Frontend shards is listening on"));
    (balancer, at)
}

fn ask(at: SocketAddr, line: &str, body: &Value) -> Option<(Status, String)> {
    ask_within(at, line, body, LONG)
}

fn ask_within(at: SocketAddr, line: &str, body: &Value, within: Duration) -> Option<(Status, String)> {
    let (method, path) = line.split_once(' ').unwrap();
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let mut client = Client::connect(at, LONG).ok()?;
    let ask = Ask::new(Method::parse(method.as_bytes()).unwrap(), path).body(body);
    let reply = client.ask(&ask, within).ok()?;
    Some((reply.status, reply.text()))
}

impl Stage {
    fn empty() -> Self {
        let world = World::new();
        let (balancer, at) = balancer(&world);
        Self { balancer: RefCell::new(balancer), at, world }
    }

    fn init(body: &Value) -> Self {
        let stage = Self::empty();
        let (status, told) = stage.ask("POST /init", body);
        assert_eq!((status, told.as_str()), (Status::OK, r#"{"message":"Configured Database","status":"success"}"#));
        stage.all_in_service();
        stage
    }

    fn ask(&self, line: &str, body: &Value) -> (Status, String) {
        ask(self.at, line, body)
            .unwrap_or_else(|| panic!("{line} is not answered\n{}", self.balancer.borrow_mut().said()))
    }

    /// What a call that must succeed answers.
    fn done(&self, line: &str, body: &Value) -> String {
        let (status, told) = self.ask(line, body);
        assert_eq!(
            status,
            Status::OK,
            "{line} {}: {}\n{}",
            brief(&body.to_string()),
            brief(&told),
            self.balancer.borrow_mut().said()
        );
        told
    }

    /// How often this server has come into service.
    fn services(&self, name: &str) -> usize {
        self.balancer.borrow_mut().said().matches(&format!("Replica {name} is in service")).count()
    }

    /// Waits until all three servers have come into service.
    fn all_in_service(&self) {
        let all = ["Server0", "Server1", "Server2"];
        eventually("all are in service", || all.iter().all(|name| self.services(name) > 0));
    }

    /// Kills a server; `meanwhile`; and waits until it is in service again.
    fn kill(&self, name: &str, meanwhile: impl FnOnce(&Self)) {
        let before = self.services(name);
        kill_process(self.pids()[name], Signal::KILL).unwrap();
        meanwhile(self);
        eventually("it is in service again", || self.services(name) > before);
    }

    /// Kills the load balancer, and starts another one.
    fn start_again(&mut self) {
        self.balancer.borrow_mut().kill();
        let (balancer, at) = balancer(&self.world);
        (self.balancer, self.at) = (RefCell::new(balancer), at);
    }

    /// The processes of the servers, by name: the latest of each.
    fn pids(&self) -> HashMap<String, Pid> {
        let said = self.balancer.borrow_mut().said();
        let started = said.lines().filter_map(|line| line.strip_prefix("Started replica ")?.split_once(" (process "));
        let pid = |text: &str| Pid::from_raw(text.trim_end_matches(").").parse().unwrap()).unwrap();
        started.map(|(name, text)| (name.to_owned(), pid(text))).collect()
    }
}

/// As much of a body as a message can bear.
fn brief(body: &str) -> &str {
    body.char_indices().nth(300).map_or(body, |(end, _)| &body[..end])
}

/// The keys of an answer to `/read`.
fn ids(told: &str) -> Vec<i64> {
    let told: Value = serde_json::from_str(told).unwrap();
    told["data"].as_array().unwrap().iter().map(|row| row["Stud_id"].as_i64().unwrap()).collect()
}

fn student(id: i64, marks: i64) -> Value {
    json!({ "Stud_id": id, "Stud_name": format!("N{id}"), "Stud_marks": marks })
}

fn range(low: i64, high: i64) -> Value {
    json!({ "Stud_id": { "low": low, "high": high } })
}

fn small() -> Value {
    json!({
        "N": 3,
        "schema": { "columns": ["Stud_id", "Stud_name", "Stud_marks"], "dtypes": ["Number", "String", "String"] },
        "shards": [
            { "Stud_id_low": 0, "Shard_id": "sh1", "Shard_size": 4096 },
            { "Stud_id_low": 4096, "Shard_id": "sh2", "Shard_size": 4096 },
            { "Stud_id_low": 8192, "Shard_id": "sh3", "Shard_size": 4096 },
        ],
        "servers": { "Server0": ["sh1", "sh2"], "Server1": ["sh2", "sh3"], "Server2": ["sh1", "sh3"] },
    })
}

/// A server that is killed is started again and has everything, and so has a load balancer that is.
#[test]
fn a_killed_server_and_a_killed_load_balancer_come_back_with_everything() {
    let mut stage = Stage::init(&small());
    stage.done("POST /write", &json!({ "data": (0..300).map(|id| student(id * 40, 1)).collect::<Vec<_>>() }));
    for name in ["Server0", "Server1"] {
        stage.kill(name, |stage| {
            stage.done("PUT /update", &json!({ "Stud_id": 40, "data": { "Stud_marks": 2 } }));
            stage.done("PUT /update", &json!({ "Stud_id": 8_200, "data": { "Stud_marks": 2 } }));
        });
    }
    stage.start_again();
    stage.all_in_service();
    let told = stage.done("POST /read", &range(0, 12_287));
    assert_eq!(ids(&told), (0..300).map(|id| id * 40).collect::<Vec<_>>());
    assert_eq!(told.matches(r#""Stud_marks":2"#).count(), 2);
}

/// The map is durable before anything is done: what was begun is done by the next load balancer.
#[test]
fn a_load_balancer_that_is_killed_while_it_adds_a_server_has_it_when_it_is_back() {
    let mut stage = Stage::init(&small());
    let name = "x".repeat(400);
    let row = |id: i64| json!({ "Stud_id": id, "Stud_name": name, "Stud_marks": 1 });
    for first in (0..8_000).step_by(1_000) {
        stage.done("POST /write", &json!({ "data": (first..first + 1_000).map(row).collect::<Vec<_>>() }));
    }
    let at = stage.at;
    let adding =
        thread::spawn(move || ask(at, "POST /add", &json!({ "n": 1, "servers": { "Server4": ["sh1", "sh2"] } })));
    eventually("it is started", || stage.balancer.borrow_mut().said().contains("Started replica Server4"));
    stage.start_again();
    let answered = adding.join().unwrap();
    eventually("it is in service", || stage.services("Server4") > 0);
    let status: Value = serde_json::from_str(&stage.done("GET /status", &Value::Null)).unwrap();
    assert_eq!((&status["N"], &status["servers"]["Server4"]), (&json!(4), &json!(["sh1", "sh2"])), "{answered:?}");
    assert_eq!(
        stage.done("DELETE /rm", &json!({ "n": 2, "servers": ["Server0", "Server1"] })).matches("Server").count(),
        2
    );
    assert_eq!(
        ids(&stage.done("POST /read", &range(0, 8_191))),
        (0..8_000).collect::<Vec<_>>(),
        "also from the new one alone"
    );
}

/// Clients that add, change, remove and read the same rows, while servers are killed and stopped, and the load balancer is killed: the
/// drill of `lab drill`, here with small numbers.
#[test]
fn no_acknowledged_change_is_lost_or_doubled_or_seen_half_whatever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting {
        binary: Binary::at(env!("CARGO_BIN_EXE_lab")),
        folder: folder.path().to_owned(),
        seed: fastrand::u64(1..1_000_000),
        stop: Stop::new(),
        apart: false,
    };
    let recovery = Recovery { rows: 1_000, kills: 2, within: None };
    let scene = Scene {
        clients: 8,
        changes: 60,
        rows: 64,
        strike_every_ms: 100..=400,
        grows: 1,
        recovery,
        at_most: 5 * LONG,
        ..Scene::default()
    };
    let report = play(&setting, &scene).unwrap_or_else(|error| panic!("seed {}: {error:#}", setting.seed));
    assert!(report.good, "seed {}: {report:#?}", report.seed);
}

/// The largest call takes its servers long, and what is asked of them meanwhile waits behind it: all of it is done, and all have it.
#[test]
fn a_hundred_thousand_rows_of_one_call_are_written_and_read() {
    let schema = json!({ "columns": ["Stud_id", "Stud_name"], "dtypes": ["Number", "String"] });
    let shard = |id: &str, low: i64| json!({ "Stud_id_low": low, "Shard_id": id, "Shard_size": 100_000 });
    let shards = json!([shard("sh1", 0), shard("sh2", 100_000), shard("sh3", 200_000)]);
    let all = ["sh1", "sh2", "sh3"];
    let servers = json!({ "Server0": all, "Server1": all, "Server2": all });
    let stage = Stage::init(&json!({ "N": 3, "schema": schema, "shards": shards, "servers": servers }));
    let name = "x".repeat(60);
    let row = |id: i64| json!({ "Stud_id": id, "Stud_name": name });
    let rows: Vec<Value> = (10_000..110_000).map(row).collect();
    let at = stage.at;
    thread::scope(|scope| {
        let large = scope.spawn(move || ask_within(at, "POST /write", &json!({ "data": rows }), 5 * LONG).unwrap());
        for id in (200_000..300_000).take_while(|_| !large.is_finished()) {
            let (status, told) = ask_within(at, "POST /write", &json!({ "data": [row(id)] }), 5 * LONG).unwrap();
            assert_eq!(status, Status::OK, "{}\n{}", brief(&told), stage.balancer.borrow_mut().said());
        }
        let (status, told) = large.join().unwrap();
        assert_eq!(status, Status::OK, "{}\n{}", brief(&told), stage.balancer.borrow_mut().said());
    });
    for gone in ["Server0", "Server1"] {
        let (status, told) = ask_within(at, "POST /read", &range(0, 199_999), 5 * LONG).unwrap();
        assert!(
            status == Status::OK && ids(&told) == (10_000..110_000).collect::<Vec<_>>(),
            "{status:?}: {}",
            brief(&told)
        );
        // On a machine with much to do a server may be lost, and is filled: then it is waited for.
        let rm = json!({ "n": 1, "servers": [gone] });
        eventually("it can be spared", || ask(at, "DELETE /rm", &rm).is_some_and(|(status, _)| status == Status::OK));
    }
    let (status, told) = ask_within(at, "POST /read", &range(0, 199_999), 5 * LONG).unwrap();
    assert!(
        status == Status::OK && ids(&told) == (10_000..110_000).collect::<Vec<_>>(),
        "{status:?}: {}",
        brief(&told)
    );
}

/// A copy is held nowhere: neither by the server that is copied, nor by the load balancer between, nor by the one that is filled.
#[test]
fn a_hundred_thousand_rows_are_copied_in_bounded_memory() {
    let schema = json!({ "columns": ["Stud_id", "Stud_name"], "dtypes": ["Number", "String"] });
    let shards = json!([{ "Stud_id_low": 0, "Shard_id": "sh1", "Shard_size": 1_000_000 }]);
    let servers = json!({ "Server0": ["sh1"], "Server1": ["sh1"], "Server2": ["sh1"] });
    let stage = Stage::init(&json!({ "N": 3, "schema": schema, "shards": shards, "servers": servers }));
    let name = "x".repeat(400);
    let row = |id: i64| json!({ "Stud_id": id, "Stud_name": name });
    for first in (0..100_000).step_by(1_000) {
        stage.done("POST /write", &json!({ "data": (first..first + 1_000).map(row).collect::<Vec<_>>() }));
    }
    let number = |pid: Pid| u32::try_from(pid.as_raw_pid()).unwrap();
    let copying = || {
        let servers = ["Server0", "Server2"].map(|name| number(stage.pids()[name]));
        let all = [stage.balancer.borrow().pid(), servers[0], servers[1]];
        all.map(|pid| (pid, peak_resident(pid)))
    };
    let before = copying();
    stage.kill("Server1", |stage| drop(stage.done("DELETE /del", &json!({ "Stud_id": 5 }))));
    // On a machine with much to do another one may have been lost, too, and begun anew: then it has held no copy either.
    let grown = before
        .iter()
        .zip(copying())
        .map(|(before, after)| if before.0 == after.0 { after.1 - before.1 } else { after.1.saturating_sub(before.1) });
    let grown: Vec<u64> = grown.collect();
    assert!(grown.iter().all(|grown| *grown < 16 << 20), "42 MB were copied, and these have grown by {grown:?}");
    let new = peak_resident(number(stage.pids()["Server1"]));
    assert!(new < 32 << 20, "42 MB were filled in, and the server has used {new}");
    assert_eq!(ids(&stage.done("POST /read", &range(0, 9))), [0, 1, 2, 3, 4, 6, 7, 8, 9]);
}
