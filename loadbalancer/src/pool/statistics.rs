//! What has happened at a server since it joined: counted where it happens, read by whoever asks.
//!
//! Counters are atomics that only grow, so that counting needs no lock. A reader may see an answer counted and its bytes
//! not yet; for statistics that is good enough.

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
    /// Bytes of answers taken from it.
    pub bytes: Counter,
    /// Time of all answered requests, in microseconds.
    pub answering_us: Counter,
    /// The most requests it held at once.
    pub most_active: Counter,
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
                self.answering_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            }
            Ended::Failed => self.failed.add_one(),
            Ended::Cancelled => self.cancelled.add_one(),
        }
    }
}
