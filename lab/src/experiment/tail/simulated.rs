//! The same in the simulation.

use super::{CLIENTS, SERVERS, Tail, sample::WARM_UP, variant::Variant};
use crate::experiment::overhead::Overhead;
use clap::Parser as _;
use loadbalancer::{
    config::Config,
    simulation::{Arrival, Needs, Scenario, SimServer, Simulation},
};
use serde::Serialize;
use std::time::Duration;

/// What the simulation gives for a variant.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Simulated {
    /// Which variant.
    pub variant: &'static str,
    /// Which round, from 1.
    pub round: usize,
    /// 99th percentile, in milliseconds.
    pub p99_ms: f64,
    /// The part of the answers that came from the slow server.
    pub slow_share: f64,
    /// Copies for each request.
    pub copies: f64,
    /// For how long servers worked on each request, copies and all, in milliseconds.
    pub worked_ms: f64,
}

/// Simulates a variant: with the flags that the load balancer gets, and servers that need what the real ones do and the
/// overhead. It is spread evenly from nothing to twice the usual one, because if all requests took equally long, to the
/// nanosecond, every percentile would be that time, and hedging would begin just before each answer. It lasts as long as a
/// real round: percentiles that hedge by themselves need time to settle.
///
/// # Errors
/// If the flags make no sense.
pub fn simulate(
    tail: &Tail,
    variant: &Variant,
    overhead: &Overhead,
    seed: u64,
    round: usize,
) -> anyhow::Result<Simulated> {
    let config = Config::try_parse_from(["loadbalancer"].iter().chain(variant.flags))?;
    let most = overhead.usual() * 2;
    let server = |id: usize| {
        let time = if id == SERVERS { tail.slow() } else { tail.time };
        SimServer::new(&id.to_string(), tail.time, tail.capacity).really(Needs::Between(time, time + most))
    };
    let requests_in = |time: Duration| (tail.rate * time.as_secs_f64()) as u64;
    let scenario = Scenario {
        options: config.options.clone(),
        arrival: Arrival::Rate(tail.rate, CLIENTS.parse()?),
        copies: config.copies.clone(),
        eject: config.health.eject,
        link: Duration::ZERO,
        warm_up: requests_in(WARM_UP),
        seed: seed + round as u64,
        ..Scenario::new((1..=SERVERS).map(server).collect(), config.balance)
    };
    let outcome = Simulation::new(scenario).run(requests_in(WARM_UP + tail.duration));
    let worked: f64 = outcome.servers.iter().map(|server| server.worked.as_secs_f64()).sum();
    Ok(Simulated {
        variant: variant.name,
        round: round + 1,
        p99_ms: outcome.latencies.percentile(0.99).as_secs_f64() * 1e3,
        slow_share: outcome.servers.last().map_or(0.0, |slow| slow.share),
        copies: outcome.copies as f64 / outcome.requests.max(1) as f64,
        worked_ms: worked / outcome.requests.max(1) as f64 * 1e3,
    })
}
