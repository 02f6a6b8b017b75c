//! Policies: which of these servers?
//!
//! A policy is shown *candidates* — the servers that could take this request now — and names one of them. It knows
//! no socket, no clock, no lock and no protocol; it draws no random numbers of its own. That is what makes it short
//! enough to read at a projector, testable without a network, and the same for every frontend.
//!
//! Choosing is not dispatching: waiting for a server, trying again on another, sending copies are the business of
//! `dispatch`, above the policies and the same for all of them.
//!
//! A pick-only interface cannot express every policy (least connections must know what is running), so the trait
//! has hooks for what happens to the servers and to the requests; a policy implements those it needs.
//!
//! One file per policy. To add one: write the file, list it in [`Name`], run the scenarios.

pub mod power;
pub mod round_robin;

use std::{fmt, time::Duration};

/// Names a server as long as it is in the pool. A server that was restarted gets a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(pub u64);

/// A server as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub key: ServerKey,
    /// What it spends on a request; less is stronger.
    pub processing_time: Duration,
    /// How many requests it may hold at once.
    pub capacity: u32,
    /// How many it holds now.
    pub active: u32,
    /// A count that rises with every choice the pool makes: when this server was chosen last, 0 if never.
    pub last_chosen: u64,
}

/// How a request ended, as far as a policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server answered (also if the answer was an error of the request's own, such as an unknown file).
    Answered,
    /// The server was lost, too slow, or refused.
    Failed,
    /// The client took the request back.
    Cancelled,
}

/// An algorithm that chooses servers.
pub trait Policy: Send + fmt::Debug {
    /// The name it is selected by.
    fn name(&self) -> Name;

    /// Chooses one of the candidates, by index.
    ///
    /// The candidates are never empty, and always in the order of the pool: strongest first, then by the order of
    /// joining. An index that is too large counts as the last.
    fn choose(&mut self, candidates: &[Candidate]) -> usize;

    /// The servers of the pool are now these (joined, left, went down, came back), in the order of the pool.
    fn servers_changed(&mut self, _servers: &[Candidate]) {}

    /// A request was given to this server.
    fn request_started(&mut self, _server: ServerKey) {}

    /// A request that this server had is over, after this time.
    fn request_finished(&mut self, _server: ServerKey, _ended: Ended, _took: Duration) {}
}

/// The policies, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// The strongest idle server first, equals in turn.
    #[default]
    Power,
    /// Turn by turn over the servers, strongest first, busy ones skipped.
    RoundRobin,
}

impl Name {
    /// A new policy of this name.
    #[must_use]
    pub fn build(self) -> Box<dyn Policy> {
        match self {
            Self::Power => Box::new(power::Power),
            Self::RoundRobin => Box::new(round_robin::RoundRobin::default()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Power => "power",
            Self::RoundRobin => "round-robin",
        })
    }
}

#[cfg(test)]
pub(crate) mod scenario {
    //! Small words for the policies' tests.

    use super::*;

    /// Idle servers of capacity 1 with these processing times in milliseconds, keys 1, 2, 3 …
    pub fn idle(times_ms: &[u64]) -> Vec<Candidate> {
        let server = |(at, ms): (usize, &u64)| Candidate {
            key: ServerKey(at as u64 + 1),
            processing_time: Duration::from_millis(*ms),
            capacity: 1,
            active: 0,
            last_chosen: 0,
        };
        times_ms.iter().enumerate().map(server).collect()
    }

    /// The keys a policy picks when each request is over before the next one comes.
    pub fn picks(policy: &mut dyn Policy, servers: &mut [Candidate], n: u64) -> Vec<u64> {
        let mut pick = |count: u64| {
            let at = policy.choose(servers);
            servers[at].last_chosen = count;
            servers[at].key.0
        };
        (1..=n).map(&mut pick).collect()
    }
}
