//! What was seen, and whether it may be.

use super::{
    Scene, Watched,
    clients::Seen,
    ground::SIZE,
    harm::Blows,
    history::{Call, is_linearizable},
    pairs::{PAIRS, wrong_looks},
    recovery::Recovery,
};
use crate::drill::fronts::Report;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// By shard, what each of its servers has: the answer to `/copy`, which has all rows in the order of their keys, and the number of the last change.
pub(super) type Copies = BTreeMap<String, Vec<String>>;

/// Says what was done and seen.
pub(super) fn tell(report: &mut Report, seen: &Seen, watched: &[Watched], blows: &Blows, seconds: f64) {
    report.saw(format!(
        "{} changes and {} reads were answered, {} times nobody could, {} outcomes are unknown, in {seconds:.1} s",
        seen.changes, seen.reads, seen.refused, seen.unknown
    ));
    let (steps, looks) =
        watched.iter().fold((0, 0), |(steps, looks), one| (steps + one.steps.len(), looks + one.looks.len()));
    report.saw(format!("{looks} looks at two shards, whose rows were changed in {steps} steps"));
    let Blows { kills, stops, restarts, swaps, grown, shrunk, .. } = blows;
    report.saw(format!(
        "{kills} servers killed, {stops} stopped, {swaps} removed and added again, the load balancer killed {restarts} times, {grown} \
         shards added, {shrunk} times servers removed down to the last copy of a shard"
    ));
}

/// Each row for itself, and whether it was as much as it should be.
pub(super) fn judge(report: &mut Report, scene: &Scene, seen: &Seen, blows: &Blows) {
    let wrong: Vec<i64> =
        seen.histories.iter().filter(|(_, calls)| !is_linearizable(calls)).map(|(id, _)| *id).collect();
    for id in &wrong {
        report.bad(format!("Row {id}: {}", shown(&seen.histories[id])));
    }
    let found = format!("{} of {} are not", wrong.len(), seen.histories.len());
    report.check("the history of every row is linearizable", found, wrong.is_empty() && !seen.histories.is_empty());
    let Blows { kills, stops, restarts, grown, shrunk, wrong, .. } = blows;
    wrong.iter().for_each(|why| report.bad(why));
    report.check(
        "the last copy of a shard cannot be removed",
        format!("{} tries were not refused", wrong.len()),
        wrong.is_empty(),
    );
    let found = format!(
        "{kills} kills, {stops} stops, {restarts} of the load balancer, {grown} shards added, {shrunk} times down to one"
    );
    let all = (*restarts, *grown, *shrunk) == (scene.restarts, scene.grows, scene.shrinks);
    report.check("harm was done", found, kills + stops > 0 && all);
    let wanted = scene.clients as u64 * scene.changes;
    report.check("changes are answered", format!("{} of {wanted} wanted", seen.changes), seen.changes >= wanted);
}

fn shown(calls: &[Call]) -> String {
    let one = |call: &Call| {
        let end = call.answered.map_or("?".to_owned(), |at| (at / 1_000).to_string());
        format!("{}-{end} {:?}", call.asked / 1_000, call.deed)
    };
    calls.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Looks at two shards.
pub(super) fn judge_pairs(report: &mut Report, watched: &[Watched]) {
    let (mut looks, mut wrong) = (0, 0);
    for (pair, Watched { steps, trouble, looks: seen }) in PAIRS.iter().zip(watched) {
        looks += seen.len();
        let found = wrong_looks(pair.way(), steps, seen);
        wrong += found.len() + usize::from(trouble.is_some());
        trouble.iter().for_each(|why| report.bad(why));
        found.iter().for_each(|look| report.bad(format!("{:?}: {look:?}", pair.way())));
    }
    report.check(
        "a look at two shards is of one moment",
        format!("{wrong} of {looks} are not"),
        wrong == 0 && looks > 0,
    );
}

/// All servers of a shard, and what the table shows.
pub(super) fn judge_copies(report: &mut Report, copies: &Copies, there: &BTreeMap<i64, i64>) {
    let different: Vec<&String> =
        copies.iter().filter(|(_, all)| all.iter().any(|copy| *copy != all[0])).map(|(shard, _)| shard).collect();
    let all: usize = copies.values().map(Vec::len).sum();
    let found = format!("{all} copies of {} shards, different: {different:?}", copies.len());
    report.check(
        "all servers of a shard have the same, byte by byte",
        found,
        different.is_empty() && all > copies.len(),
    );
    let rows: Vec<(i64, i64)> = copies.iter().flat_map(|(shard, all)| rows(shard, &all[0])).collect();
    let kept: BTreeMap<i64, i64> = rows.iter().copied().collect();
    let found = format!("{} rows are kept, {} shown", rows.len(), there.len());
    report.check("what they have is what the table shows", found, kept == *there && rows.len() == kept.len());
}

/// Keys and values of a copy, in its own order.
fn rows(shard: &str, copy: &str) -> Vec<(i64, i64)> {
    let copy: Value = serde_json::from_str(copy).unwrap_or_default();
    let row = |row: &Value| Some((row["Stud_id"].as_i64()?, row["Stud_marks"].as_i64()?));
    copy[shard].as_array().into_iter().flatten().filter_map(row).collect()
}

/// How long killed servers were missed.
pub(super) fn judge_recovery(report: &mut Report, recovery: Recovery, missed: &[(String, Duration)]) {
    let mut times: Vec<u128> = missed.iter().map(|(_, time)| time.as_millis()).collect();
    times.sort_unstable();
    let (Some(most), Some(median)) = (times.last(), times.get(times.len() / 2)) else { return };
    report.saw(format!(
        "with {} rows, {} servers of up to {} keys were killed one after the other, and each missed a change: back, full and in service after {median} ms in the median, \
         {most} ms at most",
        recovery.rows, times.len(), 2 * SIZE
    ));
    if let Some(within) = recovery.within {
        let found = format!("{most} ms at most");
        let what = format!("a killed server is back, full and in service within {} ms", within.as_millis());
        report.check(what, found, *most <= within.as_millis());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(copies: &[&[&str]], there: &[(i64, i64)]) -> bool {
        let mut report = Report::new("test", 1);
        let copies = copies
            .iter()
            .enumerate()
            .map(|(n, all)| (format!("sh{}", n + 1), all.iter().map(|copy| (*copy).to_owned()).collect()));
        judge_copies(&mut report, &copies.collect(), &there.iter().copied().collect());
        report.good
    }

    #[test]
    fn copies_that_differ_are_found() {
        let one = r#"{"sh1":[{"Stud_id":1,"Stud_name":"N","Stud_marks":7}],"seq":{"sh1":3},"status":"success"}"#;
        let two = r#"{"sh2":[],"seq":{"sh2":0},"status":"success"}"#;
        assert!(judged(&[&[one, one], &[two]], &[(1, 7)]));
        for wrong in [one.replace(":7", ":8"), one.replace(":3}", ":4}"), one.replace("\"N\"", "\"M\"")] {
            assert!(!judged(&[&[one, &wrong], &[two]], &[(1, 7)]), "{wrong}");
        }
        assert!(!judged(&[&[one, one], &[two]], &[(1, 8)]), "the table shows something else");
        assert!(!judged(&[&[one, one], &[two]], &[(1, 7), (2, 7)]), "the table shows more");
        assert!(!judged(&[&[one], &[two]], &[(1, 7)]), "nothing was compared");
    }
}
