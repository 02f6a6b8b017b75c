//! The main job: many clients, several servers, every answer right.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{Answer, Asking, Lab, World};
use protocol::value::Value;
use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

/// 200 clients at once, 50 requests each. Every answer carries something that only its own request can have, and the
/// clients share their client numbers two by two, so that ids collide: none may be swapped, none lost.
#[test]
fn two_hundred_clients_get_their_own_answers() {
    let lab = Lab::start(&["0", "0", "0"], &["--quiet", "--max-queue", "1000"]);
    let clients = 200;
    for number in 0..clients {
        std::fs::write(lab.world.path(&format!("files/own-{number}")), kit::pattern(1_000 + number, number as u64))
            .unwrap();
    }
    thread::scope(|scope| {
        for number in 0..clients {
            let address = lab.address;
            let client = move || {
                let mut asking = Asking::with_client_number(address, number as u64 / 2);
                for turn in 0..50 {
                    if turn % 5 == 0 {
                        let answer = asking.file(&format!("own-{number}"));
                        let Answer::File { bytes, .. } = answer else { panic!("no file: {answer:?}") };
                        assert!(bytes.unwrap() == kit::pattern(1_000 + number, number as u64), "another client's file");
                    } else {
                        let rows = asking.query(&format!("SELECT {number}, {turn}, 'of {number}'")).rows();
                        let own = vec![
                            Value::Integer(number as i64),
                            Value::Integer(turn),
                            Value::Text(format!("of {number}")),
                        ];
                        assert_eq!(rows, [own]);
                    }
                }
            };
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, client).unwrap();
        }
    });
    let servers = Asking::connect(lab.address).servers();
    assert_eq!(servers.iter().map(|server| server.answered).sum::<u64>(), clients as u64 * 50);
    assert!(servers.iter().all(|server| server.state == "idle" && server.failed == 0), "{servers:?}");
}

/// With processing times of 0.1, 0.2 and 0.4 s and always a request waiting, the servers answer in proportion to
/// their power: 4 to 2 to 1.
#[test]
fn under_surplus_the_shares_follow_the_power() {
    let lab = Lab::start(&["0.1", "0.2", "0.4"], &["--quiet"]);
    let until = Instant::now() + Duration::from_secs(6);
    let mut shares: HashMap<String, u32> = HashMap::new();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut asking = Asking::connect(lab.address);
                    let mut servers = Vec::new();
                    while Instant::now() < until {
                        servers.push(asking.query("SELECT 1").server().to_owned());
                    }
                    servers
                })
            })
            .collect();
        for server in clients.into_iter().flat_map(|client| client.join().unwrap()) {
            *shares.entry(server).or_default() += 1;
        }
    });
    let total = f64::from(shares.values().sum::<u32>());
    for (server, share) in [("1", 4.0 / 7.0), ("2", 2.0 / 7.0), ("3", 1.0 / 7.0)] {
        let measured = f64::from(shares[server]) / total;
        assert!((measured - share).abs() < 0.04, "server {server}: {measured:.3}, should be {share:.3}; {shares:?}");
    }
}

/// With one request at a time the strongest server gets all of them, whatever the order in which they started.
#[test]
fn one_by_one_the_strongest_gets_everything() {
    let lab = Lab::start(&["0.02", "0.01", "0.03"], &["--quiet"]);
    let mut asking = Asking::connect(lab.address);
    for _ in 0..20 {
        assert_eq!(asking.query("SELECT 1").server(), "2");
    }
}

/// With `round-robin` the servers take turns.
#[test]
fn round_robin_takes_turns() {
    let lab = Lab::start(&["0.01", "0.02", "0.03"], &["--quiet", "--balance", "round-robin"]);
    let mut asking = Asking::connect(lab.address);
    let servers: Vec<String> = (0..6).map(|_| asking.query("SELECT 1").server().to_owned()).collect();
    assert_eq!(servers, ["1", "2", "3", "1", "2", "3"]);
}

/// When none is idle, requests wait in the order in which they came, and waiting costs no processor time.
#[test]
fn when_none_is_idle_requests_wait_in_order_and_cost_nothing() {
    let mut lab = Lab::start(&["0.5"], &[]);
    let mut clients: Vec<Asking> = Vec::new();
    let mut ids = Vec::new();
    for turn in 0..4 {
        let mut asking = Asking::connect(lab.address);
        ids.push(asking.send_query(&format!("SELECT {turn}")));
        clients.push(asking);
        // The next one asks when this one is known to have its server, or to wait.
        let line = if turn == 0 { "Chosen server: 1".to_owned() } else { format!("({} ahead of it)", turn - 1) };
        lab.balancer.wait_for(&line);
    }
    let before = kit::cpu_ticks(lab.balancer.pid());
    let mut done = Vec::new();
    for (asking, id) in clients.iter_mut().zip(ids) {
        asking.receive(id, true);
        done.push(Instant::now());
    }
    assert!(done.windows(2).all(|pair| pair[1] - pair[0] > Duration::from_millis(300)), "they overtook: {done:?}");
    let used = kit::cpu_ticks(lab.balancer.pid()) - before;
    assert!(used <= 10, "{used} ticks of 10 ms in two seconds of waiting");
}

/// A write through one server is seen through every other: they share one database.
#[test]
fn a_write_through_one_server_is_seen_through_the_others() {
    let lab = Lab::start(&["0", "0", "0"], &["--quiet", "--balance", "round-robin"]);
    let mut asking = Asking::connect(lab.address);
    let write = asking.query("INSERT INTO COLORS VALUES ('Lab', '#1AB1AB', 'rgb(10,69,67)')");
    assert!(matches!(write, Answer::Changed { rows: 1, .. }), "{write:?}");
    let mut readers = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let read = asking.query("SELECT HEX FROM COLORS WHERE Name = 'Lab'");
        readers.insert(read.server().to_owned());
        assert_eq!(read.rows(), [[Value::Text("#1AB1AB".into())]]);
    }
    assert_eq!(readers.len(), 3, "not all have read: {readers:?}");
}

/// Servers may start before and after the load balancer, in any order, with any ids.
#[test]
fn servers_come_in_any_order_with_any_ids() {
    let world = World::new();
    let _first = world.server("seventeen", "0.3");
    let (mut balancer, address) = world.balancer(&[]);
    balancer.wait_for("Connected to server seventeen");
    let _second = world.server("4", "0.1");
    balancer.wait_for("Connected to server 4");
    let mut third = world.server("x_1.b-2", "0.2");
    balancer.wait_for("Connected to server x_1.b-2");
    let ids: Vec<String> = Asking::connect(address).servers().into_iter().map(|server| server.id).collect();
    assert_eq!(ids, ["4", "x_1.b-2", "seventeen"], "strongest first");
    third.signal(rustix::process::Signal::TERM);
    assert!(third.wait().success());
    balancer.wait_for("Server x_1.b-2 has left.");
    assert!(!std::fs::read_to_string(world.path("servers.json")).unwrap().contains("x_1.b-2"));
}
