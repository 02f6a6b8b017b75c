//! `lab experiment shards-a1` … `shards-a4`: what a table in shards costs, and what a lost server costs.
//!
//! **The question.** The coursework's four experiments: 10,000 writes and 10,000 reads with 3 replicas, with 7, with 10 servers, 6
//! shards and 8 replicas, and with a server dropped. Its authors report 10,000 writes in 185, 351 and 465 s, others 167 to
//! 758 s, and reads in 52 to 110 s. Where does the time go?
//!
//! **What theory says.** A write is done when all replicas have it durably. They commit at the same time, so one client waits for the
//! slowest of R commits, not for their sum: more replicas should cost it little, until the disk or the processor is shared by too
//! many. With many clients the limit is what all servers' files take at once: S files that commit c times a second together
//! carry c ÷ R writes a second. Writes of one shard come one after the other (its lock), those of different shards together: four
//! shards keep four writes under way, however many clients wait. A read asks one replica and shares the lock, so replicas help
//! readers as much as they cost writers, where there are processors for them.
//!
//! **How it is measured.** Each call is for one row, on a connection that its client keeps; keys are drawn without repetition. First one
//! client, then many, each time on a new table. A read must show its row, or it is counted as wrong. At the end the files of all
//! servers are compared, row by row. *The limit*: the same row, in one transaction of a file of SQLite, again and again for a
//! second (`synchronous = FULL`, as the servers have it): in one file, and in as many files at once as there are servers, just
//! before the writes and just after them.
//!
//! **When it is wrong.** On a machine of two cores the servers, the load balancer and the clients share them: more replicas cost processor time that
//! separate machines would not notice. What a durable commit takes is the disk's business, and a virtual disk may answer before
//! anything is on a platter. The originals' figures are from other machines, in containers, in Python and Go: they say how much
//! there was to gain, not how much faster this program is.
//!
//! | file | what is in it |
//! |---|---|
//! | [`layout`] | shards and servers (pure) |
//! | [`stage`] | the load balancer and its log |
//! | [`drive`] | clients |
//! | [`commits`] | the limit |
//! | [`same`] | whether all replicas have the same |
//! | [`dropped`] | A-4 |
//! | [`told`] | tables and plots |

mod layout;
mod stage;
mod drive;
mod commits;
mod same;
mod told;
pub mod dropped;

use super::{Common, Experiment, Findings, Run};
use clap::Args;
use commits::Commits;
use drive::{Deed, Sample};
use layout::Layout;
use protocol::output::say;
use serde::Serialize;
use stage::Stage;
use std::time::Duration;

/// What the first three experiments can be told. `A` is the number of the experiment.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Speed<const A: usize> {
    /// How many rows are written, and how often one is read
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=16_384))]
    rows: u64,
    /// Clients at once, after one alone
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    clients: u32,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// What was measured on one table.
#[derive(Debug, Serialize)]
struct Measured {
    clients: u32,
    writes: Sample,
    reads: Sample,
    /// Durable commits just before the writes, and just after them.
    commits: [Commits; 2],
    /// Shards whose replicas differ at the end.
    differ: Vec<String>,
    /// Rows that all shards have at the end.
    rows: u64,
}

impl Measured {
    fn good(&self, rows: u64) -> bool {
        self.writes.wrong + self.reads.wrong == 0 && self.differ.is_empty() && self.rows == rows
    }
}

impl<const A: usize> Experiment for Speed<A> {
    fn name(&self) -> &'static str {
        match A {
            1 => "shards-a1",
            2 => "shards-a2",
            _ => "shards-a3",
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let layout = match A {
            1 => Layout::usual(),
            2 => Layout::by_turns(7, 4, 7),
            _ => Layout::by_turns(10, 6, 8),
        };
        let mut all = Vec::new();
        for clients in [1, self.clients] {
            let measured = measure(run, &layout, self.rows, clients)?;
            run.note("samples.jsonl", &measured)?;
            say!(
                "{clients} at once: {:.0} writes and {:.0} reads a second.",
                measured.writes.rate(),
                measured.reads.rate()
            );
            all.push(measured);
        }
        told::plots(run, self.name(), &layout, &all)?;
        let good = all.iter().all(|measured| measured.good(self.rows));
        Ok(Findings { text: told::speed(&layout, self.rows, &all), good })
    }
}

fn measure(run: &Run, layout: &Layout, rows: u64, clients: u32) -> anyhow::Result<Measured> {
    let stage = Stage::open(run, &format!("at-once-{clients}"), layout, &["--quiet"])?;
    let commits = || commits::measure(stage.folder(), layout.servers.len(), Duration::from_secs(1));
    let mut random = fastrand::Rng::with_seed(run.seed ^ u64::from(clients));
    let keys = keys(layout, rows, &mut random);
    let writes: Vec<Deed> = keys.iter().copied().map(Deed::Write).collect();
    let reads: Vec<Deed> = keys.iter().map(|_| Deed::Read(keys[random.usize(..keys.len())])).collect();
    let before = commits()?;
    let writes = drive::all("writes", clients, stage.at, &writes, run)?;
    let commits = [before, commits()?];
    let reads = drive::all("reads", clients, stage.at, &reads, run)?;
    let (differ, rows) = same::compare(&stage.end(), layout)?;
    Ok(Measured { clients, writes, reads, commits, differ, rows })
}

/// So many different keys, in any order.
fn keys(layout: &Layout, count: u64, random: &mut fastrand::Rng) -> Vec<u64> {
    let mut keys: Vec<u64> = (0..layout.keys()).collect();
    random.shuffle(&mut keys);
    keys.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    keys
}
