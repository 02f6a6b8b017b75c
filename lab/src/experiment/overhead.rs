//! What a request takes beyond its processing time.
//!
//! Two hops, the wake-ups of four threads, and a timer that is never early: a request of 10 ms holds its server's place for
//! some tenths of a millisecond longer. Theory knows only the 10 ms. So before anything is compared with theory, the
//! rest is measured: at one server of its own with room for all, requests coming at random at the rate of the
//! experiment. (Requests of no processing time at all would leave out the timer.)

use super::{
    Run,
    stand::{Stand, Wish},
};
use serde::Serialize;
use std::time::Duration;

/// Requests with which it is measured at the most.
const REQUESTS: u64 = 1_000;

/// What requests take beyond their processing time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overhead {
    /// At which rate, in requests a second.
    pub rate: f64,
    /// The mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

impl Overhead {
    /// Measures it: with a server of this processing time, at this rate, with at most so many requests.
    ///
    /// # Errors
    /// If something does not start.
    pub fn measure(run: &Run, time: Duration, rate: f64, at_most: u64) -> anyhow::Result<Self> {
        // So many clients that one is always free; and in the closed loop there would be no rate.
        let clients = ((rate * time.as_secs_f64() * 4.0) as u32).clamp(16, 256);
        let stand = Stand::open(run, "overhead", &[Wish { time, really: None, capacity: clients }])?;
        let balancer = stand.balancer("balancer", &["--balance", "round-robin"])?;
        let (clients, shown_rate, seed) = (clients.to_string(), format!("{rate:.1}"), run.seed.to_string());
        let requests = at_most.min(REQUESTS).to_string();
        let ask = ["--clients", &clients, "--rate", &shown_rate, "--arrivals", "poisson", "--seed", &seed];
        let until = ["--requests", &requests, "--warmup", "200ms", "--request", "sql SELECT 1"];
        let report = balancer.load(&[&ask[..], &until].concat(), &run.stop)?;
        balancer.end();
        stand.end();
        let told = report.latency_uncorrected_us.unwrap_or(report.latency_us);
        let beyond = |us: f64| (us / 1e3 - time.as_secs_f64() * 1e3).max(0.0);
        let overhead = Self { rate, mean_ms: beyond(told.mean), p50_ms: beyond(told.p50), p99_ms: beyond(told.p99) };
        run.note("overhead.jsonl", &overhead)?;
        Ok(overhead)
    }

    /// What theory reckons with: the median. The mean is made by a few moments in which the machine did something else; then
    /// everything stood still, for all servers alike, and that moves no share.
    #[must_use]
    pub fn usual(&self) -> Duration {
        Duration::from_secs_f64(self.p50_ms / 1e3)
    }

    /// In a few words.
    #[must_use]
    pub fn shown(&self) -> String {
        let Self { rate, mean_ms, p50_ms, p99_ms } = self;
        format!(
            "overhead of a request at {rate:.0} a second: mean {mean_ms:.2} ms, median {p50_ms:.2}, p99 {p99_ms:.2}"
        )
    }
}
