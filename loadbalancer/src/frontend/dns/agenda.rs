//! What is to be done with queries at times of their own, and the wait for it.
//!
//! What is due for all after the same time (the second try, the end) is not here: the table of
//! [`flights`](super::flights) is in the order in which they came, and so in the order in which that is due.

use parking_lot::{Condvar, Mutex};
use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

/// What time brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A second copy, if there is no answer yet.
    Hedge,
    /// Another server, if there is no answer yet.
    Again,
    /// Another look whether a server is free for it, because none was.
    Look,
}

/// What a wait has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// This is due with that query.
    Due(u64, Due),
    /// The time has come up to which was waited.
    Time,
    /// Nothing is due any more.
    Over,
}

/// When what is due with which query.
#[derive(Debug, Default)]
pub struct Agenda {
    /// Held for a push or a pop.
    entries: Mutex<Entries>,
    sooner: Condvar,
}

#[derive(Debug, Default)]
struct Entries {
    heap: BinaryHeap<Reverse<(Instant, u64, Due)>>,
    over: bool,
}

impl Agenda {
    /// Notes that this is due then. What has become of the query meanwhile is for whoever does it to see.
    pub fn note(&self, at: Instant, number: u64, due: Due) {
        let mut entries = self.entries.lock();
        let first = entries.heap.peek().is_none_or(|Reverse((first, ..))| at < *first);
        entries.heap.push(Reverse((at, number, due)));
        drop(entries);
        if first {
            self.sooner.notify_one();
        }
    }

    /// Waits for the next thing that is due, at most until then.
    pub fn next(&self, until: Instant) -> Next {
        let mut entries = self.entries.lock();
        loop {
            let now = Instant::now();
            let first = entries.heap.peek().map(|Reverse((at, ..))| *at);
            if entries.over {
                return Next::Over;
            }
            if first.is_some_and(|at| at <= now)
                && let Some(Reverse((_, number, due))) = entries.heap.pop()
            {
                return Next::Due(number, due);
            }
            if until <= now {
                return Next::Time;
            }
            self.sooner.wait_until(&mut entries, first.map_or(until, |at| at.min(until)));
        }
    }

    /// Nothing is due any more.
    pub fn end(&self) {
        self.entries.lock().over = true;
        self.sooner.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread, time::Duration};

    #[test]
    fn what_is_due_first_comes_first_also_if_it_was_noted_last() {
        let agenda = Arc::new(Agenda::default());
        let now = Instant::now();
        agenda.note(now + Duration::from_secs(3_600), 1, Due::Hedge);
        let late = now + Duration::from_secs(7_200);
        let waits = {
            let agenda = Arc::clone(&agenda);
            thread::spawn(move || (agenda.next(late), agenda.next(late), agenda.next(late)))
        };
        agenda.note(now + Duration::from_millis(20), 2, Due::Again);
        agenda.note(now, 3, Due::Hedge);
        while agenda.entries.lock().heap.len() > 1 {
            thread::yield_now();
        }
        agenda.end();
        let (first, second, over) = waits.join().unwrap();
        let due = [Next::Due(2, Due::Again), Next::Due(3, Due::Hedge)];
        assert!(first != second && due.contains(&first) && due.contains(&second), "{first:?} {second:?}");
        assert_eq!(over, Next::Over);
    }

    #[test]
    fn a_wait_ends_at_its_time_and_what_is_due_goes_first() {
        let (agenda, now) = (Agenda::default(), Instant::now());
        assert_eq!(agenda.next(now), Next::Time);
        agenda.note(now, 7, Due::Again);
        agenda.note(now + Duration::from_secs(3_600), 8, Due::Again);
        assert_eq!(agenda.next(now), Next::Due(7, Due::Again));
        assert_eq!(agenda.next(now + Duration::from_millis(1)), Next::Time);
    }
}
