//! The TCP and the HTTP frontend while servers die and clients dawdle: the drills `echo`, `http`, `http-downloads` and
//! `slow-connections` of `lab drill`, which say what they do and what they check; here with small numbers, and whole where
//! ignored. One at a time, because each wants the machine.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(unix)]

use lab::{
    drill::{
        Setting,
        fronts::{DRILLS, Report, Scene, Traffic, find, play},
    },
    process::Binary,
};
use loadbalancer::policy::Name;
use protocol::{output::warn, stop::Stop};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Held while a drill is played.
static GROUND: Mutex<()> = Mutex::new(());

/// Plays a drill whose scene was changed, and shows everything if its verdict is bad. What was only late is told and no
/// more: `lab drill` judges that, on a machine that does nothing else.
fn drill(name: &str, change: impl FnOnce(Scene) -> Scene) -> Report {
    let _alone = GROUND.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting {
        binary: Binary::at(env!("CARGO_BIN_EXE_lab")),
        folder: folder.path().to_owned(),
        seed: fastrand::u64(1..1_000_000),
        stop: Stop::new(),
        apart: false,
    };
    let scene = change((find(name).unwrap().scene)());
    let report = play(name, &setting, &scene).unwrap_or_else(|error| panic!("seed {}: {error:#}", setting.seed));
    let (late, bad): (Vec<_>, Vec<_>) =
        report.checks.iter().filter(|check| !check.good).partition(|check| check.only_late);
    late.iter().for_each(|check| warn!("{name}, seed {}, only late: {}: {}", report.seed, check.what, check.found));
    assert!(bad.is_empty(), "seed {}: {report:#?}", report.seed);
    report
}

/// Echoed whole, or cut where its server died: under a policy that counts connections, and one that does not.
#[test]
fn connections_are_whole_or_visibly_cut_while_servers_are_killed() {
    let traffic = Traffic::Echo { policies: vec![Name::LeastConnections, Name::RoundRobin], large_one_of: 200 };
    drill("echo", |scene| Scene { clients: 40, requests: 20, kill_every_ms: 150..=300, traffic, ..scene });
}

/// No request stays without its answer.
#[test]
fn http_requests_are_answered_while_servers_are_killed() {
    let traffic = Traffic::Requests { kills: 2 };
    drill("http", |scene| Scene { requests: 60, kill_every_ms: 200..=250, traffic, ..scene });
}

/// Downloads go on from another server in their middle.
#[test]
fn http_downloads_are_whole_while_servers_are_killed() {
    // Six large files for each client, of 1.5 s each: that no kill of fifteen hits one of them happens once in ten million
    // runs. Three clients, because no more requests than that may be tried again and again at once; and so far apart that a
    // file is not hit more often than it may be tried, also when it takes three times as long.
    let traffic = Traffic::Downloads { bytes: 400_000 };
    let change = |scene| Scene { clients: 3, requests: 30, kill_every_ms: 600..=600, traffic, ..scene };
    drill("http-downloads", change);
}

/// Hundreds of slow clients. How fast the others are is measured in `.ci/long`, where the machine is quiet.
#[test]
fn slow_clients_keep_nobody_from_being_served() {
    let traffic = Traffic::Slow { clients: 300, lasting: Duration::from_secs(3), always_ms: 1_000.0 };
    drill("slow-connections", |scene| Scene { traffic, ..scene });
}

/// All of them as they are.
#[test]
#[ignore = "takes minutes; run by .ci/long"]
fn all_drills_at_the_frontends_at_their_full_length() {
    for known in &DRILLS {
        drill(known.name, |scene| scene).tell();
    }
}
