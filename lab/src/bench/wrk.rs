//! Driving HTTP with `wrk`: a load generator that is not ours, and costs less than what it measures.
//!
//! It has one thread, keeps its connections or makes a new one for each request, and sends the next request when the answer
//! is there (a closed loop). A script has it print its figures as JSON. It counts in whole seconds and from its first
//! request on; the connections to the servers are made within the first milliseconds.

use super::{
    contestant::Contestant,
    measure::{GRACE, Load, Measurement},
    stand::Stand,
};
use crate::process::Child;
use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use serde::Deserialize;
use std::{fs, process::Command, time::Duration};

/// Has wrk print what it has counted.
const SCRIPT: &str = r#"
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"answers":%d,"bytes":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// What the script prints.
#[derive(Debug, Deserialize)]
struct Counted {
    answers: u64,
    bytes: u64,
    seconds: f64,
    p50: f64,
    p99: f64,
    errors: u64,
}

/// Loads a contestant for so many seconds, rounded up to whole ones. `log` names the file for what wrk says.
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
    let folder = stand.site.folder.path();
    let script = folder.join("figures.lua");
    fs::write(&script, SCRIPT).context("The script for wrk cannot be written")?;
    let (script, whole) = (crate::process::argument(&script)?, seconds.ceil());
    let (url, connections) = (format!("http://{}{}", contestant.address, measurement.request), measurement.clients);
    let (connections, duration) = (connections.to_string(), format!("{whole}s"));
    let mut args = vec!["-t", "1", "-c", &connections, "-d", &duration, "-s", &script, "--timeout", "10s"];
    if measurement.new_connection {
        args.extend(["-H", "Connection: close"]);
    }
    args.push(&url);
    let mut command = Command::new("wrk");
    command.args(args);
    let path = stand.site.folder.log(log);
    let mut wrk = Child::start(log, command, path.clone())?;
    wrk.end(Deadline::after(Duration::from_secs_f64(whole) + GRACE));
    let said = fs::read_to_string(path).context("The log of wrk cannot be read")?;
    understand(&said).with_context(|| format!("{} of {}", measurement.name, contestant.way.name()))
}

fn understand(said: &str) -> anyhow::Result<Load> {
    let line = said.lines().rev().find(|line| line.starts_with('{'));
    let Some(line) = line else { bail!("wrk gave no figures. It said: {said}") };
    let counted: Counted = serde_json::from_str(line).with_context(|| format!("The figures cannot be read: {line}"))?;
    // Of a large body, a part of an answer counts by its bytes.
    if counted.bytes == 0 {
        bail!("Nothing was answered. wrk said: {said}");
    }
    Ok(Load {
        answers_per_s: counted.answers as f64 / counted.seconds,
        bytes_per_s: counted.bytes as f64 / counted.seconds,
        latency_us_p50: counted.p50,
        latency_us_p99: counted.p99,
        latency_us_mean: None,
        errors: counted.errors,
        lost: 0,
        seconds: counted.seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_among_what_wrk_says() {
        let line = r#"{"answers":500,"bytes":1000,"seconds":2.0,"p50":61.0,"p99":907.5,"errors":3}"#;
        let load = understand(&format!("Running 1s test\n  500 requests in 2.00s\n{line}\n")).unwrap();
        assert_eq!((load.answers_per_s, load.bytes_per_s, load.latency_us_p99, load.errors), (250.0, 500.0, 907.5, 3));
        assert!(understand("unable to connect").is_err());
        assert!(understand(&line.replace("1000", "0")).is_err());
    }
}
