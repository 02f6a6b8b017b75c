//! One placement is luck; a thousand are a property of the ring.
//!
//! Servers with random numbers of six digits are put on the ring by the policy's own code. What each of them gets is
//! computed ([`Map`]), or, where it depends on what the others hold (bounded load), played: as many requests as there are
//! clients are under way, whoever came first is answered first, and the policy is asked for the next one.

use super::evenness::{Band, Evenness};
use crate::experiment::ring::Map;
use loadbalancer::policy::{Candidate, Circumstances, Name, Options, ServerKey};
use std::{collections::VecDeque, time::Duration};

/// Requests that are played for a placement.
const PLAYED: usize = 2_000;
/// The numbers of servers and of requests: six digits.
pub const NUMBERS: std::ops::Range<u64> = 100_000..1_000_000;

/// So many different numbers of six digits.
pub fn numbers(count: usize, random: &mut fastrand::Rng) -> Vec<u64> {
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        let number = random.u64(NUMBERS);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

/// Busiest ÷ mean over so many placements of n servers. Of equal seeds all rings see the same placements.
pub fn busiest(options: &Options, n: usize, placements: u32, in_flight: usize, seed: u64) -> Option<Band> {
    let (map, mut random) = (Map::new(options), fastrand::Rng::with_seed(seed ^ n as u64));
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut one = |_| {
        let numbers = numbers(n, &mut random);
        let loads = match options.bound() {
            None => map.shares(&numbers),
            Some(_) => played(options, &numbers, in_flight, &mut dice),
        };
        Evenness::of(&loads).busiest_by_mean
    };
    Band::of((0..placements).map(&mut one).collect())
}

/// How many requests each of these servers gets from a policy that sees what they hold.
fn played(options: &Options, numbers: &[u64], in_flight: usize, dice: &mut fastrand::Rng) -> Vec<f64> {
    let mut servers: Vec<Candidate> = numbers.iter().enumerate().map(candidate).collect();
    let mut policy = Name::ConsistentHash.build(options);
    policy.servers_changed(&servers, Duration::ZERO);
    let (mut got, mut under_way) = (vec![0.0; servers.len()], VecDeque::with_capacity(in_flight));
    let mut keys = dice.fork();
    for _ in 0..PLAYED {
        if under_way.len() >= in_flight
            && let Some(first) = under_way.pop_front()
        {
            let server: &mut Candidate = &mut servers[first];
            server.active -= 1;
        }
        let (in_hand, servers_up) = (under_way.len() as u64, servers.len());
        let mut now = Circumstances { key: keys.u64(..), now: Duration::ZERO, in_hand, servers_up, random: dice };
        let chosen = policy.choose(&servers, &mut now).index.min(servers.len() - 1);
        servers[chosen].active += 1;
        got[chosen] += 1.0;
        under_way.push_back(chosen);
    }
    got
}

/// A server that takes any number of requests.
fn candidate((place, number): (usize, &u64)) -> Candidate {
    Candidate {
        key: ServerKey(place as u64),
        place,
        number: *number,
        processing_time: Duration::from_millis(1),
        capacity: u32::MAX,
        active: 0,
        weight: None,
        last_chosen: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::variant, *};

    fn median(variant: &variant::Variant, n: usize, placements: u32) -> f64 {
        busiest(&variant.options().unwrap(), n, placements, 50, 1).unwrap().median
    }

    #[test]
    fn the_skew_of_the_coursework_and_how_it_goes_away() {
        let coursework = median(&variant::COURSEWORK, 3, 1_000);
        assert!((1.65..=1.8).contains(&coursework), "{coursework}");
        let better = median(&variant::XXH3, 6, 1_000);
        assert!((1.08..=1.12).contains(&better), "{better}");
    }

    #[test]
    fn bounded_load_is_even_whatever_the_ring() {
        // 1.25, and what the rounding up of 16.7 requests adds.
        for variant in [variant::COURSEWORK_BOUNDED, variant::XXH3_BOUNDED] {
            let bounded = median(&variant, 3, 20);
            assert!((1.0..=1.29).contains(&bounded), "{}: {bounded}", variant.name);
        }
    }

    #[test]
    fn numbers_are_different_and_of_six_digits() {
        let all = numbers(1_000, &mut fastrand::Rng::with_seed(1));
        assert!(all.iter().all(|number| NUMBERS.contains(number)));
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 1_000);
    }
}
