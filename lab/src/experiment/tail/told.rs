//! The tail as tables and plots.

use super::{Measured, SERVERS, Tail, sample::Sample, simulated::Simulated};
use crate::{
    experiment::{
        Run,
        overhead::Overhead,
        plot::{Bar, Curve, Curves, Panel, Panels},
    },
    record::{Spread, median, table},
};
use client::load::latency::Latency;
use protocol::flags::capacity_in_words;

impl Measured {
    fn spread(&self, of: impl Fn(&Sample) -> f64) -> Spread {
        let samples: Vec<f64> = self.samples.iter().map(of).collect();
        Spread::of(&samples).unwrap_or(Spread { median: 0.0, min: 0.0, max: 0.0 })
    }

    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        self.spread(of).median
    }

    /// The median of the simulated rounds.
    fn simulated(&self, of: impl Fn(&Simulated) -> f64) -> f64 {
        median(self.simulated.iter().map(of).collect()).unwrap_or_default()
    }

    fn p99_ms(&self) -> Spread {
        self.spread(|sample| sample.latency_us.p99 / 1e3)
    }

    /// The latencies of all rounds.
    fn latencies(&self) -> Option<Latency> {
        let mut samples = self.samples.iter();
        let mut all = samples.next()?.latencies.clone();
        samples.for_each(|sample| all.add(&sample.latencies));
        Some(all)
    }
}

/// What is told.
pub fn text(tail: &Tail, measured: &[Measured], overhead: &Overhead) -> String {
    let Tail { rounds, rate, slower, .. } = tail;
    let (ms, seconds) = (tail.time.as_secs_f64() * 1e3, tail.duration.as_secs_f64());
    let head = format!(
        "{SERVERS} servers that say {ms} ms, one of which takes {slower} times that; capacity {}; {rate} requests a second, \
         coming at random; {rounds} rounds of {seconds} s each in turn. Medians over the rounds, of p99 the least and the \
         greatest too; {}.",
        capacity_in_words(tail.capacity),
        overhead.shown()
    );
    let start = measured.iter().map(|one| one.median(start_delay_p99)).fold(0.0, f64::max);
    let foot = format!(
        "*Simulated* is the same policies, budget and percentile code under a virtual clock, where nothing disturbs. The load generator began requests late by at most {start:.2} ms (the median p99 of any row), which is \
         in the latencies."
    );
    format!("{head}\n\n{}\n{}\n{foot}{}", latencies(measured), price(measured), trouble(measured))
}

fn start_delay_p99(sample: &Sample) -> f64 {
    sample.start_delay_us.map_or(0.0, |delay| delay.p99 / 1e3)
}

fn latencies(measured: &[Measured]) -> String {
    let header = ["latency in ms", "p50", "p90", "p99", "least–greatest", "p99 simulated", "p99.9"].map(str::to_owned);
    let row = |one: &Measured| {
        let of = |of: fn(&Sample) -> f64| format!("{:.1}", one.median(of) / 1e3);
        let p99 = one.p99_ms();
        vec![
            one.variant.name.to_owned(),
            of(|sample| sample.latency_us.p50),
            of(|sample| sample.latency_us.p90),
            format!("{:.1}", p99.median),
            format!("{:.1}–{:.1}", p99.min, p99.max),
            format!("{:.1}", one.simulated(|round| round.p99_ms)),
            of(|sample| sample.latency_us.p99_9),
        ]
    };
    table(&header, measured.iter().map(row))
}

fn price(measured: &[Measured]) -> String {
    let header = [
        "price",
        "slow server's answers",
        "simulated",
        "copies for 100 requests",
        "simulated",
        "busy ms a request",
        "simulated",
    ];
    let row = |one: &Measured| {
        let percent = |part: f64| format!("{:.1} %", part * 100.0);
        let hundred = |part: f64| format!("{:.1}", part * 100.0);
        vec![
            one.variant.name.to_owned(),
            percent(one.median(|sample| sample.slow_share)),
            percent(one.simulated(|round| round.slow_share)),
            hundred(one.median(|sample| sample.copies)),
            hundred(one.simulated(|round| round.copies)),
            format!("{:.1}", one.median(|sample| sample.busy_ms)),
            format!("{:.1}", one.simulated(|round| round.worked_ms)),
        ]
    };
    table(&header.map(str::to_owned), measured.iter().map(row))
}

fn trouble(measured: &[Measured]) -> String {
    let wrong = |one: &Measured| {
        let count = |of: fn(&Sample) -> u64| one.samples.iter().map(of).sum::<u64>();
        let (errors, unsent) = (count(|sample| sample.errors), count(|sample| sample.unsent));
        let name = one.variant.name;
        (errors + unsent > 0)
            .then(|| format!("\n\n`{name}`: {errors} requests had no answer, {unsent} were never sent."))
    };
    measured.iter().filter_map(wrong).collect()
}

/// Curves of the tail, and bars of p99 beside its price.
pub fn plots(run: &Run, measured: &[Measured]) -> anyhow::Result<()> {
    let curve = |one: &Measured| Curve {
        label: one.variant.name.to_owned(),
        points: one.latencies().as_ref().map(points).unwrap_or_default(),
        thin: one.variant.name.contains('+'),
    };
    let curves = measured.iter().filter(|one| one.variant.curve).map(curve).collect();
    let title = "One server of five is ten times slower than it says: how long requests take".to_owned();
    Curves { title, curves }.draw(&run.path("tail-curves.svg"))?;
    let bar = |one: &Measured| {
        let p99 = one.p99_ms();
        Bar { value: p99.median, spread: Some((p99.min, p99.max)) }
    };
    let plain = |value: f64| Bar { value, spread: None };
    let panels = vec![
        Panel { axis: "p99 in ms".to_owned(), bars: measured.iter().map(bar).collect() },
        Panel {
            axis: "copies for 100 requests".to_owned(),
            bars: measured.iter().map(|one| plain(one.median(|sample| sample.copies * 100.0))).collect(),
        },
        Panel {
            axis: "busy ms a request".to_owned(),
            bars: measured.iter().map(|one| plain(one.median(|sample| sample.busy_ms))).collect(),
        },
    ];
    let rows = measured.iter().map(|one| one.variant.name.to_owned()).collect();
    let title = "The 99th percentile, and what it costs".to_owned();
    Panels { title, rows, panels }.draw(&run.path("tail-price.svg"))
}

/// Times and the part of the requests that take longer: at 100 %, then ever closer to the slowest.
fn points(latencies: &Latency) -> Vec<(f64, f64)> {
    const STEPS: u32 = 300;
    let longer = |step: u32| 10_f64.powf(-3.0 * f64::from(step) / f64::from(STEPS));
    (0..=STEPS).map(longer).map(|longer| (latencies.quantile(1.0 - longer) / 1e3, longer)).collect()
}
