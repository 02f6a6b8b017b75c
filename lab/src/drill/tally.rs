//! What the askers of a drill have seen.

use super::{harm::strike::now_us, question::Question};
use protocol::message::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// A first answer that was a failure. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When the request was sent.
    pub since_us: u64,
    /// When the failure came.
    pub at_us: u64,
    /// What was told.
    pub code: ErrorCode,
    /// Whether it was told that nothing happened.
    pub definite: bool,
    /// Whether it was told when to come again.
    pub come_again: bool,
}

impl Refusal {
    /// How long it took, in milliseconds.
    #[must_use]
    pub fn took_ms(&self) -> u64 {
        self.at_us.saturating_sub(self.since_us) / 1000
    }
}

/// Sentences that are kept as evidence, of each sort.
const KEPT: usize = 5;

/// What one asker, or all together, have seen.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Requests that were sent under an id of their own.
    pub asked: u64,
    /// Requests whose first answer was right.
    pub answered: u64,
    /// Right answers by server, also to requests that were asked again.
    pub by_server: BTreeMap<String, u64>,
    /// First answers that were failures, or none, by what was told: `file timeout (definite)`.
    pub errors: BTreeMap<String, u64>,
    /// Of those, the ones that left the outcome open although the request's time was not over.
    pub indefinite_early: u64,
    /// Requests of unknown outcome that were carried out, as asking again showed.
    pub settled_done: u64,
    /// Requests of unknown outcome that were not, and will not be.
    pub settled_failed: u64,
    /// Requests whose outcome stayed unknown.
    pub unsettled: u64,
    /// Answers that were none to the question.
    pub wrong: u64,
    /// Connections that could not be had, or were lost before a request was sent whole.
    pub reconnects: u64,
    /// The longest time until a first answer, in milliseconds.
    pub slowest_ms: u64,
    /// The times of right first answers, in microseconds.
    #[serde(skip)]
    pub times_us: Vec<u64>,
    /// First answers that were failures.
    #[serde(skip)]
    pub refusals: Vec<Refusal>,
    /// The first few errors and wrong answers, as sentences.
    pub evidence: Vec<String>,
    /// What was acknowledged as written.
    #[serde(skip)]
    pub written: HashSet<String>,
    /// What was refused for certain.
    #[serde(skip)]
    pub refused: HashSet<String>,
    /// What may have been written.
    #[serde(skip)]
    pub open: HashSet<String>,
}

impl Tally {
    /// A right answer; `again`: to a request that was asked before.
    pub fn done(&mut self, question: &Question, server: String, again: bool) {
        *self.by_server.entry(server).or_default() += 1;
        *(if again { &mut self.settled_done } else { &mut self.answered }) += 1;
        if let Question::Write { token, .. } = question {
            self.written.insert(token.clone());
        }
    }

    /// A first answer that was a failure.
    pub fn failed(&mut self, question: &Question, failure: &Failure, since_us: u64) {
        let (code, definite, come_again) = (failure.code, failure.definite, failure.retry_after_ms.is_some());
        self.refusals.push(Refusal { since_us, at_us: now_us(), code, definite, come_again });
        let sort = if failure.definite { "definite" } else { "outcome unknown" };
        self.error(question, &format!("{} ({sort})", failure.code), &failure.message);
        if failure.definite {
            self.refuse(question);
        }
    }

    /// A first answer that did not come.
    pub fn lost(&mut self, question: &Question, why: &str) {
        self.error(question, "connection lost (outcome unknown)", why);
    }

    /// The request could not even be sent.
    pub fn unreachable(&mut self, question: &Question, why: &str) {
        self.error(question, "no load balancer (definite)", why);
        self.refuse(question);
    }

    /// An answer to something else.
    pub fn wrong(&mut self, why: String) {
        self.wrong += 1;
        self.keep(format!("WRONG: {why}"));
    }

    /// A request of unknown outcome turned out not to have been carried out.
    pub fn settled_failed(&mut self, question: &Question) {
        self.settled_failed += 1;
        self.refuse(question);
    }

    /// A request of unknown outcome stays so.
    pub fn unsettled(&mut self, question: &Question, why: &str) {
        self.unsettled += 1;
        self.keep(format!("not settled: {why}"));
        if let Question::Write { token, .. } = question {
            self.open.insert(token.clone());
        }
    }

    /// A first answer, or its absence, took this long; `right`: it was what was asked for.
    pub fn took(&mut self, time: Duration, right: bool) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.slowest_ms = self.slowest_ms.max(us / 1000);
        if right {
            self.times_us.push(us);
        }
    }

    /// The time within which so many percent of the right answers came, in milliseconds; nothing if there were none.
    #[must_use]
    pub fn within_ms(&self, percent: usize) -> Option<f64> {
        let mut times = self.times_us.clone();
        times.sort_unstable();
        let rank = (times.len() * percent).div_ceil(100).checked_sub(1)?;
        Some(times[rank] as f64 / 1e3)
    }

    /// All first answers that were no answers.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The errors in one line.
    #[must_use]
    pub fn shown_errors(&self) -> String {
        let all: Vec<String> = self.errors.iter().map(|(what, count)| format!("{count} × {what}")).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    }

    fn error(&mut self, question: &Question, what: &str, why: &str) {
        let kind = match question {
            Question::File(_) => "file",
            Question::Read(_) => "SELECT",
            Question::Write { .. } => "INSERT",
        };
        *self.errors.entry(format!("{kind} {what}")).or_default() += 1;
        self.keep(format!("{kind} {what}: {why}"));
    }

    fn refuse(&mut self, question: &Question) {
        if let Question::Write { token, .. } = question {
            self.refused.insert(token.clone());
        }
    }

    fn keep(&mut self, sentence: String) {
        if self.evidence.len() < KEPT {
            self.evidence.push(sentence);
        }
    }

    /// Adds what another asker has seen.
    pub fn add(&mut self, other: Self) {
        let counts = |into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>| {
            from.into_iter().for_each(|(key, count)| *into.entry(key).or_default() += count);
        };
        counts(&mut self.by_server, other.by_server);
        counts(&mut self.errors, other.errors);
        self.asked += other.asked;
        self.answered += other.answered;
        self.indefinite_early += other.indefinite_early;
        self.settled_done += other.settled_done;
        self.settled_failed += other.settled_failed;
        self.unsettled += other.unsettled;
        self.wrong += other.wrong;
        self.reconnects += other.reconnects;
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        self.times_us.extend(other.times_us);
        self.refusals.extend(other.refusals);
        other.evidence.into_iter().for_each(|sentence| self.keep(sentence));
        self.written.extend(other.written);
        self.refused.extend(other.refused);
        self.open.extend(other.open);
    }
}
