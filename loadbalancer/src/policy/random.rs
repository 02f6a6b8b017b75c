//! `random`: any of them.
//!
//! **The idea.** Each request goes to a server drawn from the candidates, evenly, or in proportion to the weights if a
//! person has given any. Nothing is remembered and nothing is shared; many load balancers can do it side by side
//! without knowing of each other.
//!
//! **Worked example.** With weights 256, 128 and 64 the shares of many requests are 4/7, 2/7 and 1/7. Of *few*
//! requests they are not: throw 1,000 requests on 1,000 idle servers, one each would be possible, and 368 servers get
//! none while the unluckiest holds 5 or 6 (it grows like ln n / ln ln n).
//!
//! **When to use it.** As the ruler to measure others by: a policy that is not better than dice is not worth its
//! code. Where the requests are very many and very short it is as even as round robin and needs no common counter.
//!
//! **When it is wrong.** Luck makes heaps, and heaps make waiting: see `power-of-two`, which draws once more and loses
//! most of them.
//!
//! **Production.** HAProxy `balance random(1)` (its default, `random(2)`, is `power-of-two`), nginx `random`, Envoy
//! `RANDOM`.
//!
//! **Sources.** Raab and Steger 1998, *"Balls into bins": a simple and tight analysis*.

use super::{Candidate, Choice, Circumstances, How, Name, Policy, weight};

/// The policy `random`. It has no dice of its own: they come with the circumstances.
#[derive(Debug)]
pub struct Random;

impl Policy for Random {
    fn name(&self) -> Name {
        Name::Random
    }

    fn choose(&mut self, candidates: &[Candidate], circumstances: &mut Circumstances<'_>) -> Choice {
        let index = if candidates.iter().any(|candidate| candidate.weight.is_some()) {
            by_weight(candidates, circumstances.random)
        } else {
            circumstances.random.usize(..candidates.len().max(1))
        };
        let how = How::Drawn { first: index as u32, second: None, of: candidates.len() as u32 };
        Choice { index, how }
    }
}

/// Draws one of all the parts, and finds whose it is.
fn by_weight(candidates: &[Candidate], random: &mut fastrand::Rng) -> usize {
    let sum: u64 = candidates.iter().map(|candidate| u64::from(weight::given(candidate))).sum();
    let mut part = random.u64(..sum.max(1));
    for (index, candidate) in candidates.iter().enumerate() {
        let own = u64::from(weight::given(candidate));
        if part < own {
            return index;
        }
        part -= own;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::{super::scenario::*, *};

    /// How often each was drawn in this many choices.
    fn counts(servers: &[Candidate], n: u32, seed: u64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut counts = vec![0.0; servers.len()];
        (0..n).for_each(|_| counts[Random.choose(servers, &mut calm(&mut random)).index] += 1.0);
        counts
    }

    #[test]
    fn evenly() {
        let n = 100_000;
        for seed in 1..=20 {
            let counts = counts(&idle(&[100, 200, 400, 800, 1_600]), n, seed);
            let chi2 = chi_square(&counts, &[0.2; 5], n);
            // Four degrees of freedom: above 27.9 once in 78,000 runs.
            assert!(chi2 < 27.9, "seed {seed}: {counts:?}, chi² {chi2}");
        }
    }

    #[test]
    fn by_weight_if_there_are_weights() {
        let n = 70_000;
        let mut servers = idle(&[100, 100, 100]);
        (servers[1].weight, servers[2].weight) = (Some(128), Some(64));
        for seed in 1..=20 {
            let counts = counts(&servers, n, seed);
            let chi2 = chi_square(&counts, &[4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0], n);
            // Two degrees of freedom: above 23 once in 98,000 runs.
            assert!(chi2 < 23.0, "seed {seed}: {counts:?}, chi² {chi2}");
        }
    }

    #[test]
    fn it_says_what_was_drawn() {
        let mut random = fastrand::Rng::with_seed(1);
        let choice = Random.choose(&idle(&[100, 100]), &mut calm(&mut random));
        assert_eq!(choice.how, How::Drawn { first: choice.index as u32, second: None, of: 2 });
    }
}
