//! Servers that answer datagrams, for measuring what a tag and the way through the load balancer cost.
//!
//! A request is three bytes, its answer the same turned around. Behind the load balancer (`--udp`, tagged, round robin) are three
//! servers that leave a tag of 8 bytes as it is; *direct* is a fourth one, which knows of no tag (`--tag-bytes 0`), because nobody
//! appends one there.
//!
//! The clients are those of `client load --udp`: each has one request under way, and asks on when it is answered. **Lost** is what had
//! no answer within [`PATIENCE`]; its client waits for as long, so losses cost throughput besides. There is no warm-up.

use super::{
    contestant::{Contestant, local_address},
    measure::{GRACE, Load, Measurement},
    stand::Stand,
};
use crate::process::{Child, READY_TIME, Site, argument};
use anyhow::{Context, bail};
use protocol::{deadline::Deadline, dns::socket_to};
use serde::Deserialize;
use std::{fs, io, net::SocketAddr, thread, time::Duration};

/// Bytes of a tag, as our load balancer appends it.
pub const TAG_BYTES: &str = "8";
/// What is asked to see whether anybody answers.
const REQUEST: [u8; 3] = [1, 2, 3];
/// What comes back.
const ANSWER: [u8; 3] = [3, 2, 1];
/// How long an answer is waited for when it is seen whether anybody answers at all.
const TRY: Duration = Duration::from_millis(200);
/// How long one that is measured is waited for: as long as dnsperf waits.
const PATIENCE: &str = "2s";

/// Starts a server that leaves so many bytes at the end of each datagram as they are. Load balancers are told its address, as those of
/// the other protocols are: it registers where none of them looks.
///
/// # Errors
/// If it does not start, or does not answer.
pub fn server(site: &Site, id: &str, tag_bytes: &str) -> anyhow::Result<(SocketAddr, Child)> {
    let (name, address) = (format!("reverse-{id}"), local_address());
    let (port, registry) = (address.port().to_string(), argument(&site.folder.path().join("reverse.json"))?);
    let what = ["server", id, &port, "0", "--service", "reverse", "--capacity", "unlimited"];
    let how = ["--tag-bytes", tag_bytes, "--registry", &registry, "--quiet"];
    let mut child = site.start(&name, &[&what[..], &how].concat())?;
    let deadline = Deadline::after(READY_TIME);
    while !is_there(address) {
        child.must_live()?;
        if deadline.has_passed() {
            bail!("{name} does not answer on {address}.");
        }
    }
    Ok((address, child))
}

/// Whether this server answers. It is asked in more bytes than a tag has, so that something is left to be turned around.
fn is_there(server: SocketAddr) -> bool {
    ask(server, &[b'?'; 16]).is_some()
}

/// Whether the right answer comes from there at once.
pub fn answers(address: SocketAddr) -> bool {
    ask(address, &REQUEST).is_some_and(|answer| answer == ANSWER)
}

/// What comes back from there at once.
fn ask(address: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let asked = || {
        let socket = socket_to(address)?;
        socket.set_read_timeout(Some(TRY))?;
        socket.send(request)?;
        let mut bytes = [0; 16];
        let length = socket.recv(&mut bytes)?;
        Ok::<_, io::Error>(bytes[..length].to_vec())
    };
    asked().inspect_err(|_refused_or_late| thread::park_timeout(Duration::from_millis(10))).ok()
}

/// What `client load --udp --json` prints, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Loaded {
    seconds: f64,
    answers: u64,
    timeouts: u64,
    wrong: u64,
    lost_clients: u64,
    answers_per_s: f64,
    latency_us: Latency,
}

#[derive(Debug, Deserialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p99: f64,
}

/// Loads a contestant for so many seconds. `log` names the file for what the load generator says.
///
/// # Errors
/// If it does not start, or gives no figures, or nothing was answered.
pub fn load(
    measurement: &Measurement,
    stand: &Stand,
    contestant: &Contestant,
    seconds: f64,
    log: &str,
) -> anyhow::Result<Load> {
    let (address, clients) = (contestant.address.to_string(), measurement.clients.to_string());
    let duration = format!("{seconds}s");
    let ask = ["client", "load", "--udp", &address, "--threads", &clients];
    let how = ["--for", &duration, "--timeout", PATIENCE, "--json"];
    let mut load = stand.site.start(log, &[&ask[..], &how].concat())?;
    load.end(Deadline::after(Duration::from_secs_f64(seconds) + GRACE));
    let said = fs::read_to_string(stand.site.folder.log(log)).context("The load generator's log cannot be read")?;
    understand(&said).with_context(|| format!("{} of {}", measurement.name, contestant.way.name()))
}

fn understand(said: &str) -> anyhow::Result<Load> {
    let line = said.lines().rev().find(|line| line.starts_with('{'));
    let Some(line) = line else { bail!("The load generator gave no figures. It said: {said}") };
    let loaded: Loaded = serde_json::from_str(line).with_context(|| format!("The figures cannot be read: {line}"))?;
    if loaded.answers == 0 {
        bail!("Nothing was answered: {} time-outs, {} wrong answers.", loaded.timeouts, loaded.wrong);
    }
    Ok(Load {
        answers_per_s: loaded.answers_per_s,
        bytes_per_s: 0.0,
        latency_us_p50: loaded.latency_us.p50,
        latency_us_p99: loaded.latency_us.p99,
        latency_us_mean: Some(loaded.latency_us.mean),
        errors: loaded.wrong + loaded.lost_clients,
        lost: loaded.timeouts,
        seconds: loaded.seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = r#"{"threads":2,"seconds":0.5,"requests":9,"answers":6,"timeouts":2,"wrong":1,"late":0,"lost_clients":1,"answers_per_s":12.0,"latency_us":{"count":6,"min":1.0,"mean":27.0,"p50":13.0,"p99":15.0,"max":99.0}}"#;

    #[test]
    fn what_is_lost_is_no_error_and_a_wrong_answer_is_not_lost() {
        let load = understand(&format!("a warning\n{SAID}\n")).unwrap();
        assert_eq!((load.answers_per_s, load.lost, load.errors), (12.0, 2, 2));
        assert_eq!((load.latency_us_mean, load.latency_us_p50, load.latency_us_p99), (Some(27.0), 13.0, 15.0));
    }

    #[test]
    fn nothing_is_not_taken_for_a_figure() {
        assert!(understand("error: no load balancer").is_err());
        assert!(understand(&SAID.replace("\"answers\":6", "\"answers\":0")).is_err());
    }
}
