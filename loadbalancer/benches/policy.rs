//! How long a policy takes to choose: 3, 100 and 1,000 servers.
//!
//! Choosing happens under the pool's lock, so it must be a matter of nanoseconds with few servers (goal: 200) and of
//! microseconds with many (goal: 20 with a thousand).
//!
//!     cargo bench -p loadbalancer

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use loadbalancer::policy::{Candidate, Circumstances, Ended, Name, Options, Policy, ServerKey, UNLIMITED};
use std::{hint::black_box, time::Duration};

/// How a pool looks when a request comes.
#[derive(Clone, Copy)]
enum Pool {
    /// Everybody has spare capacity and holds a few requests.
    Busy,
    /// Nobody holds anything.
    Idle,
    /// Every second server is full, so no candidate.
    HalfFull,
    /// Everybody holds a few requests, and weights were given.
    Weighted,
}

fn servers(n: usize, pool: Pool) -> Vec<Candidate> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut server = |place: usize| Candidate {
        key: ServerKey(place as u64 + 1),
        place,
        number: place as u64 + 1,
        processing_time: Duration::from_millis(10 + place as u64 / 10),
        capacity: UNLIMITED,
        active: if matches!(pool, Pool::Idle) { 0 } else { random.u32(1..9) },
        weight: matches!(pool, Pool::Weighted).then(|| random.u32(1..=256)),
        last_chosen: random.u64(..),
    };
    (0..n).map(&mut server).collect()
}

/// A policy that has seen its servers at work.
fn at_work(name: Name, options: &Options, servers: &[Candidate]) -> Box<dyn Policy> {
    let mut policy = name.build(options);
    policy.servers_changed(servers, Duration::ZERO);
    for server in servers {
        policy.request_finished(server, Ended::Answered, server.processing_time, Duration::from_secs(1));
    }
    policy
}

fn choose(bench: &mut Criterion, group: &str, options: &Options, names: &[Name], pool: Pool) {
    let mut group = bench.benchmark_group(group);
    for name in names {
        for n in [3, 100, 1_000] {
            let servers = servers(n, pool);
            let mut policy = at_work(*name, options, &servers);
            let full = |server: &Candidate| matches!(pool, Pool::HalfFull) && server.place % 2 == 1;
            let candidates: Vec<Candidate> = servers.iter().filter(|server| !full(server)).cloned().collect();
            let in_hand = servers.iter().map(|server| u64::from(server.active)).sum();
            let (mut random, mut count) = (fastrand::Rng::with_seed(2), 0_u64);
            group.bench_function(BenchmarkId::new(name.as_str(), n), |bench| {
                bench.iter(|| {
                    count += 1;
                    let now = Duration::from_secs(2) + Duration::from_micros(count);
                    let (key, random) = (random.u64(..), &mut random);
                    let mut circumstances = Circumstances { key, now, in_hand, servers_up: n, random };
                    black_box(policy.choose(black_box(&candidates), &mut circumstances))
                });
            });
        }
    }
    group.finish();
}

fn policies(bench: &mut Criterion) {
    let plain = Options::default();
    choose(bench, "busy", &plain, &Name::ALL, Pool::Busy);
    choose(bench, "idle", &plain, &[Name::LeastTime], Pool::Idle);
    choose(bench, "weighted", &plain, &[Name::Random, Name::LeastConnections], Pool::Weighted);
    choose(bench, "half-full", &plain, &[Name::RoundRobin, Name::ConsistentHash], Pool::HalfFull);
    let bounded = Options { ring_bound: 1.1, ..plain };
    choose(bench, "bounded", &bounded, &[Name::ConsistentHash], Pool::Busy);
}

/// A server joins a pool of so many, and the next request is routed: the ring is built anew.
fn joining(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("joining");
    for n in [3, 100, 1_000] {
        let (servers, mut random) = (servers(n, Pool::Busy), fastrand::Rng::with_seed(3));
        let mut policy = Name::ConsistentHash.build(&Options::default());
        group.bench_function(BenchmarkId::new(Name::ConsistentHash.as_str(), n), |bench| {
            bench.iter(|| {
                policy.servers_changed(&servers[1..], Duration::ZERO);
                policy.servers_changed(&servers, Duration::ZERO);
                let (now, random) = (Duration::ZERO, &mut random);
                let mut circumstances = Circumstances { key: 1, now, in_hand: 0, servers_up: n, random };
                black_box(policy.choose(&servers, &mut circumstances))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, policies, joining);
criterion_main!(benches);
