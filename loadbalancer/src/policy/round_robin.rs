//! `round-robin`: turn by turn.
//!
//! **The idea.** The servers stand in a circle; each request goes to the next one. Nothing is measured, nothing is
//! known about them.
//!
//! **Worked example.** Servers 1, 2, 3: requests go to 1, 2, 3, 1, 2, 3 … If 2 is busy when its turn comes it is
//! passed over, and the circle goes on behind the server that was taken: 1, 3, 1, 2 …
//!
//! **When to use it, and when it is wrong.** For equal servers and equal requests it is as good as anything and
//! cannot be simpler. With unequal servers the weakest sets the pace as soon as requests wait for their turn; with
//! unequal requests two long ones may meet on one server while the next one idles.
//!
//! **Simplified here.** The circle is over the servers as the pool orders them, strongest first, and a server that
//! joins takes its place in that order. What is remembered is the place of the server taken last, not its number
//! in a list that changes. HAProxy's `roundrobin` and nginx's default are weighted forms of the same (here:
//! `weighted-round-robin`).

use super::{Candidate, Choice, Circumstances, Name, Policy, ServerKey};
use std::time::Duration;

/// The policy `round-robin`.
#[derive(Debug, Default)]
pub struct RoundRobin {
    /// The place in the circle of the server that was taken last.
    last: Option<(Duration, ServerKey)>,
}

impl Policy for RoundRobin {
    fn name(&self) -> Name {
        Name::RoundRobin
    }

    fn choose(&mut self, candidates: &[Candidate], _circumstances: &mut Circumstances<'_>) -> Choice {
        let place = |server: &Candidate| (server.processing_time, server.key);
        let next = candidates.iter().position(|server| self.last.is_none_or(|last| place(server) > last)).unwrap_or(0);
        self.last = candidates.get(next).map(place);
        Choice::plain(next)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    #[test]
    fn everybody_in_turn() {
        assert_eq!(picks(&mut RoundRobin::default(), &mut idle(&[100, 200, 400]), 7), [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn a_busy_server_is_passed_over_and_the_circle_goes_on() {
        let mut policy = RoundRobin::default();
        let all = idle(&[100, 200, 400]);
        let without_2 = [all[0].clone(), all[2].clone()];
        assert_eq!(all[choice(&mut policy, &all)].key.0, 1);
        assert_eq!(without_2[choice(&mut policy, &without_2)].key.0, 3);
        assert_eq!(all[choice(&mut policy, &all)].key.0, 1);
        assert_eq!(all[choice(&mut policy, &all)].key.0, 2);
    }

    #[test]
    fn a_server_that_leaves_does_not_disturb_the_order() {
        let mut policy = RoundRobin::default();
        let all = idle(&[100, 100, 100]);
        assert_eq!(all[choice(&mut policy, &all)].key.0, 1);
        assert_eq!(all[choice(&mut policy, &all)].key.0, 2);
        assert_eq!(all[..2][choice(&mut policy, &all[..2])].key.0, 1, "3 has left");
    }
}
