//! How soon the throughput is back after a server was killed, and whether it is whole after its return: from the periods.

use serde::Serialize;

/// What counts as being back, and over how many seconds it must hold.
pub const BACK: f64 = 0.6;
const HOLDS: f64 = 1.0;
/// How long after its return a server must be in use again, in seconds: it is asked every second whether it lives.
pub const SETTLES: f64 = 2.0;

/// A server was killed and came back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Kill {
    /// Which one, from 1.
    pub server: usize,
    /// When it was killed, in seconds of the run.
    pub at: f64,
    /// When it ran again.
    pub returned: f64,
}

/// What that did to the throughput.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recovery {
    /// The kill.
    pub kill: Kill,
    /// Answers a second before it.
    pub before: f64,
    /// The least of all periods until the return, as a part of that.
    pub least: f64,
    /// After how many seconds a second begins in which there are [`BACK`] of the answers of before; nothing if none does.
    pub back_after: Option<f64>,
    /// Answers a second when it had returned, as a part of those before.
    pub after_return: f64,
    /// Which part of all answers the server that had returned gave then.
    pub share_after: f64,
}

/// A period: when it ended, and the answers in it.
pub type Period = (f64, u64);

/// What became of a kill, in these periods, from one moment to another; and with these shares of the killed server over time.
#[must_use]
pub fn recovery(periods: &[Period], kill: Kill, (before, until): (f64, f64), shares: &[(f64, f64)]) -> Recovery {
    let usual = rate(periods, before, kill.at);
    let gone: Vec<(f64, f64)> = lengths(periods)
        .filter(|(from, to, _)| *from >= kill.at && *to <= kill.returned)
        .map(|(from, to, answers)| (from, answers as f64 / (to - from)))
        .collect();
    let whole = |from: f64| rate(periods, from, from + HOLDS) >= BACK * usual;
    let back = gone.iter().map(|(from, _)| *from).find(|from| from + HOLDS <= kill.returned && whole(*from));
    Recovery {
        kill,
        before: usual,
        least: gone.iter().map(|(_, rate)| *rate).fold(usual, f64::min) / usual.max(f64::MIN_POSITIVE),
        back_after: back.map(|from| from - kill.at),
        after_return: rate(periods, kill.returned + SETTLES, until) / usual.max(f64::MIN_POSITIVE),
        share_after: mean_between(shares, kill.returned + SETTLES, until),
    }
}

/// The mean of the figures that belong to the time between these; each ends with its time, and took a second.
fn mean_between(figures: &[(f64, f64)], from: f64, to: f64) -> f64 {
    let within = figures.iter().filter(|(at, _)| *at >= from + 1.0 && *at <= to);
    let (count, sum) = within.fold((0.0, 0.0), |(count, sum), (_, figure)| (count + 1.0, sum + figure));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Answers a second in the periods that lie between these times, about.
fn rate(periods: &[Period], from: f64, to: f64) -> f64 {
    const SLACK: f64 = 1e-3;
    let within = lengths(periods).filter(|(begin, end, _)| *begin >= from - SLACK && *end <= to + SLACK);
    let (seconds, answers) =
        within.fold((0.0, 0), |(seconds, sum), (begin, end, answers)| (seconds + end - begin, sum + answers));
    if seconds > 0.0 { answers as f64 / seconds } else { 0.0 }
}

/// From when to when each period is, and its answers.
fn lengths(periods: &[Period]) -> impl Iterator<Item = (f64, f64, u64)> {
    let begins = std::iter::once(0.0).chain(periods.iter().map(|period| period.0));
    begins.zip(periods).map(|(begin, (end, answers))| (begin, *end, *answers)).filter(|(begin, end, _)| end > begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half-second periods; the server is killed at 4 s and back at 8 s.
    #[test]
    fn being_back_is_a_whole_second_of_enough() {
        let answers = [10, 10, 10, 10, 10, 10, 10, 10, 1, 7, 2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 10, 10, 9, 9];
        let periods: Vec<Period> = answers.iter().zip(1..).map(|(answers, n)| (f64::from(n) / 2.0, *answers)).collect();
        let kill = Kill { server: 2, at: 4.0, returned: 8.0 };
        let found = recovery(&periods, kill, (0.0, 12.0), &[(9.0, 0.0), (11.0, 0.25), (12.0, 0.35), (13.0, 9.0)]);
        assert_eq!((found.before, found.least, found.back_after), (20.0, 0.1, Some(1.5)));
        assert!((found.after_return - 0.95).abs() < 1e-9 && (found.share_after - 0.3).abs() < 1e-9, "{found:?}");
        let never = recovery(&periods[..9], Kill { returned: 4.5, ..kill }, (0.0, 4.5), &[]);
        assert_eq!((never.back_after, never.after_return), (None, 0.0));
    }
}
