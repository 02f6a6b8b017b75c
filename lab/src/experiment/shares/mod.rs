//! `lab experiment shares`: who gets how much, under each policy.
//!
//! **The question.** Three servers of powers 1 : 2 : 4. What part of the requests does each policy give to each of them, and
//! is it what theory says?
//!
//! **The load is chosen so that theory is clean.**
//!
//! *Light*: four clients that ask, wait, and ask again, and servers that take four at once. So no server is ever full: each
//! policy chooses among all three, every time. Then `round-robin` must give exact thirds, `weighted-round-robin` exactly
//! 4 : 2 : 1, and `power`, for which the strongest server always has room, everything to that one. `random` gives
//! thirds, within what dice do: of 20,000 requests a share has a standard deviation of 0.33 percentage points. On the ring
//! of `consistent-hash`, by request id, each server gets the sum of its arcs, which are computed from the ring itself.
//! What `power-of-two`, `least-connections` and `least-time` do depends on what each server holds at each moment, so
//! there the expectation is the simulation of the very same policy with the same clients.
//!
//! *Saturated*: as many clients as all servers take at once, and as many again. Whenever a server has room, it is the only
//! one, and a request is waiting for it: there is nothing to choose. Under every policy the shares follow from
//! how fast the servers are, capacity ÷ (processing time + overhead), which is 4 : 2 : 1 but for the overhead.
//!
//! **Overhead.** A request of 2 ms holds its place for longer ([`overhead`](super::overhead)). By how much is measured
//! first, and goes into the simulation and into the rates.
//!
//! **Shares are counted twice**: by the clients, because every answer says whose it is, and by the load balancer. Both
//! must agree to the last request.
//!
//! **When it is wrong.** A machine that is busy with something else delays answers, and policies that look at load take that
//! for load. `least-time` remembers one stall for some 10 s, which is as long as a run takes. So these policies are measured
//! three times, and the middle one counts; how far off each round was is told.

mod theory;
mod told;

use self::theory::{By, Theory, expectation};
use super::{
    Common, Experiment, Findings, Run,
    flags::{as_time, parse_policy},
    overhead::Overhead,
    stand::{Stand, Wish},
};
use clap::Args;
use loadbalancer::policy::Name;
use protocol::{flags::parse_timeout, output::say};
use serde::Serialize;
use std::time::Duration;

/// The processing times of the servers, in times of the strongest one: powers 1 : 2 : 4.
pub const TIMES: [u32; 3] = [1, 2, 4];
/// How many requests each server takes at once.
pub const CAPACITY: u32 = 4;
/// How far a share may be from what theory says, in percentage points.
pub const TOLERANCE: f64 = 1.0;

/// Options of `lab experiment shares`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shares {
    /// How many requests each policy gets
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    requests: u64,
    /// The processing time of the strongest server under the light load
    #[arg(long, value_name = "TIME", default_value = "2ms", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    time: Duration,
    /// The same when all servers are full: longer, so that the overhead is a smaller part of it
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    time_saturated: Duration,
    /// How often a policy that looks at load is measured when it has a choice; the middle one counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Only these policies
    #[arg(long, value_name = "POLICY,…", value_delimiter = ',', value_parser = parse_policy)]
    only: Vec<Name>,
    /// Only this load
    #[arg(long, value_enum, value_name = "LOAD")]
    load: Option<Load>,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// How much load there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// No server is ever full
    Light,
    /// All are full all the time
    Saturated,
}

impl Load {
    /// How many clients ask at once.
    #[must_use]
    pub fn clients(self) -> u32 {
        let room = CAPACITY * TIMES.len() as u32;
        if self == Self::Light { CAPACITY } else { 2 * room }
    }
}

/// What came of one policy under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// How much load there was.
    pub load: Load,
    /// The policy.
    pub policy: Name,
    /// Answers by server, strongest first, as the clients counted them.
    pub answers: Vec<u64>,
    /// The same as the load balancer counted them.
    pub counted: Vec<u64>,
    /// Requests without an answer.
    pub errors: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What theory says.
    pub theory: Theory,
    /// The distances from theory of all rounds, in percentage points, if there were several.
    pub rounds: Vec<f64>,
}

impl Sample {
    /// The shares as measured; they sum up to 1.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let all = self.answers.iter().sum::<u64>().max(1) as f64;
        self.answers.iter().map(|answers| *answers as f64 / all).collect()
    }

    /// The largest distance from theory, in percentage points.
    #[must_use]
    pub fn distance(&self) -> f64 {
        let distances =
            self.shares().into_iter().zip(&self.theory.shares).map(|(share, theory)| (share - theory).abs());
        distances.fold(0.0, f64::max) * 100.0
    }

    /// Whether theory, clients and load balancer agree.
    #[must_use]
    pub fn good(&self) -> bool {
        self.errors == 0 && self.answers == self.counted && self.distance() <= TOLERANCE
    }
}

/// Of several rounds the one in the middle, by the share of the strongest server; it knows how far off all were.
fn middle(mut rounds: Vec<Sample>) -> Option<Sample> {
    let distances: Vec<f64> = rounds.iter().map(Sample::distance).collect();
    rounds.sort_by_key(|round| round.answers.first().copied());
    let at = rounds.len() / 2;
    let mut middle = rounds.into_iter().nth(at)?;
    middle.rounds = if distances.len() > 1 { distances } else { Vec::new() };
    Some(middle)
}

impl Experiment for Shares {
    fn name(&self) -> &'static str {
        "shares"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let (mut samples, mut overheads) = (Vec::new(), Vec::new());
        for load in [Load::Light, Load::Saturated].into_iter().filter(|load| self.load.is_none_or(|only| only == *load))
        {
            let rate = self.expected_rate(load);
            let overhead = Overhead::measure(run, self.strongest(load), rate, self.requests)?;
            samples.extend(self.under(run, load, &overhead)?);
            overheads.push((load, overhead));
        }
        told::plots(run, &samples)?;
        Ok(Findings { text: told::text(self, &samples, &overheads), good: samples.iter().all(Sample::good) })
    }
}

impl Shares {
    fn strongest(&self, load: Load) -> Duration {
        if load == Load::Light { self.time } else { self.time_saturated }
    }

    fn times(&self, load: Load) -> [Duration; 3] {
        TIMES.map(|times| self.strongest(load) * times)
    }

    fn policies(&self) -> Vec<Name> {
        if self.only.is_empty() { Name::ALL.to_vec() } else { self.only.clone() }
    }

    /// All policies in turn, on the same servers; each with a load balancer that is new.
    fn under(&self, run: &Run, load: Load, overhead: &Overhead) -> anyhow::Result<Vec<Sample>> {
        let wish = |time| Wish { time, really: None, capacity: CAPACITY };
        let name = if load == Load::Light { "light" } else { "saturated" };
        let stand = Stand::open(run, name, &self.times(load).map(wish))?;
        let mut samples = Vec::new();
        for policy in self.policies() {
            run.goes_on()?;
            let theory = expectation(self, load, policy, overhead, run.seed);
            let rounds = if theory.by == By::Simulation { self.rounds } else { 1 };
            let mut measured = Vec::new();
            for _ in 0..rounds {
                let sample = self.measure(run, &stand, (load, policy), theory.clone())?;
                run.note("samples.jsonl", &sample)?;
                say!("{name}, {policy}: {:.1} s.", sample.seconds);
                measured.push(sample);
            }
            samples.extend(middle(measured));
        }
        stand.end();
        Ok(samples)
    }

    fn measure(
        &self,
        run: &Run,
        stand: &Stand,
        (load, policy): (Load, Name),
        theory: Theory,
    ) -> anyhow::Result<Sample> {
        let (seed, clients, requests) = (run.seed.to_string(), load.clients().to_string(), self.requests.to_string());
        let flags = ["--balance", policy.as_str(), "--seed", &seed, "--hash-key", "request"];
        let mut balancer = stand.balancer(&format!("balancer-{policy}"), &flags)?;
        let ask = ["--clients", &clients, "--requests", &requests, "--seed", &seed, "--request", "sql SELECT 1"];
        let report = balancer.load(&ask, &run.stop)?;
        let counted = balancer.counted()?;
        balancer.end();
        let ids = 1..=TIMES.len();
        let by_client = |id: usize| report.answers_by_server.get(&id.to_string()).copied().unwrap_or_default();
        let by_balancer = |id: usize| counted.iter().find(|one| one.id == id.to_string()).map_or(0, |one| one.answered);
        Ok(Sample {
            load,
            policy,
            answers: ids.clone().map(by_client).collect(),
            counted: ids.map(by_balancer).collect(),
            errors: report.errors + report.abandoned,
            seconds: report.seconds,
            theory,
            rounds: Vec::new(),
        })
    }

    /// Requests a second to be expected, without overhead: of clients that get each server as often as any other, or
    /// of servers that are always full.
    fn expected_rate(&self, load: Load) -> f64 {
        let times = self.times(load).map(|time| time.as_secs_f64());
        match load {
            Load::Light => f64::from(load.clients()) * times.len() as f64 / times.iter().sum::<f64>(),
            Load::Saturated => times.iter().map(|time| f64::from(CAPACITY) / time).sum(),
        }
    }
}
