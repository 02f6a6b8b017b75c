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
//! **When to use which.** Two questions decide: are the servers alike, and are the requests? The less alike they are,
//! the more a policy must look at what is going on instead of at what was said beforehand.
//!
//! | policy | goes by | for | not for |
//! |---|---|---|---|
//! | [`power`] | announced processing time | capacity 1; the strongest shall do what it can | light load on weak servers, high capacities |
//! | [`round_robin`] | nothing: in circular order, whatever the load | equal servers and equal requests | unequal anything |
//! | [`weighted_round_robin`] | announced power, or given weights | unequal servers and equal requests | servers that are not what they say |
//! | [`random`] | dice | comparison; very many short requests; many load balancers | few requests: luck makes heaps |
//! | [`power_of_two`] | requests held, of two drawn | many servers; many load balancers | three servers: look at all of them |
//! | [`least_connections`] | requests held | equal servers and long or uneven requests | servers that fail fast, or have just come back |
//! | [`least_time`] | requests held and response times seen | unequal servers, networks nobody can predict | requests of very different kinds |
//! | [`consistent_hash`] | the request's key | servers that remember: caches, sessions | even load, unless bounded |
//!
//! By what they need to know: nothing (`random`, `round-robin`, `consistent-hash`), what servers say (`power`,
//! `weighted-round-robin`), what they hold (`power-of-two`, `least-connections`), and what they did (`least-time`).
//! Each step reacts to more and can be fooled by more: feedback that comes late, or that several load balancers
//! follow at once, makes herds.
//!
//! Weights given by a person are out of 256 and mean the same to every policy that heeds them: see [`weight`].
//!
//! One file per policy. To add one: write the file, list it in [`Name`], write its scripts (`scripts/<name>/`), and run
//! `cargo test -p loadbalancer policy` and `cargo bench -p loadbalancer`.

pub mod power;
pub mod round_robin;
pub mod weighted_round_robin;
pub mod random;
pub mod power_of_two;
pub mod least_connections;
pub mod least_time;
pub mod consistent_hash;
pub mod options;
pub mod weight;
mod memory;

pub use options::Options;
pub use protocol::flags::UNLIMITED;

use std::{fmt, time::Duration};

/// Names a server as long as it is in the pool. A server that was restarted gets a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey(pub u64);

/// A server as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub key: ServerKey,
    /// Where it stands in the list last given to [`Policy::servers_changed`]: what a policy knows of each server can
    /// be kept in a list of its own and found with this.
    pub place: usize,
    /// A number that is its own as long as its id is, also after a restart: see [`number_of`].
    pub number: u64,
    /// What it spends on a request; less is stronger.
    pub processing_time: Duration,
    /// How many requests it may hold at once; [`UNLIMITED`] if as many as come.
    pub capacity: u32,
    /// How many it holds now.
    pub active: u32,
    /// The weight that a person gave it, 1 to 256.
    pub weight: Option<u32>,
    /// A count that rises with every choice the pool makes: when this server was chosen last, 0 if never.
    pub last_chosen: u64,
}

/// The number of a server, from its id: its digits if it has any ("S5" is 5, as in the coursework, where servers are
/// numbers), else a hash of the id. Two ids may have the same number; then order of joining decides.
#[must_use]
pub fn number_of(id: &str) -> u64 {
    let digits: String = id.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| xxhash_rust::xxh3::xxh3_64(id.as_bytes()))
}

/// What a policy is told beside the candidates: it has no clock and no dice of its own.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// The hash of what `--hash-key` names: requests of the same key belong together.
    pub key: u64,
    /// The time since the pool began.
    pub now: Duration,
    /// How many requests all servers that are up hold together.
    pub in_hand: u64,
    /// How many servers are up. The candidates are those of them that have spare capacity.
    pub servers_up: usize,
    /// Dice. Their seed is told when the load balancer starts, and can be given.
    pub random: &'a mut fastrand::Rng,
}

/// What a policy chose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Which candidate. An index that is too large counts as the last.
    pub index: usize,
    /// What beside the candidates led to it.
    pub how: How,
}

impl Choice {
    /// A choice that follows from the candidates alone.
    #[must_use]
    pub fn plain(index: usize) -> Self {
        Self { index, how: How::Plain }
    }
}

/// What beside the candidates led to a choice: the evidence that cannot be seen in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum How {
    /// Nothing.
    Plain,
    /// Candidates were drawn at random, by index.
    Drawn {
        /// The first one drawn.
        first: u32,
        /// The second one, if two were drawn.
        second: Option<u32>,
        /// Among how many.
        of: u32,
    },
    /// The key's place on a ring of hashes.
    Ring {
        /// The key's place.
        key: u64,
        /// The place of the server's point that was taken.
        point: u64,
        /// How many servers the key passed by because they were full, down, or over their bound.
        passed: u32,
    },
}

/// How a request ended, as far as a policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The server answered (also if the answer was an error of the request's own, such as an unknown file).
    Answered,
    /// The server was lost, too slow, or refused.
    Failed,
    /// The client took the request back, or another server was faster.
    Cancelled,
}

/// An algorithm that chooses servers.
pub trait Policy: Send + fmt::Debug {
    /// The name it is selected by.
    fn name(&self) -> Name;

    /// Chooses one of the candidates.
    ///
    /// The candidates are never empty, and always in the order of the pool: strongest first, then by the order of
    /// joining.
    fn choose(&mut self, candidates: &[Candidate], circumstances: &mut Circumstances<'_>) -> Choice;

    /// What the policy compares servers by, as it is before it chooses: less is better. `None` if it compares nothing.
    /// For people and experiments; asked for only when somebody listens.
    fn score(&self, _candidate: &Candidate, _circumstances: &Circumstances<'_>) -> Option<f64> {
        None
    }

    /// The servers of the pool are now these (joined, left, got another weight or capacity), in the order of the pool,
    /// whether they are up or not.
    fn servers_changed(&mut self, _servers: &[Candidate], _now: Duration) {}

    /// A request was given to this server.
    fn request_started(&mut self, _server: &Candidate, _now: Duration) {}

    /// A request that this server had is over, after this time.
    fn request_finished(&mut self, _server: &Candidate, _ended: Ended, _took: Duration, _now: Duration) {}
}

/// The policies, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// The strongest idle server first, equals in turn.
    #[default]
    Power,
    /// Turn by turn over the servers, strongest first, busy ones skipped.
    RoundRobin,
    /// Turn by turn, but the strong more often, evenly spread.
    WeightedRoundRobin,
    /// Any of them, by dice.
    Random,
    /// Of two drawn by dice the one that holds fewer requests.
    PowerOfTwo,
    /// The one that holds the fewest requests.
    LeastConnections,
    /// The one that will probably answer first: response times and requests held.
    LeastTime,
    /// The same key to the same server.
    ConsistentHash,
}

impl Name {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Power,
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::Random,
        Self::PowerOfTwo,
        Self::LeastConnections,
        Self::LeastTime,
        Self::ConsistentHash,
    ];

    /// A new policy of this name.
    #[must_use]
    pub fn build(self, options: &Options) -> Box<dyn Policy> {
        match self {
            Self::Power => Box::new(power::Power),
            Self::RoundRobin => Box::new(round_robin::RoundRobin::default()),
            Self::WeightedRoundRobin => Box::new(weighted_round_robin::WeightedRoundRobin::default()),
            Self::Random => Box::new(random::Random),
            Self::PowerOfTwo => Box::new(power_of_two::PowerOfTwo),
            Self::LeastConnections => Box::new(least_connections::LeastConnections),
            Self::LeastTime => Box::new(least_time::LeastTime::default()),
            Self::ConsistentHash => Box::new(consistent_hash::ConsistentHash::new(options)),
        }
    }

    /// The name as it is written everywhere: after `--balance`, in the journal, in `ctl`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::RoundRobin => "round-robin",
            Self::WeightedRoundRobin => "weighted-round-robin",
            Self::Random => "random",
            Self::PowerOfTwo => "power-of-two",
            Self::LeastConnections => "least-connections",
            Self::LeastTime => "least-time",
            Self::ConsistentHash => "consistent-hash",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod scripts;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn a_policy_has_the_same_name_everywhere() {
        assert_eq!(Name::value_variants(), Name::ALL);
        for name in Name::ALL {
            assert_eq!(Name::from_str(name.as_str(), false), Ok(name));
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
            assert_eq!(name.build(&Options::default()).name(), name);
        }
    }

    #[test]
    fn every_policy_takes_the_only_candidate_also_one_it_was_never_told_of() {
        for name in Name::ALL {
            let mut policy = name.build(&Options::default());
            assert_eq!(scenario::choice(&mut *policy, &scenario::idle(&[100])), 0, "{name}");
        }
    }
}

#[cfg(test)]
pub(crate) mod scenario {
    //! Small words for the policies' tests.

    use super::*;

    /// Circumstances in which nothing matters but the candidates, at time zero, with dice of this seed.
    pub fn calm(random: &mut fastrand::Rng) -> Circumstances<'_> {
        Circumstances { key: 0, now: Duration::ZERO, in_hand: 0, servers_up: 0, random }
    }

    /// How far these counts of `n` draws are from what was to be expected (Pearson's chi-square).
    pub fn chi_square(counts: &[f64], shares: &[f64], n: u32) -> f64 {
        assert_eq!(counts.len(), shares.len());
        let of = |(count, share): (&f64, &f64)| (count - share * f64::from(n)).powi(2) / (share * f64::from(n));
        counts.iter().zip(shares).map(of).sum()
    }

    /// What a policy chooses of these in such circumstances.
    pub fn choice(policy: &mut dyn Policy, candidates: &[Candidate]) -> usize {
        policy.choose(candidates, &mut calm(&mut fastrand::Rng::with_seed(1))).index
    }

    /// Idle servers of capacity 1 with these processing times in milliseconds, keys 1, 2, 3 …
    pub fn idle(times_ms: &[u64]) -> Vec<Candidate> {
        let server = |(at, ms): (usize, &u64)| Candidate {
            key: ServerKey(at as u64 + 1),
            place: at,
            number: at as u64 + 1,
            processing_time: Duration::from_millis(*ms),
            capacity: 1,
            active: 0,
            weight: None,
            last_chosen: 0,
        };
        times_ms.iter().enumerate().map(server).collect()
    }

    /// The keys a policy picks when each request is over before the next one comes.
    pub fn picks(policy: &mut dyn Policy, servers: &mut [Candidate], n: u64) -> Vec<u64> {
        let mut pick = |count: u64| {
            let at = choice(policy, servers);
            servers[at].last_chosen = count;
            servers[at].key.0
        };
        (1..=n).map(&mut pick).collect()
    }
}
