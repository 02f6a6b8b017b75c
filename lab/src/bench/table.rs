//! Samples as Markdown, which reads as well on a terminal.

use super::{
    contestant::Way,
    figures::{Ratio, Samples},
    goals::Goal,
    measure::{Measurement, Sample},
};
use crate::record::table;
use std::fmt::Write;

/// The ways with a column of their own.
const COLUMNS: [Way; 4] = [Way::Direct, Way::Ours, Way::Haproxy, Way::HaproxySplice];
/// Pairs whose ratio has a column.
const RATIOS: [(Way, Way); 4] =
    [(Way::Ours, Way::Haproxy), (Way::Ours, Way::HaproxySplice), (Way::Ours, Way::Direct), (Way::Ours, Way::OursAgain)];

/// All tables: throughput and ratios, then latency, processor time, and the goals.
#[must_use]
pub fn tables(measured: &[(Measurement, Samples)], goals: &[Goal]) -> String {
    let mut text = throughput(measured);
    let p50 = |sample: &Sample| Some(sample.latency_us_p50);
    let p99 = |sample: &Sample| Some(sample.latency_us_p99);
    let cpu = |sample: &Sample| sample.cpu_us_per_answer;
    text += &figures(measured, "median latency in µs", p50);
    text += &figures(measured, "99th percentile of latency in µs", p99);
    text += &figures(measured, "processor time of the process in the way, in µs for each answer", cpu);
    if !goals.is_empty() {
        text += &format!("\n{}", goal_table(goals));
    }
    let errors: u64 = measured.iter().map(|(_, samples)| samples.errors()).sum();
    if errors > 0 {
        let _ = writeln!(text, "\n{errors} requests had no right answer: these figures are not to be believed.");
    }
    text
}

fn throughput(measured: &[(Measurement, Samples)]) -> String {
    let mut header = vec!["answers a second".to_owned()];
    header.extend(COLUMNS.iter().map(|way| way.name().to_owned()));
    header.extend(RATIOS.iter().map(|(one, other)| format!("{} / {}", one.name(), other.name())));
    let row = |(measurement, samples): &(Measurement, Samples)| {
        let mut cells = vec![measurement.name.to_owned()];
        let figure = |way| samples.median(way, |sample| measurement.figure(sample));
        cells.extend(COLUMNS.iter().map(|way| figure(*way).map_or(String::new(), |value| shown(measurement, value))));
        let ratio = |(one, other): &(Way, Way)| samples.ratio(measurement, *one, *other);
        cells.extend(RATIOS.iter().map(|pair| ratio(pair).map_or(String::new(), shown_ratio)));
        cells
    };
    table(&header, measured.iter().map(row))
}

fn figures(measured: &[(Measurement, Samples)], title: &str, of: impl Fn(&Sample) -> Option<f64>) -> String {
    let mut header = vec![title.to_owned()];
    header.extend(COLUMNS.iter().map(|way| way.name().to_owned()));
    let row = |(measurement, samples): &(Measurement, Samples)| {
        let mut cells = vec![measurement.name.to_owned()];
        let digits = usize::from(!measurement.large);
        let figure = |way: &Way| samples.median(*way, |sample| of(sample).unwrap_or(f64::NAN));
        let shown = |value: f64| if value.is_nan() { String::new() } else { format!("{value:.digits$}") };
        cells.extend(COLUMNS.iter().map(|way| figure(way).map_or(String::new(), shown)));
        cells
    };
    format!("\n{}", table(&header, measured.iter().map(row)))
}

fn goal_table(goals: &[Goal]) -> String {
    let header = ["goal", "", "wanted", "found", "reached"].map(str::to_owned);
    let row = |goal: &Goal| {
        let reached = if goal.met { "yes" } else { "no" };
        let found = format!("{:.2}", goal.found);
        vec![goal.measurement.to_owned(), goal.what.clone(), goal.wanted.clone(), found, reached.to_owned()]
    };
    table(&header, goals.iter().map(row))
}

fn shown(measurement: &Measurement, value: f64) -> String {
    if measurement.large { format!("{:.0} MB", value / 1e6) } else { format!("{value:.0}") }
}

fn shown_ratio(ratio: Ratio) -> String {
    format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.min, ratio.max)
}
