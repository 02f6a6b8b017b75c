//! The sharded table's load balancer: one for each folder, a name for each call by which it is explained, and a keeper that is not held
//! up. All are real processes. (What its calls answer: `shards_text`.)

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(target_os = "linux")]

mod kit;

use kit::{LONG, Process, World, address_in, eventually, text};
use protocol::http::{
    Method, Status,
    client::{Ask, Client, Reply},
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

struct Stage {
    balancer: Process,
    at: SocketAddr,
    world: World,
}

fn stage(more: &[&str]) -> Stage {
    let world = World::new();
    let own = ["loadbalancer", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--shards", "127.0.0.1:0"];
    let mut balancer = world.spawn(&[&own[..], more].concat());
    let at = address_in(&balancer.wait_for("Frontend shards is listening on"));
    Stage { balancer, at, world }
}

fn ask(at: SocketAddr, line: &str, body: impl Into<Vec<u8>>) -> Reply {
    let (method, path) = line.split_once(' ').unwrap();
    let ask = Ask::new(Method::parse(method.as_bytes()).unwrap(), path).body(body).limit(64 << 20);
    Client::connect(at, LONG).unwrap().ask(&ask, LONG).unwrap()
}

impl Stage {
    fn ask(&self, line: &str, body: impl Into<Vec<u8>>) -> Reply {
        ask(self.at, line, body)
    }

    fn done(&self, line: &str, body: &Value) -> String {
        let reply = self.ask(line, body.to_string());
        assert_eq!(reply.status, Status::OK, "{line}: {}", reply.text());
        reply.text()
    }

    /// The process of this server, the last one that was started.
    fn pid(&mut self, name: &str) -> Pid {
        let said = self.balancer.said();
        let lines = said.lines().rev();
        let started = format!("Started replica {name} (process ");
        let number = lines.filter_map(|line| line.strip_prefix(&started)?.strip_suffix(").")).next().unwrap();
        Pid::from_raw(number.parse().unwrap()).unwrap()
    }

    fn services(&mut self, name: &str) -> usize {
        self.balancer.said().matches(&format!("Replica {name} is in service")).count()
    }
}

fn map() -> Value {
    json!({
        "N": 2,
        "schema": { "columns": ["Stud_id", "Stud_name"], "dtypes": ["Number", "String"] },
        "shards": [
            { "Stud_id_low": 0, "Shard_id": "sh1", "Shard_size": 1000 },
            { "Stud_id_low": 1000, "Shard_id": "sh2", "Shard_size": 1000 },
        ],
        "servers": { "Server0": ["sh1", "sh2"], "Server1": ["sh1", "sh2"] },
    })
}

fn row(id: i64, name: &str) -> Value {
    json!({ "Stud_id": id, "Stud_name": name })
}

fn all() -> Value {
    json!({ "Stud_id": { "low": 0, "high": 1999 } })
}

/// Two load balancers with one state would each forget who is out of step for the other.
#[test]
fn a_folder_belongs_to_one_load_balancer() {
    let mut stage = stage(&["--state", "table/state.json"]);
    stage.done("POST /init", &map());
    let args = ["loadbalancer", "--listen", "127.0.0.1:0", "--no-journal", "--shards", "127.0.0.1:0"];
    let mut second = stage.world.spawn(&[&args[..], &["--state", "table/other.json"]].concat());
    let status = second.wait();
    second.must_say("Another load balancer has the shards in table");
    assert!(!status.success());
    stage.done("POST /write", &json!({ "data": [row(1, "Ada")] }));
    // With the first one its claim ends, whatever ends it.
    stage.balancer.kill();
    let mut third = stage.world.spawn(&[&args[..], &["--state", "table/state.json"]].concat());
    let at = address_in(&third.wait_for("Frontend shards is listening on"));
    eventually("the table is there again", || ask(at, "POST /read", all().to_string()).text().contains("Ada"));
}

/// Its answer says the name of a call, and by that it is explained while all goes on; what is counted is shown like that of other pools.
#[test]
fn a_call_has_a_name_and_is_explained_by_it() {
    let stage = stage(&["--shard-policy", "round-robin"]);
    stage.done("POST /init", &map());
    let ctl = |line: &str| {
        let args: Vec<&str> = ["loadbalancer", "ctl"].into_iter().chain(line.split_whitespace()).collect();
        let output = stage.world.command(&args).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let call = |line: &str, body: &Value| {
        let reply = stage.ask(line, body.to_string());
        reply.headers.get("x-request-id").unwrap().to_owned()
    };
    let explained = |id: &str, parts: &[&str]| {
        eventually("it is in the journal", || {
            let said = ctl(&format!("why {id}"));
            parts.iter().all(|part| said.contains(part))
        });
    };
    let write = call("POST /write", &json!({ "data": [row(1, "Ada")] }));
    explained(
        &write,
        &[
            "asked: POST /write, 1 row",
            "It became change 1 of sh1, and went to servers Server0 and Server1 at once.",
            "Change 1 of sh1 was done: servers Server0 and Server1 had it durably.",
            "The sharded table answered it",
        ],
    );
    let read = call("POST /read", &json!({ "Stud_id": { "low": 0, "high": 9 } }));
    explained(
        &read,
        &["Rule (round-robin)", "for the rows of sh1", "gave the rows of sh1", "as they are after change 1"],
    );
    let again = call("POST /write", &json!({ "data": [row(1, "Ada")] }));
    explained(&again, &["Change 2 of sh1 was refused by servers Server0 and Server1: Stud_id 1 is there already."]);
    let nothing = call("POST /write", &json!({}));
    explained(&nothing, &["POST /write, which cannot be understood", "It failed"]);
    assert!(ctl("servers").contains("Pool shards, policy round-robin"), "{}", ctl("servers"));
    let counted = ctl("metrics");
    for line in
        [r#"lab_requests_answered_total{pool="shards"} 3"#, r#"lab_server_up{pool="shards",server="Server0"} 1"#]
    {
        assert!(counted.contains(line), "'{line}' is not in\n{counted}");
    }
}

/// What a server logs can be found by the name of the call; what is no such name does not come into its log.
#[test]
fn a_server_logs_the_name_of_the_call() {
    let world = World::new();
    let mut server = world.spawn(&["server", "0", "0", "0", "--service", "shard"]);
    let at = address_in(&server.wait_for("Server is listening on"));
    let name = "0006b1d5c1f0a2b3-0000000000000001";
    for (path, call) in [("/state", "something else"), ("/home", name)] {
        let ask = Ask::get(path).header("X-Request-Id", call).unwrap();
        assert_eq!(Client::connect(at, LONG).unwrap().ask(&ask, LONG).unwrap().status, Status::OK);
    }
    server.wait_for(&format!("/home (call {name})"));
    let said = server.said();
    assert!(said.lines().any(|line| line == "/state") && !said.contains("something else"), "{said}");
}

/// A server that does not come, and somebody who waits for it, hold nobody up: another one that dies is started again meanwhile, and the one that
/// does not come can be removed.
#[test]
fn who_waits_for_a_server_that_does_not_come_holds_nobody_up() {
    let world = World::new();
    let script = world.path("shard-program");
    let lab = env!("CARGO_BIN_EXE_lab");
    let lines = format!("#!/bin/sh\ncase \"$*\" in *Never*) exec sleep 30;; *) exec {lab} server \"$@\";; esac\n");
    fs::write(&script, lines).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let args =
        ["loadbalancer", "--listen", "127.0.0.1:0", "--no-journal", "--shards", "127.0.0.1:0", "--shard-program"];
    let mut balancer = world.spawn(&[&args[..], &[script.to_str().unwrap()]].concat());
    let at = address_in(&balancer.wait_for("Frontend shards is listening on"));
    let mut stage = Stage { balancer, at, world };
    stage.done("POST /init", &map());
    eventually("both are in service", || stage.services("Server0") + stage.services("Server1") == 2);
    std::thread::scope(|scope| {
        let add = scope.spawn(move || ask(at, "POST /add", r#"{"n":1,"servers":{"Never":["sh1"]}}"#));
        eventually("it is in the map", || stage.ask("GET /status", "").text().contains("Never"));
        kill_process(stage.pid("Server0"), Signal::KILL).unwrap();
        stage.done("POST /write", &json!({ "data": [row(1, "Ada")] }));
        eventually("Server0 is back", || stage.services("Server0") == 2);
        assert!(!add.is_finished(), "who has asked for it still waits");
        stage.done("DELETE /rm", &json!({ "n": 1, "servers": ["Never"] }));
        let told = add.join().unwrap();
        assert_eq!((told.status, told.text().contains("removed again")), (Status::CONFLICT, true), "{}", told.text());
    });
    assert!(!stage.ask("GET /status", "").text().contains("Never"));
}

/// A server that comes back in the middle of the change that it has missed is not in service before it was filled.
#[test]
fn who_comes_back_in_the_middle_of_a_change_is_filled_before_it_is_in_service() {
    let mut stage = stage(&[]);
    stage.done("POST /init", &map());
    stage.done("POST /write", &json!({ "data": [row(1, "Ada")] }));
    eventually("both are in service", || stage.services("Server0") + stage.services("Server1") == 2);
    let (pid, at) = (stage.pid("Server0"), stage.at);
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::scope(|scope| {
        let change = scope.spawn(move || ask(at, "PUT /update", r#"{"Stud_id":1,"data":{"Stud_name":"Bea"}}"#));
        stage.balancer.wait_for("Change 2 of sh1 goes to");
        kill_process(pid, Signal::KILL).unwrap();
        assert_eq!(change.join().unwrap().status, Status::OK);
    });
    eventually("it is in service again", || stage.services("Server0") == 2);
    let said = stage.balancer.said();
    let at = |text: &str| said.rfind(text).unwrap_or_else(|| panic!("not said: {text}\n{said}"));
    assert!(at("Replica Server0 has missed change 2 of sh1") < at("Replica Server0 is filled with sh1"), "{said}");
    assert!(at("Replica Server0 is filled with sh1") < at("Replica Server0 is in service"), "{said}");
}

/// Who has lost its file is filled like one that has missed everything. The last one is not let in without it: nothing becomes empty silently.
#[test]
fn a_file_that_is_gone_is_noticed_and_the_last_copy_is_waited_for() {
    let mut stage = stage(&["--state", "table/state.json"]);
    stage.done("POST /init", &map());
    stage.done("POST /write", &json!({ "data": [row(1, "Ada"), row(1001, "Bea")] }));
    let (table, kept) = (stage.world.path("table"), stage.world.path("kept"));
    let files = |name: &str, from: &Path| -> Vec<PathBuf> {
        let all = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}.sqlite"))).collect()
    };
    let move_all = |name: &str, from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        files(name, from).iter().for_each(|file| fs::rename(file, to.join(file.file_name().unwrap())).unwrap());
    };
    let whole = |stage: &Stage| {
        let reply = stage.ask("POST /read", all().to_string());
        reply.status == Status::OK && reply.text().contains("Ada") && reply.text().contains("Bea")
    };
    end(&mut stage);
    move_all("Server0", &table, &stage.world.path("lost"));
    begin(&mut stage);
    stage.balancer.wait_for("Replica Server0 has come back without its rows of sh1");
    eventually("it is filled", || stage.services("Server0") == 1);
    assert!(whole(&stage));
    end(&mut stage);
    ["Server0", "Server1"].iter().for_each(|name| move_all(name, &table, &kept));
    begin(&mut stage);
    stage.balancer.wait_for("no other server has all changes of it");
    assert_eq!(stage.ask("POST /read", all().to_string()).status, Status::SERVICE_UNAVAILABLE);
    end(&mut stage);
    ["Server0", "Server1"].iter().for_each(|name| {
        files(name, &table).iter().for_each(|file| fs::remove_file(file).unwrap());
        move_all(name, &kept, &table);
    });
    begin(&mut stage);
    eventually("everything is there again", || whole(&stage));
}

/// The load balancer is killed, and its servers are gone with it.
fn end(stage: &mut Stage) {
    let pids = ["Server0", "Server1"].map(|name| {
        let said = stage.balancer.said();
        said.contains(&format!("Started replica {name} ")).then(|| stage.pid(name))
    });
    stage.balancer.kill();
    eventually("its servers are gone", || pids.iter().flatten().all(|pid| test_kill_process(*pid).is_err()));
}

fn begin(stage: &mut Stage) {
    let args = ["loadbalancer", "--listen", "127.0.0.1:0", "--no-journal", "--shards", "127.0.0.1:0"];
    stage.balancer = stage.world.spawn(&[&args[..], &["--state", "table/state.json"]].concat());
    stage.at = address_in(&stage.balancer.wait_for("Frontend shards is listening on"));
}
