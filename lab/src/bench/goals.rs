//! What we want to reach, and whether it was reached this time.

use super::{
    contestant::Way,
    figures::Samples,
    measure::{Measurement, Sample},
};
use serde::Serialize;

/// A goal, and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// What was measured.
    pub measurement: &'static str,
    /// What it is compared with, and how.
    pub what: String,
    /// What we want, as a number and the direction.
    pub wanted: String,
    /// The median of what was found.
    pub found: f64,
    /// Whether it was reached.
    pub met: bool,
}

/// Ratios of our figure to another's: at least this.
const RATIOS: [(&str, Way, f64); 13] = [
    ("large-file", Way::Haproxy, 1.5),
    ("large-file", Way::HaproxySplice, 1.0),
    ("connect-8", Way::Haproxy, 1.3),
    ("connect-64", Way::Haproxy, 1.3),
    ("ping-64", Way::Haproxy, 0.5),
    ("http-64", Way::Haproxy, 0.8),
    ("http-64", Way::Also("pingora"), 1.5),
    ("http-connect-64", Way::Haproxy, 1.3),
    ("tcp-large", Way::Haproxy, 1.5),
    ("tcp-large", Way::HaproxySplice, 1.0),
    ("dns-64", Way::Dnsdist, 1.4),
    ("dns-1000", Way::Dnsdist, 1.3),
    ("database-16", Way::Engine, 0.5),
];
/// How much longer one ping on an idle system may take through us, at the median, in microseconds.
const ADDED_US: f64 = 100.0;

/// The goals of what was measured.
#[must_use]
pub fn goals(measured: &[(Measurement, Samples)]) -> Vec<Goal> {
    let of = |name: &str| measured.iter().find(|(measurement, _)| measurement.name == name);
    let ratio = |(name, way, wanted): &(&'static str, Way, f64)| {
        let (measurement, samples) = of(name)?;
        let found = samples.ratio(measurement, Way::Ours, *way)?.median;
        let (what, met) = (format!("ours / {}", way.name()), found >= *wanted);
        Some(Goal { measurement: name, what, wanted: format!("at least {wanted}"), found, met })
    };
    let mut goals: Vec<Goal> = RATIOS.iter().filter_map(ratio).collect();
    let p50 = |samples: &Samples, way| samples.median(way, |sample| sample.latency_us_p50);
    goals.extend(of("ping-1").and_then(|(measurement, samples)| {
        let found = p50(samples, Way::Ours)? - p50(samples, Way::Direct)?;
        let what = "median latency in µs, ours minus direct".to_owned();
        let (wanted, met) = (format!("at most {ADDED_US}"), found <= ADDED_US);
        Some(Goal { measurement: measurement.name, what, wanted, found, met })
    }));
    goals.extend(of("tcp-large").and_then(|(measurement, samples)| {
        let cpu = |sample: &Sample| sample.cpu_us_per_mb.unwrap_or(f64::NAN);
        let found = samples.ratio_of(cpu, Way::Ours, Way::HaproxySplice)?.median;
        let what = "processor time for each byte, ours / HAProxy splice".to_owned();
        Some(Goal { measurement: measurement.name, what, wanted: "at most 1".to_owned(), found, met: found <= 1.0 })
    }));
    goals.extend(of("dns-1").and_then(|(measurement, samples)| {
        let p50 = |sample: &Sample| sample.latency_us_p50;
        let found = samples.ratio_of(p50, Way::Ours, Way::Dnsdist)?.median;
        let what = "median latency, ours / dnsdist".to_owned();
        Some(Goal { measurement: measurement.name, what, wanted: "at most 1".to_owned(), found, met: found <= 1.0 })
    }));
    goals.extend(["dns-1", "dns-64", "dns-1000"].iter().filter_map(|name| {
        let (measurement, samples) = of(name)?;
        let lost = samples.lost(Way::Ours)? + samples.lost(Way::OursAgain)?;
        let (what, wanted) = ("queries lost by ours".to_owned(), "0".to_owned());
        Some(Goal { measurement: measurement.name, what, wanted, found: lost as f64, met: lost == 0 })
    }));
    goals
}
