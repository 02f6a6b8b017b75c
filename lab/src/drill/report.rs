//! What a drill has shown.

use super::{gauges::Gauges, harm::strike::Blow, tally::Tally};
use anyhow::Context;
use protocol::output::{Plain, say};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A drill that was played.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Its name.
    pub drill: String,
    /// What was asked.
    pub asked: String,
    /// What was done meanwhile.
    pub harm: String,
    /// What is to be known about how it was played, if anything.
    pub note: Option<String>,
    /// The seed of all random choices.
    pub seed: u64,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// Each thing that was done.
    pub blows: Vec<Blow>,
    /// What the clients saw.
    pub seen: Tally,
    /// How long the right answers took.
    pub times: Times,
    /// The same in the calm before, where that is compared.
    pub calm_times: Option<Times>,
    /// How long it took to notice what was done to a server, in milliseconds, in order of size.
    pub detections_ms: Vec<u64>,
    /// How long after that the last request that had lost its server was answered, in milliseconds, in order of size.
    pub rescues_ms: Vec<u64>,
    /// How long servers took to answer a new request after their return, in milliseconds, in order of size.
    pub recoveries_ms: Vec<u64>,
    /// Events that the journal has lost; what was found out from it is then less than what happened.
    pub events_lost: u64,
    /// What the processes held before.
    pub before: Gauges,
    /// What they hold afterwards.
    pub after: Gauges,
    /// What had to be true.
    pub checks: Vec<Check>,
    /// Whether all of it was.
    pub good: bool,
}

/// How long answers took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Half of them came within this.
    pub p50_ms: f64,
    /// 99 % of them came within this.
    pub p99_ms: f64,
    /// All of them did.
    pub max_ms: f64,
}

/// Something that had to be true.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// What was found.
    pub found: String,
    /// Whether it was true.
    pub good: bool,
    /// Whether it happened, if too late: beside other work on the same machine that says nothing about us.
    #[serde(default)]
    pub only_late: bool,
}

impl Check {
    /// This had to be true; that was found.
    #[must_use]
    pub fn new(what: impl Into<String>, found: impl Into<String>, good: bool) -> Self {
        Self { what: what.into(), found: found.into(), good, only_late: false }
    }

    /// This had to happen, and soon.
    #[must_use]
    pub fn soon(what: impl Into<String>, found: impl Into<String>, happened: bool, in_time: bool) -> Self {
        let good = happened && in_time;
        Self { only_late: happened && !in_time, ..Self::new(what, found, good) }
    }
}

impl Times {
    /// Of all right answers.
    #[must_use]
    pub fn of(tally: &Tally) -> Self {
        let within = |percent| tally.within_ms(percent).unwrap_or_default();
        Self { p50_ms: within(50), p99_ms: within(99), max_ms: within(100) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "half within {:.0} ms, 99 % within {:.0} ms, all within {:.0} ms",
            self.p50_ms, self.p99_ms, self.max_ms
        )
    }
}

impl Report {
    /// Says it on the terminal.
    pub fn tell(&self) {
        say!("drill {}: {} (seed {}, {:.1} s)", self.drill, self.verdict(), self.seed, self.took_s);
        say!("  asked  {}", self.asked);
        say!("  harm   {} ({} times)", self.harm, self.blows.len());
        if let Some(note) = &self.note {
            say!("         {}", Plain(note));
        }
        say!("  seen   {} answers, errors: {}", self.seen.answered, self.seen.shown_errors());
        say!("         {}; {} reconnects", self.times, self.seen.reconnects);
        if let Some(calm) = &self.calm_times {
            say!("         in the calm before: {calm}");
        }
        self.tell_recovery();
        if !self.good {
            for sentence in &self.seen.evidence {
                say!("         {}", Plain(sentence));
            }
        }
        for check in &self.checks {
            say!("  {}   {}", if check.good { "good" } else { "BAD " }, check.what);
            say!("         {}", check.found);
        }
    }

    fn tell_recovery(&self) {
        let hits: usize = self.blows.iter().map(|blow| blow.servers.len()).sum();
        let figure = |what: &str, times: &[u64]| {
            if let (Some(half), Some(most)) = (times.get(times.len() / 2), times.last()) {
                say!("         {what}: {} of {hits}, half within {half} ms, all within {most} ms", times.len());
            }
        };
        figure("noticed", &self.detections_ms);
        figure("cost requests their server, which had another one's answer", &self.rescues_ms);
        figure("back and answering new requests", &self.recoveries_ms);
        if self.events_lost > 0 {
            say!("         (the journal has lost {} events)", self.events_lost);
        }
    }

    /// In a word.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        if self.good { "good" } else { "BAD" }
    }

    /// Writes it beside what the processes have written.
    pub(super) fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join("report.json");
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}
