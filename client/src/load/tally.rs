//! What one client has seen, and the sum over all clients. A client counts alone, without locks; the sums are made when
//! it has ended.

use super::latency::Latency;
use protocol::{
    id::RequestId,
    message::{ErrorCode, Failure},
};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Digits of the latencies of a whole run.
const DIGITS: u8 = 3;

/// How many requests with an unknown outcome are named at the end.
pub const NAMED_UNSETTLED: usize = 100;

/// Answers that are not what they must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Frames that carry the id of another request.
    pub ids: u64,
    /// Files whose size or SHA-256 is not what was announced.
    pub digests: u64,
    /// Answers with frames, rows or counts that make no sense.
    pub frames: u64,
    /// Answers with another value than expected (`--expect`).
    pub values: u64,
}

impl Wrong {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ids + self.digests + self.frames + self.values
    }
}

/// What came of requests whose outcome was unknown at first (`--settle`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// How often it was asked again.
    pub asked_again: u64,
    /// Requests that turned out to be carried out.
    pub done: u64,
    /// Requests that surely failed.
    pub failed: u64,
    /// Requests whose outcome is still unknown.
    pub unsettled: u64,
}

/// One kind of error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// Its code.
    pub code: ErrorCode,
    /// Whether the requests surely have no effect.
    pub definite: bool,
    /// How many there were.
    pub count: u64,
    /// The first of them, in words.
    pub example: String,
}

/// A request whose outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsettled {
    /// Its id, for `--request-id`.
    pub id: RequestId,
    /// What was asked.
    pub request: String,
}

/// All that is counted.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests sent.
    pub requests: u64,
    /// Whole and right answers.
    pub answers: u64,
    /// Bytes received, frames and all.
    pub bytes: u64,
    /// Rows received.
    pub rows: u64,
    /// Requests given up at the end, before anything was known of them.
    pub abandoned: u64,
    /// Latencies of the answers: closed loop from sending, open loop from when they should have been sent.
    pub latency: Latency,
    /// Open loop: latencies from sending.
    pub uncorrected: Option<Latency>,
    /// Open loop: how late requests began although their client was free. It measures the load generator.
    pub start_delay: Option<Latency>,
    /// Errors by code.
    pub errors: Vec<ErrorCount>,
    /// Answers by the server that says it gave them.
    pub servers: Vec<(String, u64)>,
    /// Answers that are wrong.
    pub wrong: Wrong,
    /// What asking again has brought.
    pub settled: Settled,
    /// The first requests whose outcome is unknown.
    pub unsettled: Vec<Unsettled>,
    /// When the last answer or error came.
    pub last: Option<Instant>,
}

impl Tally {
    /// Nothing yet, of an open or a closed loop.
    #[must_use]
    pub fn new(open: bool) -> Self {
        let latencies = || open.then(|| Latency::new(DIGITS));
        Self {
            requests: 0,
            answers: 0,
            bytes: 0,
            rows: 0,
            abandoned: 0,
            latency: Latency::new(DIGITS),
            uncorrected: latencies(),
            start_delay: latencies(),
            errors: Vec::new(),
            servers: Vec::new(),
            wrong: Wrong::default(),
            settled: Settled::default(),
            unsettled: Vec::new(),
            last: None,
        }
    }

    /// Counts an answer that took this long, and from sending that long.
    pub fn answer(&mut self, server: &str, latency: Duration, from_sending: Duration) {
        self.answers += 1;
        self.latency.record(latency);
        if let Some(uncorrected) = &mut self.uncorrected {
            uncorrected.record(from_sending);
        }
        if server.is_empty() {
            return;
        }
        match self.servers.iter_mut().find(|(known, _)| known == server) {
            Some((_, count)) => *count += 1,
            None => self.servers.push((server.to_owned(), 1)),
        }
    }

    /// Counts an error.
    pub fn error(&mut self, failure: &Failure) {
        match self.errors.iter_mut().find(|known| (known.code, known.definite) == (failure.code, failure.definite)) {
            Some(known) => known.count += 1,
            None => {
                let Failure { code, definite, message, .. } = failure.clone();
                self.errors.push(ErrorCount { code, definite, count: 1, example: message });
            }
        }
    }

    /// Names a request whose outcome is unknown.
    pub fn name_unsettled(&mut self, id: RequestId, request: impl FnOnce() -> String) {
        if self.unsettled.len() < NAMED_UNSETTLED {
            self.unsettled.push(Unsettled { id, request: request() });
        }
    }

    /// How many errors there were.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.iter().map(|error| error.count).sum()
    }

    /// Errors after which nobody knows whether the request was carried out, whatever asking again has brought.
    #[must_use]
    pub fn indefinite_count(&self) -> u64 {
        self.errors.iter().filter(|error| !error.definite).map(|error| error.count).sum()
    }

    /// Adds what another client has seen.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.answers += other.answers;
        self.bytes += other.bytes;
        self.rows += other.rows;
        self.abandoned += other.abandoned;
        self.latency.add(&other.latency);
        add_latency(&mut self.uncorrected, other.uncorrected.as_ref());
        add_latency(&mut self.start_delay, other.start_delay.as_ref());
        for error in other.errors {
            match self.errors.iter_mut().find(|known| (known.code, known.definite) == (error.code, error.definite)) {
                Some(known) => known.count += error.count,
                None => self.errors.push(error),
            }
        }
        for (server, answers) in other.servers {
            match self.servers.iter_mut().find(|(known, _)| *known == server) {
                Some((_, count)) => *count += answers,
                None => self.servers.push((server, answers)),
            }
        }
        self.wrong.ids += other.wrong.ids;
        self.wrong.digests += other.wrong.digests;
        self.wrong.frames += other.wrong.frames;
        self.wrong.values += other.wrong.values;
        self.settled.asked_again += other.settled.asked_again;
        self.settled.done += other.settled.done;
        self.settled.failed += other.settled.failed;
        self.settled.unsettled += other.settled.unsettled;
        self.unsettled.extend(other.unsettled);
        self.unsettled.truncate(NAMED_UNSETTLED);
        self.last = self.last.max(other.last);
    }
}

fn add_latency(mine: &mut Option<Latency>, other: Option<&Latency>) {
    if let (Some(mine), Some(other)) = (mine, other) {
        mine.add(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_clients_have_seen_is_added() {
        let second = Duration::from_secs(1);
        let seen = |server: &str, definite: bool| {
            let mut tally = Tally::new(true);
            tally.requests = 2;
            tally.answer(server, 2 * second, second);
            let failure = Failure { definite, ..Failure::definite(ErrorCode::Timeout, server) };
            tally.error(&failure);
            tally.wrong.values = 1;
            tally.settled.done = 1;
            tally.name_unsettled(RequestId::NONE, || server.to_owned());
            tally
        };
        let mut all = seen("1", true);
        all.add(seen("2", true));
        all.add(seen("1", false));
        assert_eq!((all.requests, all.answers, all.error_count(), all.indefinite_count()), (6, 3, 3, 1));
        assert_eq!(all.servers, [("1".to_owned(), 2), ("2".to_owned(), 1)]);
        assert_eq!((all.errors[0].count, all.errors[0].example.as_str(), all.errors[1].definite), (2, "1", false));
        assert_eq!((all.wrong.total(), all.settled.done, all.unsettled.len()), (3, 3, 3));
        let uncorrected = all.uncorrected.unwrap().summary();
        assert_eq!((uncorrected.count, uncorrected.max, all.latency.summary().max), (3, 1e6, 2e6));
    }
}
