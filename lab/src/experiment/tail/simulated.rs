//! The same in the simulation.

use super::{CLIENTS, SERVERS, Tail, variant::Variant};
use crate::experiment::overhead::Overhead;
use clap::Parser as _;
use loadbalancer::{
    config::Config,
    simulation::{Arrival, Needs, Scenario, SimServer, Simulation},
};
use serde::Serialize;
use std::time::Duration;

/// Requests that are simulated: ten times as many as the percentile of 99.9 needs to be still.
const REQUESTS: u64 = 100_000;
/// Requests before those that count.
const WARM_UP: u64 = 1_000;

/// What the simulation gives for a variant.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Simulated {
    /// Which variant.
    pub variant: &'static str,
    /// Median, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p99_9_ms: f64,
    /// The part of the answers that came from the slow server.
    pub slow_share: f64,
    /// Copies for each request.
    pub copies: f64,
    /// For how long servers worked on each request, copies and all, in milliseconds.
    pub worked_ms: f64,
}

/// Simulates a variant: with the flags that the load balancer gets, and servers that need what the real ones do and the
/// overhead. It is spread evenly from nothing to twice the usual one, because if all requests took equally long, to the
/// nanosecond, every percentile would be that time, and hedging would begin just before each answer.
///
/// # Errors
/// If the flags make no sense.
pub fn simulate(tail: &Tail, variant: &Variant, overhead: &Overhead, seed: u64) -> anyhow::Result<Simulated> {
    let config = Config::try_parse_from(["loadbalancer"].iter().chain(variant.flags))?;
    let most = overhead.usual() * 2;
    let server = |id: usize| {
        let time = if id == SERVERS { tail.slow() } else { tail.time };
        SimServer::new(&id.to_string(), tail.time, tail.capacity).really(Needs::Between(time, time + most))
    };
    let scenario = Scenario {
        options: config.options.clone(),
        arrival: Arrival::Rate(tail.rate, CLIENTS.parse()?),
        copies: config.copies.clone(),
        eject: config.health.eject,
        link: Duration::ZERO,
        warm_up: WARM_UP,
        seed,
        ..Scenario::new((1..=SERVERS).map(server).collect(), config.balance)
    };
    let outcome = Simulation::new(scenario).run(REQUESTS);
    let ms = |part| outcome.latencies.percentile(part).as_secs_f64() * 1e3;
    let worked: f64 = outcome.servers.iter().map(|server| server.worked.as_secs_f64()).sum();
    Ok(Simulated {
        variant: variant.name,
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
        p99_9_ms: ms(0.999),
        slow_share: outcome.servers.last().map_or(0.0, |slow| slow.share),
        copies: outcome.copies as f64 / outcome.requests.max(1) as f64,
        worked_ms: worked / outcome.requests.max(1) as f64 * 1e3,
    })
}
