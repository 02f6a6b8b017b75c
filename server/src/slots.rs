//! How many requests are in process at once.
//!
//! A load balancer keeps count of what it has given to each server, so a full server is the exception: a second load
//! balancer, or one that was just restarted. Such a request is refused at once, for certain and with the time after
//! which to ask again; waiting here would be a queue that nobody sees.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The places for requests.
#[derive(Debug)]
pub(crate) struct Slots {
    capacity: u32,
    taken: AtomicU32,
}

/// A place that is taken; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    /// This many places.
    pub(crate) fn new(capacity: u32) -> Arc<Self> {
        Arc::new(Self { capacity, taken: AtomicU32::new(0) })
    }

    /// A place, if one is free.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Slot> {
        let one_more = |taken| (taken < self.capacity).then_some(taken + 1);
        let took = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        took.is_ok().then(|| Slot(Arc::clone(self)))
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Acquire)
    }

    /// How many there are.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are_and_each_comes_back() {
        let slots = Slots::new(2);
        let (first, second) = (slots.take(), slots.take());
        assert!(first.is_some() && second.is_some() && slots.take().is_none());
        drop(first);
        assert_eq!(slots.taken(), 1);
        assert!(slots.take().is_some());
        assert_eq!(slots.taken(), 1);
    }
}
