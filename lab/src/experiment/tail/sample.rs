//! One measurement of one variant.

use super::{CLIENTS, SERVERS, Tail, variant::Variant};
use crate::experiment::{Run, gauge::Gauge, stand::Stand};
use client::load::latency::{Latency, Summary};
use serde::Serialize;
use std::time::Duration;

/// Requests are sent for this long before those that count: a percentile to hedge by needs some answers.
pub const WARM_UP: Duration = Duration::from_secs(1);

/// What came of one measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Which variant.
    pub variant: &'static str,
    /// Which round, from 1.
    pub round: usize,
    /// Answers that count.
    pub answers: u64,
    /// Requests without an answer.
    pub errors: u64,
    /// Requests that were due and never sent.
    pub unsent: u64,
    /// From when a request should have begun to its answer, in microseconds.
    pub latency_us: Summary,
    /// How late requests began although a client was free: the error of the instrument.
    pub start_delay_us: Option<Summary>,
    /// The part of the answers that came from the slow server.
    pub slow_share: f64,
    /// Copies for each request, warm-up included.
    pub copies: f64,
    /// Copies that were answered before the original, for each request.
    pub copies_won: f64,
    /// How many requests all servers held together, on average.
    pub held: f64,
    /// For how long a request kept servers busy, copies and all, in milliseconds.
    pub busy_ms: f64,
    /// Every latency.
    #[serde(skip)]
    pub latencies: Latency,
}

impl Tail {
    pub(super) fn measure(&self, run: &Run, stand: &Stand, variant: &Variant, round: usize) -> anyhow::Result<Sample> {
        let seed = (run.seed + round as u64).to_string();
        let log = format!("{}-{}", variant.name.replace(['+', '%'], "").replace(' ', "-"), round + 1);
        let balancer = stand.balancer(&log, &[variant.flags, &["--seed", &seed]].concat())?;
        let gauge = Gauge::begin(balancer.address, WARM_UP)?;
        let (rate, warm_up) = (self.rate.to_string(), format!("{}ms", WARM_UP.as_millis()));
        let duration = format!("{}ms", self.duration.as_millis());
        let ask = ["--clients", CLIENTS, "--rate", &rate, "--arrivals", "poisson", "--seed", &seed];
        let until = ["--warmup", &warm_up, "--duration", &duration, "--request", "sql SELECT 1"];
        let report = balancer.load(&[&ask[..], &until].concat(), &run.stop);
        let held = gauge.end()?;
        let (report, totals) = (report?, balancer.totals()?);
        balancer.end();
        let slow = report.answers_by_server.get(&SERVERS.to_string()).copied().unwrap_or_default();
        let of_requests = |count: u64| count as f64 / totals.requests.max(1) as f64;
        Ok(Sample {
            variant: variant.name,
            round: round + 1,
            answers: report.answers,
            errors: report.errors + report.abandoned,
            unsent: report.unsent,
            latency_us: report.latency_us,
            start_delay_us: report.start_delay_us,
            slow_share: slow as f64 / report.answers.max(1) as f64,
            copies: of_requests(totals.copies_sent),
            copies_won: of_requests(totals.copies_won),
            held,
            busy_ms: held / report.answers_per_s.max(0.1) * 1e3,
            latencies: report.latencies,
        })
    }
}
