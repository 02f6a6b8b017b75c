//! One measurement: what is asked, by how many, and what came of it.

use super::{
    contestant::{Contestant, Way},
    database, dnsperf, sink,
    stand::{Kind, Stand},
    udp, wrk,
};
use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use serde::{Deserialize, Serialize};
use std::{fs, time::Duration};

/// How much longer than planned a load generator may run.
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// Large files that are asked for, for each second a measurement is to count: only whole ones count, so it is their
/// number that is given, and not the time.
const FILES_PER_S: f64 = 2.0;
/// Clock ticks of /proc in a second: 100 on every Linux since 2.6.
const TICKS_PER_S: f64 = 100.0;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// Its name.
    pub name: &'static str,
    /// Where.
    pub stand: Kind,
    /// What each client asks: a request of the lab, or a path. Names are asked for in turn.
    pub request: &'static str,
    /// How many clients ask at once; of DNS, how many queries are outstanding.
    pub clients: u32,
    /// Whether each request gets a connection of its own.
    pub new_connection: bool,
    /// Whether it is about bytes rather than requests.
    pub large: bool,
}

/// All measurements, in the order in which they are made.
pub const MEASUREMENTS: [Measurement; 25] = [
    large("large-file", Kind::Sources, "file large.bin"),
    kept("ping-1", Kind::Lab, "ping", 1),
    kept("ping-16", Kind::Lab, "ping", 16),
    kept("ping-64", Kind::Lab, "ping", 64),
    kept("ping-256", Kind::Lab, "ping", 256),
    anew("connect-8", Kind::Lab, "ping", 8),
    anew("connect-64", Kind::Lab, "ping", 64),
    kept("sql-16", Kind::Lab, "sql SELECT Name, HEX FROM COLORS LIMIT 3", 16),
    kept("file-16", Kind::Lab, "file small.csv", 16),
    kept("http-1", Kind::Http, "/small", 1),
    kept("http-64", Kind::Http, "/small", 64),
    kept("http-256", Kind::Http, "/small", 256),
    anew("http-connect-64", Kind::Http, "/small", 64),
    large("http-large", Kind::Http, "/large.bin"),
    kept("tcp-64", Kind::Tcp, "/small", 64),
    anew("tcp-connect-64", Kind::Tcp, "/small", 64),
    large("tcp-large", Kind::Tcp, "/large.bin"),
    kept("dns-1", Kind::Dns, "", 1),
    kept("dns-64", Kind::Dns, "", 64),
    kept("dns-1000", Kind::Dns, "", 1_000),
    kept("udp-1", Kind::Udp, "", 1),
    kept("udp-500", Kind::Udp, "", 500),
    kept("udp-1000", Kind::Udp, "", 1_000),
    kept("database-1", Kind::Database, database::REQUEST, 1),
    kept("database-16", Kind::Database, database::REQUEST, 16),
];

const fn kept(name: &'static str, stand: Kind, request: &'static str, clients: u32) -> Measurement {
    Measurement { name, stand, request, clients, new_connection: false, large: false }
}

const fn anew(name: &'static str, stand: Kind, request: &'static str, clients: u32) -> Measurement {
    Measurement { name, stand, request, clients, new_connection: true, large: false }
}

const fn large(name: &'static str, stand: Kind, request: &'static str) -> Measurement {
    Measurement { name, stand, request, clients: 1, new_connection: false, large: true }
}

/// How long each is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Length {
    /// Requests are sent for this long before those that count, in seconds.
    pub warmup_s: f64,
    /// Requests that count are sent for this long, in seconds.
    pub counted_s: f64,
}

/// What came of one measurement of one contestant.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Answers a second.
    pub answers_per_s: f64,
    /// Bytes a second.
    pub bytes_per_s: f64,
    /// Median latency in microseconds.
    pub latency_us_p50: f64,
    /// 99th percentile of it.
    pub latency_us_p99: f64,
    /// The mean of it, where the load generator tells no more.
    pub latency_us_mean: Option<f64>,
    /// Requests without a right answer.
    pub errors: u64,
    /// Datagrams that were not answered at all.
    pub lost: u64,
    /// Processor time of the process in the way for each answer, in microseconds, where the system tells. It includes
    /// the warm-up, as do the answers it is divided by, as far as they can be known: their rate is taken to be the same.
    pub cpu_us_per_answer: Option<f64>,
    /// The same for each megabyte.
    pub cpu_us_per_mb: Option<f64>,
}

/// What a load generator has counted.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Answers a second.
    pub answers_per_s: f64,
    /// Bytes a second.
    pub bytes_per_s: f64,
    /// Median latency in microseconds.
    pub latency_us_p50: f64,
    /// 99th percentile of it.
    pub latency_us_p99: f64,
    /// The mean of it, where the load generator tells no more.
    pub latency_us_mean: Option<f64>,
    /// Requests with a wrong answer or, over connections, with none.
    pub errors: u64,
    /// Datagrams that were not answered.
    pub lost: u64,
    /// For how many seconds requests were sent, with those that did not count.
    pub seconds: f64,
}

/// What `client load --json` prints, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Loaded {
    seconds: f64,
    answers: u64,
    errors: u64,
    answers_per_s: f64,
    bytes_per_s: f64,
    latency_us: Percentiles,
    errors_by_code: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
}

impl Measurement {
    /// Measures one contestant. `log` names the file for what the load generator says.
    ///
    /// # Errors
    /// If nothing could be measured: the load generator ended without a figure, or nothing was answered.
    pub fn take(&self, stand: &Stand, contestant: &Contestant, length: Length, log: &str) -> anyhow::Result<Sample> {
        let before = cpu_s(contestant);
        let load = match self.stand {
            _ if contestant.way == Way::Engine => database::load(self, stand, length.counted_s, log)?,
            Kind::Lab | Kind::Sources | Kind::Database => self.client_load(stand, contestant, length, log)?,
            Kind::Http | Kind::Tcp if self.large => sink::load(self.request, contestant, length.counted_s)?,
            Kind::Dns => dnsperf::load(self, stand, contestant, length.counted_s, log)?,
            Kind::Udp => udp::load(self, stand, contestant, length.counted_s, log)?,
            Kind::Http | Kind::Tcp => wrk::load(self, stand, contestant, length.counted_s, log)?,
        };
        let spent_us = before.zip(cpu_s(contestant)).map(|(before, after)| (after - before) * 1e6);
        let per = |rate: f64| spent_us.map(|spent| spent / (rate * load.seconds));
        Ok(Sample {
            answers_per_s: load.answers_per_s,
            bytes_per_s: load.bytes_per_s,
            latency_us_p50: load.latency_us_p50,
            latency_us_p99: load.latency_us_p99,
            latency_us_mean: load.latency_us_mean,
            errors: load.errors,
            lost: load.lost,
            cpu_us_per_answer: per(load.answers_per_s).filter(|_| load.answers_per_s > 0.0),
            cpu_us_per_mb: per(load.bytes_per_s / 1e6),
        })
    }

    /// Drives the lab's protocol with our own load generator.
    fn client_load(&self, stand: &Stand, contestant: &Contestant, length: Length, log: &str) -> anyhow::Result<Load> {
        let (address, clients) = (contestant.address.to_string(), self.clients.to_string());
        let length = if self.large { Length { warmup_s: 0.0, ..length } } else { length };
        let (warmup, duration) = (format!("{}s", length.warmup_s), format!("{}s", length.counted_s));
        let files = (FILES_PER_S * length.counted_s).ceil().to_string();
        let ask = ["--balancer", &address, "--clients", &clients, "--request", self.request, "--seed", "1", "--json"];
        let mut args = [&["client", "load"], &ask[..]].concat();
        args.extend(self.new_connection.then_some("--new-connection"));
        if self.large {
            args.extend(["--no-verify", "--requests", &files]);
        } else {
            args.extend(["--warmup", &warmup, "--duration", &duration]);
        }
        let mut load = stand.site.start(log, &args)?;
        load.end(Deadline::after(Duration::from_secs_f64(length.warmup_s + length.counted_s) + GRACE));
        let said = fs::read_to_string(stand.site.folder.log(log)).context("The load generator's log cannot be read")?;
        let loaded = understand(&said).with_context(|| format!("{} of {}", self.name, contestant.way.name()))?;
        Ok(Load {
            answers_per_s: loaded.answers_per_s,
            bytes_per_s: loaded.bytes_per_s,
            latency_us_p50: loaded.latency_us.p50,
            latency_us_p99: loaded.latency_us.p99,
            latency_us_mean: None,
            errors: loaded.errors,
            lost: 0,
            seconds: loaded.seconds + length.warmup_s,
        })
    }

    /// Whether it says anything about this way: splicing is for what is large.
    #[must_use]
    pub fn concerns(&self, way: Way) -> bool {
        self.large || way != Way::HaproxySplice
    }

    /// The figure that counts: bytes or answers a second.
    #[must_use]
    pub fn figure(&self, sample: &Sample) -> f64 {
        if self.large { sample.bytes_per_s } else { sample.answers_per_s }
    }
}

fn understand(said: &str) -> anyhow::Result<Loaded> {
    let line = said.lines().rev().find(|line| line.starts_with('{'));
    let Some(line) = line else { bail!("The load generator gave no figures. It said: {said}") };
    let loaded: Loaded = serde_json::from_str(line).with_context(|| format!("The figures cannot be read: {line}"))?;
    if loaded.answers == 0 {
        bail!("Nothing was answered: {:?}", loaded.errors_by_code);
    }
    Ok(loaded)
}

/// Processor time that the processes in the way have used so far, in seconds.
fn cpu_s(contestant: &Contestant) -> Option<f64> {
    let each: Option<Vec<f64>> = contestant.pids().map(cpu_of).collect();
    each.filter(|each| !each.is_empty()).map(|each| each.iter().sum())
}

/// Processor time that a process has used so far, in seconds: its own and the system's for it.
fn cpu_of(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything; fields are counted after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_after_other_lines() {
        let line = r#"{"seconds":1.0,"answers":5,"errors":0,"answers_per_s":5.0,"bytes_per_s":660.0,"latency_us":{"min":1,"p50":2.5,"p99":9},"errors_by_code":[],"more":1}"#;
        let loaded = understand(&format!("a warning\n{line}\n")).unwrap();
        assert_eq!((loaded.answers, loaded.latency_us.p99), (5, 9.0));
        assert!(understand("error: no balancer").is_err());
        assert!(understand(&line.replace("\"answers\":5", "\"answers\":0")).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processor_time_grows() {
        let before = cpu_of(std::process::id()).unwrap();
        // On a busy machine a tick of it takes any time to come.
        let late = Deadline::after(Duration::from_secs(20));
        while cpu_of(std::process::id()).unwrap() <= before {
            assert!(!late.has_passed(), "no tick in 20 s");
        }
    }
}
