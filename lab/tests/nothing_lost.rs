//! Whatever dies, nothing is lost, nothing is there twice, and nobody gets another's answer.
//!
//! The drills of `lab drill`, which say what they do and what they check; here with small numbers, and whole where
//! ignored. One at a time, because each wants the machine.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(unix)]

use lab::{
    drill::{DRILLS, Deed, Harm, Report, Scene, Setting, find, play},
    process::Binary,
};
use protocol::{output::warn, stop::Stop};
use std::sync::{Mutex, PoisonError};

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
    assert!(bad.is_empty(), "seed {}: {bad:#?}\n{}", report.seed, serde_json::to_string_pretty(&report).unwrap());
    report
}

/// The same scene with so many clients and requests of each.
fn with(clients: usize, requests: u64) -> impl Fn(Scene) -> Scene {
    move |mut scene| {
        (scene.load.clients, scene.load.requests) = (clients, requests);
        scene
    }
}

/// Files, rows and writes, while servers are killed: no client notices.
#[test]
fn no_client_notices_that_servers_are_killed() {
    drill("kill", with(16, 40));
}

/// Downloads while servers are killed: all whole, with the right digests, and no error.
#[test]
fn downloads_are_whole_although_servers_are_killed() {
    let harm = Harm::every(Deed::Kill, 300..=400);
    drill("downloads", |scene| Scene { harm, ..with(4, 8)(scene) });
}

/// The same of servers whose copies differ: an error, never a mixture.
#[test]
fn copies_that_differ_give_an_error_and_never_a_mixture() {
    // A kill that hits no file in its middle shows nothing, and which it hits is up to chance.
    for _ in 0..5 {
        let harm = Harm::every(Deed::Kill, 250..=400);
        let report = drill("copies-differ", |scene| Scene { harm, ..with(4, 10)(scene) });
        if report.seen.errors() > 0 {
            return;
        }
    }
    panic!("no kill hit a file in its middle");
}

/// Every acknowledged row is there once, although servers are killed.
#[test]
fn inserts_happen_once_although_servers_are_killed() {
    drill("inserts", with(16, 25));
}

/// The same when they are stopped, and go on with what they had.
#[test]
fn inserts_happen_once_although_servers_are_stopped() {
    let harm = Harm::lasting(Deed::Stop, 300..=2_600, 50..=200);
    let stopped = (find("stop").unwrap().scene)();
    drill("inserts", |scene| Scene { harm, errors: stopped.errors, ..with(16, 15)(scene) });
}

/// A crowd while servers are killed, stopped and restarted: none swapped, none lost, and everything is as before.
#[test]
fn a_crowd_gets_its_own_answers_whatever_happens_to_servers() {
    drill("crowd", with(100, 12));
}

/// Nothing passes to or from a server for a while, and what was on its way arrives late.
#[test]
fn a_server_that_is_cut_off_costs_nobody_an_answer() {
    let harm = Harm::lasting(Deed::CutOff, 500..=3_500, 50..=200);
    drill("cut-off", |scene| Scene { harm, ..with(8, 20)(scene) });
}

/// Answers come late, some later than anybody waits.
#[test]
fn answers_that_come_late_are_dropped_and_harm_nobody() {
    let harm = Harm::lasting(Deed::Slow { delay_ms: 100..=2_800 }, 300..=1_500, 50..=200);
    drill("slow", |scene| Scene { harm, ..with(8, 40)(scene) });
}

/// The load balancer is killed: what is unknown then is settled by asking again under the same id.
#[test]
fn asking_again_settles_what_a_killed_load_balancer_left_open() {
    // Three kills or more. Of the dozen requests that each hits, none is a write once in five hundred kills.
    let harm = Harm::every(Deed::RestartBalancer, 400..=800);
    let report = drill("restart-balancer", |scene| Scene { harm, ..with(16, 45)(scene) });
    assert!(report.seen.settled_done + report.seen.settled_failed > 0, "the load balancer died in no request");
}

/// A server's port refuses connections: nobody notices, and it is back soon.
#[test]
fn a_server_that_refuses_connections_costs_nobody_an_answer() {
    let harm = Harm::lasting(Deed::Refuse, 200..=400, 300..=500);
    drill("refuse", |scene| Scene { harm, more: Vec::new(), ..with(16, 30)(scene) });
}

/// A server goes away and comes back all the time: no error, and it is not believed each time.
#[test]
fn a_server_that_flaps_costs_nobody_an_answer() {
    let harm = Harm::lasting(Deed::Flap { phase_ms: 100..=200 }, 1_000..=1_200, 700..=800);
    // Left out for so short a time that its return is seen before the clients have done.
    let flags = ["--eject", "errors 5 for 300ms longest 500ms"].map(str::to_owned).to_vec();
    drill("flapping", |scene| Scene { harm, flags, ..with(16, 40)(scene) });
}

/// All servers are gone for a while: what is asked then waits, or is told so.
#[test]
fn all_servers_may_die_and_come_back() {
    let harm = Harm::lasting(Deed::AllDown, 200..=500, 500..=800);
    drill("all-down", |scene| Scene { harm, ..with(16, 30)(scene) });
}

/// Servers join under load, and get requests soon.
#[test]
fn servers_that_join_get_requests() {
    // Long enough that the first who joins still finds something to do when its start takes seconds.
    let harm = Harm::every(Deed::Join { at_most: 4 }, 200..=300);
    drill("join", |scene| Scene { harm, ..with(12, 80)(scene) });
}

/// Servers are drained through the administration, or end with Ctrl-C: no client notices.
#[test]
fn no_client_notices_that_servers_are_drained() {
    let harm = Harm::lasting(Deed::Drain, 100..=200, 50..=100);
    drill("drain", |scene| Scene { harm, ..with(16, 25)(scene) });
}

/// The same without a pause: who is drained has often only just been started again, and the load balancer has not read of
/// it yet.
#[test]
fn a_server_may_be_drained_that_has_only_just_been_started_again() {
    let harm = Harm::lasting(Deed::Drain, 1..=1, 0..=1);
    drill("drain", |scene| Scene { servers: 2, harm, ..with(4, 60)(scene) });
}

/// The policy changes all the time.
#[test]
fn no_client_notices_that_the_policy_changes() {
    drill("policy", |scene| Scene { harm: Harm::every(Deed::ChangePolicy, 10..=30), ..with(16, 30)(scene) });
}

/// More clients than places: refused at once, or answered.
#[test]
fn a_crowd_that_is_too_large_is_told_so_at_once() {
    drill("queue-overflow", with(60, 12));
}

/// Ctrl-C of the load balancer: what it has taken it finishes.
#[test]
fn a_load_balancer_that_ends_finishes_what_it_has() {
    let harm = Harm::every(Deed::EndBalancer, 600..=900);
    drill("end-balancer", |scene| Scene { harm, ..with(16, 30)(scene) });
}

/// Copies of requests while servers die, hang and dawdle: no write happens twice.
#[test]
fn copies_of_requests_double_no_write() {
    for copied in ["hedged", "duplicated"] {
        drill(copied, |scene| Scene { harm: Harm::every(Deed::MixedOrSlow, 200..=400), ..with(16, 30)(scene) });
    }
}

/// All drills as they are.
#[test]
#[ignore = "takes minutes; run by .ci/long"]
fn all_drills_at_their_full_length() {
    for known in &DRILLS {
        let report = drill(known.name, |scene| scene);
        report.tell();
    }
}
