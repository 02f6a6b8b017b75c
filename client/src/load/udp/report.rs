//! What is told at the end: a table for people, JSON for programs.

use super::{
    periods::{Counts, Row},
    plan::Plan,
};
use crate::{
    load::latency::{Latency, Summary},
    status::Status,
};
use serde::Serialize;
use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// The figures of a run; the names are those of the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many clients asked at once.
    pub threads: u32,
    /// Whom they asked.
    pub target: SocketAddr,
    /// What they asked.
    pub payload: String,
    /// Whether numbers stood behind that.
    pub numbered: bool,
    /// How long an answer was waited for, in seconds.
    pub timeout_s: f64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// From the beginning to the end of the last request, in seconds.
    pub seconds: f64,
    /// Requests that ended, however.
    pub requests: u64,
    /// Right answers.
    pub answers: u64,
    /// Requests without one in time.
    pub timeouts: u64,
    /// Requests with another one.
    pub wrong: u64,
    /// Answers that came when their request had been given up; nobody took them for another one.
    pub late: u64,
    /// Clients that ended early, because the system gave them no further socket.
    pub lost_clients: u32,
    /// Which part of the requests was answered rightly, from 0 to 1.
    pub success: f64,
    /// Throughput.
    pub answers_per_s: f64,
    /// Latency of the answers in microseconds, to a hundredth.
    pub latency_us: Summary,
    /// When it began. Not in the JSON.
    #[serde(skip)]
    pub started: Instant,
    /// The periods. Not in the JSON.
    #[serde(skip)]
    pub rows: Vec<Row>,
}

/// What the clients have come to, beside their periods.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Late answers.
    pub late: u64,
    /// Clients that ended early.
    pub lost: u32,
    /// Whether somebody stopped them.
    pub interrupted: bool,
}

impl Report {
    /// The report of a run.
    #[must_use]
    pub fn new(
        plan: &Plan,
        (counts, latency, last): &(Counts, Latency, Duration),
        ends: Ends,
        started: Instant,
        rows: Vec<Row>,
    ) -> Self {
        let seconds = last.as_secs_f64();
        let per_second = |count: u64| if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 };
        Self {
            threads: plan.threads,
            target: plan.target,
            payload: plan.payload.to_string(),
            numbered: plan.numbered,
            timeout_s: plan.timeout.as_secs_f64(),
            interrupted: ends.interrupted,
            seconds: (seconds * 1e6).round() / 1e6,
            requests: counts.requests(),
            answers: counts.answers,
            timeouts: counts.timeouts,
            wrong: counts.wrong,
            late: ends.late,
            lost_clients: ends.lost,
            success: counts.answers as f64 / counts.requests().max(1) as f64,
            answers_per_s: per_second(counts.answers),
            latency_us: latency.summary(),
            started,
            rows,
        }
    }

    /// How the run went: the worst of its requests.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.timeouts + self.wrong + u64::from(self.lost_clients) > 0 { Status::Failed } else { Status::Done }
    }

    /// The report as one line of JSON.
    ///
    /// # Errors
    /// None that happens: numbers and texts have a form in JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// A share in percent, never rounded up to all.
fn percent(part: f64) -> String {
    let floor = (part * 1e6).floor() / 1e4;
    format!("{floor:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        let numbered = if self.numbered { " and numbers" } else { "" };
        writeln!(
            f,
            "Closed loop in datagrams, {} {threads} at {}, {}{numbered}, {} s for an answer",
            self.threads, self.target, self.payload, self.timeout_s
        )?;
        let stopped = if self.interrupted { " (stopped before the end)" } else { "" };
        writeln!(
            f,
            "{:.3} s{stopped}: {} requests, {} answers, {} time-outs, {} wrong; success {} %, {} answers/s\n",
            self.seconds,
            self.requests,
            self.answers,
            self.timeouts,
            self.wrong,
            percent(self.success),
            self.answers_per_s
        )?;
        let told = &self.latency_us;
        let columns = [
            ("min", told.min),
            ("mean", told.mean),
            ("p50", told.p50),
            ("p90", told.p90),
            ("p99", told.p99),
            ("p99.9", told.p99_9),
            ("max", told.max),
        ];
        write!(f, "{:<14}", "latency in µs")?;
        columns.iter().try_for_each(|(title, _)| write!(f, "{title:>12}"))?;
        write!(f, "\n{:<14}", "from sending")?;
        columns
            .iter()
            .try_for_each(|(_, us)| if told.count == 0 { write!(f, "{:>12}", "-") } else { write!(f, "{us:>12.1}") })?;
        if self.late > 0 {
            write!(f, "\n\n{} answers came late; none was taken for another.", self.late)?;
        }
        if self.lost_clients > 0 {
            write!(f, "\n\n{} clients ended early: the system gave them no further socket.", self.lost_clients)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_never_rounded_up() {
        assert_eq!([1.0, 0.999_999_9, 0.9999, 0.6667, 0.0].map(percent), ["100", "99.9999", "99.99", "66.67", "0"]);
    }
}
