//! What has happened, at a server since it joined and in all since the start: counted where it happens, read by whoever
//! asks.
//!
//! Counters are atomics that only grow, so that counting needs no lock. A reader may see an answer counted and its bytes
//! not yet; for statistics that is good enough.
//!
//! **Times** are counted in classes with fixed bounds ([`BOUNDS_MS`]), a counter for each: 4 requests within 1 ms, 7 more
//! within 2.5 ms … Two such lists can be added, over servers and over load balancers, which means and percentiles
//! cannot; and a percentile can be read from the sum, as exactly as the classes are narrow. That is Prometheus' way; who
//! wants every time takes the journal.

use crate::policy::Ended;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A counter that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Counts so many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes it at least this much.
    pub fn raise(&self, to: u64) {
        self.0.fetch_max(to, Ordering::Relaxed);
    }
}

/// How many there are of something now, and how many there were at the most.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU64,
    most: Counter,
}

impl Gauge {
    /// One more, until what is returned is dropped.
    pub fn enter(&self) -> Inside<'_> {
        self.most.raise(self.now.fetch_add(1, Ordering::Relaxed) + 1);
        Inside(self)
    }

    /// There are so many now, by the count of whoever else keeps it.
    pub fn set(&self, now: u64) {
        self.most.raise(now);
        self.now.store(now, Ordering::Relaxed);
    }

    /// How many there are now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// How many there were at the most.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most.get()
    }
}

/// One of those that a [`Gauge`] counts.
#[derive(Debug)]
pub struct Inside<'a>(&'a Gauge);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The upper bounds of the classes of times, in milliseconds: from a ping on one machine to a file that is waited for.
pub const BOUNDS_MS: [f64; 14] =
    [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 10_000.0];

/// Times, in classes.
#[derive(Debug, Default)]
pub struct Times {
    /// How many were in each class, and above all of them; not those in the classes below.
    classes: [Counter; BOUNDS_MS.len() + 1],
    sum_us: Counter,
}

impl Times {
    /// Counts one.
    pub fn add(&self, took: Duration) {
        let ms = took.as_secs_f64() * 1e3;
        self.classes[BOUNDS_MS.partition_point(|bound| *bound < ms)].add_one();
        self.sum_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many there were in each class, and above all of them.
    #[must_use]
    pub fn classes(&self) -> Vec<u64> {
        self.classes.iter().map(Counter::get).collect()
    }

    /// All of them together, in seconds.
    #[must_use]
    pub fn sum_s(&self) -> f64 {
        self.sum_us.get() as f64 / 1e6
    }
}

/// What has happened in all, whichever server it was.
#[derive(Debug, Default)]
pub struct Totals {
    /// Connections of clients.
    pub connections: Counter,
    /// Clients that are connected.
    pub clients: Gauge,
    /// Clients that were turned away at the door.
    pub refused: Counter,
    /// Connections that ended because their client broke the rules, was too slow, or vanished.
    pub client_errors: Counter,
    /// Requests that were received whole.
    pub requests: Counter,
    /// Requests that were refused before any server was looked for, because they are no requests.
    pub malformed: Counter,
    /// Requests that are being served or wait.
    pub in_hand: Gauge,
    /// Requests that were answered.
    pub answered: Counter,
    /// Requests whose client was told that they failed for certain.
    pub failed: Counter,
    /// Requests whose client was told that nobody knows what became of them.
    pub in_doubt: Counter,
    /// Requests that were taken back, or whose client was gone.
    pub cancelled: Counter,
    /// Requests that had to wait for a server.
    pub queued: Counter,
    /// Requests that were refused because too many were waiting.
    pub queue_full: Counter,
    /// Requests that waited in vain: no server became free in time.
    pub queue_timeouts: Counter,
    /// Requests that were refused because no server was alive.
    pub no_server: Counter,
    /// Time that requests waited that got a server in the end, in microseconds.
    pub waited_us: Counter,
    /// Attempts that were made again at the same server.
    pub retries: Counter,
    /// Attempts that were made again at another server.
    pub redispatches: Counter,
    /// Copies of requests that were sent beside the original.
    pub copies_sent: Counter,
    /// Copies that were answered before the original.
    pub copies_won: Counter,
    /// Datagrams of servers that answer nothing they were asked, or not any more.
    pub foreign: Counter,
    /// Datagrams that the kernel dropped because nobody took them in time.
    pub dropped: Counter,
    /// Bytes of requests.
    pub bytes_in: Counter,
    /// Bytes of answers.
    pub bytes_out: Counter,
    /// What requests took that were answered, waiting included.
    pub times: Times,
}

/// The counters of one server.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Requests that were given to it.
    pub chosen: Counter,
    /// Requests it answered.
    pub answered: Counter,
    /// Requests it lost, refused, or was too slow with.
    pub failed: Counter,
    /// Requests that were taken back, or that another server was faster with.
    pub cancelled: Counter,
    /// Copies of requests that it was given beside the original.
    pub copies: Counter,
    /// Connections that it did not accept.
    pub connect_errors: Counter,
    /// Attempts that were made again at it, after it had lost them.
    pub retries: Counter,
    /// Attempts that were made again at another server, after it had lost them.
    pub redispatches: Counter,
    /// Bytes of requests sent to it.
    pub bytes_in: Counter,
    /// Bytes of answers taken from it.
    pub bytes: Counter,
    /// What the requests took that it answered.
    pub times: Times,
    /// Probes that it did not answer.
    pub probes_failed: Counter,
    /// How often it was found down.
    pub downs: Counter,
    /// How often it was ejected.
    pub ejections: Counter,
}

impl Statistics {
    /// A request that it had is over.
    pub(super) fn count(&self, ended: Ended, took: Duration) {
        match ended {
            Ended::Answered => {
                self.answered.add_one();
                self.times.add(took);
            }
            Ended::Failed => self.failed.add_one(),
            Ended::Cancelled => self.cancelled.add_one(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_remembers_the_most() {
        let gauge = Gauge::default();
        let first = gauge.enter();
        drop((gauge.enter(), gauge.enter()));
        assert_eq!((gauge.now(), gauge.most()), (1, 3));
        drop(first);
        assert_eq!((gauge.now(), gauge.most()), (0, 3));
    }

    #[test]
    fn a_time_belongs_to_the_first_class_that_holds_it() {
        let times = Times::default();
        for micros in [0, 250, 251, 1_000, 9_999_999, 10_000_000, 10_000_001] {
            times.add(Duration::from_micros(micros));
        }
        assert_eq!(times.classes(), [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1]);
        assert!((times.sum_s() - 30.001_501).abs() < 1e-9, "{}", times.sum_s());
    }
}
