//! The ring is that of the coursework: H and Φ computed here once more, and every choice compared.

use super::*;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

const M: u64 = 512;

/// Where the nine points of each server are, with linear probing: server after server.
fn ring(servers: &[u64]) -> BTreeMap<u64, u64> {
    let mut slots = BTreeMap::new();
    for &i in servers {
        for j in 0..9 {
            let mut slot = (i * i + j * j + 2 * j + 25) % M;
            while slots.contains_key(&slot) {
                slot = (slot + 1) % M;
            }
            slots.insert(slot, i);
        }
    }
    slots
}

#[test]
fn requests_have_random_numbers_and_go_to_the_nearest_server_clockwise() {
    let world = World::new();
    let fixed = ["loadbalancer", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--journal", "journal.jsonl"];
    let flags = ["--replicas", "3", "--balance", "consistent-hash", "--ring-hash", "coursework"];
    let mut balancer = world.spawn(&[&fixed[..], &["--admin", "127.0.0.1:0"], &flags].concat());
    let http = address_in(&balancer.wait_for("Frontend http is listening on"));
    for _ in 0..3 {
        balancer.wait_for("is in service");
    }
    let mut caller = Caller::connect(http);
    let answers: HashMap<String, Told> = (0..200).map(|_| caller.ask_by_id("GET /home", "")).collect();
    assert_eq!(answers.len(), 200, "each has an id of its own");
    drop(caller);
    balancer.signal(Signal::TERM);
    balancer.wait();
    let journal = std::fs::read_to_string(world.path("journal.jsonl")).unwrap();
    let events = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    // A journal that cannot keep up leaves events out.
    let chosen: Vec<Value> = events.filter(|event| event["event"] == "server-chosen").collect();
    let ring = ring(&[1, 2, 3]);
    let reached: Vec<u64> = (0..M).map(|i| (i * i + 2 * i + 17) % M).collect();
    let mut keys = HashSet::new();
    for event in &chosen {
        let answer = &answers[event["request"].as_str().unwrap()];
        let (key, point) = (event["how"]["key"].as_u64().unwrap(), event["how"]["point"].as_u64().unwrap());
        assert!(reached.contains(&key), "H reaches no slot {key}");
        let (slot, server) = ring.range(key..).next().or_else(|| ring.iter().next()).unwrap();
        assert_eq!((point, event["server"].as_str().unwrap()), (*slot, server.to_string().as_str()), "{event}");
        assert!(answer.body.contains(&format!("Hello from Server: {server}\"")), "{event}: {answer:?}");
        keys.insert(key);
    }
    // 200 of 87 slots, some of them much likelier than others.
    assert!(keys.len() > 20, "the numbers are not random: {keys:?}");
}
