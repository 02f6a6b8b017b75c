//! What the shares should be.

use super::{CAPACITY, Load, Shares, TIMES};
use crate::experiment::{overhead::Overhead, ring::Map};
use loadbalancer::policy::{Name, Options};
use loadbalancer::simulation::{Arrival, Scenario, SimServer, Simulation};
use serde::Serialize;
use std::time::Duration;

/// Requests that are simulated.
const SIMULATED: u64 = 100_000;

/// What theory says, and by what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Theory {
    /// The shares, strongest server first.
    pub shares: Vec<f64>,
    /// How one comes to them.
    pub by: By,
}

/// How one comes to expected shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// They follow from the rule, to the request.
    Rule,
    /// They follow from the rule, within what dice do.
    Dice,
    /// The arcs of the ring.
    Arcs,
    /// How fast servers are that are always full.
    Rates,
    /// The simulation of the same policy.
    Simulation,
}

impl By {
    /// In words.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Rule => "rule, exact",
            Self::Dice => "rule, by dice",
            Self::Arcs => "arcs of the ring",
            Self::Rates => "rates",
            Self::Simulation => "simulation",
        }
    }
}

/// What the shares of a policy should be under this load.
pub fn expectation(shares: &Shares, load: Load, policy: Name, overhead: &Overhead, seed: u64) -> Theory {
    let n = TIMES.len();
    let (shares, by) = match (load, policy) {
        (Load::Saturated, _) => {
            let rate = |time: Duration| f64::from(CAPACITY) / (time + overhead.usual()).as_secs_f64();
            (parts(shares.times(load).map(rate).to_vec()), By::Rates)
        }
        (_, Name::Power) => ((0..n).map(|at| if at == 0 { 1.0 } else { 0.0 }).collect(), By::Rule),
        (_, Name::RoundRobin) => (vec![1.0 / n as f64; n], By::Rule),
        (_, Name::WeightedRoundRobin) => (parts(TIMES.map(|times| 1.0 / f64::from(times)).to_vec()), By::Rule),
        (_, Name::Random) => (vec![1.0 / n as f64; n], By::Dice),
        (_, Name::ConsistentHash) => (arcs(n), By::Arcs),
        (_, Name::PowerOfTwo | Name::LeastConnections | Name::LeastTime) => {
            (simulated(&shares.times(load), load, policy, overhead, seed), By::Simulation)
        }
    };
    Theory { shares, by }
}

/// The shares in a simulation with the same servers and clients, whose messages are on their way for half of the overhead
/// each.
fn simulated(times: &[Duration], load: Load, policy: Name, overhead: &Overhead, seed: u64) -> Vec<f64> {
    let server = |(time, id): (&Duration, usize)| SimServer::new(&id.to_string(), *time, CAPACITY);
    let servers = times.iter().zip(1..).map(server).collect();
    let arrival = Arrival::Clients(load.clients().into(), Duration::ZERO);
    let scenario = Scenario { arrival, link: overhead.usual() / 2, seed, ..Scenario::new(servers, policy) };
    Simulation::new(scenario).run(SIMULATED).servers.iter().map(|server| server.share).collect()
}

/// Of these, what part of their sum each one is.
fn parts(of: Vec<f64>) -> Vec<f64> {
    let all: f64 = of.iter().sum();
    of.into_iter().map(|one| one / all).collect()
}

/// Which part of the ring belongs to each of the servers 1, 2, 3 …
fn arcs(servers: usize) -> Vec<f64> {
    let numbers: Vec<u64> = (1..=servers as u64).collect();
    Map::new(&Options::default()).shares(&numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arcs_are_the_whole_ring_and_about_even() {
        let arcs = arcs(3);
        assert!((arcs.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // 150 points for each: a share of a third varies by about 8 % of itself.
        assert!(arcs.iter().all(|arc| (arc - 1.0 / 3.0).abs() < 0.09), "{arcs:?}");
    }

    /// The ring that decides and the arcs that are expected are the same: keys fall into them as their lengths say.
    #[test]
    fn keys_fall_into_the_arcs() {
        use loadbalancer::policy::{Candidate, Circumstances, ServerKey};
        let candidate = |at: usize| Candidate {
            key: ServerKey(at as u64),
            place: at,
            number: at as u64 + 1,
            processing_time: Duration::from_millis(1),
            capacity: 1_000_000,
            active: 0,
            weight: None,
            last_chosen: 0,
        };
        let servers: Vec<Candidate> = (0..3).map(candidate).collect();
        let mut policy = Name::ConsistentHash.build(&Options::default());
        policy.servers_changed(&servers, Duration::ZERO);
        let (mut counts, mut random) = ([0_u32; 3], fastrand::Rng::with_seed(1));
        let mut keys = fastrand::Rng::with_seed(2);
        for _ in 0..100_000 {
            let key = keys.u64(..);
            let mut now = Circumstances { key, now: Duration::ZERO, in_hand: 0, servers_up: 3, random: &mut random };
            counts[policy.choose(&servers, &mut now).index] += 1;
        }
        for (count, arc) in counts.iter().zip(arcs(3)) {
            // Standard deviation 0.15 percentage points.
            assert!((f64::from(*count) / 1e5 - arc).abs() < 0.008, "{counts:?}");
        }
    }
}
