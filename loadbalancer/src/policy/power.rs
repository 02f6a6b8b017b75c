//! `power`: the strongest idle server first, equals in turn.
//!
//! **The problem.** Servers differ. Dealing requests out evenly makes the weakest server the bottleneck while the
//! strongest waits.
//!
//! **The idea.** Keep the idle servers in order of their processing time and take the first. The strongest server
//! is idle again soonest, so it is taken most often, without anybody computing shares: under a steady surplus of
//! requests every server is always busy, and each answers in proportion to its speed.
//!
//! **Worked example.** Three servers of 0.1, 0.2 and 0.4 s and always a request waiting. In 4 s they answer 40, 20
//! and 10 requests: 4/7, 2/7, 1/7. With one request at a time the first server gets all of them, because it is
//! always idle when the next one comes. Servers of the same processing time take turns: the one that was chosen
//! longest ago comes first.
//!
//! **When it is wrong.** Under light load the weak servers are never warm and nobody notices that one of them is
//! broken; and the processing time is what the server *says*. With capacities above one it fills the strongest
//! server to the brim before it gives anything to the second; `least-connections` looks at the load instead.
//!
//! **Production.** Weighted policies do the same for shares (nginx `weight`, HAProxy `weight`); "first" in HAProxy
//! (`balance first`) fills servers in order like this one, in order to be able to switch the last ones off.

use super::{Candidate, Choice, Circumstances, Name, Policy};
use std::cmp::Reverse;

/// The policy `power`. It needs no memory of its own: the pool tells when each server was chosen last.
#[derive(Debug)]
pub struct Power;

impl Policy for Power {
    fn name(&self) -> Name {
        Name::Power
    }

    fn choose(&mut self, candidates: &[Candidate], _circumstances: &mut Circumstances<'_>) -> Choice {
        let order = |(at, server): &(usize, &Candidate)| Reverse((server.processing_time, server.last_chosen, *at));
        Choice::plain(candidates.iter().enumerate().max_by_key(order).map_or(0, |(at, _)| at))
    }

    fn score(&self, candidate: &Candidate, _circumstances: &Circumstances<'_>) -> Option<f64> {
        Some(candidate.processing_time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    #[test]
    fn the_strongest_gets_everything_when_requests_come_one_by_one() {
        assert_eq!(picks(&mut Power, &mut idle(&[400, 100, 200]), 5), [2, 2, 2, 2, 2]);
    }

    #[test]
    fn equals_take_turns() {
        assert_eq!(picks(&mut Power, &mut idle(&[100, 100, 100]), 7), [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn the_next_strongest_comes_when_the_strongest_is_busy() {
        let servers = idle(&[100, 200, 400]);
        assert_eq!(choice(&mut Power, &servers[1..]), 0);
        assert_eq!(choice(&mut Power, &servers[2..]), 0);
    }
}
