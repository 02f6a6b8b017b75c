//! The verdict: what had to be true, and whether it was.
//!
//! This file has what holds in every drill; [`errors`] what clients may be told; [`musts`] what else a scene asks for.

mod errors;
mod musts;

use super::{
    gauges::Gauges,
    harm::{Deed, strike::Blow},
    journal::Journal,
    report::{Check, Report, Times},
    scene::{Errors, Scene},
    tally::Tally,
    written::Rows,
};
use std::time::Duration;

/// How soon after its return a server must answer new requests, in milliseconds.
const RECOVERY_MS: u64 = 2_000;

/// Everything that was found out.
pub(super) struct Found {
    /// How many requests were asked while harm was done.
    pub(super) asked: u64,
    /// For how many requests processes may keep something.
    pub(super) room: usize,
    pub(super) tally: Tally,
    pub(super) calm: Times,
    pub(super) blows: Vec<Blow>,
    pub(super) journal: Journal,
    pub(super) before: Gauges,
    pub(super) after: Gauges,
    /// The most memory that the load balancer has used, in KiB.
    pub(super) most_memory_kib: u64,
    pub(super) rows: Rows,
}

/// What a verdict is about.
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    pub(super) seed: u64,
    pub(super) scene: &'a Scene,
    pub(super) note: Option<String>,
    pub(super) interrupted: bool,
}

/// What the journal tells about the harm, in order of size.
struct Recovery {
    detections_ms: Vec<u64>,
    rescues_ms: Vec<u64>,
    recoveries_ms: Vec<u64>,
    /// By how much the slowest recovery was slower than it may be, or faster, in milliseconds; nothing if none was seen.
    slower_ms: Option<i64>,
}

impl Recovery {
    fn read(journal: &Journal, blows: &[Blow], deed: &Deed) -> Self {
        let recoveries = journal.recoveries_ms(blows);
        let slower = |(ms, away): &(u64, u64)| *ms as i64 - recovery_ms(deed, *away) as i64;
        let sorted = |mut times: Vec<u64>| {
            times.sort_unstable();
            times
        };
        Self {
            detections_ms: sorted(journal.detections_ms(blows)),
            rescues_ms: sorted(journal.rescues_ms(blows)),
            slower_ms: recoveries.iter().map(slower).max(),
            recoveries_ms: sorted(recoveries.into_iter().map(|(ms, _)| ms).collect()),
        }
    }
}

/// Draws the conclusions.
pub(super) fn judge(case: Case<'_>, found: Found, took: Duration) -> Report {
    let Case { name, seed, scene, note, interrupted } = case;
    let recovery = Recovery::read(&found.journal, &found.blows, &scene.harm.deed);
    let mut checks = checks(scene, &found, &recovery);
    checks.extend(scene.more.iter().map(|must| musts::check(*must, &found, &recovery)));
    if interrupted {
        checks.push(Check::new("it was played to its end", "interrupted", false));
    }
    let calm_times = musts::compares_with_calm(scene).then_some(found.calm);
    let Recovery { detections_ms, rescues_ms, recoveries_ms, .. } = recovery;
    Report {
        drill: name.to_owned(),
        asked: asked(scene),
        harm: scene.harm.sentence(),
        note,
        seed,
        took_s: took.as_secs_f64(),
        times: Times::of(&found.tally),
        calm_times,
        blows: found.blows,
        seen: found.tally,
        detections_ms,
        rescues_ms,
        recoveries_ms,
        events_lost: found.journal.lost(),
        before: found.before,
        after: found.after,
        good: checks.iter().all(|check| check.good),
        checks,
    }
}

fn asked(scene: &Scene) -> String {
    let load = &scene.load;
    let mix = load.mix;
    let size = scene.file_size as f64 / 1e6;
    let flags = if scene.flags.is_empty() { String::new() } else { format!(", with {}", scene.flags.join(" ")) };
    format!(
        "{} clients, {} requests each (files of {size} MB : SELECT : INSERT = {} : {} : {}), of {} servers with \
         processing time {} s and capacity {}{flags}",
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

fn checks(scene: &Scene, found: &Found, recovery: &Recovery) -> Vec<Check> {
    let tally = &found.tally;
    let wanted = scene.load.clients as u64 * scene.load.requests;
    let ended = tally.answered + tally.errors() + tally.wrong;
    let mut all = vec![
        Check::new(
            "every request has exactly one outcome",
            format!("{wanted} wanted, {} asked, {ended} ended", found.asked),
            wanted == found.asked && ended == wanted,
        ),
        Check::new("no answer is swapped or damaged", format!("{} wrong", tally.wrong), tally.wrong == 0),
        errors::check(scene.errors, tally, &found.blows),
        Check::new(
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
    all.push(harm_was_done(scene, found));
    let returns = found.blows.iter().filter(|blow| blow.returned).map(|blow| blow.servers.len()).sum();
    if returns > 0 {
        all.push(returned(scene, recovery, returns));
    }
    let gauges = format!("before: {}; after: {}", found.before, found.after);
    let back = found.after.is_back(&found.before, found.room);
    all.push(Check::new("requests, threads and descriptors are back at their start values", gauges, back));
    all
}

/// A drill in which nothing went wrong shows nothing.
fn harm_was_done(scene: &Scene, found: &Found) -> Check {
    if scene.harm.deed == Deed::Crowd {
        let refused = found.tally.refusals.len();
        return Check::new("there were more than places", format!("{refused} were refused"), refused > 0);
    }
    let blows = found.blows.len();
    Check::new("harm was done", format!("{blows} blows"), blows > 0)
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
    Check::new("every acknowledged INSERT is there exactly once, and no refused one", found, good)
}

/// How soon a server must be back at work that was away for so long, in milliseconds. TCP sends lost packets again after
/// pauses that double, so that after a loss of three seconds the next try may come three seconds later; until then the
/// server is at work on what it cannot get rid of.
fn recovery_ms(deed: &Deed, away_ms: u64) -> u64 {
    if *deed == Deed::Vanish { RECOVERY_MS + away_ms } else { RECOVERY_MS }
}

fn returned(scene: &Scene, recovery: &Recovery, returns: usize) -> Check {
    let slowest = recovery.recoveries_ms.last();
    let shown = slowest.map_or("none seen".to_owned(), |ms| format!("the slowest after {ms} ms"));
    let found = format!("{} of {returns} seen, {shown}", recovery.recoveries_ms.len());
    let tcp =
        if scene.harm.deed == Deed::Vanish { " and of TCP's next try, at most as long as it was away" } else { "" };
    let what = format!("a server answers new requests within {RECOVERY_MS} ms of its return{tcp}");
    Check::soon(what, found, slowest.is_some(), recovery.slower_ms.is_some_and(|slower| slower <= 0))
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
        tally.failed(&write("b"), &Failure::definite(ErrorCode::Busy, "No."), 0);
        tally.unsettled(&write("c"), "nobody knows");
        for there in [&[("a", 1)][..], &[("a", 1), ("c", 1)]] {
            assert!(writes(&tally, &rows(there)).good, "{there:?}");
        }
        for there in [&[][..], &[("a", 2)], &[("a", 1), ("b", 1)], &[("a", 1), ("c", 2)], &[("a", 1), ("d", 1)]] {
            assert!(!writes(&tally, &rows(there)).good, "{there:?}");
        }
    }
}
