//! Filling.

use super::*;
use crate::shards::{
    copy::copy,
    fill::{Named, copied, fill, put_in_step},
    gone,
    server::Server,
};
use protocol::http::Method;

fn named(stage: &Stage, shards: &[&str]) -> Vec<Named> {
    let layout = stage.table.layout().unwrap();
    shards.iter().map(|shard| ((*shard).to_owned(), Arc::clone(&layout.groups[*shard]))).collect()
}

/// S3 was lost and comes back with nothing, while there are three rows in a.
fn with_a_new_one() -> Stage {
    let mut stage = stage(Name::ConsistentHash);
    stage.go("S3");
    for id in [1, 2, 101] {
        stage.write(&[id]).unwrap();
    }
    stage.come("S3");
    stage
}

#[test]
fn a_server_is_filled_while_changes_go_on_and_it_is_told_from_whom_and_how_far() {
    let stage = with_a_new_one();
    let gate = stage.fakes["S3"].replica.gate("/fill");
    stage.events();
    let server = Arc::clone(&stage.fakes["S3"].server);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&stage.table, &named(&stage, &["a"]), &server));
        gate.reached.recv_timeout(fake::LONG).unwrap();
        stage.write(&[3]).unwrap();
        stage.write(&[4]).unwrap();
        gate.open.send(()).unwrap();
        assert!(filling.join().unwrap());
    });
    assert_eq!(stage.fakes["S3"].replica.has("a"), (4, vec![1, 2, 3, 4]));
    assert_eq!((stage.in_step("a").len(), stage.durable("a").len(), stage.in_step("b").len()), (3, 3, 2));
    let filled = stage.events().into_iter().find_map(|event| match event {
        Event::ReplicaFilled { server, shard, from, copied, seq, .. } => Some((server, shard, from, copied, seq)),
        _ => None,
    });
    assert_eq!(filled, Some(("S3".into(), "a".into(), "S1".into(), 2, 4)));
}

/// Settles a shard anew, as if two load balancers' lives lay between: the same numbers may be other changes now.
fn settled_anew(stage: &Stage, shard: &str) {
    stage.table.layout().unwrap().groups[shard].alone().unsettle();
    stage.settle();
}

#[test]
fn a_copy_that_began_before_the_shard_was_settled_does_not_count() {
    let stage = with_a_new_one();
    let gate = stage.fakes["S3"].replica.gate("/fill");
    stage.events();
    let server = Arc::clone(&stage.fakes["S3"].server);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&stage.table, &named(&stage, &["a"]), &server));
        gate.reached.recv_timeout(fake::LONG).unwrap();
        settled_anew(&stage, "a");
        gate.open.send(()).unwrap();
        assert!(!filling.join().unwrap());
    });
    assert_eq!((stage.in_step("a"), stage.durable("a").len()), (vec!["S1".to_owned(), "S2".to_owned()], 2));
    let why = stage.events().into_iter().find_map(|event| match event {
        Event::ReplicaNotFilled { server, shard, why } => Some(format!("{server} {shard} {why}")),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("S3 a the shard was settled anew meanwhile"));
}

/// The same with a copy that is whole, while that of another shard is still under way.
#[test]
fn a_copy_that_waits_for_another_one_does_not_count_either() {
    let stage = with_a_new_one();
    let gate = stage.fakes["S3"].replica.gate(r#"/fill+"b""#);
    let server = Arc::clone(&stage.fakes["S3"].server);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&stage.table, &named(&stage, &["a", "b"]), &server));
        gate.reached.recv_timeout(fake::LONG).unwrap();
        assert_eq!(stage.fakes["S3"].replica.has("a"), (2, vec![1, 2]), "it has a");
        settled_anew(&stage, "a");
        gate.open.send(()).unwrap();
        assert!(!filling.join().unwrap());
    });
    assert_eq!(stage.in_step("a"), ["S1", "S2"]);
    assert!(fill(&stage.table, &named(&stage, &["a", "b"]), &server), "and the next time it does");
    assert_eq!(stage.read(0, 199), Ok(vec![1, 2, 101]));
}

/// So many changes of a; the keys do not matter.
fn change_a(stage: &Stage, times: usize) {
    (0..times).for_each(|_| drop(stage.call("del", &json!({ "Stud_id": 5 })).unwrap()));
}

/// What comes for one shard while another one is copied may be much. It is made up for without the shard's lock.
#[test]
fn readers_do_not_wait_for_what_has_come_while_another_shard_was_copied() {
    let stage = with_a_new_one();
    let copying = stage.fakes["S3"].replica.gate(r#"/fill+"b""#);
    let server = Arc::clone(&stage.fakes["S3"].server);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&stage.table, &named(&stage, &["a", "b"]), &server));
        copying.reached.recv_timeout(fake::LONG).unwrap();
        change_a(&stage, 200);
        let catching_up = stage.fakes["S3"].replica.gate("/del");
        copying.open.send(()).unwrap();
        catching_up.reached.recv_timeout(fake::LONG).unwrap();
        // Whoever waits here for the lock waits until the server has had its time; and then it is not filled.
        assert_eq!(stage.read(0, 99), Ok(vec![1, 2]));
        catching_up.open.send(()).unwrap();
        assert!(filling.join().unwrap());
    });
    assert_eq!((stage.fakes["S3"].replica.has("a").0, stage.in_step("a").len()), (202, 3));
}

/// With the lock in hand only few are made up for.
#[test]
fn the_lock_is_given_back_when_many_changes_are_missing() {
    let stage = with_a_new_one();
    let (shards, server) = (named(&stage, &["a"]), Arc::clone(&stage.fakes["S3"].server));
    let mut copied = copied(&stage.table, &shards[0], &server).unwrap();
    change_a(&stage, 65);
    assert_eq!(put_in_step(&stage.table, &shards[0], &server, &mut copied, 64), Ok(false));
    assert_eq!((stage.fakes["S3"].replica.has("a").0, stage.in_step("a").len()), (2, 2));
    assert_eq!(put_in_step(&stage.table, &shards[0], &server, &mut copied, 128), Ok(true));
    assert_eq!((stage.fakes["S3"].replica.has("a").0, stage.in_step("a").len()), (67, 3));
}

/// The same with few changes that are large.
#[test]
fn the_lock_is_given_back_when_many_bytes_are_missing() {
    let stage = with_a_new_one();
    let (shards, server) = (named(&stage, &["a"]), Arc::clone(&stage.fakes["S3"].server));
    let mut copied = copied(&stage.table, &shards[0], &server).unwrap();
    // The first is done, the others are refused, and have their numbers: 50 changes, each of more than 1,400 bytes.
    let rows: Vec<i64> = (3..100).collect();
    (0..50).for_each(|_| drop(stage.write(&rows)));
    assert_eq!(put_in_step(&stage.table, &shards[0], &server, &mut copied, 64), Ok(false));
    assert_eq!((stage.fakes["S3"].replica.has("a").0, stage.in_step("a").len()), (2, 2));
    assert_eq!(put_in_step(&stage.table, &shards[0], &server, &mut copied, 128), Ok(true));
    assert_eq!((stage.fakes["S3"].replica.has("a").0, stage.in_step("a").len()), (52, 3));
}

/// Who has failed since may have been wrong before.
#[test]
fn a_copy_of_a_server_that_is_out_of_step_does_not_count() {
    let stage = with_a_new_one();
    let gate = stage.fakes["S3"].replica.gate("/fill");
    let server = Arc::clone(&stage.fakes["S3"].server);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&stage.table, &named(&stage, &["a"]), &server));
        gate.reached.recv_timeout(fake::LONG).unwrap();
        stage.fakes["S1"].replica.breaks(&["/write"]);
        stage.write(&[3]).unwrap();
        gate.open.send(()).unwrap();
        assert!(!filling.join().unwrap());
    });
    assert_eq!(stage.in_step("a"), ["S2"]);
    assert!(fill(&stage.table, &named(&stage, &["a"]), &server), "from another one");
    assert_eq!(stage.in_step("a"), ["S2", "S3"]);
}

/// A copy is given up when it stands still, not because it takes long.
#[test]
fn a_copy_may_take_long_as_long_as_it_goes_on() {
    let patience = Patience { copy: Duration::from_secs(3), ..Patience::default() };
    let fake = |name: &str| Fake::with_patience(name, &["a"], patience);
    let (from, to) = (fake("S1"), fake("S2"));
    from.replica.is_slow(10, Duration::from_millis(400));
    assert_eq!(copy(&from.server, &to.server, "a"), Ok(0), "after 4 s");
}

#[test]
fn a_copy_that_stands_still_is_given_up() {
    let patience = Patience { copy: Duration::from_secs(2), ..Patience::default() };
    let fake = |name: &str| Fake::with_patience(name, &["a"], patience);
    let (from, to) = (fake("S1"), fake("S2"));
    for (name, path, phase) in [("S1", "/copy", "waiting for the answer"), ("S2", "/fill", "waiting for the answer")] {
        let gate = [&from, &to][usize::from(name == "S2")].replica.gate(path);
        assert_has(&copy(&from.server, &to.server, "a").unwrap_err(), &["took too long", phase]);
        gate.reached.recv_timeout(fake::LONG).unwrap();
    }
    from.replica.is_slow(2, fake::LONG);
    assert_has(&copy(&from.server, &to.server, "a").unwrap_err(), &["took too long", "reading a body"]);
}

/// The port of a server that has ended may be another one's now: what it says there is not believed.
#[test]
fn who_has_ended_says_nothing_whoever_has_its_port() {
    let (other, to) = (Fake::new("S2", &["a"]), Fake::new("S3", &["a"]));
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let ended = Server::new("S1", other.server.address(), Some(child));
    let ask = |server: &Server| server.ask(Method::Get, "/state", b"").map(|reply| reply.status);
    assert_eq!(ask(&other.server).unwrap(), Status::OK);
    assert_has(&ask(&ended).unwrap_err().to_string(), &["its process has ended"]);
    assert_eq!(copy(&other.server, &to.server, "a"), Ok(0));
    assert_eq!(copy(&ended, &to.server, "a"), Err("the process of server S1 has ended".to_owned()));
    assert_eq!(copy(&to.server, &ended, "a"), Err("the process of server S1 has ended".to_owned()));
}

/// Who was removed while it was filled is not put in step.
#[test]
fn who_was_removed_meanwhile_is_not_in_step() {
    let stage = with_a_new_one();
    let gate = stage.fakes["S3"].replica.gate("/fill");
    let server = Arc::clone(&stage.fakes["S3"].server);
    std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&stage.table, &named(&stage, &["a"]), &server));
        gate.reached.recv_timeout(fake::LONG).unwrap();
        stage.table.remove(1, vec!["S3".into()], &stage.asked().0).unwrap();
        gate.open.send(()).unwrap();
        assert!(!filling.join().unwrap());
    });
    assert_eq!((stage.in_step("a"), stage.durable("a").len()), (vec!["S1".to_owned(), "S2".to_owned()], 2));
}

/// Who comes back without its rows is out of step, durably, and is not believed; the last one that has them is not let in without them.
#[test]
fn who_has_lost_its_rows_counts_no_more_and_the_last_copy_is_waited_for() {
    let mut stage = stage(Name::RoundRobin);
    stage.write(&[1, 101]).unwrap();
    let layout = stage.table.layout().unwrap();
    let shards = layout.map.servers["S1"].clone();
    let look = |fake: &Fake| gone::look(&stage.table, &layout, &fake.server, &shards);
    assert_eq!(look(&stage.fakes["S1"]), Ok(()), "it has them");
    stage.events();
    for (name, left) in [("S1", &["S2", "S3"][..]), ("S3", &["S2"])] {
        assert_eq!(look(&Fake::new(name, &[])), Ok(()));
        for shard in ["a", "b"] {
            assert_eq!((stage.in_step(shard), stage.durable(shard)), (names(left), names(left)));
        }
        let empty = stage
            .events()
            .into_iter()
            .filter(|event| matches!(event, Event::ReplicaEmpty { server, .. } if server == name));
        assert_eq!(empty.count(), 2);
    }
    fs::write(stage.table.file.data("S2"), "new").unwrap();
    let why = look(&Fake::new("S2", &[])).unwrap_err();
    assert_has(&why, &["its rows of a are gone", "no other server", "S2.sqlite"]);
    assert_eq!((stage.durable("a"), stage.table.file.data("S2").exists()), (names(&["S2"]), false));
    // It has lost only one of two: its file stays.
    fs::write(stage.table.file.data("S2"), "old").unwrap();
    assert_has(&look(&Fake::new("S2", &["a"])).unwrap_err(), &["its rows of b are gone"]);
    assert!(stage.table.file.data("S2").exists());
    drop(layout);
    // Nobody who has lost its rows is asked how far it is.
    for name in ["S1", "S2", "S3"] {
        stage.go(name);
    }
    stage.table.layout().unwrap().groups["a"].alone().unsettle();
    stage.come("S1");
    stage.settle();
    assert!(!stage.table.layout().unwrap().groups["a"].seen().settled, "S2 is waited for");
}

/// In a database the file is the mark of a schema: without it, the rows would be emptied when they are back.
#[test]
fn a_mark_stays_when_the_rows_in_a_database_are_gone() {
    let mut stage = stage(Name::RoundRobin);
    let file = StateFile::new(stage.folder.path().join("state.json")).with_database(Some("lab at db:5432".to_owned()));
    Arc::get_mut(&mut stage.table).unwrap().file = file;
    let layout = stage.table.layout().unwrap();
    let mark = stage.table.file.data("S3");
    for name in ["S1", "S2", "S3"] {
        fs::write(stage.table.file.data(name), "mark").unwrap();
    }
    let look = |name: &str| gone::look(&stage.table, &layout, &Fake::new(name, &[]).server, &layout.map.servers[name]);
    assert_eq!((look("S1"), look("S2")), (Ok(()), Ok(())));
    let why = look("S3").unwrap_err();
    assert_has(&why, &["its rows of a are gone", "see that the database lab at db:5432 has the rows of S3 again"]);
    assert_eq!(fs::read_to_string(mark).unwrap(), "mark");
}

/// In a new table nobody has rows that could be lost.
#[test]
fn who_is_new_has_lost_nothing() {
    let stage = stage(Name::RoundRobin);
    stage.table.record(|state| state.begun.clear()).unwrap();
    let layout = stage.table.layout().unwrap();
    let new = Fake::new("S1", &[]);
    assert_eq!(gone::look(&stage.table, &layout, &new.server, &layout.map.servers["S1"]), Ok(()));
    assert_eq!(stage.in_step("a").len(), 3);
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
