//! Reads.

use super::*;
use crate::pool::Skipped;

/// The server that was chosen in each read since, with those that could have been.
fn choices(stage: &Stage) -> Vec<(String, Vec<String>)> {
    let choice = |event| match event {
        Event::ServerChosen { server, considered, .. } => {
            Some((server, considered.into_iter().map(|one| one.server).collect()))
        }
        _ => None,
    };
    stage.events().into_iter().filter_map(choice).collect()
}

#[test]
fn a_read_is_given_to_one_in_step_by_the_policy_and_the_others_are_named() {
    let mut stage = stage(Name::RoundRobin);
    stage.events();
    for _ in 0..6 {
        stage.read(0, 0).unwrap();
    }
    let servers: Vec<String> = choices(&stage).into_iter().map(|(server, _)| server).collect();
    assert_eq!(servers, ["S1", "S2", "S3", "S1", "S2", "S3"]);
    stage.fakes["S2"].replica.breaks(&["/write"]);
    stage.write(&[1]).unwrap();
    stage.go("S3");
    stage.events();
    assert_eq!(stage.read(0, 9), Ok(vec![1]));
    let events = stage.events();
    let chosen = |event: &Event| match event {
        Event::ServerChosen { server, skipped, shard, .. } => Some((server.clone(), skipped.clone(), shard.clone())),
        _ => None,
    };
    let (server, skipped, shard) = events.iter().find_map(chosen).unwrap();
    let skipped: Vec<_> = skipped.iter().map(|one| (&*one.server, one.why)).collect();
    assert_eq!((&*server, shard.as_deref()), ("S1", Some("a")));
    assert_eq!(skipped, [("S2", Skipped::OutOfStep), ("S3", Skipped::Down)]);
}

/// The ring of a shard: the same key has the same server, and keys are spread over all.
#[test]
fn by_hash_the_same_key_goes_to_the_same_server() {
    let stage = stage(Name::ConsistentHash);
    stage.events();
    let read = |key: u64| {
        let asked = Asked { key, ..stage.asked().0 };
        let Ok(call) = Call::read("read", br#"{"Stud_id":{"low":0,"high":0}}"#, &mut || 0) else { panic!() };
        stage.table.carry_out(call, &asked).unwrap();
        choices(&stage).pop().unwrap().0
    };
    let keys: Vec<u64> = (0..64).map(|n| n << 58).collect();
    let first: Vec<String> = keys.iter().map(|key| read(*key)).collect();
    assert_eq!(keys.iter().map(|key| read(*key)).collect::<Vec<_>>(), first);
    for server in ["S1", "S2", "S3"] {
        let count = first.iter().filter(|chosen| *chosen == server).count();
        assert!((8..=36).contains(&count), "{server} has {count} of 64");
    }
}

#[test]
fn another_server_is_asked_when_one_fails_and_it_is_told() {
    let stage = stage(Name::Power);
    stage.write(&[1]).unwrap();
    stage.fakes["S1"].replica.breaks(&["/read"]);
    stage.fakes["S2"].replica.breaks(&["/read"]);
    stage.events();
    assert_eq!(stage.read(0, 9), Ok(vec![1]));
    let why = stage.why();
    assert_has(
        &why,
        &[
            "Server S1 was chosen for the rows of a.",
            "Server S1 failed it",
            "Others that are in step have the same rows: one of them is asked.",
            "for the rows of a for attempt 3",
            "Server S3 gave the rows of a (13 bytes), as they are after change 1.",
        ],
    );
    stage.fakes["S3"].replica.breaks(&["/read"]);
    assert_eq!(stage.read(0, 9).unwrap_err().status, Status::SERVICE_UNAVAILABLE);
    assert_has(&stage.why(), &["nobody has these rows at the moment"]);
}

/// Rows that come slowly are waited for as long as some come; who stands still has failed.
#[test]
fn an_answer_may_take_long_as_long_as_it_goes_on() {
    let mut stage = stage_with(Name::RoundRobin, Patience { answer: Duration::from_secs(3), ..Patience::default() });
    stage.write(&(0..50).collect::<Vec<_>>()).unwrap();
    stage.fakes.values().for_each(|fake| fake.replica.is_slow(10, Duration::from_millis(400)));
    stage.events();
    let failed = |stage: &Stage| stage.events().iter().any(|event| matches!(event, Event::AttemptFailed { .. }));
    assert_eq!(stage.read(0, 99).map(|rows| rows.len()), Ok(50));
    assert!(!failed(&stage));
    ["S2", "S3"].iter().for_each(|name| stage.go(name));
    stage.fakes["S1"].replica.is_slow(2, fake::LONG);
    assert_eq!(stage.read(0, 99).unwrap_err().status, Status::SERVICE_UNAVAILABLE);
    assert!(failed(&stage));
}

#[test]
fn the_parts_of_a_range_are_asked_at_once() {
    let stage = stage(Name::ConsistentHash);
    stage.write(&[1, 101]).unwrap();
    // Both parts are under way before either has its answer.
    let gates: Vec<_> = stage.fakes.values().map(|fake| fake.replica.gate(r#"/read+"b""#)).collect();
    stage.events();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| stage.read(0, 199));
        let mut select = crossbeam_channel::Select::new();
        for gate in &gates {
            select.recv(&gate.reached);
        }
        select.ready_timeout(fake::LONG).unwrap();
        let of_a = |record: Arc<Record>| matches!(&record.event, Event::ShardRead { shard, .. } if shard == "a");
        assert!(std::iter::from_fn(|| stage.told.recv_timeout(fake::LONG).ok()).any(of_a), "a is there before b");
        for gate in &gates {
            let _not_reached = gate.open.try_send(());
        }
        assert_eq!(read.join().unwrap(), Ok(vec![1, 101]));
    });
}

/// One call writes a row into each of two shards; whoever reads both sees both rows or neither.
#[test]
fn a_read_over_several_shards_is_of_one_moment() {
    let stage = stage(Name::Random);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..60).for_each(|id| drop(stage.write(&[id, id + 100]).unwrap())));
        let mut reads = 0;
        while !writer.is_finished() {
            let seen = stage.read(0, 199).unwrap();
            let (a, b): (Vec<i64>, Vec<i64>) = seen.into_iter().partition(|id| *id < 100);
            assert_eq!(a, b.iter().map(|id| id - 100).collect::<Vec<_>>(), "after {reads} reads");
            reads += 1;
        }
        assert!(reads > 0);
    });
    assert_eq!(stage.read(0, 199).unwrap().len(), 120);
}
