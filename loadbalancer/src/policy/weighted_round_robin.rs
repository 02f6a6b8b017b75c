//! `weighted-round-robin`: turn by turn, but the strong more often; smoothly.
//!
//! **The problem.** Servers of weights 5, 1 and 1 should get five, one and one of every seven requests. The obvious
//! way, a a a a a b c, is right in the sum and wrong in the moment: the strong server gets a volley of five, its
//! neighbours idle meanwhile, and then the other way round.
//!
//! **The idea** (nginx). Each server has a counter, 0 at first. For each request, every candidate's counter rises by
//! its weight; the server whose counter is highest is chosen (of equals the first one), and its counter falls by the
//! sum of all candidates' weights. The counter is what a server is owed: it rises with the share it is entitled to
//! and falls when it is served. All counters together are always 0.
//!
//! **Worked example.** Weights a 5, b 1, c 1; the sum is 7.
//!
//! | request | counters after the rise | chosen | counters after |
//! |---|---|---|---|
//! | 1 | 5, 1, 1 | a | −2, 1, 1 |
//! | 2 | 3, 2, 2 | a | −4, 2, 2 |
//! | 3 | 1, 3, 3 | b | 1, −4, 3 |
//! | 4 | 6, −3, 4 | a | −1, −3, 4 |
//! | 5 | 4, −2, 5 | c | 4, −2, −2 |
//! | 6 | 9, −1, −1 | a | 2, −1, −1 |
//! | 7 | 7, 0, 0 | a | 0, 0, 0 |
//!
//! a a b a c a a, and from there on the same again. Servers of 0.1, 0.2 and 0.4 s have the weights 256, 128, 64 and are
//! taken in the order a b a c a b a.
//!
//! **Weights** come from the processing times, or from a person: see [`super::weight`] for how both mix.
//!
//! **When servers are busy, come or go.** A server that cannot take the request is not asked: its counter stands
//! still, the others share the turn by *their* weights, and when it is back it goes on where it was, without a volley
//! to make up for what it missed. A new server begins at 0, owed nothing. What a server that leaves was owed (or
//! owed) is shared by those who stay, so that the sum is 0 again; starting everybody from 0 instead would favour the
//! strongest each time somebody comes or goes. When a weight changes, the server's counter changes in proportion.
//!
//! **When it is wrong.** It is open-loop: it knows what servers *should* be able to do, not what they are doing. A
//! server that has become slow gets its share all the same. And the shares are right for requests that are all alike.
//!
//! **Simplified here.** nginx also lowers a server's *effective* weight when it fails and lets it recover step by step;
//! here failing servers are the business of `health`, for all policies alike. HAProxy reaches the same smoothness with
//! two trees (`lb_fwrr.c`) in logarithmic time; here a choice looks at every server, which for a thousand of them
//! takes some microseconds.
//!
//! **Sources.** nginx, `ngx_http_upstream_round_robin.c` and the commit message of 2012 that explains it ("smooth
//! weighted round-robin balancing"); Katevenis, Sidiropoulos, Courcoubetis 1991, *Weighted round-robin cell
//! multiplexing*.

use super::{Candidate, Choice, Circumstances, Name, Policy, memory::Memory, weight};
use std::time::Duration;

/// The policy `weighted-round-robin`.
#[derive(Debug, Default)]
pub struct WeightedRoundRobin {
    turns: Memory<Turn>,
}

/// A server's place in the order.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// 1 to 256, and 0 before it is known.
    weight: i64,
    /// What it is owed, in weight. Never beyond the sum of all weights, and so far from any limit of the type.
    owed: i64,
}

impl Policy for WeightedRoundRobin {
    fn name(&self) -> Name {
        Name::WeightedRoundRobin
    }

    fn choose(&mut self, candidates: &[Candidate], _circumstances: &mut Circumstances<'_>) -> Choice {
        let mut sum = 0;
        let mut first: Option<(usize, i64)> = None;
        for (index, candidate) in candidates.iter().enumerate() {
            let Some(turn) = self.turns.of_mut(candidate) else { continue };
            turn.owed += turn.weight;
            sum += turn.weight;
            if first.is_none_or(|(_, most)| turn.owed > most) {
                first = Some((index, turn.owed));
            }
        }
        let index = first.map_or(0, |(index, _)| index);
        if let Some(turn) = candidates.get(index).and_then(|chosen| self.turns.of_mut(chosen)) {
            turn.owed -= sum;
        }
        Choice::plain(index)
    }

    /// Minus what the server will be owed when its counter has risen for this request.
    fn score(&self, candidate: &Candidate, _circumstances: &Circumstances<'_>) -> Option<f64> {
        self.turns.of(candidate).map(|turn| -((turn.owed + turn.weight) as f64))
    }

    fn servers_changed(&mut self, servers: &[Candidate], _now: Duration) {
        let strongest = servers.iter().map(|server| server.processing_time).min().unwrap_or_default();
        self.turns.follow(servers, |_| Turn::default());
        for server in servers {
            if let Some(turn) = self.turns.of_mut(server) {
                turn.weigh(weight::given_or_by_power(server, strongest).into());
            }
        }
        self.share_out();
    }
}

impl WeightedRoundRobin {
    /// Makes the sum 0 again, but for a rest smaller than the number of servers.
    fn share_out(&mut self) {
        let sum: i64 = self.turns.all().map(|turn| turn.owed).sum();
        let each = sum / self.turns.all().len().max(1) as i64;
        self.turns.all_mut().for_each(|turn| turn.owed -= each);
    }
}

impl Turn {
    fn weigh(&mut self, weight: i64) {
        if self.weight > 0 {
            self.owed = self.owed * weight / self.weight;
        }
        self.weight = weight;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    fn weighing(servers: &mut [Candidate], weights: &[u32]) -> WeightedRoundRobin {
        servers.iter_mut().zip(weights).for_each(|(server, weight)| server.weight = Some(*weight));
        let mut policy = WeightedRoundRobin::default();
        policy.servers_changed(servers, Duration::ZERO);
        policy
    }

    #[test]
    fn five_one_one_smoothly() {
        let mut servers = idle(&[100, 100, 100]);
        let mut policy = weighing(&mut servers, &[5, 1, 1]);
        assert_eq!(picks(&mut policy, &mut servers, 14), [1, 1, 2, 1, 3, 1, 1, 1, 1, 2, 1, 3, 1, 1]);
    }

    #[test]
    fn powers_of_one_two_four() {
        let mut servers = idle(&[100, 200, 400]);
        let mut policy = weighing(&mut servers, &[]);
        assert_eq!(picks(&mut policy, &mut servers, 14), [1, 2, 1, 3, 1, 2, 1, 1, 2, 1, 3, 1, 2, 1]);
    }

    #[test]
    fn every_period_is_exact_for_any_weights() {
        let mut random = fastrand::Rng::with_seed(4);
        for round in 0..200 {
            let n = random.usize(1..12);
            let weights: Vec<u32> = (0..n).map(|_| random.u32(1..=256)).collect();
            let mut servers = idle(&vec![100; n]);
            let mut policy = weighing(&mut servers, &weights);
            let picked = picks(&mut policy, &mut servers, weights.iter().sum::<u32>().into());
            let share = |key: u64| picked.iter().filter(|picked| **picked == key).count() as u32;
            let shares: Vec<u32> = (1..=n as u64).map(share).collect();
            assert_eq!(shares, weights, "round {round} of seed 4");
            assert!(policy.turns.all().all(|turn| turn.owed == 0), "round {round} of seed 4");
        }
    }

    #[test]
    fn at_no_moment_is_anybody_two_requests_ahead_or_behind() {
        let weights = [7, 50, 3, 256, 90];
        let sum = weights.iter().sum::<u32>();
        let mut servers = idle(&[100; 5]);
        let mut policy = weighing(&mut servers, &weights);
        let mut got = [0; 5];
        for n in 1..=sum {
            got[picks(&mut policy, &mut servers, 1)[0] as usize - 1] += 1;
            for (got, weight) in got.iter().zip(weights) {
                let due = f64::from(n) * f64::from(weight) / f64::from(sum);
                assert!((f64::from(*got) - due).abs() < 2.0, "after {n} it got {got} where {due} were due");
            }
        }
    }

    #[test]
    fn when_all_weights_change_in_proportion_the_order_goes_on() {
        let mut servers = idle(&[100, 100, 100]);
        let mut policy = weighing(&mut servers, &[50, 10, 10]);
        assert_eq!(picks(&mut policy, &mut servers, 3), [1, 1, 2]);
        servers.iter_mut().zip([5, 1, 1]).for_each(|(server, weight)| server.weight = Some(weight));
        policy.servers_changed(&servers, Duration::ZERO);
        assert_eq!(picks(&mut policy, &mut servers, 11), [1, 3, 1, 1, 1, 1, 2, 1, 3, 1, 1]);
    }

    #[test]
    fn whoever_leaves_takes_no_debt_along() {
        let mut servers = idle(&[100, 100, 100]);
        let mut policy = weighing(&mut servers, &[5, 1, 1]);
        picks(&mut policy, &mut servers, 3);
        // Owed: 1, −4, 3. The third one leaves; its 3 are shared by the two that stay.
        servers.pop();
        policy.servers_changed(&servers, Duration::ZERO);
        assert_eq!(policy.turns.all().map(|turn| turn.owed).collect::<Vec<_>>(), [2, -3]);
    }
}
