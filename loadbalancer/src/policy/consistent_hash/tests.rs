//! What the ring promises: who moves when servers come and go, who is passed by, and how much anybody holds.

use super::*;
use crate::policy::{UNLIMITED, scenario, weight::FULL};
use xxhash_rust::xxh3::xxh3_64;

mod evenness;
mod ketama;

/// Servers of unlimited capacity with these numbers, in this order.
fn servers(numbers: &[u64]) -> Vec<Candidate> {
    let mut servers = scenario::idle(&vec![100; numbers.len()]);
    for (server, number) in servers.iter_mut().zip(numbers) {
        (server.number, server.key.0, server.capacity) = (*number, 1_000 + *number, UNLIMITED);
    }
    servers
}

fn policy(options: &Options, servers: &[Candidate]) -> ConsistentHash {
    options.check().unwrap();
    let mut policy = ConsistentHash::new(options);
    policy.servers_changed(servers, Duration::ZERO);
    policy
}

/// The nth of many keys.
fn key(n: u64) -> u64 {
    xxh3_64(&n.to_le_bytes())
}

fn ask(policy: &mut ConsistentHash, candidates: &[Candidate], key: u64, in_hand: u64, up: usize) -> Choice {
    let mut random = fastrand::Rng::with_seed(1);
    policy.choose(candidates, &mut Circumstances { key, in_hand, servers_up: up, ..scenario::calm(&mut random) })
}

/// Whose each of so many keys is, by number.
fn owners(options: &Options, servers: &[Candidate], keys: u64) -> Vec<u64> {
    let mut policy = policy(options, servers);
    let mut owner = |n: u64| servers[ask(&mut policy, servers, key(n), 0, servers.len()).index].number;
    (0..keys).map(&mut owner).collect()
}

#[test]
fn when_a_server_joins_only_its_own_keys_move_and_they_are_one_in_n() {
    let keys = 20_000;
    for n in 2..=20_u64 {
        let all: Vec<u64> = (1..=n).collect();
        let (before, after) = (&all[..all.len() - 1], &all[..]);
        let before = owners(&Options::default(), &servers(before), keys);
        let after = owners(&Options::default(), &servers(after), keys);
        let moved: Vec<u64> = before.iter().zip(&after).filter(|(old, new)| old != new).map(|(_, new)| *new).collect();
        assert!(moved.iter().all(|owner| *owner == n), "only to the new one, of {n}");
        // The newcomer's share is that of 150 of 150 n arcs (a beta distribution), counted in 20,000 keys.
        let (mean, n) = (1.0 / n as f64, n as f64);
        let deviation = (mean * (1.0 - mean) * (1.0 / (150.0 * n + 1.0) + 1.0 / keys as f64)).sqrt();
        let share = moved.len() as f64 / keys as f64;
        assert!((share - mean).abs() < 4.0 * deviation, "{share} of the keys moved to the {n}th; {mean} ± {deviation}");
    }
}

#[test]
fn when_a_server_leaves_or_is_down_only_its_keys_move_and_to_the_same_servers() {
    let all = servers(&[1, 2, 3, 4, 5]);
    let left = servers(&[1, 2, 4, 5]);
    let (with, without) = (owners(&Options::default(), &all, 20_000), owners(&Options::default(), &left, 20_000));
    let mut policy = policy(&Options::default(), &all);
    let candidates: Vec<Candidate> = all.iter().filter(|server| server.number != 3).cloned().collect();
    let mut heirs = std::collections::BTreeSet::new();
    for (n, (with, without)) in with.into_iter().zip(without).enumerate() {
        let choice = ask(&mut policy, &candidates, key(n as u64), 0, 4);
        assert_eq!(candidates[choice.index].number, without, "down is as if it had left");
        let How::Ring { passed, .. } = choice.how else { panic!("{choice:?}") };
        if with == 3 {
            assert!(passed > 0);
            heirs.insert(without);
        } else {
            assert_eq!((with, passed), (without, 0));
        }
    }
    assert_eq!(heirs.into_iter().collect::<Vec<_>>(), [1, 2, 4, 5], "what it leaves behind goes to all");
}

#[test]
fn the_order_of_the_pool_does_not_matter_and_twins_share() {
    let coursework = Options { ring_hash: RingHash::Coursework, ..Options::default() };
    for options in [Options::default(), coursework] {
        assert_eq!(owners(&options, &servers(&[7, 1, 4]), 1_000), owners(&options, &servers(&[1, 4, 7]), 1_000));
    }
    let mut twins = servers(&[5, 5]);
    twins[1].key.0 += 1;
    let mut policy = policy(&Options::default(), &twins);
    let firsts = (0..10_000).filter(|n| ask(&mut policy, &twins, key(*n), 0, 2).index == 0).count();
    assert!((4_000..6_000).contains(&firsts), "{firsts} of 10,000");
}

#[test]
fn the_least_score_wins() {
    let slots = Options { ring_slots: Some(4_096), ..Options::default() };
    for options in [Options::default(), slots] {
        let all = servers(&[1, 2, 3, 4]);
        let mut policy = policy(&options, &all);
        for n in 0..1_000 {
            let mut random = fastrand::Rng::with_seed(1);
            let mut circumstances = Circumstances { key: key(n), ..scenario::calm(&mut random) };
            let scores: Vec<f64> = all.iter().filter_map(|server| policy.score(server, &circumstances)).collect();
            assert!(scores.len() == 4 && scores.iter().all(|score| (0.0..1.0).contains(score)), "{scores:?}");
            let chosen = policy.choose(&all, &mut circumstances).index;
            assert!(scores.iter().all(|score| *score >= scores[chosen]), "{chosen} of {scores:?}");
        }
    }
}

/// Requests come and go; `keys` different ones, the first by far the most popular. Nobody may exceed his limit.
fn bounded(factor: f64, weights: &[Option<u32>], keys: u64, seed: u64) {
    let mut all = servers(&(1..=weights.len() as u64).collect::<Vec<_>>());
    all.iter_mut().zip(weights).for_each(|(server, weight)| server.weight = *weight);
    let sum: f64 = all.iter().map(|server| f64::from(server.weight.unwrap_or(FULL))).sum();
    let mut policy = policy(&Options { ring_bound: factor, ..Options::default() }, &all);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut in_hand, mut passed_by) = (0, 0);
    for _ in 0..5_000 {
        if in_hand > 0 && random.f64() < 0.45 {
            let busy: Vec<usize> = (0..all.len()).filter(|at| all[*at].active > 0).collect();
            all[busy[random.usize(..busy.len())]].active -= 1;
            in_hand -= 1;
            continue;
        }
        let rare = random.u64(..keys);
        let choice = ask(&mut policy, &all, key(if random.bool() { 0 } else { rare }), in_hand, all.len());
        let How::Ring { passed, .. } = choice.how else { panic!("{choice:?}") };
        passed_by += passed;
        in_hand += 1;
        let server = &mut all[choice.index];
        server.active += 1;
        let share = f64::from(server.weight.unwrap_or(FULL)) / sum;
        let limit = (factor * in_hand as f64 * share - 1e-9).ceil();
        assert!(f64::from(server.active) <= limit, "{} at {limit}: factor {factor}, seed {seed}", server.active);
    }
    // Twice its share is more than a server of more than half of all weight can get.
    assert!(factor > 1.5 || passed_by > 0, "the bound was never felt: the test shows nothing");
}

#[test]
fn bounded_load_never_exceeds_its_factor() {
    for seed in 1..=5 {
        for factor in [1.0, 1.1, 1.25, 2.0] {
            bounded(factor, &[None; 5], 50, seed);
            bounded(factor, &[None, Some(128), Some(64), Some(1)], 50, seed);
        }
        bounded(1.25, &[None; 100], 1, seed);
    }
}

#[test]
fn without_a_bound_one_key_drowns_its_server_and_with_one_it_spills_over() {
    let hold = |bound: f64| {
        let mut all = servers(&[1, 2, 3]);
        let mut policy = policy(&Options { ring_bound: bound, ..Options::default() }, &all);
        for in_hand in 0..30 {
            let index = ask(&mut policy, &all, key(1), in_hand, 3).index;
            all[index].active += 1;
        }
        let mut active: Vec<u32> = all.iter().map(|server| server.active).collect();
        active.sort_unstable();
        active
    };
    assert_eq!(hold(0.0), [0, 0, 30]);
    assert_eq!(hold(1.25), [4, 13, 13], "⌈1.25 × 30 / 3⌉ = 13");
    assert_eq!(hold(1.0), [10, 10, 10]);
}

#[test]
fn if_whoever_is_below_the_bound_cannot_be_taken_somebody_else_is() {
    let mut all = servers(&[1, 2]);
    let mut policy = policy(&Options { ring_bound: 1.25, ..Options::default() }, &all);
    all[0].active = 9;
    let choice = ask(&mut policy, &all[..1], key(1), 9, 2);
    assert_eq!(choice.index, 0, "only this one is a candidate, far over its limit of 7");
}

/// Everybody wants slot 0.
#[derive(Debug)]
struct Crowd;

impl PointFunction for Crowd {
    fn request(&self, key: u64) -> u64 {
        key
    }

    fn server(&self, _number: u64, _twin: u32, count: u32) -> Vec<u64> {
        vec![0; count as usize]
    }
}

#[test]
fn whose_slot_is_taken_probes_in_turn_or_by_squares() {
    use crate::policy::options::Probing;
    let slots = |n: u64, slots: u64, probing: Probing| {
        let member = |number| ring::Member { number, twin: 0, weight: FULL };
        let layout = Layout { function: Box::new(Crowd), points: 1, slots: Some((slots, probing)) };
        let ring = Ring::new(&(1..=n).map(member).collect::<Vec<_>>(), &layout);
        let mut points: Vec<_> = ring.clockwise(0).map(|point| (point.member, point.at)).collect();
        points.sort_unstable();
        points.into_iter().map(|(_, at)| at).collect::<Vec<_>>()
    };
    assert_eq!(slots(5, 100, Probing::Linear), [0, 1, 2, 3, 4]);
    assert_eq!(slots(5, 100, Probing::Quadratic), [0, 1, 4, 9, 16]);
    assert_eq!(slots(5, 8, Probing::Quadratic), [0, 1, 4, 2, 3], "squares reach only 0, 1 and 4 of 8");
}

#[test]
fn when_the_slots_run_out_all_have_fewer_points_and_at_last_some_have_none() {
    let points = |n: u64, slots: u64| {
        let member = |number| ring::Member { number, twin: 0, weight: FULL };
        let function = Box::new(hash::Coursework { slots });
        let layout = Layout { function, points: 9, slots: Some((slots, Default::default())) };
        let ring = Ring::new(&(1..=n).map(member).collect::<Vec<_>>(), &layout);
        let mut each = vec![0; n as usize];
        ring.clockwise(0).for_each(|point| each[point.member as usize] += 1);
        each
    };
    assert_eq!(points(56, 512), [9; 56], "504 of 512");
    assert_eq!(points(57, 512), [8; 57], "513 would not fit");
    assert_eq!(points(300, 512), [1; 300]);
    assert_eq!(points(5, 3), [1, 1, 1, 0, 0]);
    let options = Options { ring_slots: Some(3), ring_points: Some(1), ..Options::default() };
    let all = servers(&[1, 2, 3, 4]);
    let mut policy = policy(&options, &all);
    let taken: std::collections::BTreeSet<usize> =
        (0..100).map(|n| ask(&mut policy, &all, key(n), 0, 4).index).collect();
    assert!(!taken.contains(&3) && ask(&mut policy, &all[3..], key(1), 0, 1).index == 0);
}
