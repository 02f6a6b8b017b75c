//! `lab experiment shards-a4`: servers are killed while clients read and write, and how long each is missed.
//!
//! A server is *back* when its process answers, *full* when it has all rows of its shards and what has changed since, and *in service* when reads
//! go to it again: the line in the load balancer's log is about the last of these. Two ways to be full: its own file, if it has
//! missed nothing, and a copy from another server, if it has.

use super::{
    drive::{self, Counts, Deed, Sample, row},
    keys,
    layout::Layout,
    same,
    stage::Stage,
    told,
};
use crate::experiment::{Common, Experiment, Findings, Run};
use anyhow::{Context, ensure};
use clap::Args;
use protocol::{
    http::client::{Ask, ask},
    output::say,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long the clients may take to come forward.
const WAIT: Duration = Duration::from_secs(60);
/// How long a batch of rows may take.
const BATCH_TIME: Duration = Duration::from_secs(60);
/// Calls between a server that is back and the next that is killed.
const BETWEEN: u64 = 200;
/// How often it is looked how far the clients are.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Options of `lab experiment shards-a4`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct A4 {
    /// Rows that are in the table
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=16_384))]
    rows: u64,
    /// Clients at once, after one alone
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    clients: u32,
    /// How many servers are killed, one after the other
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=60))]
    kills: u32,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// A server that was killed.
#[derive(Debug, Serialize)]
pub struct Loss {
    /// Its name.
    pub server: String,
    /// Clients that called meanwhile.
    pub clients: u32,
    /// From just before the signal until its successor was said to be in service.
    pub missed_ms: f64,
    /// Calls that began meanwhile.
    pub begun: u64,
    /// Calls that were found wrongly answered meanwhile.
    pub wrong: u64,
}

/// What was measured with so many clients.
#[derive(Debug, Serialize)]
pub struct Drops {
    /// Each kill.
    pub losses: Vec<Loss>,
    /// All calls.
    pub calls: Sample,
    /// Shards whose replicas differ at the end.
    pub differ: Vec<String>,
    /// Rows that all shards have at the end.
    pub rows: u64,
}

impl Experiment for A4 {
    fn name(&self) -> &'static str {
        "shards-a4"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let mut all = Vec::new();
        for clients in [1, self.clients] {
            let drops = self.measure(run, clients)?;
            run.note("samples.jsonl", &drops)?;
            let slowest = drops.losses.iter().map(|loss| loss.missed_ms).fold(0.0, f64::max);
            say!("{clients} at once: {} servers were killed, each missed for {slowest:.0} ms at most.", self.kills);
            all.push(drops);
        }
        told::plot_losses(run, &all)?;
        let good = |drops: &Drops| drops.calls.wrong == 0 && drops.differ.is_empty() && drops.rows == self.rows;
        Ok(Findings { text: told::losses(&Layout::usual(), self.rows, &all), good: all.iter().all(good) })
    }
}

impl A4 {
    fn measure(&self, run: &Run, clients: u32) -> anyhow::Result<Drops> {
        let layout = Layout::usual();
        let mut stage = Stage::open(run, &format!("dropped-{clients}"), &layout, &[])?;
        let mut random = fastrand::Rng::with_seed(run.seed ^ u64::from(clients));
        let keys = keys(&layout, self.rows, &mut random);
        for part in keys.chunks(1_000) {
            let rows: Vec<Value> = part.iter().map(|id| row(*id)).collect();
            let reply = ask(stage.at, &Ask::post("/write").json(&json!({ "data": rows }))?, BATCH_TIME)?;
            ensure!(reply.status.is_success(), "Rows are refused: {}", reply.text());
        }
        let (at, over) = (stage.at, AtomicBool::new(false));
        let plan = fastrand::Rng::with_seed(random.u64(..)).u64(..);
        // Every other call changes something. Which key it is about depends on the seed and the number of the call.
        let next = |n: u64| {
            let id = keys[fastrand::Rng::with_seed(plan ^ n).usize(..keys.len())];
            let deed = if n.is_multiple_of(2) { Deed::Update(id, n) } else { Deed::Read(id) };
            (!over.load(Ordering::Relaxed)).then_some(deed)
        };
        let (calls, losses) = drive::drive(("reads and updates", clients, at), &next, |counts| {
            let losses = self.kill_all(run, &mut stage, &layout, clients, counts);
            over.store(true, Ordering::Relaxed);
            losses
        })?;
        let (differ, rows) = same::compare(&stage.end(), &layout)?;
        Ok(Drops { losses, calls, differ, rows })
    }

    /// One after the other, each when the one before is back and calls have gone on for a while.
    fn kill_all(
        &self,
        run: &Run,
        stage: &mut Stage,
        layout: &Layout,
        clients: u32,
        counts: &Counts,
    ) -> anyhow::Result<Vec<Loss>> {
        let names = layout.servers.iter().map(|(name, _)| name).cycle();
        let loss = |server: &String| {
            come_forward(run, &counts.begun)?;
            kill_one(stage, server, clients, counts)
        };
        let losses = names.take(self.kills as usize).map(loss).collect();
        come_forward(run, &counts.begun)?;
        losses
    }
}

/// Waits until some more calls have begun.
fn come_forward(run: &Run, begun: &AtomicU64) -> anyhow::Result<()> {
    let (since, until) = (Instant::now(), begun.load(Ordering::Relaxed) + BETWEEN);
    while begun.load(Ordering::Relaxed) < until {
        run.goes_on()?;
        ensure!(since.elapsed() < WAIT, "The clients do not come forward.");
        thread::park_timeout(LOOK_EVERY);
    }
    Ok(())
}

fn kill_one(stage: &mut Stage, server: &str, clients: u32, counts: &Counts) -> anyhow::Result<Loss> {
    let (pid, services) = (stage.pid(server)?, stage.services(server));
    let look = || (counts.begun.load(Ordering::Relaxed), counts.wrong.load(Ordering::Relaxed));
    let (since, before) = (Instant::now(), look());
    kill(pid)?;
    stage.wait_for(server, services)?;
    let (missed, after) = (since.elapsed(), look());
    Ok(Loss {
        server: server.to_owned(),
        clients,
        missed_ms: missed.as_secs_f64() * 1e3,
        begun: after.0 - before.0,
        wrong: after.1 - before.1,
    })
}

#[cfg(unix)]
fn kill(pid: u32) -> anyhow::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("The process has no number")?;
    kill_process(pid, Signal::KILL).context("The server cannot be killed")
}

#[cfg(not(unix))]
fn kill(_pid: u32) -> anyhow::Result<()> {
    anyhow::bail!("This system cannot do that to a process.")
}
