//! How soon a replica that was lost is replaced. Pure.
//!
//! **The problem.** At once, if it was killed: every millisecond is a server too few. But a program that dies as soon as it
//! runs (a wrong flag, a full disk) would be started a hundred times a second, by a machine that has better things to do.
//!
//! **The idea.** What has served for [`STEADY`] is replaced at once. Of those that do not live so long `FREE` in a row are,
//! too; then each pause is twice as long as the one before, from `FIRST` to [`LONGEST`].
//!
//! ```text
//! short lives in a row   1  2  3  4  5   6     7     8    9   10   11   12 …
//! pause                  0  0  0  0  0  0.25  0.5   1 s  2 s  4 s  8 s  10 s
//! ```
//!
//! **When it is wrong.** A program that lives just longer than [`STEADY`] is started twice a second for ever: no storm.
//! Kubernetes does the same under the name `CrashLoopBackOff` (10 s to 5 min, forgotten after 10 min); systemd gives up
//! after five starts in ten seconds.

use std::time::Duration;

/// Who has been in service for so long was no false start.
pub const STEADY: Duration = Duration::from_millis(500);
/// False starts in a row that are replaced at once: somebody who kills replicas as fast as he can type shall see them return.
const FREE: u32 = 5;
/// The first pause.
const FIRST: Duration = Duration::from_millis(250);
/// The longest.
pub const LONGEST: Duration = Duration::from_secs(10);

/// How many false starts in a row there are when one more has ended that was in service for so long, if it was at all.
#[must_use]
pub fn row(before: u32, served: Option<Duration>) -> u32 {
    if served.is_some_and(|served| served >= STEADY) { 0 } else { before.saturating_add(1) }
}

/// How long to wait before the next start.
#[must_use]
pub fn pause(row: u32) -> Duration {
    match row.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(doublings) => LONGEST.min(FIRST * (1 << doublings.min(16))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u128> = (0..=13).map(|row| pause(row).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 0, 0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }

    #[test]
    fn who_has_served_begins_anew() {
        assert_eq!([row(7, None), row(7, Some(STEADY / 2)), row(7, Some(STEADY))], [8, 8, 0]);
    }
}
