//! What a drill at a frontend has shown.

use crate::drill::report::{Check, Times};
use anyhow::Context;
use protocol::output::{Plain, say};
use serde::Serialize;
use std::{fmt::Display, path::Path, time::Duration};

/// Sentences that are kept as evidence.
const KEPT: usize = 5;

/// A drill that was played.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub drill: String,
    /// The seed of all random choices.
    pub seed: u64,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// What was done and seen, as sentences.
    pub seen: Vec<String>,
    /// Of what was bad, the first few, as sentences.
    pub evidence: Vec<String>,
    /// What had to be true.
    pub checks: Vec<Check>,
    /// Whether all of it was.
    pub good: bool,
}

impl Report {
    pub(in crate::drill) fn new(name: &str, seed: u64) -> Self {
        let (seen, evidence, checks) = (Vec::new(), Vec::new(), Vec::new());
        Self { drill: name.to_owned(), seed, took_s: 0.0, seen, evidence, checks, good: true }
    }

    pub(in crate::drill) fn saw(&mut self, sentence: impl Into<String>) {
        self.seen.push(sentence.into());
    }

    pub(in crate::drill) fn bad(&mut self, sentence: impl Into<String>) {
        if self.evidence.len() < KEPT {
            self.evidence.push(sentence.into());
        }
    }

    /// This had to be true; that was found.
    pub(in crate::drill) fn check(&mut self, what: impl Into<String>, found: impl Display, good: bool) {
        self.add(Check::new(what, found.to_string(), good));
    }

    /// This had to happen, and soon; that was found.
    pub(in crate::drill) fn check_soon(
        &mut self,
        what: impl Into<String>,
        found: impl Display,
        happened: bool,
        in_time: bool,
    ) {
        self.add(Check::soon(what, found.to_string(), happened, in_time));
    }

    fn add(&mut self, check: Check) {
        self.good &= check.good;
        self.checks.push(check);
    }

    /// Says it on the terminal.
    pub fn tell(&self) {
        let verdict = if self.good { "good" } else { "BAD" };
        say!("drill {}: {verdict} (seed {}, {:.1} s)", self.drill, self.seed, self.took_s);
        for sentence in &self.seen {
            say!("  seen   {}", Plain(sentence));
        }
        for sentence in self.evidence.iter().filter(|_| !self.good) {
            say!("         {}", Plain(sentence));
        }
        for check in &self.checks {
            say!("  {}   {}", if check.good { "good" } else { "BAD " }, check.what);
            say!("         {}", check.found);
        }
    }

    /// Writes it beside what the processes have written.
    pub(in crate::drill) fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join("report.json");
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// How long these took.
pub(super) fn times(mut all: Vec<Duration>) -> Times {
    all.sort_unstable();
    let within = |percent: usize| {
        let rank = (all.len() * percent).div_ceil(100).checked_sub(1);
        rank.map_or(0.0, |rank| all[rank].as_secs_f64() * 1e3)
    };
    Times { p50_ms: within(50), p99_ms: within(99), max_ms: within(100) }
}
