//! What will happen, in the order of its time.

use crate::ring::{message::Message, reach::Side};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

/// Something that will happen to a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    /// A message arrives.
    Comes(Side, Message),
    /// It is time for what is due; the number tells this appointment from those that were replaced.
    Wakes(u64),
    /// The process dies, and forgets everything.
    Crashes,
    /// The process is started, or started anew.
    Starts,
    /// The process is stopped, and goes on when it is told to.
    Stops,
    Continues,
    /// The link to the right is cut, and mended.
    IsCut,
    IsMended,
    /// Nothing goes wrong from now on.
    CalmsDown,
    /// The end.
    Ends,
}

/// The list.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    order: BinaryHeap<Reverse<(Duration, u64)>>,
    what: BTreeMap<u64, (usize, What)>,
    next: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Duration, server: usize, what: What) {
        self.next += 1;
        self.order.push(Reverse((at, self.next)));
        self.what.insert(self.next, (server, what));
    }

    pub(super) fn take(&mut self) -> Option<(Duration, usize, What)> {
        let Reverse((at, number)) = self.order.pop()?;
        let (server, what) = self.what.remove(&number)?;
        Some((at, server, what))
    }
}
