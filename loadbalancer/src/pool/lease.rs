//! A server, as long as a request needs it.
//!
//! Taking a server returns a lease; ending the lease returns the server to its place and records how it went, once.
//! A lease that is dropped without a word (a panic, an early return) ends in doubt: its server gets nothing new
//! until it has been asked what it is doing. So no path through the code can lose a server, and none can list a
//! busy server as idle.

use super::{Pool, Server};
use crate::policy::Ended;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A place at a server. See the module for how it ends.
#[derive(Debug)]
pub struct Lease {
    pool: Arc<Pool>,
    server: Arc<Server>,
    since: Instant,
    finished: bool,
}

impl Lease {
    pub(super) fn new(pool: Arc<Pool>, server: Arc<Server>, since: Instant) -> Self {
        Self { pool, server, since, finished: false }
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// How long the lease has lasted.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// How old it is at this time.
    #[must_use]
    pub fn age_at(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// The server is surely done with the request: its place is free.
    pub fn finish(self, ended: Ended) {
        // One look at the clock for all: it is the dearest thing here.
        self.finish_at(ended, Instant::now());
    }

    /// As [`finish`](Self::finish), for who has just looked at the clock.
    pub fn finish_at(mut self, ended: Ended, now: Instant) {
        self.finished = true;
        let age = self.age_at(now);
        self.server.count(ended, age);
        self.pool.give_back(self.server.key, ended, age, now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.finished {
            self.server.count(Ended::Failed, self.age());
            self.pool.doubt(&self.server, self.age());
            self.server.ask();
        }
    }
}
