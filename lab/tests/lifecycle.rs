//! Servers and load balancers that come, go, and die.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{Answer, Asking, Lab, World};
use protocol::message::ErrorCode;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// All servers gone: an error within the deadline, not a hang. A server started then: the next request succeeds,
/// without a restart of anything.
#[test]
fn without_servers_there_is_an_error_and_with_the_next_one_an_answer() {
    let mut lab = Lab::start(&["0", "0"], &[]);
    let mut asking = Asking::connect(lab.address);
    assert!(matches!(asking.query("SELECT 1"), Answer::Rows { .. }));
    lab.servers.iter_mut().for_each(kit::Process::kill);
    let begin = Instant::now();
    let failure = asking.query("SELECT 1").failure();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Unavailable, true), "{failure:?}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let mut newcomer = lab.world.server("new", "0");
    assert_eq!(asking.query("SELECT 1").server(), "new");
    assert!(newcomer.said().contains("Connected to database successfully"));
}

/// Whoever starts the programs in another folder by mistake is told where they look, and a path with a slip makes no database
/// without a word.
#[test]
fn what_is_made_and_what_is_not_found_is_told() {
    let world = World::new();
    let (mut first, mut second) = (world.server("1", "0"), world.server("2", "0"));
    let made = format!("Made a new database at {}", world.path("database.sqlite").display());
    assert!(first.said().contains(&made), "{}", first.said());
    assert!(!second.said().contains("Made a new database"), "it was there: {}", second.said());
    drop((first, second));
    std::fs::remove_file(world.path("servers.json")).unwrap();
    std::fs::remove_file(world.path("database.json")).unwrap();
    let mut balancer = world.spawn(&["loadbalancer", "--listen", "127.0.0.1:0", "--no-admin", "--no-journal"]);
    let said = balancer.wait_for("No servers.json here or in a folder above");
    assert!(said.contains(&world.path("servers.json").display().to_string()), "{said}");
    let server = world.command(&["server", "3", "0", "0"]).output().unwrap();
    let said = kit::text(&server.stderr);
    assert!(server.status.code() == Some(1) && said.contains("No laboratory was found"), "{said}");
}

/// A server that was killed is noticed, its entry removed; started again under the same id, it serves again.
#[test]
fn a_killed_server_is_forgotten_and_may_return() {
    let mut lab = Lab::start(&["0", "0.01"], &[]);
    lab.servers[0].kill();
    lab.balancer.wait_for("Removed server 1 from the registry");
    let mut asking = Asking::connect(lab.address);
    assert_eq!(asking.query("SELECT 1").server(), "2");
    let _again = lab.world.server("1", "0");
    lab.balancer.wait_for("Connected to server 1");
    assert_eq!(asking.query("SELECT 1").server(), "1");
}

/// A server that is stopped (SIGSTOP) gets no more requests, and is back soon after it goes on.
#[test]
fn a_stopped_server_is_passed_over_until_it_goes_on() {
    let mut lab = Lab::start(&["0", "0.01"], &[]);
    lab.servers[0].signal(Signal::STOP);
    lab.balancer.wait_for("Server 1 is down");
    let mut asking = Asking::connect(lab.address);
    for _ in 0..10 {
        assert_eq!(asking.query("SELECT 1").server(), "2");
    }
    lab.servers[0].signal(Signal::CONT);
    lab.balancer.wait_for("Server 1 answers again");
    assert_eq!(asking.query("SELECT 1").server(), "1");
}

/// A file asked of a server that is stopped while it has the request comes from another one.
#[test]
fn a_file_asked_of_a_server_that_hangs_comes_from_another() {
    let mut lab = Lab::start(&["0.3", "0.4"], &[]);
    let mut asking = Asking::connect(lab.address);
    let id = asking.send_file("colors.csv");
    lab.servers[0].wait_for("Received request. Processing...");
    lab.servers[0].signal(Signal::STOP);
    assert_eq!(asking.receive(id, true).server(), "2");
}

/// A statement whose server dies while it has it is carried out by another one: once, under the same id.
#[test]
fn a_statement_whose_server_dies_is_carried_out_once() {
    let mut lab = Lab::start(&["0.5", "0.6"], &[]);
    let mut asking = Asking::connect(lab.address);
    let id = asking.send_query("INSERT INTO COLORS VALUES ('once', 'b', 'c')");
    lab.servers[0].wait_for("Received request. Processing...");
    lab.servers[0].kill();
    assert_eq!(asking.receive(id, true), Answer::Changed { rows: 1, server: "2".into() });
    let count = asking.query("SELECT count(*) FROM COLORS WHERE Name = 'once'").rows();
    assert_eq!(count, [[protocol::value::Value::Integer(1)]]);
}

/// When no other server is left, nobody knows whether the statement was carried out: the client is told so, not more.
#[test]
fn a_statement_whose_only_server_dies_has_an_unknown_outcome() {
    let mut lab = Lab::start(&["0.5"], &[]);
    let mut asking = Asking::connect(lab.address);
    let id = asking.send_query("INSERT INTO COLORS VALUES ('a', 'b', 'c')");
    lab.servers[0].wait_for("Received request. Processing...");
    lab.servers[0].kill();
    let failure = asking.receive(id, true).failure();
    assert_eq!((failure.code, failure.definite), (ErrorCode::UnknownOutcome, false), "{failure:?}");
}

/// Ctrl-C lets a request in hand finish; the entry leaves the registry, the port is free, the status is 0.
#[test]
fn a_server_told_to_end_finishes_what_it_has() {
    let mut lab = Lab::start(&["0.5", "0.6"], &[]);
    let mut asking = Asking::connect(lab.address);
    let id = asking.send_query("SELECT 'done'");
    lab.servers[0].wait_for("Received request. Processing...");
    lab.servers[0].signal(Signal::INT);
    assert_eq!(asking.receive(id, true).server(), "1");
    assert!(lab.servers[0].wait().success());
    assert_eq!(asking.query("SELECT 1").server(), "2");
}

/// The same for the load balancer: the request in hand is answered, a new connection is not.
#[test]
fn a_load_balancer_told_to_end_finishes_what_it_has() {
    let mut lab = Lab::start(&["0.5"], &[]);
    let mut asking = Asking::connect(lab.address);
    let id = asking.send_query("SELECT 'done'");
    lab.servers[0].wait_for("Received request. Processing...");
    lab.balancer.signal(Signal::INT);
    assert!(matches!(asking.receive(id, true), Answer::Rows { .. }));
    assert!(lab.balancer.wait().success());
    std::net::TcpListener::bind(lab.address).unwrap();
}

/// A load balancer that is started again finds the servers that are there, and the port is free at once.
#[test]
fn a_load_balancer_that_was_killed_is_simply_started_again() {
    let mut lab = Lab::start(&["0"], &[]);
    assert!(matches!(Asking::connect(lab.address).query("SELECT 1"), Answer::Rows { .. }));
    lab.balancer.kill();
    let listen = lab.address.to_string();
    let mut again = lab.world.spawn(&["loadbalancer", "--no-journal", "--listen", &listen]);
    again.wait_for("Connected to server 1");
    assert!(matches!(Asking::connect(lab.address).query("SELECT 1"), Answer::Rows { .. }));
}

/// A client that gives up while the server computes frees the server at once.
#[test]
fn a_client_that_leaves_frees_its_server() {
    let mut lab = Lab::start(&["5"], &[]);
    let mut leaver = Asking::connect(lab.address);
    leaver.send_query("SELECT 1");
    lab.servers[0].wait_for("Received request. Processing...");
    let begin = Instant::now();
    drop(leaver);
    lab.balancer.wait_for("took its request back");
    let mut asking = Asking::connect(lab.address);
    while asking.servers()[0].state != "idle" {
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", asking.servers());
    }
}

/// A port in use: who holds it, and what to do.
#[test]
fn a_port_in_use_is_explained() {
    let lab = Lab::start(&["0"], &[]);
    let taken = lab.address.to_string();
    let mut second = lab.world.spawn(&["loadbalancer", "--no-journal", "--listen", &taken]);
    assert_eq!(second.wait().code(), Some(1));
    let said = second.said();
    assert!(said.contains("is held by process") && said.contains(&lab.balancer.pid().to_string()), "{said}");
    assert!(said.contains("choose another port"), "{said}");
    let mut third = lab.world.spawn(&["server", "9", &lab.address.port().to_string(), "0", "--files", "files"]);
    assert_eq!(third.wait().code(), Some(1));
    assert!(third.said().contains("is held by process"), "{}", third.said());
}

/// `servers.json` in every bad state: the load balancer says what is wrong, serves what it knows, and recovers.
#[test]
fn a_damaged_registry_is_explained_and_recovers() {
    let world = World::new();
    std::fs::write(world.path("servers.json"), "[{\"id\": \"1\", \"addr").unwrap();
    let (mut balancer, address) = world.balancer(&[]);
    balancer.must_say("servers.json ends in the middle");
    let _server = world.server("1", "0");
    balancer.wait_for("Connected to server 1");
    assert!(matches!(Asking::connect(address).query("SELECT 1"), Answer::Rows { .. }));
    // A dead entry, a duplicate, and one that is no entry at all, beside the good one.
    let good = std::fs::read_to_string(world.path("servers.json")).unwrap();
    let good = good.trim().trim_start_matches('[').trim_end_matches(']').trim().to_owned();
    let dead = r#"{"id":"dead","address":"127.0.0.1:9","service":"lab","processing_time":0,"control":"127.0.0.1:9"}"#;
    let list = format!("[{dead}, {good}, {good}, {{\"id\": 5}}, 7]");
    std::fs::write(world.path("servers.json"), list).unwrap();
    balancer.wait_for("Removed server dead from the registry");
    assert!(matches!(Asking::connect(address).query("SELECT 1"), Answer::Rows { .. }));
}
