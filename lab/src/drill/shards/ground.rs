//! What all who take part share: where the table is, which keys it has, and when it is over.

use protocol::stop::Stop;
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Keys of a shard, in the coursework's default.
pub const SIZE: i64 = 4_096;
/// Keys of the coursework's default: four shards.
pub const KEYS: i64 = 4 * SIZE;

/// What all share.
#[derive(Debug)]
pub struct Ground {
    /// Where the table is asked.
    pub at: SocketAddr,
    begin: Instant,
    /// After so long it is over, whatever was done.
    at_most: Duration,
    stop: Stop,
    /// There are keys from 0 up to this; shards are added.
    keys: AtomicI64,
    /// Clients that have done enough.
    ready: AtomicUsize,
    /// Whether all harm was done.
    harmed: AtomicBool,
}

impl Ground {
    /// A table with the coursework's default, from now on.
    #[must_use]
    pub fn new(at: SocketAddr, at_most: Duration, stop: Stop) -> Self {
        let (keys, ready, harmed) = (AtomicI64::new(KEYS), AtomicUsize::new(0), AtomicBool::new(false));
        Self { at, begin: Instant::now(), at_most, stop, keys, ready, harmed }
    }

    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    /// How many keys there are.
    pub fn keys(&self) -> i64 {
        self.keys.load(Ordering::Acquire)
    }

    /// A shard was added: there are so many now.
    pub fn set_keys(&self, keys: i64) {
        self.keys.store(keys, Ordering::Release);
    }

    /// A client has done enough; it goes on until it is over.
    pub fn say_ready(&self) {
        self.ready.fetch_add(1, Ordering::AcqRel);
    }

    /// How many clients have done enough.
    pub fn ready(&self) -> usize {
        self.ready.load(Ordering::Acquire)
    }

    /// All harm was done, and everybody has done enough.
    pub fn end(&self) {
        self.harmed.store(true, Ordering::Release);
    }

    /// Whether everybody goes home.
    pub fn is_over(&self) -> bool {
        self.harmed.load(Ordering::Acquire) || self.is_late()
    }

    /// Whether it has taken too long, or somebody wishes it to end.
    pub fn is_late(&self) -> bool {
        self.stop.is_set() || self.begin.elapsed() > self.at_most
    }
}
