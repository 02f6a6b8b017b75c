//! What else a scene asks for.

use super::{Blow, Check, Found, Recovery};
use crate::drill::{
    journal::Line,
    scene::{Must, Scene},
};
use std::net::SocketAddr;

/// Why an attempt failed whose server was too late, as the journal has it.
const LATE: [&str; 3] = ["too late", "neither answered in time", "gave no answer within its time"];

/// Whether the times of the calm are compared with those under harm.
pub(super) fn compares_with_calm(scene: &Scene) -> bool {
    scene.more.iter().any(|must| matches!(must, Must::KeepP99OrMs(_)))
}

pub(super) fn check(must: Must, found: &Found, recovery: &Recovery) -> Check {
    match must {
        Must::NoticeWithinMs(ms) => noticed(found, recovery, ms),
        Must::RescueWithinMs(ms) => rescued(&recovery.rescues_ms, ms),
        Must::DropLateAnswers => late_answers(found),
        Must::ChangePerTenFlaps(most) => changes(found, most),
        Must::RefuseWithinMs(ms) => refused(found, ms),
        Must::EmptyWithinMs(ms) => emptied(found, ms),
        Must::FinishWhatIsTaken => finished(found),
        Must::ChangePolicy(least) => policy_changed(found, least),
        Must::CutOffWithinMs(ms) => cut_off(found, ms),
        Must::KeepP99OrMs(ms) => kept_p99(found, ms),
        Must::GrowByMib(mib) => grown(found, mib),
    }
}

/// A stop that is over before anybody gives the server up costs nobody a server: then there is nothing to be late with.
fn rescued(rescues_ms: &[u64], ms: u64) -> Check {
    let what = format!("whoever lost a server is answered by another one within {ms} ms of that");
    if rescues_ms.is_empty() {
        Check::new(what, "nobody lost one".to_owned(), true)
    } else {
        within(what, rescues_ms, ms)
    }
}

/// What is over before anybody needed the server need not be noticed; what lasts must be.
fn noticed(found: &Found, recovery: &Recovery, ms: u64) -> Check {
    let (times, unnoticed) = (&recovery.detections_ms, found.journal.unnoticed(&found.blows, ms));
    let slowest = times.last().copied().unwrap_or_default();
    Check::soon(
        format!("what happens to a server is noticed within {ms} ms"),
        format!("{} times, the slowest after {slowest} ms; {unnoticed} that lasted were not", times.len()),
        !times.is_empty() || unnoticed == 0,
        slowest <= ms && unnoticed == 0,
    )
}

/// Times in order of size: the slowest must be in time, and there must be one.
fn within(what: String, times_ms: &[u64], ms: u64) -> Check {
    let slowest = times_ms.last().copied();
    let shown = slowest.map_or("none seen".to_owned(), |slowest| format!("the slowest after {slowest} ms"));
    let in_time = slowest.is_some_and(|slowest| slowest <= ms);
    Check::soon(what, format!("{} times, {shown}", times_ms.len()), slowest.is_some(), in_time)
}

fn late_answers(found: &Found) -> Check {
    let late = |line: &&Line| line.why.as_deref().is_some_and(|why| LATE.iter().any(|late| why.contains(late)));
    let given_up = found.journal.of("attempt-failed").filter(late).count();
    let foreign = found.journal.of("foreign-answer").count();
    Check::new(
        "answers that come too late are dropped, and delivered to nobody",
        format!(
            "{given_up} attempts given up as too late, {foreign} answers of others dropped, {} wrong answers",
            found.tally.wrong
        ),
        given_up > 0 && found.tally.wrong == 0,
    )
}

fn changes(found: &Found, most: usize) -> Check {
    let of_blow = |number: usize| (found.journal.changes(&found.blows, number), found.blows[number].times as usize);
    let all: Vec<(usize, usize)> = (0..found.blows.len()).map(of_blow).collect();
    // A few changes are the price of noticing anything at all, however short a blow is.
    let good = all.iter().all(|(changes, times)| changes * 10 <= most * (*times).max(10));
    let shown: Vec<String> = all.iter().map(|(changes, times)| format!("{changes} for {times}")).collect();
    Check::new(
        format!("a server that flaps changes its state at most {most} times for 10 times away and back"),
        shown.join(", "),
        good && !all.is_empty(),
    )
}

fn refused(found: &Found, ms: u64) -> Check {
    let mut times: Vec<u64> = found.tally.refusals.iter().map(|refusal| refusal.took_ms()).collect();
    times.sort_unstable();
    let p99 = (times.len() * 99).div_ceil(100).checked_sub(1).map(|rank| times[rank]);
    let (p99, most) = (p99.unwrap_or_default(), times.last().copied().unwrap_or_default());
    Check::soon(
        format!("whoever is refused is told at once (99 % within {ms} ms)"),
        format!("{} refused, 99 % of them within {p99} ms, all within {most} ms", times.len()),
        !times.is_empty(),
        p99 <= ms,
    )
}

fn emptied(found: &Found, ms: u64) -> Check {
    let times: Vec<u64> = found.blows.iter().filter_map(|blow| blow.empty_ms).collect();
    let (given, given_after_empty) = found.journal.given_while_drained(&found.blows);
    let slowest = times.iter().max().copied();
    Check::soon(
        format!("a server that is drained is empty within {ms} ms, and gets nothing until it is ready again"),
        format!(
            "{} drained, the slowest empty after {} ms, {given} requests given meanwhile, {given_after_empty} of them after that",
            times.len(),
            slowest.unwrap_or_default()
        ),
        slowest.is_some() && given_after_empty == 0,
        slowest.is_some_and(|slowest| slowest <= ms) && given == 0,
    )
}

fn finished(found: &Found) -> Check {
    let (taken, unfinished) = found.journal.unfinished();
    Check::new(
        "every request that was taken is answered, also when the load balancer is told to end",
        format!("{unfinished} of {taken} were not (in its last two lives)"),
        unfinished == 0 && taken > 0,
    )
}

fn policy_changed(found: &Found, least: usize) -> Check {
    let changes = found.journal.of("policy-changed").count();
    let what = format!("the policy changes at least {least} times");
    // How many there are while clients ask depends on how long an order takes.
    Check::soon(what, format!("{changes} changes by {} orders", found.blows.len()), changes > 0, changes >= least)
}

fn cut_off(found: &Found, ms: u64) -> Check {
    let all = found.blows.iter().flat_map(|blow| blow.rude.iter().map(move |(end, manner)| (blow, *end, manner)));
    let time = |(blow, end, manner): (&Blow, SocketAddr, _)| {
        let cut_off = found.journal.cut_off_us(end, blow.from_us..blow.until_us);
        (cut_off.map(|at| (at - blow.from_us) / 1000), manner)
    };
    let times: Vec<(Option<u64>, &String)> = all.map(time).collect();
    let in_time = times.iter().filter(|(time, _)| time.is_some_and(|time| time <= ms)).count();
    let slowest = times.iter().filter_map(|(time, _)| *time).max().unwrap_or_default();
    let mut shown = format!("{in_time} of {} in time, the slowest after {slowest} ms", times.len());
    if let Some((time, manner)) = times.iter().find(|(time, _)| time.is_none_or(|time| time > ms)) {
        shown = format!("{shown}; not in time: {manner} ({time:?} ms)");
    }
    let what = format!("clients that do not read are cut off within {ms} ms");
    let all = times.iter().all(|(time, _)| time.is_some());
    Check::soon(what, shown, all && !times.is_empty(), in_time == times.len())
}

fn kept_p99(found: &Found, least_ms: u64) -> Check {
    let (calm, now) = (found.calm.p99_ms, found.tally.within_ms(99).unwrap_or(f64::INFINITY));
    Check::soon(
        format!("99 % of the others' answers take at most twice as long as in the calm, or {least_ms} ms"),
        format!("{calm:.0} ms in the calm, {now:.0} ms now"),
        now.is_finite(),
        now <= (2.0 * calm).max(least_ms as f64),
    )
}

fn grown(found: &Found, mib: u64) -> Check {
    let before = found.before.processes.first().map_or(0, |balancer| balancer.memory_kib);
    let grown = found.most_memory_kib.saturating_sub(before) / 1024;
    Check::new(
        format!("the load balancer's memory grows by at most {mib} MiB"),
        format!("{} MiB before, {grown} MiB more at the most", before / 1024),
        grown <= mib,
    )
}
