//! Latencies in fixed memory.
//!
//! **The problem.** A mean hides everything: 99 answers in 1 ms and one in 1 s have a mean of 11 ms, which no answer
//! took. Percentiles tell more (p50 1 ms, max 1 s), but they cannot be averaged: the p99 of two clients is not the mean
//! of their p99s. So the latencies themselves must be kept until the end, and a million of them take room and sorting.
//!
//! **The idea.** A *high dynamic range histogram*: counters for ranges of values, each range one thousandth as wide as
//! its values are great. 50 µs and 50 s both keep three digits, the memory does not grow, and histograms of several
//! clients are added counter by counter.
//!
//! **Here.** Nanoseconds in, microseconds out. Least, greatest and mean are kept exactly.
//!
//! Source: Gil Tene, *HdrHistogram*.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// Finest difference that is told apart, in nanoseconds: a clock reading costs about 25.
const FINEST_NS: u64 = 100;

/// Longest latency that is kept apart from longer ones, in nanoseconds: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// Latencies of many requests.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Option<Histogram<u64>>,
    count: u64,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

/// What is told of them, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many they are.
    pub count: u64,
    /// The least.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// Half of them are not longer than this.
    pub p50: f64,
    /// 90 % of them are not longer.
    pub p90: f64,
    /// 99 % of them are not longer.
    pub p99: f64,
    /// 99.9 % of them are not longer.
    pub p99_9: f64,
    /// The greatest.
    pub max: f64,
}

impl Latency {
    /// None yet. Digits: 3 for a thousandth, 2 for a hundredth in an eighth of the memory.
    #[must_use]
    pub fn new(digits: u8) -> Self {
        // These bounds are valid for 0 to 5 digits; without a histogram there would be no percentiles.
        let histogram = Histogram::new_with_bounds(FINEST_NS, LONGEST_NS, digits.min(5)).ok();
        Self { histogram, count: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(ns);
        }
    }

    /// Adds those of another client.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        if let (Some(mine), Some(others)) = (&mut self.histogram, &other.histogram) {
            // Equal bounds can always be added.
            let _equal_bounds = mine.add(others);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        let histogram = self.histogram.take().map(|mut histogram| {
            histogram.reset();
            histogram
        });
        *self = Self { histogram, count: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 };
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What is told of them.
    #[must_use]
    pub fn summary(&self) -> Summary {
        if self.is_empty() {
            return Summary::default();
        }
        let at = |quantile: f64| self.quantile(quantile);
        Summary {
            count: self.count,
            min: us(self.min_ns),
            mean: us(u64::try_from(self.sum_ns / u128::from(self.count)).unwrap_or(u64::MAX)),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: us(self.max_ns),
        }
    }

    /// What so many of them are not longer than, in microseconds: 0.99 for 99 % of them. Zero of none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        // A counter stands for a range; its upper end may be above the greatest value.
        let found = self.histogram.as_ref().map_or(0, |histogram| histogram.value_at_quantile(quantile));
        us(found.clamp(self.min_ns, self.max_ns))
    }
}

/// Nanoseconds as microseconds, with one digit behind the point.
fn us(ns: u64) -> f64 {
    (ns as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::new(3);
        all.into_iter().for_each(|us| latency.record(Duration::from_micros(us)));
        latency
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= expected / 1_000.0 + 0.1
    }

    #[test]
    fn percentiles_keep_three_digits_from_microseconds_to_minutes() {
        let told = of(1..=1_000).summary();
        assert!(near(told.p50, 500.0) && near(told.p90, 900.0) && near(told.p99, 990.0) && near(told.p99_9, 999.0));
        assert_eq!((told.count, told.min, told.mean, told.max), (1_000, 1.0, 500.5, 1_000.0));
        let long = of([20, 60_000_000]).summary();
        assert!(near(long.p50, 20.0) && near(long.p99, 60_000_000.0), "{long:?}");
        assert_eq!(Latency::new(3).summary(), Summary::default());
    }

    #[test]
    fn those_of_two_clients_are_added_not_averaged() {
        let mut all = of([1_000; 99]);
        all.add(&of([1_000_000]));
        let told = all.summary();
        assert_eq!((told.count, told.mean, told.max), (100, 10_990.0, 1_000_000.0));
        assert!(near(told.p50, 1_000.0) && near(told.p99, 1_000.0) && near(told.p99_9, 1_000_000.0));
        all.clear();
        assert!(all.is_empty() && all.summary() == Summary::default());
    }

    /// Ten requests, one every 10 ms; the third stalls for 45 ms, the others take 1 ms each. By hand:
    ///
    /// ```text
    /// should begin  0   10  20  30  40  50  60  70  80  90
    /// begins        0   10  20  65  66  67  68  70  80  90
    /// ends          1   11  65  66  67  68  69  71  81  91
    /// from sending  1   1   45  1   1   1   1   1   1   1     median 1, one of ten is long
    /// corrected     1   1   45  36  27  18  9   1   1   1     median 1, five of ten are long; mean 14
    /// ```
    #[test]
    fn a_stall_hides_in_latencies_from_sending_and_shows_in_those_from_the_intended_beginning() {
        let (mut free, mut sent, mut intended) = (0_u64, Vec::new(), Vec::new());
        for n in 0..10 {
            let due = n * 10;
            let begin = free.max(due);
            let end = begin + if n == 2 { 45 } else { 1 };
            sent.push((end - begin) * 1_000);
            intended.push((end - due) * 1_000);
            free = end;
        }
        assert_eq!(intended, [1, 1, 45, 36, 27, 18, 9, 1, 1, 1].map(|ms| ms * 1_000));
        let (sent, intended) = (of(sent).summary(), of(intended).summary());
        assert_eq!((sent.mean, intended.mean, sent.max, intended.max), (5_400.0, 14_000.0, 45_000.0, 45_000.0));
        assert!(near(sent.p90, 1_000.0) && near(intended.p90, 36_000.0), "{sent:?} {intended:?}");
    }
}
