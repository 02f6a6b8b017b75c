//! The simulation: a laboratory on paper, in which an hour takes a second and anything can go wrong.
//!
//! **The problem.** Real processes show what happens, a few thousand times, on this machine. They do not show what happens
//! once in a million, cannot be repeated to the step, and a thousand servers do not fit into a classroom.
//!
//! **The idea.** Nothing waits. What will happen stands on a list (a request reaches its server in 50 µs, the server is done in
//! 20 ms, its client loses patience in 3 s), the earliest is taken off and happens, and the clock is set to its time. All
//! chance comes from one seed: the same seed gives the same run, to the last step.
//!
//! **What is real**: the pool's rules ([`Core`]) and with them the queue, ejection and slow start; the policies; the rules
//! of the check ([`crate::health::Probes`]); the retry table and its budget, when hedges are due and how many are allowed. **What
//! is told again**: servers and connections, and the two loops that are bound to sockets in the program: the life of a request
//! (`request.rs`) and the conversation with a server (`contact.rs`).
//!
//! **What is checked, after every step** (`books.rs`): how many requests the pool believes each server holds is what was
//! granted and has not ended; idle, busy and out are all that are registered; no server has more than it may; nobody waits
//! while a server is idle that could take him; clients take turns; never more than half are ejected, nor the last one. A
//! request has one end. And when everybody has gone home, nothing is left. If something is wrong the run ends there,
//! with seed and step: `lab simulate --policy power --seed 7` repeats it.
//!
//! **Worked example.** Servers of 10, 20 and 40 ms, capacity 4, under `power`, and always somebody waiting: 64 clients, 20,000
//! requests. Each server is always busy, so shares go by speed: 4/7, 2/7, 1/7. The simulation says 57.1 %, 28.6 %, 14.3 %, in
//! some tenths of a second; the real thing would take 29 s.
//!
//! **When it is wrong.** Servers here need the time that they are told to, however many requests they have; a real one has
//! cores, caches and a disk. Messages take the same time each, in order. An answer is one message: nothing is lost in its
//! middle, no file is resumed. All servers have one database. The threads of the load balancer cost nothing and never
//! meet: that is for `lab race`. So it predicts shares and the shape of a tail, not microseconds; and what it says is to be
//! held against real runs.
//!
//! ```
//! use loadbalancer::{policy::Name, simulation::{Scenario, SimServer, Simulation}};
//! use std::time::Duration;
//!
//! let servers = SimServer::all(&[10, 20, 40], 1);
//! let outcome = Simulation::new(Scenario::new(servers, Name::Power)).run(2_000);
//! assert_eq!(outcome.violation, None);
//! assert!((outcome.servers[0].share - 4.0 / 7.0).abs() < 0.01);
//! assert!(outcome.latencies.percentile(0.5) >= Duration::from_millis(10));
//! ```
//!
//! Sources: FoundationDB's simulation testing (W. Wilson, *Testing Distributed Systems with Deterministic Simulation*, 2014);
//! TigerBeetle's VOPR; A. Law, *Simulation Modeling and Analysis*, ch. 1, for the list of events.

mod agenda;
mod books;
mod contact;
mod fault;
mod machine;
mod outcome;
mod request;
mod rules;
mod scenario;
mod world;

pub use self::{
    fault::Fault,
    outcome::{Latencies, Outcome, ServerOutcome, Violation},
    scenario::{Arrival, Needs, Scenario, SimServer},
};

use self::{
    rules::Faithful,
    world::{Until, World},
};
use crate::{dispatch::budget::Budget, pool::core::Core};

/// A simulation that is ready to run.
#[derive(Clone, Debug)]
pub struct Simulation {
    scenario: Scenario,
}

impl Simulation {
    /// The simulation of this scenario.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        Self { scenario }
    }

    /// Runs until so many requests have come, and then until all have ended.
    #[must_use]
    pub fn run(&self, requests: u64) -> Outcome {
        self.run_until(Until::Requests(requests))
    }

    /// Runs for so many steps, and then until all requests have ended.
    #[must_use]
    pub fn run_steps(&self, steps: u64) -> Outcome {
        self.run_until(Until::Steps(steps))
    }

    fn run_until(&self, until: Until) -> Outcome {
        let rules = Faithful(Core::new(self.scenario.settings()));
        World::new(&self.scenario, &Budget::default(), rules).run(until)
    }
}

#[cfg(test)]
mod planted;
#[cfg(test)]
mod tests;
