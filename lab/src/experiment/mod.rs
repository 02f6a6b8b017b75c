//! `lab experiment`: questions about load balancing, answered by real processes, that anybody can ask again.
//!
//! **The problem.** "Least connections is better" is a sentence without a number; a number without the load, the servers,
//! the seed and the commit cannot be checked; and a measurement without something it should come to is a story.
//!
//! **The idea.** An experiment is one command. It says beforehand what theory expects (an exact count, a share of a
//! ring, or what the [simulation](loadbalancer::simulation) of the same policy gives), starts servers and a load balancer,
//! sends them load, and puts expectation and measurement side by side. All that it depends on is written down.
//!
//! **What a run leaves** in `runs/experiment-NAME-…/`:
//!
//! | file | what |
//! |---|---|
//! | `manifest.json` | commit, seed, parameters, machine, versions, times, and the command that repeats it |
//! | `*.jsonl` | everything that was measured, a line for each sample |
//! | `results.md` | the tables, and a sentence on each |
//! | `*.svg` | the plots |
//!
//! `--write-results` puts the tables into `docs/results.md`, between the marks of this experiment.
//!
//! **When it is wrong.** Clients, load balancer and servers share one machine, whose other work is in every figure; rounds
//! that take turns make that hit all alike, and the spread over rounds shows how much it is. Servers wait instead of
//! computing, so none of them slows another one down. Loopback loses nothing.
//!
//! To add one: a file with its flags and an [`Experiment`], and a line in `Which`.
//!
//! | thread | role | blocks on | what stops it |
//! |---|---|---|---|
//! | main | one load generator after the other | its clients | the plan's end, Ctrl-C |
//! | `load-N` | a client | the load balancer's answer | its last request |
//! | `names-answers` | hears what name servers answer | the load balancer's answer | the last answer, or the end of patience |
//! | `gauge` | looks at what the servers hold | a pause | the end of the load |
//!
//! Sources: R. Jain, *The Art of Computer Systems Performance Analysis*, 1991; the ACM's badge "results reproduced".

mod flags;
mod manifest;
pub mod plot;
mod run;
mod stand;
mod overhead;
mod gauge;
mod ring;
mod shares;
mod tail;
mod hashing;
mod agents;
mod names;
mod shards;

pub use manifest::Manifest;
pub use run::{Findings, Run};

use clap::{Args, Subcommand};
use protocol::output::{show, warn};
use serde::Serialize;
use std::process::ExitCode;

/// Options of `lab experiment`.
#[derive(Args, Debug)]
pub struct Experiments {
    /// Show the experiments
    #[arg(long)]
    list: bool,
    /// Which one
    #[command(subcommand)]
    which: Option<Which>,
}

/// The experiments.
#[derive(Debug, Subcommand)]
enum Which {
    /// How requests are shared out by each policy, beside what theory says
    Shares(shares::Shares),
    /// What users feel of one slow server among five, under each policy and with copies, and what that costs
    Tail(tail::Tail),
    /// Three servers on a ring of hashes: who gets how much, of the coursework's ring and of better ones
    HashingA1(hashing::a1::A1),
    /// Servers come and go on the ring: how evenly it shares out at each step
    HashingA2(hashing::a2::A2),
    /// Every call of replica management once, and how long a killed replica is missed, under load
    HashingA3(hashing::a3::A3),
    /// Other functions, points, slots and probing: a thousand placements computed, one measured
    HashingA4(hashing::a4::A4),
    /// Datagrams through an agent to a ring of servers: calm, with drills by election, and with kills
    Agents(agents::Agents),
    /// Two name servers, one of them slow or silent, or tables that do not overlap: asking one, both, or the second later
    Names(names::Names),
    /// A table in shards: writes and reads at the coursework's default, and what durable commits allow
    ShardsA1(shards::Speed<1>),
    /// The same with seven replicas
    ShardsA2(shards::Speed<2>),
    /// The same with ten servers, six shards and eight replicas
    ShardsA3(shards::Speed<3>),
    /// Servers of the table are killed while clients read and write: how long each is missed
    ShardsA4(shards::dropped::A4),
}

/// What all experiments can be told.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Common {
    /// Repeats the random choices of an earlier run [default: drawn, and written into the manifest]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Put the tables into docs/results.md
    #[arg(long)]
    #[serde(skip)]
    pub write_results: bool,
}

/// A question, and how it is answered.
pub trait Experiment {
    /// Its name, as it is typed.
    fn name(&self) -> &'static str;

    /// What all experiments can be told.
    fn common(&self) -> &Common;

    /// Its flags with the values they have, by name: what the manifest says, and what repeats it.
    fn parameters(&self) -> serde_json::Value;

    /// Measures, and says what was found.
    ///
    /// # Errors
    /// If something could not be started or measured.
    fn conduct(&self, run: &Run) -> anyhow::Result<Findings>;
}

impl Which {
    fn experiment(&self) -> &dyn Experiment {
        match self {
            Self::Shares(shares) => shares,
            Self::Tail(tail) => tail,
            Self::HashingA1(a1) => a1,
            Self::HashingA2(a2) => a2,
            Self::HashingA3(a3) => a3,
            Self::HashingA4(a4) => a4,
            Self::Agents(agents) => agents,
            Self::Names(names) => names,
            Self::ShardsA1(a1) => a1,
            Self::ShardsA2(a2) => a2,
            Self::ShardsA3(a3) => a3,
            Self::ShardsA4(a4) => a4,
        }
    }
}

/// Conducts the experiment. The status is 1 if something is not as theory says.
///
/// # Errors
/// If it could not be conducted.
pub fn run(experiments: &Experiments) -> anyhow::Result<ExitCode> {
    match &experiments.which {
        Some(which) if !experiments.list => run::conduct(which.experiment()),
        _ if experiments.list => {
            let all = Which::augment_subcommands(clap::Command::new("experiment"));
            let about = |one: &clap::Command| one.get_about().map(ToString::to_string).unwrap_or_default();
            let _nobody_reads = all.get_subcommands().all(|one| show!("{:16} {}", one.get_name(), about(one)));
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            warn!("Which experiment? `lab experiment --list` shows those that there are.");
            Ok(ExitCode::from(2))
        }
    }
}
