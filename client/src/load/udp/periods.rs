//! What happened in each period, and in all of them.
//!
//! A client counts alone and hands in its period when it begins the next one, so the common lock is taken once a period by each.
//! A request counts in the period in which it *ended*. So a period is complete when the last client has gone beyond it, which
//! may be a time-out later; then it is told.

use super::caller::Outcome;
use crate::load::latency::{Latency, Summary};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

/// Digits of the latencies: each client holds a histogram, and with three digits a thousand of them would take 150 MB.
const DIGITS: u8 = 2;

/// The titles of the CSV.
pub const TITLES: &str = "time_s,requests,answers,timeouts,wrong,mean_ms,p50_ms,p90_ms,p99_ms,max_ms";

/// What became of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Right answers.
    pub answers: u64,
    /// Requests without one in time.
    pub timeouts: u64,
    /// Requests with another one.
    pub wrong: u64,
}

impl Counts {
    /// Requests that ended, however.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.answers + self.timeouts + self.wrong
    }

    fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.timeouts += other.timeouts;
        self.wrong += other.wrong;
    }
}

/// What is told of a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// When it ended, after the beginning.
    pub end: Duration,
    /// What became of the requests that ended in it.
    pub counts: Counts,
    /// Latencies of the answers, in microseconds.
    pub latency: Summary,
}

impl Row {
    /// A line of the CSV.
    #[must_use]
    pub fn csv(&self) -> String {
        let Counts { answers, timeouts, wrong } = self.counts;
        let Summary { mean, p50, p90, p99, max, .. } = self.latency;
        let ms = [mean, p50, p90, p99, max].map(|us| format!("{:.4}", us / 1e3)).join(",");
        format!("{:.3},{},{answers},{timeouts},{wrong},{ms}", self.end.as_secs_f64(), self.counts.requests())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { answers, timeouts, wrong } = self.counts;
        write!(
            f,
            "{:>8.1} s {answers:>9} answers, {timeouts} time-outs, {wrong} wrong; mean {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            self.end.as_secs_f64(),
            self.latency.mean / 1e3,
            self.latency.p99 / 1e3,
            self.latency.max / 1e3
        )
    }
}

#[derive(Clone, Debug)]
struct Period {
    counts: Counts,
    latency: Latency,
    /// How many clients have gone beyond it.
    passed: u32,
}

impl Period {
    fn new(passed: u32) -> Self {
        Self { counts: Counts::default(), latency: Latency::new(DIGITS), passed }
    }
}

/// The periods of all clients.
#[derive(Debug)]
pub struct Periods {
    every: Duration,
    clients: u32,
    /// Guards what is below; held to add one client's period, and to send what is complete into a channel without bounds.
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// Periods that are not complete, the first of which has this number.
    periods: VecDeque<Period>,
    first: usize,
    /// Clients that have ended, and so gone beyond every period.
    ended: u32,
    /// When the last request ended.
    last: Duration,
    whole: Period,
    rows: Sender<Row>,
}

/// One client's part in them. Dropping it hands in what is left.
#[derive(Debug)]
pub struct Part {
    periods: Arc<Periods>,
    at: usize,
    last: Duration,
    current: Period,
}

impl Periods {
    /// Periods of this length, of so many clients; each complete one is sent.
    #[must_use]
    pub fn new(every: Duration, clients: u32, rows: Sender<Row>) -> Arc<Self> {
        let (periods, whole) = (VecDeque::new(), Period::new(0));
        let open = Open { periods, first: 0, ended: 0, last: Duration::ZERO, whole, rows };
        Arc::new(Self { every, clients, open: Mutex::new(open) })
    }

    /// A client's part.
    #[must_use]
    pub fn part(self: &Arc<Self>) -> Part {
        Part { periods: Arc::clone(self), at: 0, last: Duration::ZERO, current: Period::new(0) }
    }

    /// All that was handed in, and when the last of these requests ended. Periods that are not complete are told as they are.
    #[must_use]
    pub fn end(&self) -> (Counts, Latency, Duration) {
        let mut open = self.open.lock();
        while !open.periods.is_empty() {
            open.tell(self.every, true);
        }
        (open.whole.counts, open.whole.latency.clone(), open.last)
    }

    /// The number of the period to which this time belongs.
    fn at(&self, time: Duration) -> usize {
        usize::try_from(time.as_nanos() / self.every.as_nanos().max(1)).unwrap_or(usize::MAX)
    }

    fn hand_in(&self, part: &Period, from: usize, to: Option<usize>, last: Duration) {
        let mut open = self.open.lock();
        open.last = open.last.max(last);
        // A client that ends without a request has no period, and need not make one.
        let until = to.unwrap_or(if part.counts == Counts::default() { from } else { from + 1 });
        let ended = open.ended;
        while open.first + open.periods.len() < until {
            open.periods.push_back(Period::new(ended));
        }
        if let Some(period) = from.checked_sub(open.first).and_then(|at| open.periods.get_mut(at)) {
            period.counts.add(part.counts);
            period.latency.add(&part.latency);
        }
        let first = open.first;
        let beyond = to.unwrap_or(usize::MAX);
        for (period, number) in open.periods.iter_mut().zip(first..) {
            period.passed += u32::from((from..beyond).contains(&number));
        }
        open.ended += u32::from(to.is_none());
        let all_ended = open.ended >= self.clients;
        while open.periods.front().is_some_and(|period| period.passed >= self.clients) {
            open.tell(self.every, all_ended);
        }
    }
}

impl Open {
    /// Tells the first period, and adds it to the whole.
    fn tell(&mut self, every: Duration, is_over: bool) {
        let Some(period) = self.periods.pop_front() else { return };
        self.first += 1;
        self.whole.counts.add(period.counts);
        self.whole.latency.add(&period.latency);
        let whole = every.saturating_mul(u32::try_from(self.first).unwrap_or(u32::MAX));
        // The last one of all is shorter.
        let end = if is_over && self.periods.is_empty() { whole.min(self.last) } else { whole };
        let _nobody_reads = self.rows.send(Row { end, counts: period.counts, latency: period.latency.summary() });
    }
}

impl Part {
    /// Counts a request that ended this long after the beginning.
    pub fn count(&mut self, end: Duration, outcome: Outcome, latency: Duration) {
        let at = self.periods.at(end);
        if at > self.at {
            self.periods.hand_in(&self.current, self.at, Some(at), self.last);
            self.at = at;
            self.current.counts = Counts::default();
            self.current.latency.clear();
        }
        self.last = end;
        let counts = &mut self.current.counts;
        match outcome {
            Outcome::Answered => {
                counts.answers += 1;
                self.current.latency.record(latency);
            }
            Outcome::TimedOut => counts.timeouts += 1,
            Outcome::Wrong => counts.wrong += 1,
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.periods.hand_in(&self.current, self.at, None, self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, unbounded};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn periods(clients: u32) -> (Arc<Periods>, Receiver<Row>) {
        let (sender, rows) = unbounded();
        (Periods::new(MS(1_000), clients, sender), rows)
    }

    fn told(rows: &Receiver<Row>) -> Vec<(u64, [u64; 3])> {
        let row = |row: Row| {
            let Counts { answers, timeouts, wrong } = row.counts;
            (u64::try_from(row.end.as_millis()).unwrap(), [answers, timeouts, wrong])
        };
        rows.try_iter().map(row).collect()
    }

    #[test]
    fn a_period_is_told_when_the_last_client_has_gone_beyond_it() {
        let (periods, rows) = periods(2);
        let (mut fast, mut slow) = (periods.part(), periods.part());
        fast.count(MS(500), Outcome::Answered, MS(5));
        fast.count(MS(1_500), Outcome::Answered, MS(5));
        fast.count(MS(2_500), Outcome::Wrong, MS(5));
        assert_eq!(told(&rows), []);
        // Its first request was waited for 3.2 s, so that it passes three periods at once.
        slow.count(MS(3_200), Outcome::TimedOut, MS(3_000));
        assert_eq!(told(&rows), [(1_000, [1, 0, 0]), (2_000, [1, 0, 0])]);
        drop(fast);
        assert_eq!(told(&rows), [(3_000, [0, 0, 1])]);
        drop(slow);
        assert_eq!(told(&rows), [(3_200, [0, 1, 0])]);
        let (counts, latency, last) = periods.end();
        assert_eq!((counts, last), (Counts { answers: 2, timeouts: 1, wrong: 1 }, MS(3_200)));
        assert_eq!((counts.requests(), latency.summary().count), (4, 2));
    }

    #[test]
    fn empty_periods_are_told_too_and_clients_without_requests_make_none() {
        let (periods, rows) = periods(2);
        let (mut one, idle) = (periods.part(), periods.part());
        drop(idle);
        one.count(MS(100), Outcome::Answered, MS(1));
        one.count(MS(2_100), Outcome::Answered, MS(1));
        drop(one);
        assert_eq!(told(&rows), [(1_000, [1, 0, 0]), (2_000, [0; 3]), (2_100, [1, 0, 0])]);
    }

    #[test]
    fn what_is_not_complete_at_the_end_is_told_as_it_is() {
        let (periods, rows) = periods(2);
        let (mut one, _hanging) = (periods.part(), periods.part());
        one.count(MS(100), Outcome::Answered, MS(1));
        drop(one);
        assert_eq!(told(&rows), []);
        assert_eq!(periods.end().0.answers, 1);
        assert_eq!(told(&rows), [(100, [1, 0, 0])]);
    }

    #[test]
    fn a_row_is_a_line_under_the_titles() {
        let latency =
            Summary { mean: 14_450.0, p50: 14_000.0, p90: 15_000.0, p99: 20_000.5, max: 3e6, ..Summary::default() };
        let row = Row { end: MS(10_000), counts: Counts { answers: 8, timeouts: 1, wrong: 1 }, latency };
        assert_eq!(row.csv(), "10.000,10,8,1,1,14.4500,14.0000,15.0000,20.0005,3000.0000");
        assert_eq!(row.csv().split(',').count(), TITLES.split(',').count());
    }
}
