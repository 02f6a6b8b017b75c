//! Samples as Markdown, which reads as well on a terminal.

use super::{
    contestant::Way,
    figures::{Ratio, Samples},
    goals::Goal,
    measure::{Measurement, Sample},
    stand::Kind,
};
use crate::record::table;
use std::fmt::Write;

/// What was measured, of one protocol.
type Measured<'a> = [&'a (Measurement, Samples)];

/// All tables: of each protocol throughput and ratios, then latency and processor time; and the goals.
#[must_use]
pub fn tables(measured: &[(Measurement, Samples)], goals: &[Goal]) -> String {
    let mut titles: Vec<&str> = Kind::ALL.map(Kind::title).to_vec();
    titles.dedup();
    let mut text = String::new();
    for title in titles {
        let of_it: Vec<_> = measured.iter().filter(|(measurement, _)| measurement.stand.title() == title).collect();
        if !of_it.is_empty() {
            let _ = write!(text, "**{title}**\n\n{}\n", of_one_protocol(&of_it));
        }
    }
    if !goals.is_empty() {
        text += &goal_table(goals);
    }
    let errors: u64 = measured.iter().map(|(_, samples)| samples.errors()).sum();
    if errors > 0 {
        let _ = writeln!(text, "\n{errors} requests had no right answer: these figures are not to be believed.");
    }
    text
}

fn of_one_protocol(measured: &Measured<'_>) -> String {
    let p50 = |_: &Measurement, sample: &Sample| Some(sample.latency_us_p50);
    let p99 = |_: &Measurement, sample: &Sample| Some(sample.latency_us_p99);
    let cpu = |measurement: &Measurement, sample: &Sample| {
        if measurement.large { sample.cpu_us_per_mb } else { sample.cpu_us_per_answer }
    };
    let cpu_title = "processor time of what is in the way, in µs for each answer; where it is large, for each MB";
    let mean = |_: &Measurement, sample: &Sample| sample.latency_us_mean;
    let mut tables = vec![throughput(measured)];
    if let Some(what) = measured.iter().find_map(|(measurement, _)| measurement.stand.datagrams()) {
        tables.push(lost(measured, what));
        tables.push(figures(measured, "mean latency in µs", mean));
    }
    tables.push(figures(measured, "median latency in µs", p50));
    tables.push(figures(measured, "99th percentile of latency in µs", p99));
    tables.push(figures(measured, cpu_title, cpu));
    tables.join("\n")
}

/// Datagrams without an answer, of all rounds together.
fn lost(measured: &Measured<'_>, what: &str) -> String {
    let mut columns = columns(measured);
    columns.push(Way::OursAgain);
    let mut header = vec![format!("{what} lost in all rounds")];
    header.extend(columns.iter().map(|way| way.name().to_owned()));
    let row = |(measurement, samples): &&(Measurement, Samples)| {
        let count = |way: &Way| samples.lost(*way).map_or(String::new(), |lost| lost.to_string());
        std::iter::once(measurement.name.to_owned()).chain(columns.iter().map(count)).collect()
    };
    table(&header, measured.iter().map(row))
}

/// The ways with a column of their own: all that were measured, but the second of ours.
fn columns(measured: &Measured<'_>) -> Vec<Way> {
    let mut ways: Vec<Way> =
        measured.iter().flat_map(|(_, samples)| samples.ways.iter().map(|(way, _)| *way)).collect();
    ways.sort();
    ways.dedup();
    ways.retain(|way| *way != Way::OursAgain);
    ways
}

/// To whom ours is compared: the programs like it, then what is there without it, and itself.
fn rivals(columns: &[Way]) -> Vec<Way> {
    let others = columns.iter().copied().filter(|way| !matches!(way, Way::Direct | Way::Ours));
    others.chain([Way::Direct, Way::OursAgain]).collect()
}

fn throughput(measured: &Measured<'_>) -> String {
    let columns = columns(measured);
    let rivals = rivals(&columns);
    let mut header = vec!["answers a second".to_owned()];
    header.extend(columns.iter().map(|way| way.name().to_owned()));
    header.extend(rivals.iter().map(|way| format!("ours / {}", way.name())));
    let row = |(measurement, samples): &&(Measurement, Samples)| {
        let mut cells = vec![measurement.name.to_owned()];
        let figure = |way| samples.median(way, |sample| measurement.figure(sample));
        cells.extend(columns.iter().map(|way| figure(*way).map_or(String::new(), |value| shown(measurement, value))));
        let ratio = |way: &Way| samples.ratio(measurement, Way::Ours, *way);
        cells.extend(rivals.iter().map(|way| ratio(way).map_or(String::new(), shown_ratio)));
        cells
    };
    table(&header, measured.iter().map(row))
}

fn figures(measured: &Measured<'_>, title: &str, of: impl Fn(&Measurement, &Sample) -> Option<f64>) -> String {
    let columns = columns(measured);
    let mut header = vec![title.to_owned()];
    header.extend(columns.iter().map(|way| way.name().to_owned()));
    let row = |(measurement, samples): &&(Measurement, Samples)| {
        let mut cells = vec![measurement.name.to_owned()];
        let digits = usize::from(!measurement.large);
        let figure = |way: &Way| samples.median(*way, |sample| of(measurement, sample).unwrap_or(f64::NAN));
        let shown = |value: f64| if value.is_nan() { String::new() } else { format!("{value:.digits$}") };
        cells.extend(columns.iter().map(|way| figure(way).map_or(String::new(), shown)));
        cells
    };
    table(&header, measured.iter().map(row))
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
