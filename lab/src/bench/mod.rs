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
//! request; a small statement and a small file, for the cost within a whole.
//!
//! **When it is wrong.** Load generator, contestant and servers share the cores, so what costs the ends more makes every
//! contestant look more alike. Processor time per answer, from /proc in ticks of 10 ms, tells what throughput hides.
//! Loopback has no latency and no loss. A debug build is refused.
//!
//! It has one thread, and waits for one load generator after the other.

mod contestant;
mod figures;
mod goals;
mod measure;
pub mod source;
mod stand;
mod table;

use self::{
    contestant::Way,
    figures::Samples,
    measure::{Length, MEASUREMENTS, Measurement},
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
    /// The size of the large file, in MiB
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
    let stop = Stop::on_signals().context("Signals cannot be handled")?;
    let places = Places::here()?;
    let folder = RunFolder::make(&places, "bench", None)?;
    let mut machine = Machine::look(&places.root);
    if machine.haproxy.is_none() {
        say!("HAProxy is not installed here, so there is nothing to compare with but direct access.");
    }
    let measured = bench.measure(&folder, &wanted, &mut machine, &stop)?;
    let goals = goals::goals(&measured);
    let text = format!("{}.\n\n{}", bench.shown(&machine), table::tables(&measured, &goals));
    show!("{text}");
    let samples: Vec<&Samples> = measured.iter().map(|(_, samples)| samples).collect();
    let record =
        serde_json::json!({ "machine": machine, "rounds": bench.rounds, "length": bench.length(), "samples": samples });
    fs::write(folder.path().join("bench.json"), serde_json::to_vec_pretty(&record)?)?;
    say!("All samples are in {}/bench.json.", folder.shown());
    if bench.write_results {
        results::write(&places.root.join("docs/results.md"), "bench", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Bench {
    fn wants(&self, measurement: &Measurement) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| measurement.name.starts_with(name.as_str()))
    }

    fn length(&self) -> Length {
        Length { warmup_s: self.seconds * WARMUP_SHARE, counted_s: self.seconds }
    }

    fn shown(&self, machine: &Machine) -> String {
        let busy =
            if machine.was_busy() { ". Others were busy on this machine: take these figures for no more" } else { "" };
        format!(
            "{}. {} rounds of {} s each; medians, ratios with their least and greatest{busy}",
            machine.shown_with_rivals(),
            self.rounds,
            self.seconds
        )
    }

    /// All measurements, stand by stand.
    fn measure(
        &self,
        folder: &RunFolder,
        wanted: &[Measurement],
        machine: &mut Machine,
        stop: &Stop,
    ) -> anyhow::Result<Vec<(Measurement, Samples)>> {
        let (large, small): (Vec<Measurement>, Vec<Measurement>) = wanted.iter().partition(|one| one.large);
        let haproxy = machine.haproxy.is_some();
        let mut ways = vec![Way::Direct, Way::Ours, Way::OursAgain];
        ways.extend(haproxy.then_some(Way::Haproxy));
        let open = |kind, name: &str, ways: &[Way]| {
            let folder = RunFolder::make(&Places::here()?, "bench", Some(&folder.path().join(name)))?;
            Stand::open(kind, &Binary::own()?, folder, ways)
        };
        let mut measured = Vec::new();
        if !large.is_empty() {
            let ways: Vec<Way> = ways.iter().copied().chain(haproxy.then_some(Way::HaproxySplice)).collect();
            let stand = open(Kind::Large { bytes: self.large << 20 }, "large", &ways)?;
            measured.extend(self.rounds(&stand, &large, stop)?);
            stand.end();
        }
        let stand = open(Kind::Small, "small", &ways)?;
        machine.database = database(&stand)?;
        measured.extend(self.rounds(&stand, &small, stop)?);
        stand.end();
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
                    let log = format!("{}-{}-{at}", measurement.name, round + 1);
                    let sample = measurement.take(stand, &stand.contestants[at], self.length(), &log)?;
                    samples.ways[at].1.push(sample);
                }
            }
            say!("{} stand: round {} of {} done.", stand.name, round + 1, self.rounds);
        }
        Ok(measured)
    }
}

/// How the servers' SQLite keeps what it writes, as it says itself.
fn database(stand: &Stand) -> anyhow::Result<String> {
    let ask = |pragma: &str| {
        let rows = run_statement(stand.servers[0].address, &format!("PRAGMA {pragma}"))?;
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
