//! The latest events, kept in memory: for whoever wants to ask `why` without a journal.
//!
//! A listener like the others: it has a queue and a thread (`recent`) of its own. What it keeps is limited in bytes, not in
//! events, because a decision among a thousand servers is a thousand times as large as one among one. Events are shared
//! with the other listeners; only what nobody else holds any more counts for this one.

use super::{Event, Record};
use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use std::{collections::VecDeque, mem::size_of, sync::Arc};

/// What an event costs beside its texts and lists, in bytes: itself, its counters, its place in the ring.
const EACH: usize = size_of::<Record>() + 4 * size_of::<usize>();
/// What each server in the evidence of a decision costs, in bytes, with a short id.
const EACH_SERVER: usize = size_of::<super::Considered>() + 16;
/// What the name of a server or a shard costs, in bytes.
const EACH_NAME: usize = size_of::<String>() + 16;

/// The latest events.
#[derive(Debug)]
pub struct Recent {
    /// Held to add one event, or to copy the list of them; never together with another lock.
    kept: Mutex<Kept>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

impl Recent {
    /// Keeps about as many bytes of events, the latest ones.
    #[must_use]
    pub fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), max_bytes })
    }

    /// Listens until the stream ends (thread `recent`).
    pub fn listen(&self, events: &Receiver<Arc<Record>>) {
        events.iter().for_each(|record| self.keep(record));
    }

    fn keep(&self, record: Arc<Record>) {
        let mut kept = self.kept.lock();
        kept.bytes += bytes(&record);
        kept.records.push_back(record);
        while kept.bytes > self.max_bytes
            && let Some(oldest) = kept.records.pop_front()
        {
            kept.bytes -= bytes(&oldest);
        }
    }

    /// What is kept, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Arc<Record>> {
        self.kept.lock().records.iter().map(Arc::clone).collect()
    }
}

/// About what an event costs.
fn bytes(record: &Record) -> usize {
    EACH + match &record.event {
        Event::ServerChosen { considered, skipped, .. } => (considered.len() + skipped.len()) * EACH_SERVER,
        Event::ShardsLocked { shards, .. } => shards.len() * EACH_NAME,
        Event::ChangeOrdered { servers, .. } | Event::ChangeDone { servers, .. } => servers.len() * EACH_NAME,
        Event::RequestReceived { text, .. } => text.len(),
        Event::RequestFailed { message, .. } => message.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;
    use std::thread;

    #[test]
    fn the_latest_are_kept_and_the_oldest_go() {
        let recent = Recent::new(10 * EACH);
        let (events, receivers) = Events::with_listeners(1);
        thread::scope(|scope| {
            scope.spawn(|| recent.listen(&receivers[0]));
            (0..100).for_each(|count| events.emit(|| Event::EventsLost { count }));
            drop(events);
        });
        let kept: Vec<Event> = recent.records().iter().map(|record| record.event.clone()).collect();
        assert_eq!(kept, (90..100).map(|count| Event::EventsLost { count }).collect::<Vec<_>>());
    }

    #[test]
    fn large_events_count_for_what_they_are() {
        let recent = Recent::new(10 * EACH);
        let text = "x".repeat(9 * EACH);
        let large = Event::RequestReceived { request: protocol::id::RequestId::NONE, client: String::new(), text };
        (0..5).for_each(|_| recent.keep(Arc::new(Record { at_us: 1, event: Event::Stopping })));
        recent.keep(Arc::new(Record { at_us: 2, event: large }));
        assert_eq!(recent.records().len(), 1);
    }
}
