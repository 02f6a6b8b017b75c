//! `lab experiment tail`: one server of five is ten times slower than it says. Who notices?
//!
//! **The question.** A mean hides it, the announced processing time denies it, and no probe finds it: the server lives, only
//! slowly. What do users feel under each policy, and what does it cost to send copies instead?
//!
//! **The load**: requests that come at random (Poisson) at a fixed rate, whatever has become of those before them, counted
//! from when they should have begun. Servers take any number at once, so nobody waits in a queue: what a request takes is
//! decided by whom it met.
//!
//! **What theory says.** `round-robin` and `random` send one request in five to the slow server. So 80 % take 10 ms and 20 %
//! take 100: the median knows nothing, and p90, p99 and p99.9 are all 100 ms. `power-of-two` compares two servers drawn; the
//! slow one is among them in 2 of 5 draws and wins when the other holds more, and it mostly holds more itself.
//! `least-connections` gives it one whenever it has finished one, so as long as the others hold some: it gets requests
//! as fast as it finishes them. `least-time` has seen what it takes, and leaves it alone.
//!
//! *Hedging at p95* looks as if it helped: whoever is late is asked for twice. But p95 is the time within which 95 % *of
//! the requests* are answered, and under `round-robin` 20 % take 100 ms: p95 **is** 100 ms. The copy is sent when the answer
//! comes. Hedging by a percentile helps against what is rarer than the percentile says. When one in five is slow, a lower one
//! (75 %) or a fixed time is needed, and more budget than the 20 copies for 100 requests that are the default: 75 % asks for
//! 25, and whoever gets none still waits for 100 ms.
//!
//! *Hedging over `least-connections`* is a lesson in what two rules do to each other. The slow server gets about one request in
//! twenty, because it is rid of one every 50 ms. A hedge takes its request away sooner, so it holds less, so it gets
//! more. Say the hedge comes after `h`: the slow server is rid of a request after `h + 10` ms and gets a share of
//! 5 % × 100 / (h + 10). By the percentile, `h` moves until that share is what the percentile leaves over: at 95 % it
//! creeps up to 100 ms, which is no hedge at all (in rounds of some seconds it is still on its way); at 90 % it stays
//! where h + 10 = 50 ms. A fixed time has no such loop.
//!
//! *Duplicates* always ask two servers. At most one is the slow one, so nobody waits for it, and every request costs twice
//! (less what is saved by stopping the loser).
//!
//! *Ejection* (`--eject "slower-than 5x"`) looks at each server instead of each request, and leaves the slow one out.
//!
//! Every one of these is simulated with the same policies, budget and percentile code; what that gives stands beside.
//!
//! **The price.** *Copies* for 100 requests, as the load balancer counts them. *Busy time*: for how long a request keeps
//! places at servers taken, copies included, from how many the servers held on average. A copy that wins ends the
//! original, so against a slow server copies can even save time.
//!
//! **Order.** All variants in turn, round after round, each round beginning with the next of them: what disturbs the machine
//! hits all alike. Medians over the rounds; of the p99 also the least and the greatest.
//!
//! **When it is wrong.** Nobody computes here. Where servers share a core, or wait for one database, copies slow down
//! everybody, and the spread over rounds would show it.

mod sample;
mod simulated;
mod told;
mod variant;

use self::{
    sample::Sample,
    simulated::{Simulated, simulate},
    variant::{VARIANTS, Variant},
};
use super::{
    Common, Experiment, Findings, Run,
    flags::as_time,
    overhead::Overhead,
    stand::{Stand, Wish},
};
use clap::Args;
use protocol::{
    flags::{parse_capacity, parse_timeout},
    output::say,
};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// Servers, of which the last one is slow.
pub const SERVERS: usize = 5;
/// Clients that send the requests: more than are ever under way.
const CLIENTS: &str = "256";

/// Options of `lab experiment tail`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tail {
    /// How often each variant is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long a measurement counts
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    duration: Duration,
    /// Requests a second
    #[arg(long, value_name = "R", default_value_t = 400.0, value_parser = parse_rate)]
    rate: f64,
    /// What every server says it takes
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    time: Duration,
    /// How many times that the slow one takes in truth
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    slower: u32,
    /// How many requests a server takes at once
    #[arg(long, value_name = "N", default_value = "unlimited", value_parser = parse_capacity)]
    #[serde(serialize_with = "as_capacity")]
    capacity: u32,
    /// Only these variants (their names as in the tables; `+` after a policy's name: all that is added to it)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (1.0..=20_000.0).contains(rate));
    rate.ok_or_else(|| format!("'{text}' is not a rate: write requests per second, from 1 to 20000."))
}

fn as_capacity<S: Serializer>(capacity: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&protocol::flags::capacity_in_words(*capacity))
}

/// All that is known of one variant.
#[derive(Debug)]
pub struct Measured {
    /// Which.
    pub variant: Variant,
    /// Of each round one.
    pub samples: Vec<Sample>,
    /// The same in the simulation.
    pub simulated: Vec<Simulated>,
}

impl Experiment for Tail {
    fn name(&self) -> &'static str {
        "tail"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let wanted: Vec<Variant> = VARIANTS.into_iter().filter(|variant| self.wants(variant)).collect();
        if wanted.is_empty() {
            let names: Vec<&str> = VARIANTS.iter().map(|variant| variant.name).collect();
            anyhow::bail!("No variant is called so. There are: {}", names.join("; "));
        }
        let at_most = (self.rate * self.duration.as_secs_f64()) as u64;
        let overhead = Overhead::measure(run, self.time, self.rate, at_most.max(1))?;
        let mut measured = Vec::new();
        for variant in wanted {
            let simulate = |round| simulate(self, &variant, &overhead, run.seed, round);
            let simulated: Vec<Simulated> = (0..self.rounds as usize).map(simulate).collect::<Result<_, _>>()?;
            simulated.iter().try_for_each(|round| run.note("simulated.jsonl", round))?;
            measured.push(Measured { variant, samples: Vec::new(), simulated });
        }
        self.rounds(run, &mut measured)?;
        told::plots(run, &measured)?;
        let answered = measured.iter().flat_map(|one| &one.samples).all(|sample| sample.errors == 0);
        Ok(Findings { text: told::text(self, &measured, &overhead), good: answered })
    }
}

impl Tail {
    /// What the slow server takes.
    #[must_use]
    pub fn slow(&self) -> Duration {
        self.time * self.slower
    }

    fn wants(&self, variant: &Variant) -> bool {
        let is = |only: &String| match only.strip_suffix('+') {
            Some(policy) => variant.name.starts_with(&format!("{} +", policy.trim())),
            None => variant.name == only,
        };
        self.only.is_empty() || self.only.iter().any(is)
    }

    fn rounds(&self, run: &Run, measured: &mut [Measured]) -> anyhow::Result<()> {
        let wish = |really| Wish { time: self.time, really, capacity: self.capacity };
        let mut wishes = vec![wish(None); SERVERS - 1];
        wishes.push(wish(Some(self.slow())));
        let stand = Stand::open(run, "stand", &wishes)?;
        let variants = measured.len();
        for round in 0..self.rounds as usize {
            for turn in 0..variants {
                run.goes_on()?;
                let one = &mut measured[(round + turn) % variants];
                let sample = self.measure(run, &stand, &one.variant, round)?;
                run.note("samples.jsonl", &sample)?;
                one.samples.push(sample);
            }
            say!("Round {} of {} done.", round + 1, self.rounds);
        }
        stand.end();
        Ok(())
    }
}
