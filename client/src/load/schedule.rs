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

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What is asked of all clients together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Requests per second over all clients; none is the closed loop.
    pub rate: Option<f64>,
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
    /// When request `n` should begin.
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
        self.rate?;
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
        Schedule { rate: Some(rate), warmup: Duration::ZERO, requests: None, duration: Some(ms(100)) }
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
}
