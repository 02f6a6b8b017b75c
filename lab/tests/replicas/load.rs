//! Requests while replicas are killed: all are answered.

use super::*;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

const CLIENTS: usize = 50;
const KILLS: usize = 10;

/// So many requests at least by 50 clients at a time, during ten kills.
fn all_are_answered(requests: usize) {
    let mut stage = Stage::begun(3, &["--quiet", "--balance", "round-robin"]);
    let mut seen = HashSet::new();
    eventually("all three are in service", || {
        seen.insert(stage.ask("GET /home", "").body);
        seen.len() == 3
    });
    let (begun, over, http) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)), stage.http);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (begun, over) = (Arc::clone(&begun), Arc::clone(&over));
            thread::spawn(move || {
                let mut caller = Caller::connect(http);
                while begun.fetch_add(1, Ordering::Relaxed) < requests || !over.load(Ordering::Relaxed) {
                    let home = caller.ask("GET /home", "");
                    assert!(home.status == 200 && home.body.contains("Hello from Server: "), "{home:?}");
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for kill in 0..KILLS {
        // Spread over all requests, so that each meets some.
        let at = (kill + 1) * requests / (KILLS + 2);
        eventually("its time has come", || begun.load(Ordering::Relaxed) >= at);
        let ids = stage.ids();
        let id = ids[kill % ids.len()].clone();
        stage.signal(&id, Signal::KILL);
        times.push(stage.replaced(&id));
    }
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let all = begun.load(Ordering::Relaxed) - CLIENTS;
    protocol::output::show!("{all} requests answered during {KILLS} kills; milliseconds until replaced: {times:?}");
    assert_eq!(stage.ids().len(), 3);
}

#[test]
fn requests_during_ten_kills_are_all_answered() {
    all_are_answered(4_000);
}

#[test]
#[ignore = "takes long in a debug build: .ci/long"]
fn ten_thousand_requests_during_ten_kills_are_all_answered() {
    all_are_answered(10_000);
}
