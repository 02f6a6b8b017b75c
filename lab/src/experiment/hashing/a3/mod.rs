//! `lab experiment hashing-a3`: every call of the coursework once, and how long a killed replica is missed.
//!
//! **The question.** The coursework's third experiment: call every endpoint, kill a replica, and see how long it takes until there are
//! N again. What do the clients notice meanwhile?
//!
//! **What theory says.** A load balancer that is the parent of its replicas learns of a `kill -9` from the system, at once. What is left is
//! starting a process (some 10 ms: load the program, open the database, listen) and one handshake. Checks every second would need
//! half a second on average only to notice. Clients lose nothing: what the dead replica had in hand is asked again of another one, because
//! GET may be asked twice.
//!
//! **How it is measured.** 50 clients ask for `/home` in a closed loop. When a share of all requests has been sent, a replica is killed, each time
//! that of the next place; the next one only when it has been replaced. Two clocks: *told* is the load balancer's own, from the end
//! of the process to the first request that its successor may have; *seen* is ours, from just before the signal until the line about it stands
//! in the load balancer's log, at which we look every millisecond.
//!
//! **When it is wrong.** One machine: the new process competes with clients, load balancer and servers for two cores, so the time depends on the
//! load. An idle machine does it in a tenth of that.

mod calls;
mod losses;
mod stage;

use self::{losses::Loss, stage::Stage};
use crate::{
    experiment::{
        Common, Experiment, Findings, Run,
        plot::{Bar, Panel, Panels},
    },
    record::{Spread, table},
};
use clap::Args;
use serde::Serialize;

/// What the project has promised, in milliseconds.
const GOAL_MS: f64 = 300.0;

/// Options of `lab experiment hashing-a3`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct A3 {
    /// Requests in all, at least: clients ask until all kills are over
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    requests: u64,
    /// Clients at once
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    clients: u32,
    /// Replicas
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=16))]
    replicas: u32,
    /// How many of them are killed, one after the other
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=15))]
    kills: u32,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Experiment for A3 {
    fn name(&self) -> &'static str {
        "hashing-a3"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let ring = ["--balance", "consistent-hash", "--ring-hash", "coursework"];
        let calls = calls::all(&mut Stage::open(run, "calls", 3, &ring)?)?;
        let mut stage = Stage::open(run, "losses", self.replicas, &["--balance", "round-robin"])?;
        let found = losses::measure(self, run, &mut stage)?;
        found.losses.iter().try_for_each(|loss| run.note("losses.jsonl", loss))?;
        plot(run, &found.losses)?;
        Ok(Findings { text: self.text(&calls, &found), good: found.unanswered == 0 })
    }
}

impl A3 {
    fn text(&self, calls: &str, found: &losses::Found) -> String {
        let Self { clients, replicas, kills, .. } = self;
        let losses::Found { losses, answered, unanswered, seconds, example } = found;
        let (seen, told) = (spread(losses, |loss| loss.seen_ms), spread(losses, |loss| loss.told_ms));
        let (meanwhile, lost) =
            losses.iter().fold((0, 0), |(all, lost), loss| (all + loss.begun, lost + loss.unanswered));
        let share = 100.0 * *answered as f64 / (answered + unanswered) as f64;
        let example = example.as_ref().map(|example| format!(" The first that was not: {example}")).unwrap_or_default();
        let goal = if seen.max <= GOAL_MS { "all within" } else { "not all within" };
        format!(
            "Every call once (three replicas, on the ring of the coursework):\n\n{calls}\n\
             {kills} times one of {replicas} replicas was killed (`kill -9`), while {clients} clients sent {} requests in \
             {seconds:.1} s (round-robin):\n\n{}\n\
             From `kill -9` until another one is in service, as seen from outside: median {:.0} ms, {:.0} to {:.0} ms, {goal} the goal of \
             {GOAL_MS:.0} ms; told by the load balancer: median {:.0} ms.\n\n\
             Answered: {share:.2} % of all requests ({unanswered} were not), and of the {meanwhile} that began between a kill and its \
             replacement all but {lost}.{example}",
            answered + unanswered,
            rows(losses),
            seen.median,
            seen.min,
            seen.max,
            told.median,
        )
    }
}

fn spread(losses: &[Loss], of: impl Fn(&Loss) -> f64) -> Spread {
    let values: Vec<f64> = losses.iter().map(of).collect();
    Spread::of(&values).unwrap_or(Spread { median: 0.0, min: 0.0, max: 0.0 })
}

fn rows(losses: &[Loss]) -> String {
    let header = ["killed", "replaced by", "ms, seen", "ms, told", "requests begun meanwhile", "not answered"];
    let row = |loss: &Loss| {
        vec![
            loss.killed.clone(),
            loss.by.clone(),
            format!("{:.0}", loss.seen_ms),
            format!("{:.0}", loss.told_ms),
            loss.begun.to_string(),
            loss.unanswered.to_string(),
        ]
    };
    table(&header.map(str::to_owned), losses.iter().map(row))
}

fn plot(run: &Run, losses: &[Loss]) -> anyhow::Result<()> {
    let panel = |axis: &str, of: fn(&Loss) -> f64| Panel {
        axis: axis.to_owned(),
        bars: losses.iter().map(|loss| Bar { value: of(loss), spread: None }).collect(),
    };
    Panels {
        title: "From kill -9 until another replica is in service, under load".to_owned(),
        rows: losses.iter().map(|loss| format!("Server {}", loss.killed)).collect(),
        panels: vec![
            panel("milliseconds, seen from outside", |loss| loss.seen_ms),
            panel("requests begun meanwhile", |loss| loss.begun as f64),
        ],
    }
    .draw(&run.path("hashing-a3.svg"))
}
