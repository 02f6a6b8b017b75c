//! `power-of-two`: draw two, take the less loaded.
//!
//! **The problem.** To find the least loaded of a thousand servers one must look at all of them, and where several load
//! balancers look at the same old numbers they all find the same one and trample it. Drawing one at random needs no
//! look, but luck makes heaps.
//!
//! **The idea.** Draw *two different* servers and give the request to the one that holds fewer. One look more than
//! `random`, and the heaps are gone: with n requests on n servers the fullest one grows like ln ln n / ln 2 instead of
//! ln n / ln ln n. A third draw gains little; the step from one to two is the exponential one.
//!
//! **Worked example.** 1,000 requests thrown on 1,000 servers: the fullest holds 5 or 6 with `random`, 3 here. Of
//! three servers, one with 9 requests and two idle ones: it is in two of the three pairs and loses both; it gets
//! nothing until it has come down to the others. The fullest never gets a request while somebody else has less.
//!
//! **Drawn evenly.** The first is drawn from n, the second from the n − 1 others, so each of the n (n − 1) ordered
//! pairs comes up equally often. (Drawing twice from all n, and taking a pair of twins for one draw, makes the policy
//! in one case of n a plain `random`; drawing neighbours makes pairs that never meet.)
//!
//! **Which holds fewer** is compared per weight if a person gave weights: 4 requests at weight 256 are as many as 2 at
//! 128. Of equals the first one drawn is taken, which is even, because the order was drawn too.
//!
//! **When it is wrong.** With few servers `least-connections` sees everything for the same price. And requests are
//! counted, not their length: a server that is slow but has just become free looks as good as a fast one.
//!
//! **Production.** nginx `random two least_conn`, HAProxy `balance random(2)`, Envoy `LEAST_REQUEST` (with equal
//! weights), Finagle `p2c`, and most service meshes.
//!
//! **Sources.** Azar, Broder, Karlin, Upfal 1994, *Balanced allocations*; Mitzenmacher 2001, *The power of two
//! choices in randomized load balancing*.

use super::{Candidate, Choice, Circumstances, How, Name, Policy, weight};

/// The policy `power-of-two`. It has no dice of its own: they come with the circumstances.
#[derive(Debug)]
pub struct PowerOfTwo;

impl Policy for PowerOfTwo {
    fn name(&self) -> Name {
        Name::PowerOfTwo
    }

    fn choose(&mut self, candidates: &[Candidate], circumstances: &mut Circumstances<'_>) -> Choice {
        let of = candidates.len() as u32;
        if candidates.len() < 2 {
            return Choice { index: 0, how: How::Drawn { first: 0, second: None, of } };
        }
        let (first, second) = two_of(candidates.len(), circumstances.random);
        let better = weight::load(&candidates[second]) < weight::load(&candidates[first]);
        let how = How::Drawn { first: first as u32, second: Some(second as u32), of };
        Choice { index: if better { second } else { first }, how }
    }

    /// The requests the server holds, for a full weight.
    fn score(&self, candidate: &Candidate, _circumstances: &Circumstances<'_>) -> Option<f64> {
        Some(weight::shown_load(candidate))
    }
}

/// Two different ones of n, which is at least 2; each ordered pair is equally likely.
fn two_of(n: usize, random: &mut fastrand::Rng) -> (usize, usize) {
    let first = random.usize(..n);
    // Drawn from the others: those behind the first one have moved up by one.
    let second = random.usize(..n - 1);
    (first, if second < first { second } else { second + 1 })
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    #[test]
    fn every_ordered_pair_is_equally_likely() {
        let (servers, n) = (5, 200_000);
        for seed in 1..=20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut counts = vec![0.0; servers * servers];
            for _ in 0..n {
                let (first, second) = two_of(servers, &mut random);
                counts[first * servers + second] += 1.0;
            }
            let (twins, pairs): (Vec<_>, Vec<_>) = counts.iter().enumerate().partition(|(at, _)| at % 6 == 0);
            assert!(twins.iter().all(|(_, count)| **count == 0.0), "seed {seed}: nobody is drawn twice");
            let pairs: Vec<f64> = pairs.into_iter().map(|(_, count)| *count).collect();
            let chi2 = chi_square(&pairs, &[1.0 / 20.0; 20], n);
            // Nineteen degrees of freedom: above 54 once in 30,000 runs.
            assert!(chi2 < 54.0, "seed {seed}: {pairs:?}, chi² {chi2}");
        }
    }

    #[test]
    fn the_one_with_fewer_wins_and_of_equals_the_first_drawn() {
        let mut random = fastrand::Rng::with_seed(3);
        for round in 0..1_000 {
            let mut servers = idle(&[100, 100, 100]);
            servers.iter_mut().for_each(|server| server.active = random.u32(0..3));
            let choice = PowerOfTwo.choose(&servers, &mut calm(&mut random));
            let How::Drawn { first, second: Some(second), of: 3 } = choice.how else { panic!("{choice:?}") };
            let (first, second) = (first as usize, second as usize);
            let expected = if servers[second].active < servers[first].active { second } else { first };
            assert_eq!(choice.index, expected, "round {round} of seed 3");
        }
    }

    #[test]
    fn the_fullest_gets_nothing_while_others_have_less() {
        let mut servers = idle(&[100, 100, 100]);
        servers[0].active = 9;
        let mut random = fastrand::Rng::with_seed(5);
        assert!((0..1_000).all(|_| PowerOfTwo.choose(&servers, &mut calm(&mut random)).index != 0));
    }

    /// How many the fullest of a thousand servers holds after a thousand requests, in each of a hundred rounds.
    fn fullest(policy: &mut dyn Policy) -> Vec<u32> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut throw = |_| {
            let mut servers = idle(&[100; 1_000]);
            (0..1_000).for_each(|_| {
                let at = policy.choose(&servers, &mut calm(&mut random)).index;
                servers[at].active += 1;
            });
            servers.iter().map(|server| server.active).max().unwrap()
        };
        let mut fullest: Vec<u32> = (0..100).map(&mut throw).collect();
        fullest.sort_unstable();
        fullest
    }

    #[test]
    fn a_second_look_flattens_the_heaps() {
        let (one, two) = (fullest(&mut super::super::random::Random), fullest(&mut PowerOfTwo));
        assert!((5..=6).contains(&one[50]), "one draw: {one:?}");
        assert_eq!((two[10], two[90]), (3, 3), "two draws: {two:?}");
    }

    #[test]
    fn by_weight_if_there_are_weights() {
        let mut servers = idle(&[100, 100]);
        (servers[0].active, servers[0].weight) = (3, Some(256));
        (servers[1].active, servers[1].weight) = (2, Some(128));
        let mut random = fastrand::Rng::with_seed(6);
        assert!((0..100).all(|_| PowerOfTwo.choose(&servers, &mut calm(&mut random)).index == 0));
    }

    #[test]
    fn the_only_one_is_taken() {
        let how = PowerOfTwo.choose(&idle(&[100]), &mut calm(&mut fastrand::Rng::with_seed(1))).how;
        assert_eq!(how, How::Drawn { first: 0, second: None, of: 1 });
    }
}
