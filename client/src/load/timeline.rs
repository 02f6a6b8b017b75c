//! What happened in each second: a dip of one second disappears in the figures of a minute.
//!
//! A client gathers its current second by itself and adds it to the common list when the next one begins, so that the
//! list's lock is taken once a second. A request is counted in the second in which it began, its answer or error in the
//! one in which that came.

use super::latency::Latency;
use parking_lot::Mutex;
use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

/// Most seconds that are told apart; what comes later is counted in the last. An hour takes 60 MB.
const MOST_SECONDS: usize = 3_600;

/// Digits of latencies, where a list of seconds must be held.
const DIGITS: u8 = 2;

/// The titles of the file.
const TITLES: &str = "second,requests,answers,errors,mean_us,p50_us,p99_us";

/// One second.
#[derive(Clone, Debug)]
struct Second {
    requests: u64,
    answers: u64,
    errors: u64,
    latency: Latency,
}

impl Second {
    fn new() -> Self {
        Self { requests: 0, answers: 0, errors: 0, latency: Latency::new(DIGITS) }
    }

    fn is_empty(&self) -> bool {
        self.requests + self.answers + self.errors == 0
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.answers += other.answers;
        self.errors += other.errors;
        if !other.latency.is_empty() {
            self.latency.add(&other.latency);
        }
    }

    fn clear(&mut self) {
        (self.requests, self.answers, self.errors) = (0, 0, 0);
        if !self.latency.is_empty() {
            self.latency.clear();
        }
    }
}

/// The seconds of all clients.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Guards the list; held while one second is added.
    seconds: Arc<Mutex<Vec<Second>>>,
}

/// One client's part in it. Dropping it adds what is left.
#[derive(Debug)]
pub struct Part {
    timeline: Timeline,
    at: usize,
    current: Second,
}

impl Timeline {
    /// A client's part.
    #[must_use]
    pub fn part(&self) -> Part {
        Part { timeline: self.clone(), at: 0, current: Second::new() }
    }

    /// Writes it as CSV.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{TITLES}")?;
        for (second, all) in self.seconds.lock().iter().enumerate() {
            let Second { requests, answers, errors, latency } = all;
            let told = latency.summary();
            writeln!(out, "{second},{requests},{answers},{errors},{},{},{}", told.mean, told.p50, told.p99)?;
        }
        out.flush()
    }
}

impl Part {
    /// Counts a request that began this long after the beginning.
    pub fn request(&mut self, at: Duration) {
        self.turn_to(at).requests += 1;
    }

    /// Counts an answer.
    pub fn answer(&mut self, at: Duration, latency: Duration) {
        let second = self.turn_to(at);
        second.answers += 1;
        second.latency.record(latency);
    }

    /// Counts an error.
    pub fn error(&mut self, at: Duration) {
        self.turn_to(at).errors += 1;
    }

    fn turn_to(&mut self, at: Duration) -> &mut Second {
        let at = usize::try_from(at.as_secs()).unwrap_or(MOST_SECONDS).min(MOST_SECONDS - 1);
        if at != self.at {
            self.hand_in();
            self.at = at;
        }
        &mut self.current
    }

    fn hand_in(&mut self) {
        if self.current.is_empty() {
            return;
        }
        let mut seconds = self.timeline.seconds.lock();
        if seconds.len() <= self.at {
            seconds.resize_with(self.at + 1, Second::new);
        }
        if let Some(second) = seconds.get_mut(self.at) {
            second.add(&self.current);
        }
        drop(seconds);
        self.current.clear();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.hand_in();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_is_a_line() {
        let timeline = Timeline::default();
        let (mut first, mut second) = (timeline.part(), timeline.part());
        let at = Duration::from_millis;
        first.request(at(900));
        first.answer(at(1_100), at(200));
        second.request(at(0));
        second.error(at(3_999));
        second.request(at(2_500));
        first.request(Duration::from_secs(1_000_000_000));
        drop((first, second));
        let mut out = Vec::new();
        timeline.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + MOST_SECONDS);
        assert_eq!(
            lines[..5],
            [TITLES, "0,2,0,0,0,0,0", "1,0,1,0,200000,200000,200000", "2,1,0,0,0,0,0", "3,0,0,1,0,0,0"]
        );
        assert_eq!(lines[MOST_SECONDS], "3599,1,0,0,0,0,0");
    }
}
