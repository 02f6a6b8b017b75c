//! One client of a load test: takes its turn, asks, counts.

use super::{
    caller::{Caller, Cut},
    plan::Plan,
    schedule::{Progress, Turn},
    settle::{Outcome, settle},
    tally::Tally,
    template::{Filling, Template, random_of},
    timeline::Part,
};
use crate::{
    error::{Error, Failed},
    received::ReceiveError,
    request::Request,
};
use protocol::{
    message::{ErrorCode, Failure},
    stop::Stop,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// First pause after nobody could be reached; it doubles. Without it a client would ask a dead port 50,000 times a
/// second.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Longest pause after an error, also where the other side asks for a longer one: a restart must be noticed soon.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What all clients share.
#[derive(Debug)]
pub struct Shared {
    /// What to do.
    pub plan: Plan,
    /// How far they have come.
    pub progress: Progress,
    /// Whether to end.
    pub stop: Stop,
    /// Whether what is begun is cut off, so that its errors are the load generator's doing.
    pub cut_off: AtomicBool,
}

/// One client.
pub struct Worker {
    shared: Arc<Shared>,
    number: u64,
    caller: Caller,
    tally: Tally,
    part: Option<Part>,
    /// One request for each item of the mix, filled anew in the same memory.
    requests: Vec<Request>,
    expected: Option<Template>,
    pause: Duration,
}

impl Worker {
    /// Client number `number`, from 1.
    #[must_use]
    pub fn new(shared: Arc<Shared>, number: u64, cut: Cut, part: Option<Part>) -> Self {
        let plan = &shared.plan;
        let caller = Caller::new(plan.link_of(number), cut, plan.new_connection, plan.fate.clone());
        let tally = Tally::new(plan.schedule.rate.is_some());
        let requests = plan.mix.items().iter().map(super::mix::Item::blank).collect();
        let expected = plan.expect.clone();
        Self { shared, number, caller, tally, part, requests, expected, pause: FIRST_PAUSE }
    }

    /// Gets ready, as far as that is no part of a request.
    pub fn prepare(&mut self) {
        exact_timers();
        self.caller.connect();
    }

    /// Asks until there is an end; gives back what it has counted.
    #[must_use]
    pub fn run(mut self, start: Instant) -> Tally {
        let mut now = Instant::now();
        while !self.shared.stop.is_set() {
            let at = now.saturating_duration_since(start);
            let Some(turn) = self.shared.plan.schedule.turn(&self.shared.progress, at) else { break };
            let intended = turn.intended.map(|intended| start + intended);
            let begin = match intended {
                Some(intended) if intended > now => {
                    if self.shared.stop.wait_timeout(intended - now) {
                        break;
                    }
                    let begin = Instant::now();
                    if let (Some(delay), true) = (&mut self.tally.start_delay, turn.counted) {
                        delay.record(begin.saturating_duration_since(intended));
                    }
                    begin
                }
                _ => now,
            };
            now = self.one(start, turn, intended.unwrap_or(begin), begin);
        }
        self.tally.wrong.ids = self.caller.checked.foreign;
        self.tally
    }

    /// One request. Says when it was over.
    fn one(&mut self, start: Instant, turn: Turn, intended: Instant, begin: Instant) -> Instant {
        let card = self.shared.plan.mix.card(turn.n);
        self.fill(turn.n, card);
        let bytes = self.caller.bytes;
        let asked = self.caller.ask(&self.requests[card]);
        let end = Instant::now();
        if let Err(failed) = &asked
            && self.shared.cut_off.load(Ordering::Relaxed)
        {
            self.abandoned(turn, card, failed);
            return end;
        }
        if turn.counted {
            self.tally.requests += 1;
            self.tally.bytes += self.caller.bytes - bytes;
            self.tally.rows += self.caller.checked.rows;
            self.tally.last = Some(end);
        }
        let counted_from = start + self.shared.plan.schedule.warmup;
        let ended = end.saturating_duration_since(counted_from);
        if let (Some(part), true) = (&mut self.part, turn.counted) {
            part.request(intended.saturating_duration_since(counted_from));
        }
        match (asked, self.caller.checked.unexpected.take()) {
            (Ok(()), None) => {
                self.pause = FIRST_PAUSE;
                if turn.counted {
                    self.answered(ended, end.saturating_duration_since(intended), end.saturating_duration_since(begin));
                }
            }
            (Ok(()), Some(found)) => {
                self.count_error(turn, ended, &unexpected_value(&found));
                self.tally.wrong.values += u64::from(turn.counted);
            }
            (Err(failed), _) => {
                self.failed(turn, ended, card, &failed);
                return Instant::now();
            }
        }
        end
    }

    fn answered(&mut self, at: Duration, latency: Duration, from_sending: Duration) {
        self.tally.answer(&self.caller.server, latency, from_sending);
        if let Some(part) = &mut self.part {
            part.answer(at, latency);
        }
    }

    /// Counts a request that was cut off. It failed by our own doing, but a statement may have been carried out.
    fn abandoned(&mut self, turn: Turn, card: usize, failed: &Failed) {
        self.tally.requests += u64::from(turn.counted);
        self.tally.abandoned += u64::from(turn.counted);
        if !failed.is_definite() {
            self.settle(card, failed);
        }
    }

    fn fill(&mut self, n: u64, card: usize) {
        let plan = &self.shared.plan;
        let request = &mut self.requests[card];
        if *request == Request::Ping {
            return;
        }
        let filling = Filling { n: n + 1, client: self.number, random: random_of(plan.seed, n) };
        plan.mix.items()[card].fill(filling, request);
        let wanted = self.expected.as_ref().filter(|_| matches!(request, Request::Query(_)));
        let expected = &mut self.caller.checked.expected;
        match wanted {
            Some(template) => template.fill(filling, expected.get_or_insert_default()),
            None => *expected = None,
        }
    }

    fn count_error(&mut self, turn: Turn, at: Duration, failure: &Failure) {
        if turn.counted {
            self.tally.error(failure);
            if let Some(part) = &mut self.part {
                part.error(at);
            }
        }
    }

    /// Counts a failed request, settles it if that is wanted, and waits where asking on at once would be of no use.
    fn failed(&mut self, turn: Turn, at: Duration, card: usize, failed: &Failed) {
        let failure = failed.to_failure();
        self.count_error(turn, at, &failure);
        if turn.counted {
            match &failed.error {
                Error::BadAnswer { .. } => self.tally.wrong.frames += 1,
                Error::Receive(
                    ReceiveError::Size { .. } | ReceiveError::Digest { .. } | ReceiveError::Chunk { .. },
                ) => self.tally.wrong.digests += 1,
                _ => {}
            }
        }
        if !failure.definite {
            self.settle(card, failed);
        }
        let pause = match (&failed.error, failure.retry_after_ms) {
            (Error::NoBalancer { .. }, _) => {
                let pause = self.pause;
                self.pause = (pause * 2).min(LONGEST_PAUSE);
                pause
            }
            (_, Some(ms)) => Duration::from_millis(ms).min(LONGEST_PAUSE),
            _ => return,
        };
        let _stopped = self.shared.stop.wait_timeout(pause);
    }

    /// The outcome of each request that might have happened counts, also of the warm-up: its row may be there.
    fn settle(&mut self, card: usize, failed: &Failed) {
        let (id, request) = (failed.request, &self.requests[card]);
        let (outcome, asked) = match self.shared.plan.settle {
            Some(limit) => settle(&mut self.caller, id, request, limit, &self.shared.stop),
            None => (Outcome::Unknown, 0),
        };
        let settled = &mut self.tally.settled;
        settled.asked_again += asked;
        match outcome {
            Outcome::Done => settled.done += 1,
            Outcome::Failed => settled.failed += 1,
            Outcome::Unknown => {
                settled.unsettled += 1;
                self.tally.name_unsettled(id, || match request {
                    Request::Query(text) | Request::File(text) => text.clone(),
                    Request::Ping | Request::Servers => String::new(),
                });
            }
        }
    }
}

fn unexpected_value(found: &str) -> Failure {
    const LONGEST: usize = 100;
    let found: String = found.chars().take(LONGEST).collect();
    Failure::indefinite(ErrorCode::Damaged, format!("The answer has the value '{found}', which was not expected."))
}

/// Wakes from waits at the microsecond and not up to 50 µs later, where the system lets a thread choose.
fn exact_timers() {
    #[cfg(target_os = "linux")]
    let _usual_slack = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}
