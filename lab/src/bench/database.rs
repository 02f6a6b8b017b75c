//! Reads on a PostgreSQL of the laboratory's own: what is left of the engine's own rate behind server and load balancer.
//!
//! The same statement, one row by its primary key, is asked over the same number of connections: by `pgbench`, which prepares it once on
//! each (`-M prepared`); by our clients at a server; and by our clients through the load balancer and two servers. A server of
//! ours keeps it parsed on each connection, runs it inside a transaction that may only read, and takes back what it may have left: that is
//! what is measured here, along with the way.
//!
//! pgbench, our clients, servers and the engine share the machine, so the engine has the less of it the more the way costs.

use super::{
    measure::{GRACE, Load, Measurement},
    stand::Stand,
};
use crate::process::{Child, Postgres, postgres_program};
use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use std::{fs, process::Command, time::Duration};

/// What is asked.
pub const READ: &str = "SELECT id, station, reading FROM MEASUREMENTS WHERE id = 50000";
/// The same for our clients.
pub const REQUEST: &str = "sql SELECT id, station, reading FROM MEASUREMENTS WHERE id = 50000";

/// What PostgreSQL says of its version; what is missing, if it cannot be measured here.
///
/// # Errors
/// Which program is missing.
pub fn look() -> Result<String, String> {
    Postgres::is_here()?;
    postgres_program("pgbench").ok_or("there is no pgbench")?;
    let postgres = postgres_program("postgres").ok_or("there is no postgres")?;
    let said = Command::new(postgres).arg("--version").output().map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// Lets pgbench ask the engine for so many seconds (whole ones). `log` names the file for what it says.
///
/// # Errors
/// If it does not start, or gives no figures.
pub fn load(measurement: &Measurement, stand: &Stand, seconds: f64, log: &str) -> anyhow::Result<Load> {
    let engine = stand.engine.as_ref().context("There is no engine on this stand")?;
    let script = stand.site.folder.path().join("read.sql");
    fs::write(&script, format!("{READ};\n"))?;
    let (clients, seconds) = (measurement.clients.to_string(), seconds.ceil());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(measurement.clients as usize);
    let mut command: Command = engine.client("pgbench")?;
    command.args([
        "-n",
        "-M",
        "prepared",
        "-c",
        &clients,
        "-j",
        &threads.to_string(),
        "-T",
        &seconds.to_string(),
        "-f",
    ]);
    command.arg(&script).arg("lab");
    let path = stand.site.folder.log(log);
    let mut pgbench = Child::start(log, command, path.clone())?;
    pgbench.end(Deadline::after(Duration::from_secs_f64(seconds) + GRACE));
    let said = fs::read_to_string(path).context("The log of pgbench cannot be read")?;
    understand(&said, seconds)
}

fn understand(said: &str, seconds: f64) -> anyhow::Result<Load> {
    let number = |title: &str| {
        let rest = said.lines().find_map(|line| line.strip_prefix(title));
        rest.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
            .with_context(|| format!("pgbench said no '{title}': {said}"))
    };
    let (rate, latency) = (number("tps = ")?, number("latency average = ")?);
    let failed = number("number of failed transactions: ").unwrap_or(0.0);
    if rate <= 0.0 {
        bail!("Nothing was answered. pgbench said: {said}");
    }
    Ok(Load {
        answers_per_s: rate,
        bytes_per_s: 0.0,
        latency_us_p50: f64::NAN,
        latency_us_p99: f64::NAN,
        latency_us_mean: Some(latency * 1e3),
        errors: failed as u64,
        lost: 0,
        seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_among_what_pgbench_says() {
        let said = "number of transactions actually processed: 10\nnumber of failed transactions: 0 (0.000%)\n\
            latency average = 0.125 ms\ninitial connection time = 2.1 ms\ntps = 8000.5 (without initial connection time)\n";
        let load = understand(said, 1.0).unwrap();
        assert_eq!((load.answers_per_s, load.latency_us_mean, load.errors), (8_000.5, Some(125.0), 0));
        assert!(understand("pgbench: error: connection failed", 1.0).is_err());
        assert!(REQUEST.ends_with(READ));
    }
}
