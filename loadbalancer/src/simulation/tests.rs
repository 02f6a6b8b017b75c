//! A million steps and more on rough days, under every policy; planted mistakes; and shares that theory knows.

use super::{
    planted::{ALL, Mistaken},
    *,
};
use crate::{dispatch::copies::After, policy::Name};
use clap::ValueEnum as _;
use std::time::Duration;

/// Steps of rough days in one `cargo test`, over all policies and seeds.
const STEPS: u64 = 1_200_000;
/// Days they are spread over, for each policy.
const DAYS: u64 = 6;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// More with `SIMULATION_STEPS=50000000`.
fn steps() -> u64 {
    std::env::var("SIMULATION_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(STEPS)
}

fn rough_days(policies: &[Name]) {
    let each = steps() / (Name::value_variants().len() as u64 * DAYS);
    for policy in policies {
        let (mut choices, mut of_others) = (0, 0);
        for _ in 0..DAYS {
            let seed = fastrand::u64(..1 << 32);
            let outcome = Simulation::new(Scenario::rough(*policy, seed)).run_steps(each);
            assert_eq!(outcome.violation, None, "repeat it: lab simulate --policy {policy} --seed {seed}");
            assert!(outcome.answered > 0 && outcome.steps >= each, "{policy}, seed {seed}");
            choices += outcome.choices;
            of_others += outcome.choices_of_others;
        }
        // Days under a policy on which others choose would be days under any.
        assert!(of_others * 5 < choices, "{policy}: {of_others} of {choices}");
    }
}

/// Two halves, because tests run side by side.
#[test]
fn half_of_the_policies_on_rough_days() {
    let all = Name::value_variants();
    rough_days(&all[..all.len() / 2]);
}

#[test]
fn the_other_half_of_the_policies_on_rough_days() {
    let all = Name::value_variants();
    rough_days(&all[all.len() / 2..]);
}

#[test]
fn a_seed_repeats_a_day_to_the_last_step() {
    let day = |seed| Simulation::new(Scenario::rough(Name::PowerOfTwo, seed)).run_steps(5_000);
    assert_eq!(day(7), day(7));
    assert_ne!(day(7), day(8));
}

/// A rough day on which everything that can happen does: otherwise the million steps prove little.
#[test]
fn on_rough_days_everything_happens() {
    let days: Vec<Outcome> =
        (0..6).map(|seed| Simulation::new(Scenario::rough(Name::Power, seed)).run_steps(20_000)).collect();
    let sum = |what: fn(&Outcome) -> u64| days.iter().map(what).sum::<u64>();
    let ejections = |day: &Outcome| day.servers.iter().map(|server| server.ejections).sum();
    for (what, count) in [
        ("answered", sum(|day| day.answered)),
        ("withdrawn", sum(|day| day.withdrawn)),
        ("refused", sum(|day| day.refused)),
        ("tried again", sum(|day| day.retries)),
        ("copied", sum(|day| day.copies)),
        ("ejected", sum(ejections)),
    ] {
        assert!(count > 0, "nothing was {what}");
    }
}

#[test]
fn every_planted_mistake_is_found() {
    for (mistake, word) in ALL {
        let violation = |seed| {
            let scenario = Scenario::rough(Name::Power, seed);
            let rules = Mistaken::new(Core::new(scenario.settings()), mistake);
            World::new(&scenario, &Budget::default(), rules).run(Until::Steps(20_000)).violation
        };
        let found = (1..=30).filter_map(violation).find(|violation| violation.what.contains(word));
        assert!(found.is_some(), "{mistake:?} was not found");
    }
}

fn shares(outcome: &Outcome) -> Vec<f64> {
    outcome.servers.iter().map(|server| (server.share * 1000.0).round() / 10.0).collect()
}

/// As the module's head says.
#[test]
fn under_a_surplus_of_requests_power_shares_by_speed() {
    let arrival = Arrival::Clients(64, Duration::ZERO);
    let scenario = Scenario { arrival, warm_up: 1_000, ..Scenario::new(SimServer::all(&[10, 20, 40], 4), Name::Power) };
    let outcome = Simulation::new(scenario).run(20_000);
    let theory = [400.0 / 7.0, 200.0 / 7.0, 100.0 / 7.0];
    for (share, theory) in shares(&outcome).into_iter().zip(theory) {
        assert!((share - theory).abs() < 0.5, "{:?}", shares(&outcome));
    }
    assert_eq!((outcome.answered, outcome.violation), (20_000, None));
}

/// One server, exponential times, Poisson arrivals at half its speed: an M/M/1 queue, whose mean time in the system is the
/// service time / (1 − load): 20 ms for 10 ms at one half.
#[test]
fn a_queue_that_theory_knows() {
    let server = SimServer::new("1", ms(10), 1).really(Needs::Exponential(ms(10)));
    let scenario = Scenario {
        arrival: Arrival::Rate(50.0, 1),
        link: Duration::ZERO,
        warm_up: 1_000,
        ..Scenario::new(vec![server], Name::Power)
    };
    let outcome = Simulation::new(scenario).run(100_000);
    let mean = outcome.latencies.mean().as_secs_f64() * 1000.0;
    assert!((mean - 20.0).abs() < 1.5, "{mean} ms");
    assert_eq!(outcome.violation, None);
}

/// The example of `dispatch::copies`: five servers, one ten times slower, hedged after 15 ms.
#[test]
fn hedging_takes_the_tail_away_for_a_fifth_more_work() {
    let mut servers = SimServer::all(&[10; 5], 64);
    servers[4].needs = Needs::Exactly(ms(100));
    let run = |hedge_after| {
        let mut scenario = Scenario { link: Duration::ZERO, ..Scenario::new(servers.clone(), Name::RoundRobin) };
        scenario.arrival = Arrival::Rate(200.0, 8);
        scenario.copies.hedge_after = hedge_after;
        scenario.copies.hedge_budget = 0.3;
        Simulation::new(scenario).run(10_000)
    };
    let (plain, hedged) = (run(None), run(Some(After::Time(ms(15)))));
    assert_eq!(plain.latencies.percentile(0.99), ms(100));
    assert_eq!(hedged.latencies.percentile(0.99), ms(25));
    assert!((0.19..0.21).contains(&hedged.extra_work), "{}", hedged.extra_work);
    assert!(plain.extra_work.abs() < 1e-9);
}

/// What a hedged request took counts from its first server on. Counted from its copy, every answer would look fast, the
/// percentile would sink among the fast ones, and 40 of 100 requests would be copied instead of the 25 beyond it.
#[test]
fn a_percentile_to_hedge_by_is_one_of_requests_and_not_of_copies() {
    let mut servers = SimServer::all(&[10; 5], 64);
    servers[..4].iter_mut().for_each(|server| server.needs = Needs::Between(ms(10), ms(11)));
    servers[4].needs = Needs::Between(ms(100), ms(101));
    let mut scenario = Scenario { link: Duration::ZERO, ..Scenario::new(servers, Name::RoundRobin) };
    scenario.arrival = Arrival::Rate(200.0, 8);
    scenario.copies.hedge_after = Some(After::Quantile(0.75));
    scenario.copies.hedge_budget = 1.0;
    let outcome = Simulation::new(scenario).run(10_000);
    let copied = outcome.copies as f64 / outcome.requests as f64;
    assert!((0.22..0.29).contains(&copied), "{copied}");
}

/// A server that dies with requests in hand costs each of them a retry, and none of them its answer.
#[test]
fn a_crash_loses_nothing() {
    let faults = vec![(ms(1_000), Fault::Crash(0)), (ms(4_000), Fault::Return(0))];
    let scenario = Scenario { faults, ..Scenario::new(SimServer::all(&[10, 10, 10], 2), Name::RoundRobin) };
    let outcome = Simulation::new(scenario).run(5_000);
    assert_eq!((outcome.answered, outcome.failed, outcome.violation), (5_000, 0, None));
    assert!((1..=4).contains(&outcome.retries), "{}", outcome.retries);
}

/// Without any server a request waits for three seconds and fails; then they are back.
#[test]
fn all_servers_down_and_back() {
    let down = (0..2).map(|server| (ms(1_000), Fault::Crash(server)));
    let back = (0..2).map(|server| (ms(8_000), Fault::Return(server)));
    let scenario = Scenario {
        faults: down.chain(back).collect(),
        arrival: Arrival::Clients(4, ms(10)),
        ..Scenario::new(SimServer::all(&[10, 20], 2), Name::RoundRobin)
    };
    let outcome = Simulation::new(scenario).run(3_000);
    assert_eq!(outcome.violation, None);
    assert!(outcome.failed > 0 && outcome.answered + outcome.failed == 3_000, "{outcome:?}");
}
