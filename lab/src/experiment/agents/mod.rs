//! `lab experiment agents`: many clients, an agent, three servers in a ring, all over UDP (system E).
//!
//! **The question.** 500 clients ask through an agent that deals their requests round robin. How long does an answer take, how many
//! are never answered, and what share does each server get: when nothing happens; while the servers elect one of them to be down
//! now and then; and when one is killed without a word?
//!
//! **What its authors measured**, on five machines in 5 h 40 min: a mean of 14.45 ms, 99.69 % answered, shares of 0.333, 0.342 and 0.325,
//! and 41,000 requests a second. Their raw data shows that outages stop after 12 % of the run, because the election was stuck;
//! that 10 of the 14 ms are the agent's sleeping between looks; and with one server killed two thirds are answered, for good.
//!
//! **What theory says.** In a closed loop N clients always have N requests under way, so mean time × throughput = N (Little's
//! law): at 500 and 40,000 a second 12.5 ms, whatever a single request takes on its way. Round robin gives each server a
//! third, exactly, while all are up, and half, exactly, while two are. Nothing is lost on loopback if no buffer runs over.
//!
//! *Announced drills* lose what the elected server has in its buffer when it goes; the agent hears `d` and asks another one for
//! these, so the clients see nothing. *A kill* says nothing: the system says that nobody listens (ICMP) for the next
//! request, what was sent before is asked for again when its time is over.
//!
//! **Time is scaled**, 10 to 1 unless told otherwise: each server wants a drill every 6 s of 1.5 s instead of every 60 s of 15 s,
//! and a sample is 1 s instead of 10. The election's own times (a promise, the quiet after a start) are not scaled.
//!
//! **When it is wrong.** Clients, agent and servers share the machine, whose other work is in every figure. The shares are counted by
//! the agent, for the samples; the sums of the servers' own statistics stand beside them. When a server went down and up by election is
//! seen in its log, within some milliseconds ([`watch`]).
//!
//! | part | its question |
//! |---|---|
//! | [`calm`](part) | nothing happens, with each number of threads |
//! | [`drills`](part) | drills by election, announced |
//! | [`kill`](part) | `kill -9` of one server after the other, and their return |

mod ring;
mod watch;
mod part;
mod recovery;
mod told;

use super::{Common, Experiment, Findings, Run, flags::as_time};
use clap::{Args, ValueEnum};
use part::Sample;
use protocol::flags::parse_timeout;
use serde::Serialize;
use std::time::Duration;

/// The original's times: how often a drill, for how long, and how often a sample is taken.
const EVERY: Duration = Duration::from_secs(60);
const FOR: Duration = Duration::from_secs(15);
const SAMPLE: Duration = Duration::from_secs(10);

/// Options of `lab experiment agents`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Agents {
    /// Only this part
    #[arg(long, value_enum, value_name = "PART")]
    part: Option<Part>,
    /// How many clients ask at once; the parts with failures take the first of these
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "500,1000", value_parser = clap::value_parser!(u32).range(1..=5_000))]
    #[serde(serialize_with = "as_list")]
    threads: Vec<u32>,
    /// How many agents (load balancers) they ask, each its part of them; the original had two, on two machines
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    agents: u32,
    /// How long the calm takes with each number of clients
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    calm: Duration,
    /// How long drills are held
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    drills: Duration,
    /// How often a server is killed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    kills: u32,
    /// How long it is gone, and how long until the next one is killed
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = parse_timeout)]
    #[serde(serialize_with = "as_time")]
    gone: Duration,
    /// How much faster than the original's drills and samples are: a drill is wanted every 60 s / N and takes 15 s / N
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=30))]
    scale: u32,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// A part of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Nothing happens
    Calm,
    /// Drills by election
    Drills,
    /// Servers are killed
    Kill,
}

impl Part {
    /// In a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Drills => "drills",
            Self::Kill => "kill",
        }
    }

    /// Which part of all requests must be answered.
    #[must_use]
    pub fn least_success(self) -> f64 {
        match self {
            Self::Calm => 1.0,
            Self::Drills => 0.9999,
            Self::Kill => 0.999,
        }
    }
}

fn as_list<S: serde::Serializer>(threads: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(threads.iter().map(ToString::to_string))
}

impl Agents {
    /// How long it takes, of the original's time.
    fn scaled(&self, time: Duration) -> Duration {
        time / self.scale
    }

    /// What is measured, in order: which part, and with how many clients.
    fn programme(&self) -> Vec<(Part, u32)> {
        let first = self.threads.first().copied().unwrap_or(1);
        let calm = self.threads.iter().map(|threads| (Part::Calm, *threads));
        let all = calm.chain([(Part::Drills, first), (Part::Kill, first)]);
        all.filter(|(part, _)| self.part.is_none_or(|only| only == *part)).collect()
    }
}

impl Experiment for Agents {
    fn name(&self) -> &'static str {
        "agents"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let mut samples: Vec<Sample> = Vec::new();
        for (part, threads) in self.programme() {
            run.goes_on()?;
            let sample = part::conduct(self, run, part, threads)?;
            told::plot(run, &sample)?;
            samples.push(sample);
        }
        Ok(Findings { text: told::text(self, &samples), good: samples.iter().all(Sample::good) })
    }
}
