//! A place in the queue.
//!
//! Like a [`Lease`] it gives itself back: dropping it leaves the queue, and a server that came in that
//! very moment goes to the next. So no way out of a wait can lose a server.

use super::{Decision, Found, Lease, Pool, Server, Wanted, core::Ticket};
use crate::{event::micros, policy::Ended};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use protocol::{
    deadline::Deadline,
    message::{ErrorCode, Failure},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a request waits for a server when none is alive at all. Long enough for a server that is being restarted,
/// short enough that nobody takes it for a hang.
pub const NO_SERVER_WAIT: Duration = Duration::from_secs(3);

/// How often whoever waits looks whether waiting still makes sense: whether its client is still there, and any
/// server. A server that becomes free wakes it at once; this is for the rest, and cheap enough for a full queue.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why a request gets no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many are waiting already.
    QueueFull,
    /// No server became free in time.
    QueueTimeout,
    /// No server is alive.
    NoServer,
    /// The client has left, or took the request back.
    Withdrawn,
}

impl Refused {
    /// What the client is told.
    #[must_use]
    pub fn failure(self) -> Failure {
        let (code, message) = match self {
            Self::QueueFull => (ErrorCode::Busy, "Too many requests are waiting for a server."),
            Self::QueueTimeout => (ErrorCode::Busy, "No server became idle in time."),
            Self::NoServer => {
                (ErrorCode::Unavailable, "No server takes requests: none is running, or they are all drained.")
            }
            Self::Withdrawn => return Failure::definite(ErrorCode::Cancelled, "The request was taken back."),
        };
        Failure::definite(code, message).retry_after_ms(1_000)
    }
}

/// A place in the queue. See the module for how it ends.
#[derive(Debug)]
pub struct Turn {
    pool: Arc<Pool>,
    wanted: Wanted,
    ticket: Ticket,
    granted: Receiver<(Arc<Server>, Decision)>,
    since: Instant,
    ahead: usize,
    /// Since when no server has been alive, as far as was looked.
    hopeless_since: Option<Instant>,
    /// Whether its server has come: then there is nothing to give back.
    served: bool,
}

impl Turn {
    pub(super) fn new(
        pool: &Arc<Pool>,
        wanted: &Wanted,
        (ticket, granted): (Ticket, Receiver<(Arc<Server>, Decision)>),
        ahead: usize,
        hope: bool,
    ) -> Self {
        let (pool, wanted, since) = (Arc::clone(pool), wanted.clone(), Instant::now());
        let hopeless_since = (!hope).then_some(since);
        Self { pool, wanted, ticket, granted, since, ahead, hopeless_since, served: false }
    }

    /// How many were ahead when it was taken.
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.ahead
    }

    /// Waits until the turn comes, the deadline passes, no server has been alive for three seconds, or `wanted`,
    /// which is asked now and then, says that nobody wants the answer any more.
    ///
    /// # Errors
    /// Which of these it was.
    pub fn wait(mut self, deadline: Deadline, wanted: impl FnMut() -> bool) -> Result<Found, Refused> {
        let granted = self.granted(deadline, wanted);
        let totals = self.pool.totals();
        match granted {
            Ok(_) => totals.waited_us.add(micros(self.since.elapsed())),
            Err(Refused::QueueTimeout) => totals.queue_timeouts.add_one(),
            Err(Refused::NoServer) => totals.no_server.add_one(),
            Err(Refused::QueueFull | Refused::Withdrawn) => {}
        }
        granted
    }

    fn granted(&mut self, deadline: Deadline, mut wanted: impl FnMut() -> bool) -> Result<Found, Refused> {
        loop {
            let look = Deadline::after(LOOK_EVERY).min(deadline);
            match self.granted.recv_deadline(look.instant()) {
                Ok((server, decision)) => {
                    self.served = true;
                    return Ok(self.pool.found(server, decision, self.since));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Refused::NoServer),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if !wanted() {
                return Err(Refused::Withdrawn);
            }
            let hopeless = self.hopeless_for();
            if hopeless >= NO_SERVER_WAIT || (deadline.has_passed() && !hopeless.is_zero()) {
                return Err(Refused::NoServer);
            }
            if deadline.has_passed() {
                return Err(Refused::QueueTimeout);
            }
        }
    }

    /// How long there has been no server to hope for; zero while there is one.
    fn hopeless_for(&mut self) -> Duration {
        if self.pool.any_alive(&self.wanted) {
            self.hopeless_since = None;
            return Duration::ZERO;
        }
        self.hopeless_since.get_or_insert_with(Instant::now).elapsed()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.served || self.pool.withdraw(self.ticket) {
            return;
        }
        if let Ok((server, _)) = self.granted.try_recv() {
            Lease::new(Arc::clone(&self.pool), server, Instant::now()).finish(Ended::Cancelled);
        }
    }
}
