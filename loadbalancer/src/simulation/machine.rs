//! A server as it is in truth: what it works on, and what has befallen it.

use super::{
    agenda::{AttemptId, Message},
    outcome::ServerOutcome,
    scenario::SimServer,
};
use crate::{health::Probes, policy::ServerKey};
use std::time::Duration;

/// A machine with one server process after the other.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) spec: SimServer,
    /// Which process this is.
    pub(super) life: u32,
    pub(super) runs: bool,
    /// It stands still: messages gather.
    pub(super) stopped: bool,
    pub(super) gathered: Vec<Message>,
    /// It finishes what it has.
    pub(super) draining: bool,
    /// How many times as long as usual it takes.
    pub(super) slow: f64,
    /// The part of its answers that is lost.
    pub(super) loses: f64,
    /// What it works on, and since when.
    pub(super) work: Vec<(AttemptId, Duration)>,
    pub(super) outcome: ServerOutcome,

    // What the load balancer knows of it.
    /// It has an entry.
    pub(super) registered: bool,
    /// Its name in the pool, and which life that is.
    pub(super) known: Option<(ServerKey, u32)>,
    pub(super) probes: Probes,
    /// The probe that comes next, or is on its way. Others are void.
    pub(super) probe: u64,
    /// Whether that one is on its way.
    pub(super) asked: bool,
}

impl Machine {
    pub(super) fn new(spec: SimServer, probes: Probes) -> Self {
        let outcome = ServerOutcome { id: spec.id.clone(), ..ServerOutcome::default() };
        Self {
            spec,
            life: 1,
            runs: true,
            stopped: false,
            gathered: Vec::new(),
            draining: false,
            slow: 1.0,
            loses: 0.0,
            work: Vec::new(),
            outcome,
            registered: true,
            known: None,
            probes,
            probe: 0,
            asked: false,
        }
    }

    /// The process is gone. What it was doing is lost.
    pub(super) fn crash(&mut self, now: Duration) {
        (self.runs, self.stopped, self.draining) = (false, false, false);
        self.gathered.clear();
        let since: Duration = self.work.drain(..).map(|(_, since)| now.saturating_sub(since)).sum();
        self.outcome.worked += since;
    }

    /// A new process.
    pub(super) fn start(&mut self) {
        self.life += 1;
        (self.runs, self.slow, self.loses) = (true, 1.0, 0.0);
    }

    /// Begins to work on a request. False if there is no place.
    pub(super) fn begins(&mut self, attempt: AttemptId, now: Duration) -> bool {
        let room = !self.draining && self.work.len() < self.spec.capacity as usize;
        if room {
            self.work.push((attempt, now));
            self.outcome.begun += 1;
        }
        room
    }

    /// Ends the work on a request. False if there was none.
    pub(super) fn ends(&mut self, attempt: AttemptId, now: Duration) -> bool {
        let Some(at) = self.work.iter().position(|(other, _)| *other == attempt) else { return false };
        let (_, since) = self.work.swap_remove(at);
        self.outcome.worked += now.saturating_sub(since);
        true
    }

    /// How many requests it is working on.
    pub(super) fn serving(&self) -> u32 {
        u32::try_from(self.work.len()).unwrap_or(u32::MAX)
    }
}
