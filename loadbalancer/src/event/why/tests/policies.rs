//! How the rules of the policies lead to a winner.

use super::{
    super::rule::{Chosen, because, rule},
    *,
};
use crate::{
    policy::{Ended, ServerKey},
    pool::{
        Settings, Wanted,
        core::{Core, Newcomer, Taken},
    },
};
use std::time::Duration;

fn why(policy: Name, server: &str, how: How, considered: &[Considered], before: Option<&str>) -> String {
    because(Chosen { policy: policy.as_str(), server, how, considered, before })
}

#[test]
fn every_policy_has_a_rule_and_a_reason() {
    assert!(Name::ALL.iter().all(|name| rule(name.as_str()).is_some()));
    let three =
        [server("a", 0.1, 2, Some(2.0), 7), server("b", 0.2, 0, Some(0.0), 5), server("c", 0.2, 0, Some(0.0), 6)];
    let drawn = |first, second| How::Drawn { first, second, of: 3 };
    let timed = [server("a", 0.1, 0, Some(0.3), 7), server("b", 0.2, 0, Some(0.2), 5)];
    let owed = [server("a", 0.1, 0, Some(-5.0), 7), server("b", 0.2, 0, Some(-2.0), 5)];
    for (said, expected) in [
        (
            why(Name::Power, "a", How::Plain, &three, None),
            "It is the strongest of those: 0.1 s for a request; the next is server b, 0.2 s for a request.",
        ),
        (
            why(Name::Power, "b", How::Plain, &three[1..], None),
            "Servers b and c were equal (0.2 s for a request); this one was chosen longest ago, so it was its turn.",
        ),
        (
            why(Name::RoundRobin, "b", How::Plain, &three, Some("a")),
            "It is the next one in the circle after server a, which was chosen before.",
        ),
        (
            why(Name::RoundRobin, "a", How::Plain, &three, Some("c")),
            "It is the next one in the circle after server c, which was chosen before.",
        ),
        (
            why(Name::RoundRobin, "c", How::Plain, &three, Some("busy")),
            "It was its turn in the circle after server busy, which was chosen before.",
        ),
        (
            why(Name::WeightedRoundRobin, "a", How::Plain, &owed, None),
            "It was owed the most: 5; the next is server b, 2.",
        ),
        (why(Name::Random, "c", drawn(2, None), &three, None), "The dice drew it, of 3, each as likely as the others."),
        (
            why(Name::PowerOfTwo, "b", drawn(0, Some(1)), &three, None),
            "The dice drew servers a and b, of 3: this one held 0, the other one 2.",
        ),
        (
            why(Name::PowerOfTwo, "c", drawn(2, Some(1)), &three, None),
            "The dice drew servers c and b, of 3: both held 0, and of equals the first one drawn is chosen.",
        ),
        (
            why(Name::LeastConnections, "b", How::Plain, &three, None),
            "Servers b and c were equal (0); this one was chosen longest ago, so it was its turn.",
        ),
        (
            why(Name::LeastTime, "b", How::Plain, &timed, None),
            "It will probably answer first: in 0.2 s; the next is server a, in 0.3 s.",
        ),
        (
            why(Name::ConsistentHash, "b", How::Ring { key: 17, point: 40, passed: 1 }, &three, None),
            "The key lies at 17; clockwise from there, at 40, lies a point of server b. One server before it was full, or \
             could not take it, and was passed by.",
        ),
    ] {
        assert_eq!(said, expected);
    }
}

#[test]
fn a_choice_that_breaks_the_rule_is_not_explained_away() {
    let two = [server("a", 0.1, 0, Some(0.0), 7), server("b", 0.2, 3, Some(3.0), 5)];
    let equals = [server("a", 0.1, 0, Some(0.0), 7), server("b", 0.1, 0, Some(0.0), 5)];
    let drawn = How::Drawn { first: 0, second: Some(1), of: 2 };
    for said in [
        why(Name::Power, "b", How::Plain, &two, None),
        why(Name::LeastConnections, "b", How::Plain, &two, None),
        why(Name::PowerOfTwo, "b", drawn, &two, None),
        why(Name::Power, "a", How::Plain, &equals, None),
    ] {
        assert!(said.contains("does not explain it"), "{said}");
    }
}

/// The real policies, over a pool in which requests come and go by dice: what they do always follows from their rules.
#[test]
fn what_the_policies_do_follows_from_their_rules() {
    let seed = fastrand::u64(..);
    for policy in Name::ALL {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut core = Core::new(Settings { seed, ..Settings::of(policy, 10) });
        // As many as there are places: whoever had to wait would be given a place that nobody here gives back.
        let mut places = 0;
        for number in 1..=5 {
            let processing_time = Duration::from_millis([0, 50, 100][random.usize(..3)]);
            let capacity = random.u32(1..5);
            places += capacity as usize;
            let (key, _) = core.join(Newcomer { number, processing_time, capacity, ..Newcomer::default() });
            core.weigh(key, random.bool().then(|| random.u32(1..=256)));
        }
        let (mut held, mut before, mut reasons) = (Vec::new(), None, 0);
        for ms in 0..2_000 {
            core.tick(Duration::from_millis(ms));
            if held.len() < places.min(10) && random.bool() {
                let taken = core.take(&Wanted { key: random.u64(..), ..Wanted::default() });
                let Taken::Server(decision) = taken else { panic!("{policy}, seed {seed}, at {ms}: {taken:?}") };
                let evidence = decision.evidence.as_ref().unwrap();
                let id = |key: ServerKey| key.0.to_string();
                let considered: Vec<Considered> = evidence
                    .considered
                    .iter()
                    .map(|one| Considered {
                        score: one.score,
                        active: one.candidate.active,
                        weight: one.candidate.weight,
                        ..server(
                            &id(one.candidate.key),
                            one.candidate.processing_time.as_secs_f64(),
                            0,
                            None,
                            one.candidate.last_chosen,
                        )
                    })
                    .collect();
                let won = id(decision.server);
                let said = why(policy, &won, decision.how, &considered, before.as_deref());
                assert!(!said.contains("does not"), "{policy}, seed {seed}, at {ms}: {said}\n{won} of {considered:#?}");
                before = Some(won);
                held.push(decision.server);
                reasons += 1;
            } else if !held.is_empty() {
                let server = held.swap_remove(random.usize(..held.len()));
                core.give_back(server, Ended::Answered, Duration::from_millis(random.u64(..200)));
            }
        }
        assert!(reasons > 500, "{policy}, seed {seed}: {reasons}");
    }
}
