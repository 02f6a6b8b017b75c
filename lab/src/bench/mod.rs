//! `lab bench`: what our load balancer costs, beside direct access and HAProxy, on the same servers in the same run.
//!
//! **The problem.** A figure from one machine says nothing on another, a figure from this morning little this
//! afternoon, and whoever measures his own work measures until he likes the result.
//!
//! **The idea.** Only ratios of figures taken in the same run count. The contestants take turns on the same servers,
//! `A B C … A B C …`, each round beginning with the next of them, and a ratio is taken within each round. Our load
//! balancer is there twice, as two processes: the ratio of the two is what chance does, and a difference that is not
//! clearly larger is none.
//!
//! **What is measured**: a large file whose ends cost as little as they can (see [`source`]); `ping` over 1 to 256 kept
//! connections, each ping balanced on its own by us, each *connection* once by HAProxy; a new connection for each
//! request; a small statement and a small file, for the cost within a whole. The same for what is not ours: HTTP and TCP,
//! with nginx as servers (`rival.rs`) and `wrk` as clients (`wrk.rs`): a small answer of 100 bytes; and a large file, for
//! which our own client is lighter (`sink.rs`).
//! And DNS (`dns.rs`), with NSD as servers, dnsdist as the other one in the way and `dnsperf` (`dnsperf.rs`) as the client.
//! And reads on a PostgreSQL of our own (`database.rs`), beside `pgbench` at the same engine.
//! And datagrams of three bytes (`udp.rs`), through tags to three servers, and directly to one that knows of none.
//! Programs that are not installed are left out, and a line says so; `--also` takes any other into the comparison.
//!
//! **When it is wrong.** Load generator, contestant and servers share the cores, so what costs the ends more makes every
//! contestant look more alike. Processor time per answer, from /proc in ticks of 10 ms, tells what throughput hides.
//! Loopback has no latency and no loss. A debug build is refused.
//!
//! It has one thread, and waits for one load generator after the other.

mod contestant;
mod database;
mod dns;
mod dnsperf;
mod figures;
mod goals;
mod measure;
mod rival;
mod sink;
pub mod source;
mod stand;
mod table;
mod udp;
mod wrk;

use self::{
    contestant::Way,
    dns::Programs,
    figures::Samples,
    measure::{Length, MEASUREMENTS, Measurement},
    rival::Also,
    stand::{Kind, Stand},
};
use crate::{
    process::{Binary, RunFolder, run_statement},
    record::{Machine, results},
};
use anyhow::{Context, bail};
use clap::Args;
use protocol::{
    output::{say, show},
    places::Places,
    stop::Stop,
    value::Value,
};
use std::{fs, process::ExitCode};

/// Part of a measurement that warms up, of the time that counts.
const WARMUP_SHARE: f64 = 0.2;

/// Options of `lab bench`.
#[derive(Args, Debug)]
pub struct Bench {
    /// How often each contestant is measured; seven or more for figures that are to be shown
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each measurement counts, in seconds
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Only these measurements (their names as in the table, or how they begin)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Another program for the HTTP comparison, with {listen} where its address belongs and {servers} for those it asks; may
    /// be given several times
    #[arg(long, value_name = "NAME=COMMAND")]
    also: Vec<Also>,
    /// The size of large files, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    large: u64,
    /// Put the figures into docs/results.md
    #[arg(long)]
    write_results: bool,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    seconds.ok_or_else(|| format!("'{text}' is not a number of seconds from 0.1 to 600."))
}

/// Measures, and prints the tables.
///
/// # Errors
/// If this is a debug build, or something could not be started or measured.
pub fn run(bench: &Bench) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) {
        bail!("This is a debug build, whose figures mean nothing. Measure with: cargo run --release -- bench");
    }
    let wanted: Vec<Measurement> = MEASUREMENTS.into_iter().filter(|one| bench.wants(one)).collect();
    if wanted.is_empty() {
        let names: Vec<&str> = MEASUREMENTS.iter().map(|one| one.name).collect();
        bail!("No measurement is called so. There are: {}", names.join(", "));
    }
    let (nginx, wrk) = (rival::said_by("nginx"), rival::said_by("wrk"));
    let web = nginx.is_some() && wrk.is_some();
    let names = Programs::look();
    let engine = database::look();
    let possible = |one: &Measurement| match one.stand {
        Kind::Http | Kind::Tcp => web,
        Kind::Dns => names.dnsperf.is_some(),
        Kind::Database => engine.is_ok(),
        Kind::Lab | Kind::Sources | Kind::Udp => true,
    };
    let (wanted, left_out): (Vec<Measurement>, Vec<Measurement>) = wanted.into_iter().partition(possible);
    let stop = Stop::on_signals().context("Signals cannot be handled")?;
    let places = Places::here()?;
    let folder = RunFolder::make(&places, "bench", None)?;
    let mut machine = Machine::look(&places.root);
    if machine.haproxy.is_none() {
        say!("HAProxy is not installed here, so it is left out of the comparison.");
    }
    if left_out.iter().any(|one| one.stand == Kind::Dns) {
        say!("dnsperf is not installed here, so DNS is not measured.");
    } else if names.dnsdist.is_none() {
        say!("dnsdist is not installed here, so it is left out of the comparison.");
    }
    if left_out.iter().any(|one| one.stand.is_web()) {
        let missing = [("nginx", &nginx), ("wrk", &wrk)].into_iter().filter(|(_, said)| said.is_none());
        let missing: Vec<&str> = missing.map(|(name, _)| name).collect();
        say!("{} is not installed here, so HTTP and TCP are not measured.", missing.join(" and "));
    }
    if let (Err(why), true) = (&engine, left_out.iter().any(|one| one.stand == Kind::Database)) {
        say!("{why}, so reads on it are not measured.");
    }
    let measured = bench.measure(&folder, &wanted, &mut machine, &stop)?;
    let versions = nginx.filter(|_| web).unwrap_or_default();
    let parts = [
        ("bench", machine.shown_with_rivals(), versions),
        ("bench dns", machine.shown(), names.shown()),
        ("bench udp", machine.shown(), String::new()),
        ("bench database", machine.shown(), engine.unwrap_or_default()),
    ];
    for (name, machine_shown, versions) in parts {
        let measured: Vec<_> = measured.iter().filter(|one| one.0.stand.mark() == name).cloned().collect();
        if measured.is_empty() {
            continue;
        }
        let head = bench.shown(&machine, &[machine_shown, versions]);
        let text = format!("{head}.\n\n{}", table::tables(&measured, &goals::goals(&measured)));
        show!("{text}");
        if bench.write_results {
            results::write(&places.root.join("docs/results.md"), name, &text)?;
        }
    }
    let samples: Vec<&Samples> = measured.iter().map(|(_, samples)| samples).collect();
    let record =
        serde_json::json!({ "machine": machine, "rounds": bench.rounds, "length": bench.length(), "samples": samples });
    fs::write(folder.path().join("bench.json"), serde_json::to_vec_pretty(&record)?)?;
    say!("All samples are in {}/bench.json.", folder.shown());
    Ok(ExitCode::SUCCESS)
}

impl Bench {
    fn wants(&self, measurement: &Measurement) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| measurement.name.starts_with(name.as_str()))
    }

    fn length(&self) -> Length {
        Length { warmup_s: self.seconds * WARMUP_SHARE, counted_s: self.seconds }
    }

    /// On what, with which programs, and how often it was measured.
    fn shown(&self, machine: &Machine, what: &[String]) -> String {
        let busy =
            if machine.was_busy() { ". Others were busy on this machine: take these figures for no more" } else { "" };
        let what: Vec<&str> = what.iter().map(String::as_str).filter(|words| !words.is_empty()).collect();
        format!(
            "{}. {} rounds of {} s each; medians, ratios with their least and greatest{busy}",
            what.join("; "),
            self.rounds,
            self.seconds
        )
    }

    /// The ways that are compared there.
    fn ways(&self, kind: Kind, haproxy: bool, large: bool) -> Vec<Way> {
        let mut ways = vec![Way::Direct, Way::Ours, Way::OursAgain];
        if kind == Kind::Dns {
            ways.extend(Programs::look().dnsdist.map(|_| Way::Dnsdist));
            return ways;
        }
        if kind == Kind::Udp {
            return ways;
        }
        if kind == Kind::Database {
            return [ways, vec![Way::Engine]].concat();
        }
        ways.extend(haproxy.then_some(Way::Haproxy));
        ways.extend((haproxy && large).then_some(Way::HaproxySplice));
        if kind == Kind::Http {
            ways.push(Way::Nginx);
            ways.extend(self.also.iter().map(|also| Way::Also(also.name)));
        }
        ways
    }

    /// All measurements, stand by stand.
    fn measure(
        &self,
        folder: &RunFolder,
        wanted: &[Measurement],
        machine: &mut Machine,
        stop: &Stop,
    ) -> anyhow::Result<Vec<(Measurement, Samples)>> {
        let mut measured = Vec::new();
        for kind in Kind::ALL {
            let wanted: Vec<Measurement> = wanted.iter().copied().filter(|one| one.stand == kind).collect();
            if wanted.is_empty() {
                continue;
            }
            let folder = RunFolder::make(&Places::here()?, "bench", Some(&folder.path().join(kind.name())))?;
            let ways = self.ways(kind, machine.haproxy.is_some(), wanted.iter().any(|one| one.large));
            let stand = Stand::open(kind, self.large << 20, &Binary::own()?, folder, (&ways, &self.also))?;
            if kind == Kind::Lab {
                machine.database = database(&stand)?;
            }
            measured.extend(self.rounds(&stand, &wanted, stop)?);
            stand.end();
        }
        Ok(measured)
    }

    /// All rounds of these measurements.
    fn rounds(
        &self,
        stand: &Stand,
        wanted: &[Measurement],
        stop: &Stop,
    ) -> anyhow::Result<Vec<(Measurement, Samples)>> {
        let empty = |measurement: &Measurement| {
            let ways = stand.contestants.iter().map(|contestant| (contestant.way, Vec::new())).collect();
            (*measurement, Samples { measurement: measurement.name, ways })
        };
        let mut measured: Vec<(Measurement, Samples)> = wanted.iter().map(empty).collect();
        for round in 0..self.rounds as usize {
            for (measurement, samples) in &mut measured {
                for turn in 0..stand.contestants.len() {
                    if stop.is_set() {
                        bail!("Interrupted.");
                    }
                    let at = (round + turn) % stand.contestants.len();
                    if !measurement.concerns(stand.contestants[at].way) {
                        continue;
                    }
                    let log = format!("{}-{}-{at}", measurement.name, round + 1);
                    let sample = measurement.take(stand, &stand.contestants[at], self.length(), &log)?;
                    samples.ways[at].1.push(sample);
                }
            }
            say!("{} stand: round {} of {} done.", stand.kind.name(), round + 1, self.rounds);
        }
        Ok(measured)
    }
}

/// How the servers' SQLite keeps what it writes, as it says itself.
fn database(stand: &Stand) -> anyhow::Result<String> {
    let ask = |pragma: &str| {
        let rows = run_statement(stand.servers[0], &format!("PRAGMA {pragma}"))?;
        Ok(match rows.first().and_then(|row| row.first()) {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::Integer(number)) => number.to_string(),
            other => bail!("PRAGMA {pragma} gave {other:?}"),
        })
    };
    let (mode, synchronous) = (ask("journal_mode")?, ask("synchronous")?);
    let name = match synchronous.as_str() {
        "0" => "OFF",
        "1" => "NORMAL",
        "2" => "FULL",
        "3" => "EXTRA",
        other => other,
    };
    Ok(format!("journal mode {mode}, synchronous {name}"))
}
