//! How many threads a crew has.

use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// How many threads of a crew live. Apart from what the threads share, because a thread is counted out only after it has let go
/// of the listener: when nobody is left, the port is free.
#[derive(Default)]
pub(super) struct Headcount {
    /// Held for a comparison or an addition.
    living: Mutex<usize>,
    /// Told whenever a thread has ended.
    ended: Condvar,
}

impl Headcount {
    pub(super) fn enter(&self) {
        *self.living.lock() += 1;
    }

    pub(super) fn leave(&self) {
        *self.living.lock() -= 1;
        self.ended.notify_all();
    }

    pub(super) fn now(&self) -> usize {
        *self.living.lock()
    }

    /// Waits until nobody is left, at most until `within` has passed; says whether nobody is.
    pub(super) fn nobody_left(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut living = self.living.lock();
        while *living > 0 {
            if self.ended.wait_until(&mut living, until).timed_out() {
                return *living == 0;
            }
        }
        true
    }
}
