//! The pool's rules, each in a few lines, and all of them under random calls.

use super::{slot::Heed, *};
use std::collections::VecDeque;

const TOOK: Duration = Duration::from_millis(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn pool(times_ms: &[u64]) -> (Core, Vec<ServerKey>) {
    let mut core = Core::new(Settings::of(Name::Power, 4));
    let keys = times_ms.iter().map(|time| core.join(newcomer(ms(*time), 1, None, 0)).0).collect();
    (core, keys)
}

fn newcomer(processing_time: Duration, capacity: u32, database: Option<Arc<str>>, serving: u32) -> Newcomer {
    Newcomer { number: 0, processing_time, capacity, database, serving, ..Newcomer::default() }
}

fn state(core: &Core, key: ServerKey) -> Option<(State, u32)> {
    core.look(key).map(|standing| (standing.state, standing.active))
}

fn any() -> Wanted {
    Wanted::default()
}

fn but(server: ServerKey) -> Wanted {
    Wanted { avoid: vec![server], ..any() }
}

fn server(taken: Taken) -> ServerKey {
    match taken {
        Taken::Server(decision) => decision.server,
        other => panic!("no server: {other:?}"),
    }
}

fn ticket(taken: Taken) -> Ticket {
    match taken {
        Taken::Wait(ticket, _) => ticket,
        other => panic!("no wait: {other:?}"),
    }
}

fn served(effects: &Effects) -> Vec<(Ticket, ServerKey)> {
    effects.grants.iter().map(|grant| (grant.ticket, grant.decision.server)).collect()
}

#[test]
fn idle_servers_are_taken_strongest_first_and_each_only_once() {
    let (mut core, keys) = pool(&[400, 100, 200]);
    assert_eq!([(); 3].map(|()| server(core.take(&any()))), [keys[1], keys[2], keys[0]]);
    assert_eq!(core.take(&any()), Taken::Wait(Ticket(1), 0));
}

#[test]
fn those_who_wait_are_served_in_order_and_never_overtaken() {
    let (mut core, keys) = pool(&[100]);
    server(core.take(&any()));
    let (first, second) = (ticket(core.take(&any())), ticket(core.take(&any())));
    assert_eq!(served(&core.give_back(keys[0], Ended::Answered, TOOK)), [(first, keys[0])]);
    assert_eq!(core.take(&any()), Taken::Wait(Ticket(3), 1), "a newcomer queues behind the second");
    assert_eq!(served(&core.give_back(keys[0], Ended::Answered, TOOK)), [(second, keys[0])]);
}

#[test]
fn who_has_lost_a_server_waits_in_front() {
    let (mut core, keys) = pool(&[100, 200]);
    (0..2).map(|_| server(core.take(&any()))).for_each(|_| ());
    let newcomer = ticket(core.take(&any()));
    let Taken::Wait(first, 0) = core.take(&but(keys[0])) else { panic!("in front") };
    let Taken::Wait(second, 1) = core.take(&but(keys[0])) else { panic!("behind the first that lost one") };
    let turns = [(); 3].map(|()| served(&core.give_back(keys[1], Ended::Answered, TOOK))[0].0);
    assert_eq!(turns, [first, second, newcomer]);
}

#[test]
fn a_full_queue_refuses_and_a_withdrawal_makes_room() {
    let (mut core, _) = pool(&[]);
    let first = ticket(core.take(&any()));
    (0..3).map(|_| ticket(core.take(&any()))).for_each(|_| ());
    assert_eq!(core.take(&any()), Taken::QueueFull);
    assert!(core.withdraw(first));
    assert!(!core.withdraw(first));
    assert_eq!(core.take(&any()), Taken::Wait(Ticket(5), 3));
}

#[test]
fn a_server_that_joins_serves_those_who_wait() {
    let (mut core, _) = pool(&[]);
    let waiting = ticket(core.take(&any()));
    let (key, grants) = core.join(newcomer(ms(10), 1, None, 0));
    assert_eq!(served(&grants), [(waiting, key)]);
}

#[test]
fn a_server_that_failed_the_request_is_avoided_while_another_is_up() {
    let (mut core, keys) = pool(&[100, 200]);
    assert_eq!(server(core.take(&but(keys[0]))), keys[1]);
    let Taken::Wait(patient, _) = core.take(&but(keys[0])) else { panic!("the other one is busy: wait for it") };
    assert_eq!(served(&core.down(keys[1])), [(patient, keys[0])], "the other one is gone: better this than none");
}

#[test]
fn a_request_that_may_have_been_carried_out_never_leaves_its_database() {
    let mut core = Core::new(Settings::of(Name::Power, 4));
    let (ours, other): (Arc<str>, Arc<str>) = ("ours".into(), "other".into());
    let (first, _) = core.join(newcomer(ms(1), 1, Some(Arc::clone(&ours)), 0));
    core.join(newcomer(ms(2), 1, Some(other), 0));
    core.join(newcomer(ms(3), 1, None, 0));
    let wanted = Wanted { avoid: vec![first], database: Some(ours), ..any() };
    assert_eq!(server(core.take(&wanted)), first, "it has failed the request, but no other can know");
    ticket(core.take(&wanted));
    core.down(first);
    assert!(!core.any_alive(&wanted) && core.any_alive(&any()));
}

#[test]
fn capacity_is_how_often_a_server_is_in_the_idle_list() {
    let mut core = Core::new(Settings::of(Name::Power, 4));
    let (key, _) = core.join(newcomer(ms(1), 3, None, 0));
    (0..3).for_each(|_| assert_eq!(server(core.take(&any())), key));
    ticket(core.take(&any()));
    assert_eq!(state(&core, key), Some((State::Up, 3)));
}

#[test]
fn a_lost_answer_keeps_the_place_taken_until_the_server_was_asked() {
    let (mut core, keys) = pool(&[100]);
    server(core.take(&any()));
    assert_eq!(core.doubt(keys[0], TOOK), Effects::default());
    let waiting = ticket(core.take(&any()));
    let (doubt, grants) = core.settle(keys[0], 1, 1);
    assert!(doubt && grants == Effects::default(), "it is still computing");
    let (doubt, grants) = core.settle(keys[0], 0, 1);
    assert!(!doubt);
    assert_eq!(served(&grants), [(waiting, keys[0])]);
}

#[test]
fn a_server_that_is_busy_when_it_joins_is_not_listed_idle() {
    let mut core = Core::new(Settings::of(Name::Power, 4));
    let (key, _) = core.join(newcomer(ms(1), 1, None, 1));
    let waiting = ticket(core.take(&any()));
    assert!(core.settle(key, 1, 0).0);
    assert_eq!(served(&core.settle(key, 0, 0).1), [(waiting, key)]);
}

#[test]
fn settling_does_not_free_places_that_are_honestly_taken() {
    let mut core = Core::new(Settings::of(Name::Power, 4));
    let (key, _) = core.join(newcomer(ms(1), 3, None, 0));
    (0..3).map(|_| server(core.take(&any()))).for_each(|_| ());
    core.doubt(key, TOOK);
    assert!(core.settle(key, 2, 1).0, "which of the three it is not serving cannot be told");
    (0..2).map(|_| core.give_back(key, Ended::Answered, TOOK)).for_each(drop);
    assert_eq!(state(&core, key), Some((State::Doubtful, 1)));
    assert!(!core.settle(key, 0, 1).0);
    assert_eq!(state(&core, key), Some((State::Up, 0)));
}

#[test]
fn an_answer_older_than_the_doubt_settles_nothing() {
    let (mut core, keys) = pool(&[100]);
    server(core.take(&any()));
    let asked_at = core.doubts(keys[0]);
    core.doubt(keys[0], TOOK);
    assert!(core.settle(keys[0], 0, asked_at).0, "it was asked before it got the request");
    assert_eq!(state(&core, keys[0]), Some((State::Doubtful, 1)));
}

#[test]
fn a_decision_carries_its_evidence() {
    let (mut core, keys) = pool(&[100, 200, 300, 400]);
    server(core.take(&any()));
    core.down(keys[3]);
    let Taken::Server(decision) = core.take(&but(keys[1])) else { panic!("one is free") };
    assert_eq!(decision.server, keys[2]);
    let evidence = decision.evidence.expect("evidence is collected");
    let considered: Vec<_> = evidence.considered.iter().map(|weighed| (weighed.candidate.key, weighed.score)).collect();
    assert_eq!(considered, [(keys[2], Some(0.3))]);
    let skipped = [(keys[0], Skipped::Busy), (keys[1], Skipped::AlreadyTried), (keys[3], Skipped::Down)];
    assert_eq!(evidence.skipped, skipped);
}

#[test]
fn a_server_that_fails_again_and_again_is_left_out_until_its_time_or_a_person_says_so() {
    let (mut core, keys) = pool(&[100, 200]);
    let fail = |core: &mut Core| {
        assert_eq!(server(core.take(&any())), keys[0]);
        core.give_back(keys[0], Ended::Failed, TOOK).news
    };
    let news: Vec<News> = (0..5).flat_map(|_| fail(&mut core)).collect();
    assert!(matches!(news[..], [News::Ejected { server, lasting, .. }] if server == keys[0] && lasting == ms(5_000)));
    assert_eq!(server(core.take(&any())), keys[1]);
    ticket(core.take(&any()));
    let effects = core.tick(ms(5_000));
    assert_eq!((served(&effects).len(), effects.news), (1, vec![News::Readmitted(keys[0])]));
    core.give_back(keys[0], Ended::Failed, TOOK);
    (0..4).for_each(|_| drop(fail(&mut core)));
    assert!(core.look(keys[0]).unwrap().ejected);
    core.decide_on(keys[0], Admin::Ready);
    assert!(!core.look(keys[0]).unwrap().ejected);
}

#[test]
fn a_server_that_is_down_when_its_time_is_over_is_not_said_to_be_back() {
    let (mut core, keys) = pool(&[100, 200]);
    (0..5).for_each(|_| drop(core.give_back(keys[0], Ended::Failed, TOOK)));
    core.down(keys[0]);
    assert!(core.look(keys[0]).unwrap().ejected);
    assert_eq!(core.tick(ms(5_000)).news, []);
    assert!(!core.look(keys[0]).unwrap().ejected);
}

#[test]
fn who_is_down_is_not_one_of_those_that_may_be_left_out() {
    let (mut core, keys) = pool(&[100, 200, 300, 400]);
    let fail = |core: &mut Core, key| (0..5).for_each(|_| drop(core.give_back(key, Ended::Failed, TOOK)));
    fail(&mut core, keys[0]);
    core.down(keys[0]);
    fail(&mut core, keys[1]);
    assert!(core.look(keys[1]).unwrap().ejected, "one of the three that are in use may be out");
    fail(&mut core, keys[2]);
    assert!(!core.look(keys[2]).unwrap().ejected, "a second one may not");
}

#[test]
fn the_last_server_is_used_ejected_or_not() {
    let (mut core, keys) = pool(&[100, 200]);
    for _ in 0..5 {
        server(core.take(&any()));
        core.give_back(keys[0], Ended::Failed, TOOK);
    }
    core.down(keys[1]);
    assert_eq!(server(core.take(&any())), keys[0], "there is no other");
}

#[test]
fn whoever_a_person_drains_finishes_what_it_has_and_gets_nothing_new() {
    for admin in [Admin::Drain, Admin::Maintenance] {
        let (mut core, keys) = pool(&[100]);
        server(core.take(&any()));
        core.decide_on(keys[0], admin);
        let waiting = ticket(core.take(&any()));
        assert_eq!(core.give_back(keys[0], Ended::Answered, TOOK), Effects::default());
        assert!(!core.any_alive(&any()));
        assert_eq!(served(&core.decide_on(keys[0], Admin::Ready)), [(waiting, keys[0])]);
    }
}

#[test]
fn a_smaller_capacity_lets_what_is_there_finish_and_a_larger_one_serves_those_who_wait() {
    let mut core = Core::new(Settings::of(Name::Power, 4));
    let (key, _) = core.join(newcomer(ms(1), 3, None, 0));
    (0..3).for_each(|_| assert_eq!(server(core.take(&any())), key));
    core.resize(key, 1);
    let waiting = ticket(core.take(&any()));
    assert_eq!(core.give_back(key, Ended::Answered, TOOK), Effects::default());
    assert_eq!(state(&core, key), Some((State::Up, 2)));
    assert_eq!(served(&core.resize(key, 3)), [(waiting, key)]);
}

#[test]
fn another_policy_chooses_from_the_next_request_on() {
    let (mut core, keys) = pool(&[100, 200]);
    assert_eq!(server(core.take(&any())), keys[0]);
    core.give_back(keys[0], Ended::Answered, TOOK);
    core.change_policy(Name::RoundRobin, &Options::default());
    let chosen = [(); 3].map(|()| {
        let chosen = server(core.take(&any()));
        core.give_back(chosen, Ended::Answered, TOOK);
        chosen
    });
    assert_eq!(chosen, [keys[0], keys[1], keys[0]]);
}

#[test]
fn a_copy_takes_only_what_nobody_waits_for_and_never_the_same_server() {
    let (mut core, keys) = pool(&[100, 200]);
    let first = server(core.take(&any()));
    let copy = core.take_another(&but(first)).unwrap();
    assert_eq!(copy.server, keys[1]);
    assert_eq!(core.take_another(&but(first)), None, "the other one is busy");
    core.give_back(keys[1], Ended::Cancelled, TOOK);
    core.down(keys[1]);
    assert_eq!(core.take_another(&but(first)), None, "better none than the same one twice");
}

/// Random calls, each a plausible thing to happen; after each, the rules that must always hold.
#[test]
fn no_place_is_lost_or_given_twice_whatever_happens() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let settings = Settings { eject: outlier::Rules::off(), ..Settings::of(Name::Power, 50) };
    let mut core = Core::new(settings);
    let (mut held, mut doubted, mut queue) = (Vec::new(), Vec::new(), VecDeque::new());
    let keys: Vec<ServerKey> = (1..=4).map(|n| core.join(newcomer(ms(n), random.u32(1..4), None, 0)).0).collect();
    for step in 0..100_000 {
        let key = keys[random.usize(..keys.len())];
        let mut effects = Effects::default();
        match random.u8(..8) {
            0..=2 => match core.take(&any()) {
                Taken::Server(decision) => {
                    assert!(queue.is_empty(), "seed {seed}, step {step}: overtaken");
                    held.push(decision.server);
                }
                Taken::Wait(ticket, _) => queue.push_back(ticket),
                Taken::QueueFull => assert_eq!(queue.len(), 50, "seed {seed}"),
            },
            3..=4 if !held.is_empty() => {
                let server = held.swap_remove(random.usize(..held.len()));
                effects = core.give_back(server, Ended::Answered, TOOK);
            }
            5 if !held.is_empty() => {
                let server = held.swap_remove(random.usize(..held.len()));
                doubted.push(server);
                effects = core.doubt(server, TOOK);
            }
            6 => {
                // What the server counts: some of what we hold for certain (others have not reached it yet).
                let certain = held.iter().filter(|server| **server == key).count() as u32;
                let serving = random.u32(..=certain);
                let (doubt, settled) = core.settle(key, serving, core.doubts(key));
                let in_doubt = doubted.iter().filter(|server| **server == key).count() as u32;
                doubted.retain(|server| *server != key);
                doubted.extend((0..in_doubt.min(serving)).map(|_| key));
                assert_eq!(doubt, in_doubt.min(serving) > 0, "seed {seed}, step {step}");
                effects = settled;
            }
            _ => effects = core.down(key),
        }
        for grant in effects.grants {
            assert_eq!(queue.pop_front(), Some(grant.ticket), "seed {seed}, step {step}: out of order");
            held.push(grant.decision.server);
        }
        for slot in &core.slots {
            let out = |list: &[ServerKey]| list.iter().filter(|key| **key == slot.seen.key).count() as u32;
            assert_eq!(slot.seen.active, out(&held) + out(&doubted), "seed {seed}, step {step}");
            assert!(slot.seen.active <= slot.seen.capacity, "seed {seed}, step {step}");
            let idle = slot.why_not(&any(), Heed { avoided: false, ejected: false }, Duration::ZERO).is_none();
            assert!(!idle || queue.is_empty(), "seed {seed}, step {step}: idle while somebody waits");
        }
    }
}

#[test]
fn a_choice_alone_moves_the_turn_on_and_takes_no_place() {
    for policy in [Name::Power, Name::RoundRobin, Name::LeastConnections, Name::LeastTime, Name::WeightedRoundRobin] {
        let mut core = Core::new(Settings::of(policy, 4));
        let keys: Vec<_> = (0..3).map(|_| core.join(newcomer(ms(100), 1, None, 0)).0).collect();
        let named: Vec<_> = (0..6).map(|_| core.choose_only(&any()).unwrap().server).collect();
        assert_eq!(named, [&keys[..], &keys[..]].concat(), "{policy}");
        assert!(core.standings().all(|(_, standing)| (standing.active, standing.most_active) == (0, 0)), "{policy}");
        let mut taken = [(); 3].map(|()| server(core.take(&any())));
        taken.sort_unstable();
        assert_eq!(taken[..], keys, "{policy}");
        assert!(core.choose_only(&any()).is_none(), "{policy}: nobody has room");
    }
}
