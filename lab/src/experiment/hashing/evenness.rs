//! How evenly something is spread, in two figures that cannot hide anything.
//!
//! The coursework asks for the average load of a server. That is requests ÷ servers, whoever got them: 10,000 over three
//! servers is 3,333 each on average, also if one of them got all. So never the average alone: *busiest ÷ mean* is what the
//! servers must be built for, and how much sooner than necessary the first one is full; *standard deviation ÷ mean* is how far
//! they are from each other in all.

use serde::Serialize;

/// How evenly something is spread over servers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evenness {
    /// 1: all alike; N: one of N has everything.
    pub busiest_by_mean: f64,
    /// 0: all alike; √(N − 1): one of N has everything.
    pub deviation_by_mean: f64,
}

impl Evenness {
    /// Of these loads. Of nothing at all: all alike.
    #[must_use]
    pub fn of(loads: &[f64]) -> Self {
        let n = loads.len().max(1) as f64;
        let mean = loads.iter().sum::<f64>() / n;
        if mean <= 0.0 {
            return Self { busiest_by_mean: 1.0, deviation_by_mean: 0.0 };
        }
        let busiest = loads.iter().copied().fold(0.0, f64::max);
        // These servers are all there are, not a sample of more: divided by N.
        let variance = loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / n;
        Self { busiest_by_mean: busiest / mean, deviation_by_mean: variance.sqrt() / mean }
    }

    /// Of these counts.
    #[must_use]
    pub fn of_counts(counts: &[u64]) -> Self {
        Self::of(&counts.iter().map(|count| *count as f64).collect::<Vec<_>>())
    }
}

/// The middle of many figures, and where all but one in twenty at each end are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Band {
    /// One in twenty is less.
    pub p5: f64,
    /// Half of them are less.
    pub median: f64,
    /// One in twenty is greater.
    pub p95: f64,
}

impl Band {
    /// Of these. None of nothing.
    #[must_use]
    pub fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let last = figures.len().checked_sub(1)?;
        let at = |part: f64| figures[(last as f64 * part).round() as usize];
        Some(Self { p5: at(0.05), median: at(0.5), p95: at(0.95) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(value: f64, wanted: f64) {
        assert!((value - wanted).abs() < 5e-4, "{value} instead of {wanted}");
    }

    #[test]
    fn counts_of_the_coursework() {
        let three = Evenness::of_counts(&[5_978, 2_499, 1_523]);
        assert_near(three.busiest_by_mean, 1.7934);
        // Deviations 2644.67, −834.33, −1810.33; squares 6994262, 696112, 3277307; mean 3655894, root 1912.04.
        assert_near(three.deviation_by_mean, 0.5736);
        assert_near(Evenness::of_counts(&[2_312, 2_080, 1_878, 1_604, 1_376, 750]).busiest_by_mean, 1.3872);
    }

    #[test]
    fn the_ends_of_the_scale() {
        let even = Evenness { busiest_by_mean: 1.0, deviation_by_mean: 0.0 };
        assert_eq!(Evenness::of_counts(&[7, 7, 7, 7]), even);
        assert_eq!(Evenness::of_counts(&[0, 0]), even);
        assert_eq!(Evenness::of(&[]), even);
        let all = Evenness::of_counts(&[9, 0, 0, 0, 0]);
        assert_near(all.busiest_by_mean, 5.0);
        assert_near(all.deviation_by_mean, 2.0);
    }

    #[test]
    fn a_band_leaves_one_in_twenty_out_at_each_end() {
        let figures: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Band::of(figures), Some(Band { p5: 5.0, median: 50.0, p95: 95.0 }));
        assert_eq!(Band::of(vec![3.0]), Some(Band { p5: 3.0, median: 3.0, p95: 3.0 }));
        assert_eq!(Band::of(Vec::new()), None);
    }
}
