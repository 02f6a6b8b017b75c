//! `least-time`: the server that will probably answer first.
//!
//! **The problem.** Servers differ, networks differ, and both change while one looks. What a server *says* it needs
//! is a promise; what it needed for the last requests is a fact.
//!
//! **The idea.** Keep a moving average of each server's response times. A request that comes now shares the server with
//! those it holds, so what it may expect is
//!
//! > score = average × (active + 1), for a full weight
//!
//! and the least score wins; of equals the server that was chosen longest ago.
//!
//! **Worked example.** a answers in 0.1 s, b in 0.4 s. Idle, a scores 0.1 and b 0.4. a gets the first request and
//! scores 0.2, the second 0.3, the third 0.4: now both are equal, and b, chosen longer ago, gets the fourth. So a
//! holds about four times as many as b, as it should: it is four times as fast.
//!
//! **An average that fades with time** ([`MEMORY`]: 10 s, as in Finagle and linkerd). A response time that comes Δt
//! after the last one replaces the share 1 − e^(−Δt/10 s) of the average. Two answers 1 ms apart say nearly the same
//! thing, and a thousand of them in a second weigh together as much as one answer that stands for that second: what
//! is averaged is time, not requests. 10 s are long against a request, so that one odd answer does not turn the order
//! over, and short against the patience of somebody who looks on: a server that became ten times slower scores more
//! than twice as much after 2 s, and has four fifths of its way behind it after 16 s.
//!
//! **A new server** starts with the processing time it announced, at least 1 ms: it is a better guess than none, it
//! puts the new server in the right place at its first request, and a server that boasts is found out by its first
//! answers. Starting from 0 would draw the whole crowd to whoever has just come; starting from the others' average
//! would ignore that servers differ.
//!
//! **A failure** is not a response time. A server that refuses in 1 ms would look like the fastest of all and draw
//! everything. So a failure makes the average twice what it was, and at least [`FAILURE`] (2 s, which is what an
//! attempt is granted beyond the processing time, so what a failure may have cost), at most [`WORST`]. From there
//! real answers bring it down. A request that was *cancelled* tells only that the answer would have taken longer than
//! that: it counts if that is more than the average.
//!
//! **An idle slow server** gets no requests, so no response times, so it would look slow for ever, though it may have
//! recovered long ago. Therefore an average that is not confirmed fades: the score of a server that holds nothing is
//! multiplied by e^(−t/10 s), t being the time since its last answer. Sooner or later it is the least and gets *one*
//! request. With that it is not idle any more and scores its full average again, so that no second one follows until
//! the first has shown how it is; and because the last answer is long ago, the new one replaces nearly the whole
//! average. A server s times slower than an idle rival with fresh answers is tried each 10 s × ln s: 14 s for s = 4,
//! 23 s for 10, 46 s for 100. That is the price of knowing. It fades toward 0 and not toward what the server
//! announced: else a server that announced too much would never be tried at all.
//!
//! **When it is wrong.** When requests are of very different kinds: a server that happened to get the large files looks
//! slow. When several load balancers follow the same numbers, they all run to the same server. And it notices a slow
//! answer only when it has come; a server that hangs is held back by its active requests alone, until `health` says so.
//!
//! **Simplified here.** Finagle's and linkerd's average jumps *up* to a slow answer at once and only falls slowly
//! ("peak EWMA"); it flees faster, and shies at every large file. nginx `least_time` (in its commercial edition)
//! averages over requests instead of time. Both draw two servers instead of looking at all.
//!
//! **Sources.** Finagle, `PeakEwma.scala`; linkerd2-proxy, `tower::load::PeakEwma`; nginx, `ngx_http_upstream_module`,
//! `least_time`.

use super::{Candidate, Choice, Circumstances, Ended, Name, Policy, memory::Memory, weight};
use std::time::Duration;

/// How long a response time is remembered: after this time, 37 % of it is left.
pub const MEMORY: Duration = Duration::from_secs(10);

/// What an answer that failed counts at the least.
pub const FAILURE: Duration = Duration::from_secs(2);

/// What repeated failures make of the average at the most. Beside an idle rival of 0.1 s such a server is
/// tried again after 64 s.
pub const WORST: Duration = Duration::from_secs(60);

/// Response times below this count as this: with an average of zero, a server would look idle however much it holds.
pub const FASTEST: Duration = Duration::from_micros(1);

/// The policy `least-time`.
#[derive(Debug, Default)]
pub struct LeastTime {
    times: Memory<Average>,
}

/// A server's response time, as far as is known.
#[derive(Clone, Copy, Debug)]
struct Average {
    seconds: f64,
    /// When it was confirmed last, since the pool began.
    confirmed: Duration,
}

impl Policy for LeastTime {
    fn name(&self) -> Name {
        Name::LeastTime
    }

    fn choose(&mut self, candidates: &[Candidate], circumstances: &mut Circumstances<'_>) -> Choice {
        let mut best = (0, f64::INFINITY, u64::MAX);
        for (index, candidate) in candidates.iter().enumerate() {
            let expected = self.expected(candidate, circumstances.now);
            if expected < best.1 || (expected == best.1 && candidate.last_chosen < best.2) {
                best = (index, expected, candidate.last_chosen);
            }
        }
        Choice::plain(best.0)
    }

    /// Seconds that a request may expect there, for a full weight.
    fn score(&self, candidate: &Candidate, circumstances: &Circumstances<'_>) -> Option<f64> {
        Some(self.expected(candidate, circumstances.now))
    }

    fn servers_changed(&mut self, servers: &[Candidate], now: Duration) {
        self.times.follow(servers, |server| Average::announced(server, now));
    }

    fn request_finished(&mut self, server: &Candidate, ended: Ended, took: Duration, now: Duration) {
        let Some(average) = self.times.of_mut(server) else { return };
        match ended {
            Ended::Answered => average.answered(took, now),
            Ended::Failed => average.failed(took, now),
            Ended::Cancelled if took.as_secs_f64() > average.seconds => average.answered(took, now),
            Ended::Cancelled => {}
        }
    }
}

impl LeastTime {
    fn expected(&self, server: &Candidate, now: Duration) -> f64 {
        let average = self.times.of(server).copied().unwrap_or_else(|| Average::announced(server, now));
        let seconds = if server.active == 0 { average.faded(now) } else { average.seconds };
        let weight = f64::from(weight::given(server)) / f64::from(weight::FULL);
        seconds * (f64::from(server.active) + 1.0) / weight
    }
}

impl Average {
    fn announced(server: &Candidate, now: Duration) -> Self {
        Self { seconds: server.processing_time.max(weight::LEAST_TIME).as_secs_f64(), confirmed: now }
    }

    /// The share of it that is left at this time.
    fn left(&self, now: Duration) -> f64 {
        let age = now.saturating_sub(self.confirmed);
        (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp()
    }

    fn faded(&self, now: Duration) -> f64 {
        self.seconds * self.left(now)
    }

    fn answered(&mut self, took: Duration, now: Duration) {
        let left = self.left(now);
        self.seconds = self.seconds * left + took.max(FASTEST).as_secs_f64() * (1.0 - left);
        self.confirmed = now;
    }

    fn failed(&mut self, took: Duration, now: Duration) {
        let counts = (2.0 * self.seconds).max(FAILURE.as_secs_f64()).max(took.as_secs_f64());
        self.seconds = counts.min(WORST.as_secs_f64());
        self.confirmed = now;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    const S: Duration = Duration::from_secs(1);

    fn knowing(servers: &[Candidate]) -> LeastTime {
        let mut policy = LeastTime::default();
        policy.servers_changed(servers, Duration::ZERO);
        policy
    }

    fn choice_at(policy: &mut LeastTime, servers: &[Candidate], now: Duration) -> usize {
        let mut random = fastrand::Rng::with_seed(1);
        policy.choose(servers, &mut Circumstances { now, ..calm(&mut random) }).index
    }

    fn average(policy: &LeastTime, server: &Candidate) -> f64 {
        policy.times.of(server).unwrap().seconds
    }

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} where {expected} was expected");
    }

    #[test]
    fn a_fast_server_holds_as_many_times_more_as_it_is_faster() {
        let mut servers = idle(&[100, 400]);
        let mut policy = knowing(&servers);
        let mut order = Vec::new();
        for count in 1..=10 {
            let at = choice_at(&mut policy, &servers, Duration::ZERO);
            servers[at].active += 1;
            servers[at].last_chosen = count;
            order.push(servers[at].key.0);
        }
        assert_eq!(order, [1, 1, 1, 2, 1, 1, 1, 1, 2, 1]);
    }

    #[test]
    fn an_answer_replaces_the_share_of_the_time_that_has_passed() {
        let servers = idle(&[100]);
        let mut policy = knowing(&servers);
        policy.request_finished(&servers[0], Ended::Answered, S, S);
        assert_near(average(&policy, &servers[0]), 0.1 * (-0.1_f64).exp() + 1.0 - (-0.1_f64).exp());
        // A thousand answers in a second weigh as much together as the one before.
        let mut policy = knowing(&servers);
        (1..=1_000).for_each(|ms| policy.request_finished(&servers[0], Ended::Answered, S, ms * S / 1_000));
        assert_near(average(&policy, &servers[0]), 0.1 * (-0.1_f64).exp() + 1.0 - (-0.1_f64).exp());
    }

    #[test]
    fn a_new_server_starts_with_what_it_announces_but_not_with_nothing() {
        let servers = idle(&[0, 5]);
        let policy = knowing(&servers);
        assert_near(average(&policy, &servers[0]), 0.001);
        assert_near(average(&policy, &servers[1]), 0.005);
    }

    #[test]
    fn whoever_fails_fast_does_not_look_fast() {
        let servers = idle(&[100, 400]);
        let mut policy = knowing(&servers);
        assert_eq!(choice_at(&mut policy, &servers, Duration::ZERO), 0);
        policy.request_finished(&servers[0], Ended::Failed, S / 1_000, S);
        assert_near(average(&policy, &servers[0]), 2.0);
        assert_eq!(choice_at(&mut policy, &servers, S), 1);
        policy.request_finished(&servers[0], Ended::Failed, S / 1_000, 2 * S);
        assert_near(average(&policy, &servers[0]), 4.0);
        (3..40).for_each(|s| policy.request_finished(&servers[0], Ended::Failed, S / 1_000, s * S));
        assert_near(average(&policy, &servers[0]), 60.0);
    }

    #[test]
    fn a_cancelled_request_counts_only_if_it_shows_that_the_server_is_slow() {
        let servers = idle(&[100]);
        let mut policy = knowing(&servers);
        policy.request_finished(&servers[0], Ended::Cancelled, S / 100, 5 * S);
        assert_near(average(&policy, &servers[0]), 0.1);
        policy.request_finished(&servers[0], Ended::Cancelled, S, 1_000 * S);
        assert_near(average(&policy, &servers[0]), 1.0);
    }

    /// Two servers announce the same; the second needs ten times as long. Requests come one by one, each half second.
    #[test]
    fn an_idle_slow_server_is_tried_once_in_a_while_and_comes_back_when_it_is_fast_again() {
        let mut servers = idle(&[100, 100]);
        let mut policy = knowing(&servers);
        let mut tried = Vec::new();
        for half in 0..400_u64 {
            let (now, recovered) = (half as u32 * S / 2, half >= 200);
            let at = choice_at(&mut policy, &servers, now);
            servers[at].last_chosen = half + 1;
            let took = if at == 1 && !recovered { S } else { S / 10 };
            policy.request_finished(&servers[at], Ended::Answered, took, now + took);
            if at == 1 {
                tried.push(half / 2);
            }
        }
        let before = tried.iter().filter(|second| (10..100).contains(*second)).count();
        let after = tried.iter().filter(|second| **second >= 140).count();
        assert!((3..=9).contains(&before), "each 10 s × ln 10 = 23 s or a little more often: {tried:?}");
        assert!((50..=70).contains(&after), "an equal again, which gets half: {tried:?}");
    }

    #[test]
    fn a_server_on_trial_gets_one_request_and_no_crowd() {
        let mut servers = idle(&[100, 1_000]);
        let mut policy = knowing(&servers);
        policy.request_finished(&servers[0], Ended::Answered, S / 10, 30 * S);
        assert_eq!(choice_at(&mut policy, &servers, 30 * S), 1, "1 s × e^−3 is less than 0.1 s");
        servers[1].active = 1;
        assert_eq!(choice_at(&mut policy, &servers, 30 * S), 0);
    }

    #[test]
    fn weights_divide_the_score() {
        let mut servers = idle(&[100, 150]);
        servers[0].weight = Some(128);
        let mut policy = knowing(&servers);
        assert_eq!(choice_at(&mut policy, &servers, Duration::ZERO), 1, "0.2 against 0.15");
    }
}
