//! The virtual clock: what will happen, in the order of its time.
//!
//! Nobody waits. The next thing on the list happens, and it is as late as that thing is. What is due at the same time
//! happens in the order in which it was written down, so that a run is the same each time.

use super::fault::Fault;
use crate::pool::core::Ticket;
use std::{cmp::Ordering, collections::BinaryHeap, time::Duration};

/// Names a request.
pub(super) type RequestId = u64;
/// Names a request at a server.
pub(super) type AttemptId = u64;

/// What a server says about a request, or what is heard of it otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The answer.
    Answer,
    /// It is full or ending.
    NotNow,
    /// It would have to write, and was told not to.
    MustNotWrite,
    /// It has stopped, as it was told.
    Stopped,
    /// The connection is lost.
    Broken,
    /// Nobody accepts the connection.
    Refused,
}

/// A message that arrives at a machine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message {
    /// A request; whether the server may write for it.
    Request { attempt: AttemptId, writes: bool, may_write: bool },
    /// The work on a request is done.
    Done { attempt: AttemptId },
    /// A request is to be stopped; whether somebody wants to hear of it.
    Stop { attempt: AttemptId, confirm: bool },
    /// How many requests is it serving? With what had arisen in doubt when this was asked.
    Probe { number: u64, doubts: u64 },
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alive {
    pub(super) number: u64,
    pub(super) doubts: u64,
    pub(super) life: u32,
    pub(super) serving: u32,
    pub(super) draining: bool,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// This client asks.
    Ask(u64),
    /// The next request of an open loop comes.
    Arrive,
    /// A message arrives at this life of a machine.
    At(usize, u32, Message),
    /// Something is heard of a request.
    Heard(AttemptId, Said),
    /// A server has not answered in its time.
    TooLate(AttemptId),
    /// A server that was told to stop has not confirmed that.
    NoLastWord(AttemptId),
    /// The first server is late.
    Hedge(RequestId),
    /// After a pause the same server is tried again.
    Again(RequestId),
    /// The time in the queue is over.
    QueueEnd(RequestId, Ticket),
    /// A request that waits looks whether there is still hope.
    Look(RequestId, Ticket),
    /// The client gives up.
    GivesUp(RequestId),
    /// It is time to probe a machine.
    Probe(usize, u64),
    /// A probe was answered.
    Alive(usize, Alive),
    /// A probe was not answered in time.
    Silent(usize, u64),
    /// Something goes wrong, or is put right again.
    Fault(Fault),
    /// Something goes wrong by chance.
    Mishap,
}

#[derive(Debug)]
struct Entry {
    at: Duration,
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The greatest comes first: that is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What will happen.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Entry>,
    now: Duration,
    last: u64,
}

impl Agenda {
    /// The time since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.now
    }

    /// Writes down what will happen after this time.
    pub(super) fn after(&mut self, time: Duration, event: Event) {
        self.last += 1;
        self.entries.push(Entry { at: self.now.saturating_add(time), number: self.last, event });
    }

    /// What happens next. It is as late as that, then.
    pub(super) fn next(&mut self) -> Option<Event> {
        let entry = self.entries.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_in_the_order_of_writing() {
        let mut agenda = Agenda::default();
        for (ms, client) in [(5, 1), (3, 2), (5, 3), (0, 4)] {
            agenda.after(Duration::from_millis(ms), Event::Ask(client));
        }
        let order: Vec<(u64, u128)> = std::iter::from_fn(|| match agenda.next()? {
            Event::Ask(client) => Some((client, agenda.now().as_millis())),
            _ => None,
        })
        .collect();
        assert_eq!(order, [(4, 0), (2, 3), (1, 5), (3, 5)]);
    }
}
