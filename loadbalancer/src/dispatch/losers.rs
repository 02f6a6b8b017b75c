//! Those whose copy of a request was not the first to be answered.
//!
//! **The problem.** A loser must be told to stop, and its place must not be given away before it has confirmed that. But
//! the client has its answer and asks its next question: nobody may wait for a loser, least of all for one that hangs.
//!
//! **The idea.** The thread that carried the request tells the loser to stop and hands it over to one of a few threads that
//! wait for last words (threads `loser-N`). Their queue is bounded. When it is full, or a last word does not come within a
//! second of the telling, time in the queue included, the lease is dropped: then the server is in doubt and gets nothing new until it has been asked. So the worst
//! case is a server that is used less than it could be, never one that is used twice.

use super::{
    cancel::{self, CANCEL_TIME, Stopped},
    runner::Runner,
};
use crate::policy::Ended;
use crossbeam_channel::{Receiver, Sender, bounded};
use protocol::deadline::Deadline;
use std::{io, thread};

/// Threads that wait for last words.
const THREADS: usize = 4;
/// Losers that wait for one of them. More are dropped, which leaves their servers in doubt.
const QUEUE: usize = 256;

/// Where losers go.
#[derive(Debug)]
pub struct Losers {
    queue: Option<Sender<(Runner, Deadline)>>,
}

impl Losers {
    /// No copies are ever sent: there will be no losers.
    #[must_use]
    pub fn none() -> Self {
        Self { queue: None }
    }

    /// Starts the threads. They end when this is dropped.
    ///
    /// # Errors
    /// If the system gives not even one thread.
    pub fn start() -> io::Result<Self> {
        let (queue, losers) = bounded(QUEUE);
        let mut started = 0;
        for number in 1..=THREADS {
            let losers = losers.clone();
            let spawned =
                thread::Builder::new().name(format!("loser-{number}")).spawn(move || await_last_words(&losers));
            match spawned {
                Ok(_) => started += 1,
                Err(error) if started == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(Self { queue: Some(queue) })
    }

    /// Tells a loser to stop, and has somebody wait for its last word.
    pub fn dismiss(&self, mut loser: Runner) {
        // From now on, not from when a thread has time for it: losers that hang must not make those behind them hang longer.
        let deadline = Deadline::after(CANCEL_TIME);
        if cancel::tell(&mut loser).is_ok()
            && let Some(queue) = &self.queue
        {
            // Full: the loser is dropped, its lease with it.
            let _ = queue.try_send((loser, deadline));
        }
    }
}

fn await_last_words(losers: &Receiver<(Runner, Deadline)>) {
    for (mut loser, deadline) in losers {
        if cancel::confirmed(&mut loser, deadline) != Stopped::Unconfirmed {
            loser.done(Ended::Cancelled);
        }
    }
}
