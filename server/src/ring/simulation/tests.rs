//! Ten thousand rings, and the mistakes that are found in them.

use super::{
    DRILL, Faults, Outcome, bound,
    original::Original,
    planted::{ALL, Mistake, Mistaken},
    world::World,
};
use crate::ring::{core::Core, timing::Timing};
use fastrand::Rng;
use std::{ops::Range, thread, time::Duration};

/// Rings in one `cargo test`, and in a long one.
const RINGS: u64 = 100;
const MANY_RINGS: u64 = 10_000;

/// How long things go wrong in each.
const ROUGH: Duration = Duration::from_secs(40);

/// A day of this seed: a ring of 3 to 15, and what goes wrong. One in four is a small ring on a black day.
fn day(seed: u64) -> (usize, Faults) {
    let mut rng = Rng::with_seed(seed ^ 0x7269_6e67);
    if seed.is_multiple_of(4) {
        return black_day(seed);
    }
    let size = rng.usize(3..=15);
    let (lost, doubled) = (rng.u8(..30), rng.u8(..30));
    (size, Faults { lost, doubled, late: rng.bool(), blows: rng.u32(..12), one_is_lost: rng.bool(), lasts: ROUGH })
}

/// A small ring that is hit twice a second: there mistakes show soonest.
fn black_day(seed: u64) -> (usize, Faults) {
    let size = if seed.is_multiple_of(8) { 3 } else { 4 };
    (
        size,
        Faults { lost: 15, doubled: 10, late: true, blows: 60, one_is_lost: !seed.is_multiple_of(3), lasts: ROUGH * 2 },
    )
}

fn faithful(size: usize, faults: Faults, seed: u64) -> Outcome {
    let timing = Timing::of(DRILL);
    World::new(size, faults, seed, &|me, neighbours, now| Core::new(me, neighbours, timing, now)).run()
}

fn mistaken(mistake: Mistake, seed: u64) -> Outcome {
    let (size, faults) = black_day(seed);
    let make = |me, neighbours, now| Mistaken::new(me, neighbours, Timing::of(DRILL), now, mistake);
    World::new(size, faults, seed, &make).run()
}

/// Runs these seeds on two threads.
fn rings(seeds: &Range<u64>) -> Vec<Outcome> {
    let half = |part: u64| {
        let run = |seed| {
            let (size, faults) = day(seed);
            let outcome = faithful(size, faults, seed);
            assert_eq!(outcome.violation(), None, "seed {seed}: {size} servers, {faults:?}");
            outcome
        };
        seeds.clone().filter(|seed| seed % 2 == part).map(run).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let odd = scope.spawn(|| half(1));
        let mut all = half(0);
        all.extend(odd.join().unwrap());
        all
    })
}

fn never_two_and_never_stuck(seeds: Range<u64>) {
    let outcomes = rings(&seeds);
    let sum = |what: fn(&Outcome) -> u32| outcomes.iter().map(what).sum::<u32>();
    let (crashes, stops, cuts) = (sum(|o| o.crashes), sum(|o| o.stops), sum(|o| o.cuts));
    let messages: u64 = outcomes.iter().map(|o| o.messages).sum();
    println!(
        "{} rings: {} elections begun, {} drills, {} to their end; {crashes} crashes, {stops} stops, {cuts} cuts, {messages} messages",
        outcomes.len(),
        outcomes.iter().map(|o| o.begun).sum::<usize>(),
        sum(|o| o.downs),
        sum(|o| o.completed)
    );
    // Otherwise nothing was tried.
    let few = u32::try_from(outcomes.len() / 2).unwrap();
    assert!(crashes > few && stops > few && cuts > few, "{crashes} crashes, {stops} stops, {cuts} cuts");
    assert!(sum(|o| o.completed) > 5 * few, "{} drills", sum(|o| o.completed));
    assert!(outcomes.iter().filter(|o| o.different > 1).count() > outcomes.len() * 3 / 4, "always the same wins");
}

#[test]
fn rings_in_which_anything_goes_wrong_never_have_two_down_and_are_never_stuck() {
    never_two_and_never_stuck(0..RINGS);
}

#[test]
#[ignore = "some minutes; .ci/long runs it"]
fn ten_thousand_rings_never_have_two_down_and_are_never_stuck() {
    never_two_and_never_stuck(0..MANY_RINGS);
}

/// One loss, one doubling in ten, and messages that overtake each other, for hours: each election has its winner.
fn hours(hours: u64, size: usize, seed: u64) {
    let lasts = Duration::from_secs(hours * 3600);
    let outcome =
        faithful(size, Faults { lost: 10, doubled: 10, late: true, blows: 0, one_is_lost: false, lasts }, seed);
    println!("{size} servers, {hours} h, seed {seed}: {outcome:?}");
    assert_eq!(outcome.violation(), None, "seed {seed}");
    let least = u32::try_from(lasts.as_secs() / bound().as_secs()).unwrap();
    assert!(outcome.completed > least, "{} drills, at least {least} wanted", outcome.completed);
    assert!(outcome.downs as usize >= outcome.begun * 99 / 100, "{} begun, {} drills", outcome.begun, outcome.downs);
}

#[test]
fn an_hour_of_losses_doublings_and_late_messages() {
    hours(1, 3, fastrand::u64(..));
    hours(1, 9, fastrand::u64(..));
}

#[test]
#[ignore = "a minute or two; .ci/long runs it"]
fn ten_hours_of_losses_doublings_and_late_messages() {
    for size in [3, 5, 15] {
        hours(10, size, fastrand::u64(..));
    }
}

#[test]
fn a_seed_repeats_a_day_to_the_last_message() {
    let again = |seed| {
        let (size, faults) = day(seed);
        faithful(size, faults, seed)
    };
    assert_eq!(again(7), again(7));
    assert_ne!(again(7), again(8));
}

/// How many rings it takes at most to find each mistake.
const TRIES: u64 = 400;

#[test]
fn each_planted_mistake_is_found() {
    for (mistake, words, first) in ALL {
        let found = (0..TRIES)
            .map(|n| (first + n) * 4)
            .find_map(|seed| mistaken(mistake, seed).violation().map(|what| (seed, what.to_owned())));
        let Some((seed, what)) = found else { panic!("{mistake:?} was not found in {TRIES} rings") };
        println!("{mistake:?}: ring {seed}: {what}");
        assert!(what.contains(words), "{mistake:?}: {what}");
    }
}

/// The original's rules, in rings in which nothing is lost, doubled or late, and nobody fails.
#[test]
fn the_rules_of_the_original_are_found_out() {
    const RINGS: u64 = 20;
    let faults = Faults { lost: 0, doubled: 0, late: false, blows: 0, one_is_lost: false, lasts: ROUGH };
    let run = |seed| World::new(3, faults, seed, &|me, _, _| Original::new(me)).run();
    let together = (0..RINGS).filter(|seed| run(*seed).together.is_some()).count();
    println!("the original's rules: two down together in {together} of {RINGS} rings");
    assert!(together > 0);
}
