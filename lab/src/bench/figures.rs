//! From samples to medians and ratios.
//!
//! Contestants take turns, so a ratio is taken within each round, where the machine was the same for both, and the
//! median is taken of the ratios; their least and greatest show how far they spread. The ratio of our load balancer
//! to itself shows what spread means nothing.

use super::{
    contestant::Way,
    measure::{Measurement, Sample},
};
use crate::record::{Spread, median};
use serde::Serialize;

/// The samples of one measurement: for each way, one a round.
#[derive(Clone, Debug, Serialize)]
pub struct Samples {
    /// The measurement's name.
    pub measurement: &'static str,
    /// In the order of the ways.
    pub ways: Vec<(Way, Vec<Sample>)>,
}

/// Ratios of one figure to another, of the same rounds.
pub type Ratio = Spread;

impl Samples {
    fn of(&self, way: Way) -> Option<&[Sample]> {
        self.ways.iter().find(|(other, _)| *other == way).map(|(_, samples)| &samples[..])
    }

    /// The median of something over the rounds of a way.
    #[must_use]
    pub fn median(&self, way: Way, of: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.of(way)?.iter().map(of).collect())
    }

    /// The ratios of the figure that counts, round by round.
    #[must_use]
    pub fn ratio(&self, measurement: &Measurement, one: Way, other: Way) -> Option<Ratio> {
        self.ratio_of(|sample| measurement.figure(sample), one, other)
    }

    /// The ratios of something else, round by round.
    #[must_use]
    pub fn ratio_of(&self, figure: impl Fn(&Sample) -> f64, one: Way, other: Way) -> Option<Ratio> {
        let pairs = self.of(one)?.iter().zip(self.of(other)?);
        let ratios: Vec<f64> = pairs.map(|(one, other)| figure(one) / figure(other)).collect();
        Spread::of(&ratios)
    }

    /// All errors of all rounds.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.ways.iter().flat_map(|(_, samples)| samples).map(|sample| sample.errors).sum()
    }

    /// All that was lost on a way, in all rounds.
    #[must_use]
    pub fn lost(&self, way: Way) -> Option<u64> {
        let samples = self.of(way).filter(|samples| !samples.is_empty())?;
        Some(samples.iter().map(|sample| sample.lost).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(answers_per_s: f64) -> Sample {
        Sample {
            answers_per_s,
            bytes_per_s: 0.0,
            latency_us_p50: 0.0,
            latency_us_p99: 0.0,
            latency_us_mean: None,
            errors: 1,
            lost: 2,
            cpu_us_per_answer: None,
            cpu_us_per_mb: None,
        }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let samples = |values: [f64; 3]| values.map(sample).to_vec();
        let ways = vec![(Way::Ours, samples([10.0, 40.0, 30.0])), (Way::Haproxy, samples([10.0, 20.0, 10.0]))];
        let samples = Samples { measurement: "ping-1", ways };
        let measurement = &super::super::measure::MEASUREMENTS[1];
        let ratio = samples.ratio(measurement, Way::Ours, Way::Haproxy);
        assert_eq!(ratio, Some(Ratio { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(samples.ratio(measurement, Way::Ours, Way::Direct), None);
        assert_eq!((samples.errors(), samples.lost(Way::Ours), samples.lost(Way::Direct)), (6, Some(6), None));
    }
}
