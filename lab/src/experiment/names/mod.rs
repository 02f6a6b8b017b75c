//! `lab experiment names`: two name servers, and a query for each name. To whom, and when to the other one, too?
//!
//! **The question.** A name server that does not know a name says nothing, as one does that is dead, or slow. The coursework's answer
//! is to ask both, always, and to take what comes first. What does that buy, what does it cost, and what would a second
//! query only after a delay do?
//!
//! **Four situations**: all well; one server much slower; one silent, because it knows no name; and tables that do not overlap, as in the
//! coursework, where only who asks both finds every name. In the first two and for the live one of the third the servers are
//! replicas, since else there would be no choice.
//!
//! **Six ways**: `one` server, in turn, and no second one (`--dns-try` is the time-out); `one, then the other` after `--second`;
//! `duplicate all`; a hedge after the 95th percentile, with the usual budget of 20 copies for 100 queries and with none;
//! and a hedge at a fixed time.
//!
//! **What is measured** (`asking.rs`): queries that come at random, each counted from when it was due. *Found* are those with
//! an address; the others count with the time until the asker was told, so a mean of 250 ms may be half of it five and half of
//! it five hundred. *Extra queries* are those that servers got beyond one for each query, for 100 of them.
//!
//! **When it is wrong.** Servers wait instead of computing, so copies cost them nothing; see `lab experiment tail` for the
//! price in places.
//!
//! Source: A. Vulimiri et al., *Low Latency via Redundancy*, CoNEXT 2013: asking ten DNS resolvers at once cuts the mean by half,
//! and what comes later than 500 ms to a sixth and less.

mod asking;
mod theory;
mod told;
mod variant;

use self::{
    asking::{Asked, Asking},
    variant::{Situation, VARIANTS, Variant},
};
use super::{
    Common, Experiment, Findings, Run,
    flags::as_time,
    stand::{Stand, Wish},
};
use crate::process::{END_TIME, Pool, READY_TIME, argument, free_port};
use anyhow::bail;
use clap::Args;
use protocol::{
    deadline::Deadline,
    dns::Name,
    flags::{UNLIMITED, parse_timeout},
    output::say,
};
use serde::Serialize;
use std::{fs, net::SocketAddr, thread, time::Duration};

/// Names in the tables.
const NAMES: usize = 100;
/// How often is looked whether the load balancer knows both servers.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Options of `lab experiment names`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Names {
    /// How often each variant is measured in each situation
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long a measurement asks
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    duration: Duration,
    /// Queries a second
    #[arg(long, value_name = "R", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    rate: u32,
    /// What a name server takes
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    time: Duration,
    /// What the slow one takes
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    slow: Duration,
    /// After which time "one, then the other" asks the other
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    second: Duration,
    /// After which time the hedge with a fixed time is sent
    #[arg(long, value_name = "TIME", default_value = "15ms", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    hedge: Duration,
    /// After which time the load balancer gives up
    #[arg(long, value_name = "TIME", default_value = "400ms", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    timeout: Duration,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// One measurement of one variant.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// In which situation.
    pub situation: Situation,
    /// Which variant.
    pub variant: &'static str,
    /// Which round, from 1.
    pub round: usize,
    /// Queries.
    pub queries: usize,
    /// The part of them that got an address.
    pub found: f64,
    /// The mean until there was an answer or an error, in milliseconds.
    pub mean_ms: f64,
    /// Percentiles of the same.
    pub p50_ms: f64,
    /// The 95th.
    pub p95_ms: f64,
    /// The 99th.
    pub p99_ms: f64,
    /// Queries to servers beyond one for each, for each.
    pub extra: f64,
    /// What each query took, sorted.
    #[serde(skip)]
    pub each_ms: Vec<f64>,
}

/// All that is known of a variant in a situation.
#[derive(Debug)]
pub struct Measured {
    /// In which situation.
    pub situation: Situation,
    /// Which variant.
    pub variant: Variant,
    /// Of each round one.
    pub samples: Vec<Sample>,
}

impl Experiment for Names {
    fn name(&self) -> &'static str {
        "names"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let mut measured = Vec::new();
        for situation in Situation::ALL {
            let empty = |variant: &Variant| Measured { situation, variant: *variant, samples: Vec::new() };
            let mut of_it: Vec<Measured> = VARIANTS.iter().map(empty).collect();
            self.rounds(run, situation, &mut of_it)?;
            measured.extend(of_it);
        }
        told::plots(run, &measured)?;
        Ok(Findings { text: told::text(self, &measured, run.seed), good: told::is_right(&measured) })
    }
}

impl Names {
    fn rounds(&self, run: &Run, situation: Situation, measured: &mut [Measured]) -> anyhow::Result<()> {
        let stand = self.stand(run, situation)?;
        for round in 0..self.rounds as usize {
            for turn in 0..measured.len() {
                run.goes_on()?;
                let at = (round + turn) % measured.len();
                let sample = self.measure(run, &stand, &measured[at], round)?;
                run.note("samples.jsonl", &sample)?;
                measured[at].samples.push(sample);
            }
        }
        stand.end();
        say!("Situation '{}': {} rounds done.", situation.name(), self.rounds);
        Ok(())
    }

    /// Two name servers in this situation.
    fn stand(&self, run: &Run, situation: Situation) -> anyhow::Result<Stand> {
        let mut stand = Stand::empty(run, situation.name())?;
        for (number, id) in [(0, "1"), (1, "2")] {
            let knows = |n: &usize| match situation {
                Situation::Well | Situation::Slow => true,
                Situation::Silent => number == 0,
                Situation::Disjoint => n % 2 == number,
            };
            let table: String = (0..NAMES).filter(knows).map(|n| format!("n{n}.lab.example 192.0.2.{n} A\n")).collect();
            let path = stand.path(&format!("table-{id}"));
            fs::write(&path, table + "own.example 192.0.2.250 A\n")?;
            let really = (situation == Situation::Slow && number == 1).then_some(self.slow);
            let wish = Wish { time: self.time, really, capacity: UNLIMITED };
            stand.add(id, &wish, &["--service", "names", "--table", &argument(&path)?])?;
        }
        Ok(stand)
    }

    fn measure(&self, run: &Run, stand: &Stand, of: &Measured, round: usize) -> anyhow::Result<Sample> {
        let shown = |time: Duration| super::flags::shown_time(time);
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (dns, timeout, seed) = (address.to_string(), shown(self.timeout), run.seed + round as u64);
        // A second server is asked by no other rule than the variant's own.
        let again = if of.variant.rule == variant::Rule::Try { shown(self.second) } else { timeout.clone() };
        let hedge = shown(self.hedge);
        let hedge = matches!(of.variant.rule, variant::Rule::After(_)).then_some(["--hedge-after", &hedge]);
        let seed_text = seed.to_string();
        let common = ["--dns", &dns, "--dns-timeout", &timeout, "--dns-try", &again, "--balance", "round-robin"];
        let more = ["--no-journal", "--seed", &seed_text];
        let flags = [&common[..], of.variant.flags, hedge.as_ref().map_or(&[], |two| &two[..]), &more].concat();
        let log = format!("{}-{}", of.variant.name.replace([',', '%'], "").replace(' ', "-"), round + 1);
        let mut started = stand.start(&log, &flags)?;
        let pool = || Pool::ask(started.admin, Some("dns"));
        let deadline = Deadline::after(READY_TIME);
        while !pool().is_ok_and(|pool| pool.servers.iter().filter(|server| server.state == "up").count() == 2) {
            started.child.must_live()?;
            if deadline.has_passed() {
                bail!("The load balancer does not know both name servers.");
            }
            thread::park_timeout(LOOK_EVERY);
        }
        let names: Vec<Name> = (0..NAMES).map(|n| format!("n{n}.lab.example").parse()).collect::<Result<_, _>>()?;
        let (rate, duration) = (f64::from(self.rate), self.duration);
        let asked = Asking { address, names: &names, rate, duration, patience: self.timeout, seed }.go()?;
        let sent: u64 = pool()?.servers.iter().map(|server| server.chosen).sum();
        if started.child.ask_to_end().is_ok() {
            started.child.end(Deadline::after(END_TIME));
        }
        Ok(Sample::new((of.situation, of.variant.name, round + 1), &asked, sent))
    }
}

impl Sample {
    fn new((situation, variant, round): (Situation, &'static str, usize), asked: &[Asked], sent: u64) -> Self {
        let mut each_ms: Vec<f64> = asked.iter().map(|one| one.ms).collect();
        each_ms.sort_by(f64::total_cmp);
        let queries = asked.len();
        let of_all = |count: f64| count / queries.max(1) as f64;
        Self {
            situation,
            variant,
            round,
            queries,
            found: of_all(asked.iter().filter(|one| one.found).count() as f64),
            mean_ms: of_all(each_ms.iter().sum()),
            p50_ms: quantile(&each_ms, 0.5),
            p95_ms: quantile(&each_ms, 0.95),
            p99_ms: quantile(&each_ms, 0.99),
            extra: of_all(sent as f64) - 1.0,
            each_ms,
        }
    }
}

/// A quantile of sorted values.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted.get(((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
