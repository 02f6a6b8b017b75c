//! How even rings are: with a hash, with few points, and with the coursework's polynomials.

use super::*;
use crate::policy::options::Probing;
use ring::Member;

/// Which part of the load the busiest of these servers gets, in its fair shares; exact.
fn busiest_by_mean(numbers: &[u64], layout: &Layout) -> f64 {
    let shares = shares(numbers, layout);
    shares.iter().copied().fold(0.0, f64::max) * shares.len() as f64
}

fn shares(numbers: &[u64], layout: &Layout) -> Vec<f64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let member = |number: &u64| Member { number: *number, twin: 0, weight: FULL };
    let ring = Ring::new(&numbers.iter().map(member).collect::<Vec<_>>(), layout);
    let mut shares = vec![0.0; numbers.len()];
    match layout.slots {
        // Keys modulo M are evenly spread, where they stand is not: ask for each.
        Some((slots, _)) => (0..slots).for_each(|key| {
            let point = ring.clockwise(layout.function.request(key)).next().unwrap();
            shares[point.member as usize] += 1.0 / slots as f64;
        }),
        // A point owns the arc before it.
        None => {
            let last = ring.clockwise(0).last().unwrap().at;
            ring.clockwise(0).fold(last, |before, point| {
                shares[point.member as usize] += point.at.wrapping_sub(before) as f64 / 2_f64.powi(64);
                point.at
            });
        }
    }
    shares
}

fn xxh3(points: u32) -> Layout {
    Layout { function: Box::new(hash::Xxh3 { slots: None }), points, slots: None }
}

fn coursework(probing: Probing) -> Layout {
    let function = Box::new(hash::Coursework { slots: 512 });
    Layout { function, points: 9, slots: Some((512, probing)) }
}

/// The median over a thousand placements of n servers with random numbers of six digits.
fn median(n: usize, layout: &Layout) -> f64 {
    let mut random = fastrand::Rng::with_seed(n as u64);
    let mut place = |_| {
        let numbers: Vec<u64> = (0..n).map(|_| random.u64(100_000..1_000_000)).collect();
        busiest_by_mean(&numbers, layout)
    };
    let mut all: Vec<f64> = (0..1_000).map(&mut place).collect();
    all.sort_by(f64::total_cmp);
    all[500]
}

fn assert_within(value: f64, range: std::ops::RangeInclusive<f64>, what: &str) {
    assert!(range.contains(&value), "{what}: busiest by mean {value}, expected {range:?}");
}

#[test]
fn the_coursework_gives_server_1_nearly_everything() {
    for probing in [Probing::Linear, Probing::Quadratic] {
        let first = |n: u64| shares(&(1..=n).collect::<Vec<_>>(), &coursework(probing))[0] * 512.0;
        let of_512: Vec<f64> = (2..=6).map(first).collect();
        assert_eq!(of_512, [488.0, 432.0, 420.0, 408.0, 404.0], "95, 84, 82, 80, 79 %");
    }
}

#[test]
fn the_coursework_is_skewed_with_random_numbers_too() {
    assert_within(median(3, &coursework(Probing::Linear)), 1.65..=1.8, "N = 3");
}

#[test]
fn nine_points_are_too_few_even_with_a_good_hash() {
    assert_within(median(3, &xxh3(9)), 1.26..=1.36, "N = 3, K = 9");
    assert_within(median(6, &xxh3(9)), 1.40..=1.50, "N = 6, K = 9");
}

#[test]
fn a_hundred_and_fifty_points_are_even_enough() {
    assert_within(median(3, &xxh3(150)), 1.05..=1.09, "N = 3, K = 150");
    assert_within(median(6, &xxh3(150)), 1.08..=1.12, "N = 6, K = 150");
}

#[test]
fn half_the_weight_is_half_the_share() {
    let keys = 100_000;
    let mut all = servers(&[1, 2, 3]);
    (all[1].weight, all[2].weight) = (Some(128), Some(64));
    // Many points, so that little is left to luck.
    let options = Options { ring_points: Some(10_000), ..Options::default() };
    let owners = owners(&options, &all, keys);
    for (number, share) in [(1, 4.0 / 7.0), (2, 2.0 / 7.0), (3, 1.0 / 7.0)] {
        let got = owners.iter().filter(|owner| **owner == number).count() as f64 / keys as f64;
        // As for the newcomer's share: beta with 17,500 points, counted in 100,000 keys, four deviations.
        let deviation = (share * (1.0 - share) * (1.0 / 17_501.0 + 1.0 / keys as f64)).sqrt();
        assert!((got - share).abs() < 4.0 * deviation, "server {number} got {got}, {share} ± {deviation}");
    }
}
