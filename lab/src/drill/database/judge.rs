//! What had to be true, and what was found.

use super::{Blows, Report, Rows, Scene, Tally};
use std::time::Duration;

/// How much later than its request's time an answer may come: who knows more about the failure tells it first.
const GRACE: Duration = Duration::from_secs(3);

/// What the clients have seen, as a sentence.
pub(super) fn seen(tally: &Tally, took: Duration) -> String {
    let within = |percent| tally.within_ms(percent).unwrap_or_default();
    format!(
        "{} rows acknowledged at once and {} when asked again, in {:.1} s; half within {:.0} ms, 99 % within {:.0} ms; first answers \
         that were none: {}",
        tally.answered,
        tally.settled_done,
        took.as_secs_f64(),
        within(50),
        within(99),
        tally.shown_errors()
    )
}

/// What was done to them, as a sentence.
pub(super) fn done(blows: &Blows) -> String {
    let away: Vec<String> = blows.restarts.iter().map(|away| format!("{:.1} s", away.as_secs_f64())).collect();
    let away = if away.is_empty() { "never".to_owned() } else { away.join(", ") };
    format!("{} servers killed; the database away: {away}", blows.kills)
}

/// Judges.
pub(super) fn judge(report: &mut Report, scene: &Scene, tally: &Tally, blows: &Blows, rows: &Rows) {
    let wanted = scene.clients as u64 * scene.requests;
    report.check("every row was asked for", format!("{} of {wanted}", tally.asked), tally.asked == wanted);
    let times = |token: &String| rows.count(token);
    let lost: Vec<&String> = tally.written.iter().filter(|token| times(token) == 0).collect();
    let found = format!("{} of {} are not", lost.len(), tally.written.len());
    report.check("every acknowledged row is there", found, lost.is_empty() && !tally.written.is_empty());
    lost.iter().for_each(|token| report.bad(format!("Lost: {token}")));
    let twice: Vec<(&String, u64)> = rows.iter().filter(|(_, times)| *times > 1).collect();
    report.check("no row is there twice", format!("{} are", twice.len()), twice.is_empty());
    twice.iter().for_each(|(token, times)| report.bad(format!("{times} times there: {token}")));
    let undone: Vec<&String> = tally.refused.iter().filter(|token| times(token) > 0).collect();
    let found = format!("{} of {} are there", undone.len(), tally.refused.len());
    report.check("what was refused for certain is not there", found, undone.is_empty());
    undone.iter().for_each(|token| report.bad(format!("Refused, and there: {token}")));
    let settled = tally.unsettled == 0 && tally.wrong == 0;
    let found = format!("{} unsettled, {} wrong answers", tally.unsettled, tally.wrong);
    report.check("what was in doubt is settled by asking again", found, settled);
    tally.evidence.iter().for_each(|sentence| report.bad(sentence.clone()));
    let limit = (scene.timeout + GRACE).as_millis();
    let found = format!("the slowest answer came after {} ms, and had {limit} ms", tally.slowest_ms);
    report.check("nobody hangs", found, u128::from(tally.slowest_ms) <= limit);
    let restarts = if scene.engine.is_a_program() { scene.restarts } else { 0 };
    let found = format!("{} kills, {} restarts of the database", blows.kills, blows.restarts.len());
    report.check("harm was done", found, blows.kills > 0 && blows.restarts.len() as u64 == restarts);
}
