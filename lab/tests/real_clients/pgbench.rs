//! pgbench: ten clients in a hurry, with one of two servers absent, or gone in the middle.

use crate::{
    front::Front,
    kit::{Process, eventually},
    postgres::{PROGRAMS, Postgres},
    programs::{Ran, are_here, command, run},
};
use rustix::process::Signal;
use std::{net::SocketAddr, process::Command};

const BENCHES: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'";
const COMMITS: &str = "SELECT count(*) FROM pgbench_history";

#[test]
fn ten_clients_notice_nothing_of_a_server_that_is_not_there() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let (server, mut absent) = (filled(), Postgres::start());
    absent.crash();
    let front = Front::tcp(&[absent.address, server.address], "round-robin");
    for more in [&["-C"][..], &[]] {
        let ran = run(bench(front.address, "3", more), "");
        let (processed, aborted) = (processed(&ran), aborted(&ran.errors));
        assert!(ran.status.success() && aborted == 0 && processed > 10, "{more:?}: {ran:?}");
    }
}

#[test]
fn a_server_that_goes_away_takes_its_own_clients_with_it_and_no_others() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let (steady, mut dying) = (filled(), filled());
    let front = Front::tcp(&[steady.address, dying.address], "round-robin");
    // Ended when all of this has been seen.
    let mut running = Process::start(bench(front.address, "300", &[]), "pgbench");
    let has_five = |server: &Postgres| server.ask(BENCHES) == "5" && server.ask(COMMITS) != "0";
    eventually("five clients work at each", || has_five(&steady) && has_five(&dying));
    dying.crash();
    for _ in 0..5 {
        running.wait_for(" aborted ");
    }
    let by_then: u64 = steady.ask(COMMITS).parse().unwrap();
    eventually("the others go on", || steady.ask(COMMITS).parse::<u64>().unwrap() > by_then);
    // Not INT: whoever runs the tests in the background of a shell has it ignored, and so has pgbench.
    running.signal(Signal::TERM);
    running.wait();
    let said = running.said();
    assert_eq!(aborted(&said), 5, "{said}");
    // Whoever connects now comes to the other one.
    let again = run(bench(front.address, "3", &["-C"]), "");
    assert!(again.status.success() && aborted(&again.errors) == 0 && processed(&again) > 10, "{again:?}");
}

/// A server with the tables of pgbench.
fn filled() -> Postgres {
    let server = Postgres::start();
    run(pgbench(server.address, &["-i", "-q"]), "").done();
    server
}

fn bench(at: SocketAddr, seconds: &str, more: &[&str]) -> Command {
    pgbench(at, &[&["-n", "-c", "10", "-T", seconds], more].concat())
}

fn pgbench(at: SocketAddr, args: &[&str]) -> Command {
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    command("pgbench", &[args, &["-h", &host, "-p", &port, "-U", "postgres", "postgres"]].concat())
}

/// How many transactions it says to have made.
fn processed(ran: &Ran) -> u64 {
    let said = ran.said();
    let line = said.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
    line.and_then(|line| line.split('/').next()?.trim().parse().ok()).unwrap_or_else(|| panic!("{ran:?}"))
}

/// How many of its clients gave up.
fn aborted(said: &str) -> usize {
    said.lines().filter(|line| line.contains("aborted in command") || line.contains("aborted while")).count()
}
