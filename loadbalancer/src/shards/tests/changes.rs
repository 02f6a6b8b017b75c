//! Changes.

use super::*;
use crate::shards::fill::fill;

#[test]
fn a_change_goes_to_all_and_its_explanation_says_so() {
    let stage = stage(Name::ConsistentHash);
    stage.events();
    assert_eq!(stage.write(&[7]).unwrap().body, r#"{"message":"1 Data entries added","status":"success"}"#);
    assert!(stage.fakes.values().all(|fake| fake.replica.has("a") == (1, vec![7])));
    assert_has(
        &stage.why(),
        &[
            "It had the lock of a, alone.",
            "It became change 1 of a, and went to servers S1, S2 and S3 at once.",
            "Change 1 of a was done: servers S1, S2 and S3 had it durably.",
        ],
    );
    let refused = stage.write(&[7]).unwrap_err();
    assert_eq!((refused.status, refused.says()), (Status::CONFLICT, "it is there already".to_owned()));
    assert_has(&stage.why(), &["Change 2 of a was refused by servers S1, S2 and S3: it is there already."]);
}

#[test]
fn who_misses_a_change_is_out_of_step_durably_and_it_is_told_who_and_why() {
    let mut stage = stage(Name::ConsistentHash);
    stage.fakes["S2"].replica.breaks(&["/write"]);
    stage.go("S3");
    stage.events();
    stage.write(&[7]).unwrap();
    assert_eq!((stage.in_step("a"), stage.durable("a")), (vec!["S1".to_owned()], vec!["S1".to_owned()]));
    assert_eq!(stage.in_step("b").len(), 3, "another shard is another matter");
    assert_has(
        &stage.why(),
        &[
            "went to servers S1 and S2 at once",
            "Server S3 was not there, and missed it.",
            "Server S2 missed change 1 of a",
            "Server S3 missed change 1 of a: it was not there.",
            "was done: server S1 had it durably",
        ],
    );
}

#[test]
fn when_all_fail_nobody_knows_and_nothing_is_read_before_it_is_settled() {
    let stage = stage(Name::ConsistentHash);
    stage.write(&[1]).unwrap();
    stage.fakes.values().for_each(|fake| fake.replica.breaks(&["/write"]));
    stage.events();
    assert_eq!(stage.write(&[2]).unwrap_err().status, Status::GATEWAY_TIMEOUT);
    assert_has(&stage.why(), &["Nobody knows whether change 2 of a was done: S1: "]);
    assert_eq!(stage.read(1, 1).unwrap_err().status, Status::SERVICE_UNAVAILABLE);
    assert_eq!(stage.write(&[3]).unwrap_err().status, Status::SERVICE_UNAVAILABLE);
    assert_eq!(stage.read(100, 100), Ok(vec![]), "the other shard goes on");
    stage.fakes.values().for_each(|fake| fake.replica.breaks(&[]));
    stage.settle();
    let settled = |event: &Event| matches!(event, Event::ShardSettled { seq: 1, believed, .. } if believed.len() == 3);
    assert!(stage.events().iter().any(settled));
    assert_eq!(stage.read(0, 99), Ok(vec![1]));
}

/// A large change takes a server longer, and what it is to do meanwhile waits behind it: nobody is lost by that. One that says nothing to a small
/// change is, as soon as ever.
#[test]
fn who_has_a_large_change_in_hand_is_waited_for_and_who_has_a_small_one_is_not() {
    let answer = Duration::from_secs(3);
    let patience = Patience { answer, piece: 100, piece_time: fake::LONG, ..Patience::default() };
    let stage = stage_with(Name::ConsistentHash, patience);
    let gate = stage.fakes["S1"].replica.gate("/write");
    let (done, over) = bounded(2);
    std::thread::scope(|scope| {
        let many: Vec<i64> = (0..90).collect();
        let (stage, large, small) = (&stage, done.clone(), done);
        scope.spawn(move || large.send(stage.write(&many)).unwrap());
        gate.reached.recv_timeout(fake::LONG).unwrap();
        scope.spawn(move || small.send(stage.call("del", &json!({ "Stud_id": 150 }))).unwrap());
        assert!(over.recv_timeout(answer + Duration::from_secs(1)).is_err(), "neither is done, nor has failed");
        gate.open.send(()).unwrap();
        for _ in 0..2 {
            over.recv_timeout(fake::LONG).unwrap().unwrap();
        }
    });
    assert_eq!((stage.in_step("a").len(), stage.in_step("b").len()), (3, 3));
    let _never_opened = stage.fakes["S1"].replica.gate("/del");
    stage.call("del", &json!({ "Stud_id": 5 })).unwrap();
    assert_eq!(stage.in_step("a"), ["S2", "S3"]);
}

/// A change that began beside a large one has more time only as long as that one is in hand.
#[test]
fn who_is_asked_beside_a_large_change_has_no_more_time_when_that_has_ended() {
    let patience = Patience { piece: 100, piece_time: 10 * fake::LONG, ..Patience::default() };
    let fake = Fake::with_patience("S1", &["a", "b"], patience);
    let change = |path: &str, body: Value| {
        fake.server.change(RequestId::NONE, protocol::http::Method::Post, path, body.to_string().as_bytes())
    };
    let large = fake.replica.gate("/write");
    let (done, over) = bounded(1);
    std::thread::scope(|scope| {
        let rows: Vec<Value> = (0..9).map(|id| json!({ "Stud_id": id })).collect();
        let writing = scope.spawn(move || change("/write", json!({ "shard": "a", "seq": 1, "data": rows })));
        large.reached.recv_timeout(fake::LONG).unwrap();
        scope.spawn(move || {
            done.send(change("/del", json!({ "shard": "b", "seq": 1, "Stud_id": 150 })).is_err()).unwrap()
        });
        while fake.replica.heard("/del").is_empty() {
            // Not to wait for anything: so that looking costs nothing.
            std::thread::sleep(Duration::from_millis(5));
        }
        let small = fake.replica.gate("/del");
        large.open.send(()).unwrap();
        assert_eq!(writing.join().unwrap().unwrap().status, Status::OK);
        assert!(over.recv_timeout(fake::LONG).unwrap(), "it says nothing, and has 2 s from then on");
        drop(small);
    });
}

/// Who has most is believed, and the others are out of step before anything is read.
#[test]
fn a_shard_is_settled_at_the_highest_number() {
    let stage = stage(Name::ConsistentHash);
    stage.write(&[1]).unwrap();
    let lock = Arc::clone(&stage.table.layout().unwrap().groups["a"]);
    // As if the load balancer had been killed when one of three had the next change.
    let body = json!({ "shard": "a", "seq": 2, "data": [{ "Stud_id": 2 }] }).to_string();
    let (server, method) = (&stage.fakes["S2"].server, protocol::http::Method::Post);
    server.change(RequestId::NONE, method, "/write", body.as_bytes()).unwrap();
    lock.alone().unsettle();
    stage.fakes["S3"].replica.breaks(&["/state"]);
    stage.events();
    stage.settle();
    assert_eq!((stage.in_step("a"), stage.durable("a")), (vec!["S2".to_owned()], vec!["S2".to_owned()]));
    let Some(Event::ShardSettled { seq, believed, behind, silent, .. }) = stage.events().pop() else { panic!() };
    assert_eq!((seq, believed, behind, silent), (2, vec!["S2".into()], vec!["S1".into()], vec!["S3".into()]));
    assert_eq!(stage.read(0, 99), Ok(vec![1, 2]));
}

/// Each server is told for which call it is asked, also when it makes up for a change later.
#[test]
fn servers_are_told_the_name_of_the_call() {
    let mut stage = stage(Name::ConsistentHash);
    stage.go("S3");
    let name = |stage: &Stage| Some(RequestId { client: 7, sequence: stage.count.load(Ordering::SeqCst) }.to_string());
    stage.write(&[1]).unwrap();
    let write = name(&stage);
    stage.read(0, 9).unwrap();
    let read = name(&stage);
    stage.come("S3");
    let gate = stage.fakes["S3"].replica.gate("/fill");
    let server = Arc::clone(&stage.fakes["S3"].server);
    let shards = vec![("a".to_owned(), Arc::clone(&stage.table.layout().unwrap().groups["a"]))];
    let later = std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&stage.table, &shards, &server));
        gate.reached.recv_timeout(fake::LONG).unwrap();
        stage.call("del", &json!({ "Stud_id": 5 })).unwrap();
        gate.open.send(()).unwrap();
        assert!(filling.join().unwrap());
        name(&stage)
    });
    let heard = |server: &str, path: &str| -> Vec<Option<String>> {
        stage.fakes[server].replica.heard(path).into_iter().map(|(_, call)| call).collect()
    };
    assert_eq!((heard("S1", "/write"), heard("S2", "/write")), (vec![write.clone()], vec![write]));
    assert_eq!([heard("S1", "/read"), heard("S2", "/read")].concat(), [read]);
    assert_eq!((heard("S1", "/del"), heard("S3", "/del")), (vec![later.clone()], vec![later]));
    assert_eq!((heard("S1", "/state"), heard("S3", "/fill")), (vec![None], vec![None]), "these are of no call");
}

/// If it cannot be written down who has missed a change, nobody may be told that it is done: after a crash that one would be believed.
#[test]
fn a_state_that_cannot_be_written_leaves_the_shard_unsettled_and_nothing_acknowledged() {
    let stage = stage(Name::ConsistentHash);
    stage.write(&[1]).unwrap();
    let state_file = stage.cannot_write();
    stage.fakes["S2"].replica.breaks(&["/write"]);
    stage.events();
    let told = stage.write(&[2]).unwrap_err();
    assert_eq!(told.status, Status::GATEWAY_TIMEOUT, "{told:?}");
    assert_has(
        &stage.why(),
        &["Nobody knows whether change 2 of a was done: the state of the shards cannot be written"],
    );
    assert!(!stage.settle());
    assert_eq!(stage.write(&[3]).unwrap_err().status, Status::SERVICE_UNAVAILABLE, "not while it cannot be written");
    assert_eq!(stage.read(1, 1).unwrap_err().status, Status::SERVICE_UNAVAILABLE);
    state_file.put_back();
    assert!(stage.settle());
    assert_eq!(stage.read(0, 99), Ok(vec![1, 2]));
    assert_eq!(stage.durable("a"), ["S1", "S3"]);
    stage.write(&[3]).unwrap();
}

/// The last one that has everything is not removed, also if the map has others.
#[test]
fn a_server_is_not_removed_when_no_other_one_has_everything() {
    let stage = stage(Name::ConsistentHash);
    stage.fakes["S2"].replica.breaks(&["/write"]);
    stage.fakes["S3"].replica.breaks(&["/write"]);
    stage.write(&[1]).unwrap();
    let asked = stage.asked().0;
    let told = stage.table.remove(1, vec!["S1".into()], &asked).unwrap_err();
    assert_has(&told.says(), &["No other server has all changes of shard 'a'"]);
    assert_eq!(stage.table.remove(1, vec!["S2".into()], &asked), Ok(vec!["S2".to_owned()]));
    assert_eq!(
        (stage.in_step("b"), stage.durable("b")),
        (vec!["S1".into(), "S3".into()], vec!["S1".into(), "S3".into()])
    );
    assert_eq!(stage.read(0, 199), Ok(vec![1]));
}

/// A change that waits for a server holds its shard's lock; who looks at the shard without it does not wait.
#[test]
fn who_only_looks_does_not_wait_for_a_change() {
    let stage = stage(Name::ConsistentHash);
    let gate = stage.fakes["S1"].replica.gate("/write");
    std::thread::scope(|scope| {
        let change = scope.spawn(|| stage.write(&[1]));
        gate.reached.recv_timeout(fake::LONG).unwrap();
        let layout = stage.table.layout().unwrap();
        assert!(layout.is_in_step("S1") && layout.groups["a"].seen().settled);
        assert_eq!(stage.read(100, 199), Ok(vec![]), "nor does another shard");
        let more = json!({ "n": 1, "servers": { "S4": ["a", "b"] } }).to_string();
        let Ok(Call::Add { shards, servers }) = Call::read("add", more.as_bytes(), &mut || 0) else { panic!() };
        stage.table.add(shards, servers, &stage.asked().0).unwrap();
        assert_eq!(stage.table.layout().unwrap().map.servers.len(), 4, "nor does the map");
        gate.open.send(()).unwrap();
        change.join().unwrap().unwrap();
    });
    assert_eq!(stage.in_step("a").len(), 3);
}
