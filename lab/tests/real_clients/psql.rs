//! psql: questions, COPY both ways, and what Ctrl-C comes to behind a load balancer.
//!
//! PostgreSQL cancels over a *second connection*, which names the session by a key that only its server knows. For the
//! load balancer that is a connection like any other: with several servers it may reach one that has no such session, and
//! then nothing is cancelled and psql, which is not told, goes on waiting. Whoever wants to cancel keeps each client at one
//! server: `--balance consistent-hash` goes by the client's address.

use crate::{
    front::Front,
    kit::eventually,
    postgres::{PROGRAMS, Postgres, psql, psql_command},
    programs::{Running, are_here, start},
};
use rustix::process::Signal;

const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
const WRONG_SERVER: &str = "in cancel request did not match any process";

#[test]
fn questions_are_answered_and_copy_goes_both_ways() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let server = Postgres::start();
    let front = Front::tcp(&[server.address], "round-robin");
    assert_eq!(psql(front.address, &["-c", "SELECT 6 * 7"], "").done(), "42\n");
    psql(front.address, &["-c", "CREATE TABLE lines (number int, text text)"], "").done();
    // 12 MB, in and out.
    let lines: String = (0..120_000).map(|number| format!("{number}\t{number:0>93}\n")).collect();
    psql(front.address, &["-c", "COPY lines FROM STDIN"], lines.as_str()).done();
    let back = psql(front.address, &["-c", "COPY (SELECT * FROM lines ORDER BY number) TO STDOUT"], "").done();
    assert!(lines.len() > 12_000_000 && back == lines, "{} bytes came back of {}", back.len(), lines.len());
}

#[test]
fn ctrl_c_cancels_where_there_is_one_server() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let server = Postgres::start();
    let front = Front::tcp(&[server.address], "round-robin");
    let asking = sleeper(&front);
    until_somebody_sleeps(&[&server]);
    asking.signal(Signal::INT);
    must_be_cancelled(asking);
}

#[test]
fn among_several_servers_ctrl_c_may_reach_another_one_and_a_client_that_keeps_its_server_avoids_that() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let servers = [Postgres::start(), Postgres::start()];
    let addresses = servers.each_ref().map(|server| server.address);
    let front = Front::tcp(&addresses, "round-robin");
    let asking = sleeper(&front);
    let at = until_somebody_sleeps(&[&servers[0], &servers[1]]);
    asking.signal(Signal::INT);
    let other = &servers[1 - at];
    eventually("the other server is asked to cancel", || other.log().contains(WRONG_SERVER));
    assert_eq!(servers[at].ask(SLEEPING), "1", "nothing was cancelled");
    servers[at].ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    assert!(!asking.ends().status.success());

    let keeping = Front::tcp(&addresses, "consistent-hash");
    for _ in 0..3 {
        let asking = sleeper(&keeping);
        until_somebody_sleeps(&[&servers[0], &servers[1]]);
        asking.signal(Signal::INT);
        must_be_cancelled(asking);
    }
}

fn sleeper(front: &Front) -> Running {
    start(psql_command(front.address, &["-c", "SELECT pg_sleep(600)"]), "")
}

/// Waits until a server sleeps for somebody, and says which.
fn until_somebody_sleeps(servers: &[&Postgres]) -> usize {
    let mut at = None;
    eventually("a server sleeps", || {
        at = servers.iter().position(|server| server.ask(SLEEPING) == "1");
        at.is_some()
    });
    at.unwrap()
}

fn must_be_cancelled(asking: Running) {
    let ended = asking.ends();
    assert!(ended.errors.contains("canceling statement due to user request"), "{ended:?}");
}
