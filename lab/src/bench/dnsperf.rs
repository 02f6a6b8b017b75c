//! Driving DNS with `dnsperf`: it keeps so many queries outstanding, over so many sockets, and counts what is lost.
//!
//! **Lost** is what has no answer within two seconds, also if it was lost at a server or at dnsperf itself: nothing should be,
//! on loopback. It holds one of the places for queries meanwhile, so losses cost throughput besides.
//!
//! **Latency** is told as a mean for all; each one's (`-v`) costs dnsperf as much as the query, so it is told only where there
//! is one query at a time, and that is what matters there: the percentiles are of these.

use super::{
    contestant::Contestant,
    measure::{GRACE, Load, Measurement},
    stand::Stand,
};
use crate::process::{Child, argument};
use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use std::{fs, process::Command, time::Duration};

/// How long an answer is waited for, in seconds.
const PATIENCE: &str = "2";
/// Sockets of many clients. One query at a time has one socket.
const SOCKETS: &str = "8";

/// Loads a contestant for so many seconds. `log` names the file for what dnsperf says.
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
    let (ip, port) = (contestant.address.ip().to_string(), contestant.address.port().to_string());
    let (outstanding, seconds_text) = (measurement.clients.to_string(), seconds.to_string());
    let queries = argument(&stand.site.folder.path().join("queries"))?;
    let alone = measurement.clients == 1;
    let mut args =
        vec!["-s", &ip, "-p", &port, "-d", &queries, "-l", &seconds_text, "-q", &outstanding, "-t", PATIENCE];
    args.extend(["-c", if alone { "1" } else { SOCKETS }]);
    args.extend(alone.then_some("-v"));
    let mut command = Command::new("dnsperf");
    command.args(args);
    let path = stand.site.folder.log(log);
    let mut dnsperf = Child::start(log, command, path.clone())?;
    dnsperf.end(Deadline::after(Duration::from_secs_f64(seconds) + GRACE));
    let said = fs::read_to_string(path).context("The log of dnsperf cannot be read")?;
    understand(&said).with_context(|| format!("{} of {}", measurement.name, contestant.way.name()))
}

fn understand(said: &str) -> anyhow::Result<Load> {
    let line = |title: &str| said.lines().find_map(|line| line.trim().strip_prefix(title)).map(str::trim);
    let number = |title: &str| {
        let word = line(title).and_then(|rest| rest.split(' ').next());
        word.and_then(|word| word.parse::<f64>().ok()).with_context(|| format!("dnsperf said no '{title}': {said}"))
    };
    let (completed, lost) = (number("Queries completed:")?, number("Queries lost:")?);
    if completed == 0.0 {
        bail!("Nothing was answered. dnsperf said: {said}");
    }
    let right = line("Response codes:").and_then(|codes| {
        let code = codes.split(", ").find_map(|code| code.trim().strip_prefix("NOERROR "))?;
        code.split(' ').next()?.parse::<f64>().ok()
    });
    let mut each: Vec<f64> = said.lines().filter_map(latency).collect();
    each.sort_by(f64::total_cmp);
    let at = |share: f64| each.get((each.len() as f64 * share) as usize).map_or(f64::NAN, |seconds| seconds * 1e6);
    let seconds = number("Run time (s):")?;
    Ok(Load {
        answers_per_s: completed / seconds,
        bytes_per_s: 0.0,
        latency_us_p50: at(0.5),
        latency_us_p99: at(0.99),
        latency_us_mean: Some(number("Average Latency (s):")? * 1e6),
        errors: (completed - right.unwrap_or(0.0)) as u64,
        lost: lost as u64,
        seconds,
    })
}

/// What one answer took, in seconds: `> NOERROR n1.bench.example A 0.000013`.
fn latency(line: &str) -> Option<f64> {
    line.strip_prefix("> ")?.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "> NOERROR n1.bench.example A 0.000013\n> NOERROR n2.bench.example A 0.000015\n\
         > NOERROR n3.bench.example A 0.000011\n[Status] Testing complete (time limit)\n\nStatistics:\n\n  Queries sent:         9\n  \
         Queries completed:    6 (66.67%)\n  Queries lost:         3 (33.33%)\n\n  Response codes:       SERVFAIL 2 (33.33%), \
         NOERROR 4 (66.67%)\n  Run time (s):         0.500000\n  Queries per second:   12.0\n\n  \
         Average Latency (s):  0.000027 (min 0.000010, max 0.009129)\n";

    #[test]
    fn figures_are_found_among_what_dnsperf_says() {
        let load = understand(SAID).unwrap();
        assert_eq!((load.answers_per_s, load.lost, load.errors, load.latency_us_mean), (12.0, 3, 2, Some(27.0)));
        assert_eq!((load.latency_us_p50.round(), load.latency_us_p99.round()), (13.0, 15.0));
        assert!(understand(&SAID.replace("> ", "")).unwrap().latency_us_p50.is_nan(), "nobody asked for each");
    }

    #[test]
    fn nothing_is_not_taken_for_a_figure() {
        assert!(understand("dnsperf: no such file").is_err());
        assert!(understand(&SAID.replace("completed:    6", "completed:    0")).is_err());
    }
}
