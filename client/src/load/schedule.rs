//! When requests begin, and when there are enough: pure, with the time given from outside.
//!
//! Closed loop: a client's next request begins when its last one is answered. Open loop: request `n` of all begins at
//! `n / rate`, whatever has become of those before it. Whoever is free takes the next one; when nobody is free at that
//! time, it begins late, and its latency counts from when it *should* have begun.
//!
//! ```text
//! rate 100/s:   n        0      1      2      3 …
//!               begins   0 ms  10 ms  20 ms  30 ms
//! ```
//!
//! Users do not come at even distances: many who know nothing of each other come as a *Poisson process*, at the same
//! rate on average, now two at once and now nobody for a while ([`Arrivals::Poisson`]). The distances between them are
//! exponentially distributed: `-ln(u) / rate` with `u` drawn evenly from (0, 1]. Queues form in the dense moments, which
//! even distances hide: at 50 % load a server that takes one at a time makes nobody wait at even distances, and half
//! of all at random ones.

use parking_lot::Mutex;
use serde::Serialize;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// At what distances requests begin in the open loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// At even distances
    #[default]
    Even,
    /// At random, independently of each other, as from many users (a Poisson process)
    Poisson,
}

/// What is asked of all clients together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Requests per second over all clients; none is the closed loop.
    pub rate: Option<f64>,
    /// Open loop: at what distances.
    pub arrivals: Arrivals,
    /// What random distances are drawn from.
    pub seed: u64,
    /// What begins before this time is not counted.
    pub warmup: Duration,
    /// After so many counted requests it ends.
    pub requests: Option<u64>,
    /// After so much time beyond the warm-up it ends.
    pub duration: Option<Duration>,
}

/// How far the clients have come, together.
#[derive(Debug, Default)]
pub struct Progress {
    drawn: AtomicU64,
    counted: AtomicU64,
    /// Random distances follow from each other. The lock is held to draw one.
    random: Mutex<Option<RandomTimes>>,
}

/// The times of a Poisson process.
#[derive(Debug)]
struct RandomTimes {
    random: fastrand::Rng,
    rate: f64,
    n: u64,
    counted: u64,
    last_s: f64,
}

impl RandomTimes {
    fn new(schedule: &Schedule, rate: f64) -> Self {
        Self { random: fastrand::Rng::with_seed(schedule.seed), rate, n: 0, counted: 0, last_s: 0.0 }
    }

    /// The next request; nothing when it is over.
    fn next(&mut self, schedule: &Schedule) -> Option<Turn> {
        self.last_s += -(1.0 - self.random.f64()).ln() / self.rate;
        let intended = Duration::try_from_secs_f64(self.last_s).unwrap_or(Duration::MAX);
        let counted = intended >= schedule.warmup;
        let n = self.n;
        if schedule.is_over(intended) || (counted && schedule.requests.is_some_and(|most| self.counted >= most)) {
            return None;
        }
        self.n += 1;
        self.counted += u64::from(counted);
        Some(Turn { n, intended: Some(intended), counted })
    }
}

/// One request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its number among all, from 0, warm-up included.
    pub n: u64,
    /// Open loop: when it should begin, from the start.
    pub intended: Option<Duration>,
    /// Whether it is counted, or belongs to the warm-up.
    pub counted: bool,
}

impl Schedule {
    /// When request `n` should begin, at even distances.
    #[must_use]
    pub fn intended(&self, n: u64) -> Option<Duration> {
        // A time too long for a duration is past every end.
        self.rate.map(|rate| Duration::try_from_secs_f64(n as f64 / rate).unwrap_or(Duration::MAX))
    }

    /// The next request, for a client that is free at this time; nothing when it is over.
    pub fn turn(&self, progress: &Progress, now: Duration) -> Option<Turn> {
        if self.is_over(now) {
            return None;
        }
        if let (Some(rate), Arrivals::Poisson) = (self.rate, self.arrivals) {
            return progress.random.lock().get_or_insert_with(|| RandomTimes::new(self, rate)).next(self);
        }
        if self.rate.is_none() {
            let counted = now >= self.warmup;
            if counted && self.requests.is_some_and(|most| progress.counted.fetch_add(1, Ordering::Relaxed) >= most) {
                return None;
            }
            let n = progress.drawn.fetch_add(1, Ordering::Relaxed);
            return Some(Turn { n, intended: None, counted });
        }
        let n = progress.drawn.fetch_add(1, Ordering::Relaxed);
        let intended = self.intended(n)?;
        let enough = self.requests.is_some_and(|most| n >= self.first_counted().saturating_add(most));
        let counted = intended >= self.warmup;
        (!enough && !self.is_over(intended)).then_some(Turn { n, intended: Some(intended), counted })
    }

    fn is_over(&self, time: Duration) -> bool {
        self.duration.is_some_and(|duration| time >= self.warmup.saturating_add(duration))
    }

    /// Open loop: the first request that does not belong to the warm-up.
    fn first_counted(&self) -> u64 {
        self.first_at(self.warmup)
    }

    /// Open loop: the first request that should begin at this time or later.
    fn first_at(&self, time: Duration) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        // Rounding may be off by one in either direction; the definition decides.
        let near = (time.as_secs_f64() * rate) as u64;
        let begins = |n: &u64| self.intended(*n).is_some_and(|intended| intended >= time);
        (near.saturating_sub(2)..=near.saturating_add(2)).find(begins).unwrap_or(near)
    }

    /// Open loop: how many counted requests should have begun when all is over.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        let rate = self.rate?;
        if self.arrivals == Arrivals::Poisson {
            // The same draws again: what nobody was free for has to be counted, too.
            let mut times = RandomTimes::new(self, rate);
            while times.next(self).is_some() {}
            return Some(times.counted);
        }
        let in_time = self
            .duration
            .map(|duration| self.first_at(self.warmup.saturating_add(duration)).saturating_sub(self.first_counted()));
        in_time.into_iter().chain(self.requests).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn open(rate: f64) -> Schedule {
        let (arrivals, seed, warmup) = (Arrivals::Even, 1, Duration::ZERO);
        Schedule { rate: Some(rate), arrivals, seed, warmup, requests: None, duration: Some(ms(100)) }
    }

    #[test]
    fn an_open_loop_begins_at_even_distances() {
        let intended = |rate, n| open(rate).intended(n).unwrap();
        assert_eq!([0, 1, 2, 7].map(|n| intended(100.0, n)), [ms(0), ms(10), ms(20), ms(70)]);
        assert_eq!(intended(0.5, 3), ms(6_000));
        assert_eq!(intended(3.0, 1), Duration::from_nanos(333_333_333));
        assert_eq!(intended(1e-300, u64::MAX), Duration::MAX);
    }

    #[test]
    fn an_open_loop_goes_on_from_number_to_number_whoever_asks_and_ends_in_time() {
        let (schedule, progress) = (open(100.0), Progress::default());
        let turns: Vec<Turn> = std::iter::from_fn(|| schedule.turn(&progress, ms(0))).collect();
        assert_eq!(turns.len(), 10);
        assert!((0..10).zip(&turns).all(|(n, turn)| turn.n == n && turn.intended == Some(ms(10 * n)) && turn.counted));
        assert_eq!(schedule.turn(&Progress::default(), ms(100)), None, "what was due and not begun stays unsent");
        assert_eq!(schedule.due(), Some(10));
    }

    #[test]
    fn the_warm_up_is_not_counted() {
        let schedule = Schedule { warmup: ms(25), requests: Some(2), duration: None, ..open(100.0) };
        let progress = Progress::default();
        let turns: Vec<bool> =
            std::iter::from_fn(|| schedule.turn(&progress, ms(0))).map(|turn| turn.counted).collect();
        assert_eq!(turns, [false, false, false, true, true], "0, 10 and 20 ms are before 25 ms");
        assert_eq!(schedule.due(), Some(2));
        let closed = Schedule { rate: None, ..schedule };
        let progress = Progress::default();
        let at = |time| closed.turn(&progress, ms(time)).map(|turn| (turn.n, turn.counted));
        assert_eq!(
            [at(0), at(24), at(25), at(30), at(31)],
            [Some((0, false)), Some((1, false)), Some((2, true)), Some((3, true)), None]
        );
        assert_eq!(closed.due(), None);
    }

    #[test]
    fn whichever_end_comes_first() {
        let both = Schedule { requests: Some(3), ..open(100.0) };
        assert_eq!(both.due(), Some(3));
        let progress = Progress::default();
        assert_eq!(std::iter::from_fn(|| both.turn(&progress, ms(0))).count(), 3);
        assert_eq!(Schedule { requests: Some(300), ..both }.due(), Some(10));
        let closed = Schedule { rate: None, ..both };
        assert_eq!(closed.turn(&Progress::default(), ms(100)), None);
    }

    #[test]
    fn random_distances_have_the_rate_and_the_spread_of_a_poisson_process_and_repeat_with_the_seed() {
        let schedule =
            |seed| Schedule { arrivals: Arrivals::Poisson, seed, duration: Some(ms(10_000)), ..open(2_000.0) };
        let turns = |seed| {
            let progress = Progress::default();
            std::iter::from_fn(|| schedule(seed).turn(&progress, ms(0))).collect::<Vec<Turn>>()
        };
        let all = turns(7);
        assert!(all.iter().zip(0..).all(|(turn, n)| turn.n == n && turn.counted));
        assert!(all.is_sorted_by_key(|turn| turn.intended) && all.last().unwrap().intended < Some(ms(10_000)));
        // 20,000 are to be expected, with a standard deviation of 141.
        assert!(all.len().abs_diff(20_000) < 600, "seed 7: {}", all.len());
        assert_eq!(schedule(7).due(), Some(all.len() as u64));
        // The distances: a mean of 0.5 ms, and as many above it as e^-1 says.
        let times: Vec<f64> = all.iter().map(|turn| turn.intended.unwrap().as_secs_f64()).collect();
        let long = times.windows(2).filter(|pair| pair[1] - pair[0] > 0.000_5).count() as f64 / times.len() as f64;
        assert!((long - (-1.0_f64).exp()).abs() < 0.02, "seed 7: {long}");
        assert_eq!(turns(7), all);
        assert_ne!(turns(8), all);
    }

    #[test]
    fn random_distances_end_after_so_many_counted_requests() {
        let schedule = Schedule {
            arrivals: Arrivals::Poisson,
            warmup: ms(20),
            requests: Some(5),
            duration: None,
            ..open(1_000.0)
        };
        let progress = Progress::default();
        let turns: Vec<Turn> = std::iter::from_fn(|| schedule.turn(&progress, ms(0))).collect();
        assert_eq!(turns.iter().filter(|turn| turn.counted).count(), 5);
        assert!(turns.len() > 5 && turns.iter().all(|turn| turn.counted == (turn.intended >= Some(ms(20)))));
        assert_eq!(schedule.due(), Some(5));
    }
}
