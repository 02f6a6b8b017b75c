//! What a drill has shown, and the verdict.

use super::{
    gauges::Gauges,
    scene::{Errors, Scene},
    strike::Damage,
    tally::Tally,
    written::Rows,
};
use anyhow::Context;
use protocol::output::say;
use serde::Serialize;
use std::{path::Path, time::Duration};

/// How soon after its return a server must get requests again, in milliseconds.
const RECOVERY_MS: u64 = 2_000;

/// Everything that was found out.
pub(super) struct Found {
    /// How many requests were asked while harm was done.
    pub(super) asked: u64,
    pub(super) tally: Tally,
    pub(super) damage: Damage,
    pub(super) recoveries_ms: Vec<u64>,
    pub(super) before: Gauges,
    pub(super) after: Gauges,
    pub(super) rows: Rows,
}

/// A drill that was played.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub drill: String,
    /// What was asked.
    pub asked: String,
    /// What was done meanwhile.
    pub harm: String,
    /// The seed of all random choices.
    pub seed: u64,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// Each thing that was done: seconds since the beginning, and what.
    pub blows: Vec<(f64, String)>,
    /// What the clients saw.
    pub seen: Tally,
    /// How long servers took to get requests again after their return, in milliseconds, in order of size.
    pub recoveries_ms: Vec<u64>,
    /// What the processes held before.
    pub before: Gauges,
    /// What they hold afterwards.
    pub after: Gauges,
    /// What had to be true.
    pub checks: Vec<Check>,
    /// Whether all of it was.
    pub good: bool,
}

/// Something that had to be true.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// What was found.
    pub found: String,
    /// Whether it was true.
    pub good: bool,
}

/// Draws the conclusions.
pub(super) fn judge(name: &str, seed: u64, scene: &Scene, found: Found, took: Duration, interrupted: bool) -> Report {
    let mut checks = checks(scene, &found);
    if interrupted {
        checks.push(Check { what: "it was played to its end".into(), found: "interrupted".into(), good: false });
    }
    let Found { mut recoveries_ms, damage, tally, before, after, .. } = found;
    recoveries_ms.sort_unstable();
    let good = checks.iter().all(|check| check.good);
    let (asked, harm, took_s) = (asked(scene), scene.harm.sentence(), took.as_secs_f64());
    let (drill, blows, seen) = (name.to_owned(), damage.blows, tally);
    Report { drill, asked, harm, seed, took_s, blows, seen, recoveries_ms, before, after, checks, good }
}

fn asked(scene: &Scene) -> String {
    let load = &scene.load;
    let mix = load.mix;
    let size = scene.file_size as f64 / 1e6;
    format!(
        "{} clients, {} requests each (files of {size} MB : SELECT : INSERT = {} : {} : {}), of {} servers with \
         processing time {} s and capacity {}",
        load.clients,
        load.requests,
        mix.files,
        mix.reads,
        mix.writes,
        scene.servers,
        scene.processing_time,
        scene.capacity
    )
}

fn checks(scene: &Scene, found: &Found) -> Vec<Check> {
    let tally = &found.tally;
    let check = |what: &str, found: String, good: bool| Check { what: what.to_owned(), found, good };
    let wanted = scene.load.clients as u64 * scene.load.requests;
    let ended = tally.answered + tally.errors() + tally.wrong;
    let mut all = vec![
        check(
            "every request has exactly one outcome",
            format!("{wanted} wanted, {} asked, {ended} ended", found.asked),
            wanted == found.asked && ended == wanted,
        ),
        check("no answer is swapped or damaged", format!("{} wrong", tally.wrong), tally.wrong == 0),
        errors(scene.errors, tally),
        check(
            "every unknown outcome is settled by asking again under the same id",
            format!(
                "{} carried out, {} not, {} still unknown",
                tally.settled_done, tally.settled_failed, tally.unsettled
            ),
            tally.unsettled == 0,
        ),
    ];
    if scene.load.mix.writes > 0 {
        all.push(writes(tally, &found.rows));
    }
    all.push(check("harm was done", format!("{} blows", found.damage.blows.len()), !found.damage.blows.is_empty()));
    if !found.damage.returns.is_empty() {
        all.push(recovery(&found.recoveries_ms, found.damage.returns.len()));
    }
    let gauges = format!("before: {}; after: {}", found.before, found.after);
    let back = found.after.is_back(&found.before, scene.capacity as usize);
    all.push(check("requests, threads and descriptors are back at their start values", gauges, back));
    all
}

fn errors(allowed: Errors, tally: &Tally) -> Check {
    let definite = tally.errors.iter().filter(|(what, _)| what.ends_with("(definite)")).map(|(_, count)| count);
    let definite: u64 = definite.sum();
    let good = match allowed {
        Errors::Never => tally.errors() == 0,
        Errors::OpenPastDeadline => definite == 0 && tally.indefinite_early == 0,
        Errors::Open => definite == 0,
        Errors::ButNoMixture => true,
    };
    let found = format!("{} of {} requests answered, errors: {}", tally.answered, tally.asked, tally.shown_errors());
    Check { what: allowed.sentence().to_owned(), found, good }
}

fn writes(tally: &Tally, rows: &Rows) -> Check {
    let (mut once, mut lost, mut doubled, mut denied, mut unasked) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    for token in &tally.written {
        match rows.count(token) {
            0 => lost += 1,
            1 => once += 1,
            _ => doubled += 1,
        }
    }
    for (token, count) in rows.iter() {
        denied += u64::from(tally.refused.contains(token));
        doubled += u64::from(count > 1 && !tally.written.contains(token));
        let known = [&tally.written, &tally.refused, &tally.open].iter().any(|set| set.contains(token));
        unasked += u64::from(!known);
    }
    let found = format!(
        "{once} of {} there once, {lost} lost, {doubled} doubled, {denied} there although refused, {unasked} of nobody",
        tally.written.len()
    );
    let good = lost + doubled + denied + unasked == 0;
    Check { what: "every acknowledged INSERT is there exactly once, and no refused one".to_owned(), found, good }
}

fn recovery(recoveries_ms: &[u64], returns: usize) -> Check {
    let slowest = recoveries_ms.iter().max().copied();
    let shown = slowest.map_or("none seen".to_owned(), |ms| format!("the slowest after {ms} ms"));
    let found = format!("{} of {returns} returns seen, {shown}", recoveries_ms.len());
    let good = slowest.is_some_and(|ms| ms <= RECOVERY_MS);
    Check { what: format!("a server gets requests within {RECOVERY_MS} ms of its return"), found, good }
}

impl Report {
    /// Says it on the terminal.
    pub fn tell(&self) {
        say!("drill {}: {} (seed {}, {:.1} s)", self.drill, self.verdict(), self.seed, self.took_s);
        say!("  asked  {}", self.asked);
        say!("  harm   {} ({} times)", self.harm, self.blows.len());
        say!("  seen   {} answers, errors: {}", self.seen.answered, self.seen.shown_errors());
        say!("         the slowest answer after {} ms, {} reconnects", self.seen.slowest_ms, self.seen.reconnects);
        for sentence in &self.seen.evidence {
            say!("         {}", protocol::output::Plain(sentence));
        }
        for check in &self.checks {
            say!("  {}   {}", if check.good { "good" } else { "BAD " }, check.what);
            say!("         {}", check.found);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::question::Question;
    use protocol::message::{ErrorCode, Failure};

    fn write(token: &str) -> Question {
        Question::Write { token: token.to_owned(), returning: false }
    }

    fn rows(counts: &[(&str, u64)]) -> Rows {
        counts.iter().map(|(token, count)| ((*token).to_owned(), *count)).collect()
    }

    #[test]
    fn lost_doubled_denied_and_foreign_rows_are_found() {
        let mut tally = Tally::default();
        tally.done(&write("a"), "1".to_owned(), false);
        tally.failed(&write("b"), &Failure::definite(ErrorCode::Busy, "No."));
        tally.unsettled(&write("c"), "nobody knows");
        for there in [&[("a", 1)][..], &[("a", 1), ("c", 1)]] {
            assert!(writes(&tally, &rows(there)).good, "{there:?}");
        }
        for there in [&[][..], &[("a", 2)], &[("a", 1), ("b", 1)], &[("a", 1), ("c", 2)], &[("a", 1), ("d", 1)]] {
            assert!(!writes(&tally, &rows(there)).good, "{there:?}");
        }
    }

    #[test]
    fn errors_are_allowed_as_far_as_the_scene_says() {
        let good = |tally: &Tally| {
            [Errors::Never, Errors::OpenPastDeadline, Errors::Open, Errors::ButNoMixture]
                .map(|allowed| errors(allowed, tally).good)
        };
        let mut tally = Tally::default();
        assert_eq!(good(&tally), [true; 4]);
        tally.lost(&write("a"), "gone");
        assert_eq!(good(&tally), [false, true, true, true]);
        tally.indefinite_early = 1;
        assert_eq!(good(&tally), [false, false, true, true]);
        tally.failed(&write("b"), &Failure::definite(ErrorCode::Timeout, "Late."));
        assert_eq!(good(&tally), [false, false, false, true]);
    }
}
