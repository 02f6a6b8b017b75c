//! What becomes of the servers' files.

use super::*;
use crate::{
    replicas::Program,
    shards::{
        ShardFlags,
        keeper::Keeper,
        map::{Servers, Shard},
        program,
        start::Start,
    },
};
use protocol::{flags::UNLIMITED, lifeline::Lifeline};
use std::time::Instant;

fn with_a_file(stage: &Stage, name: &str) {
    fs::write(stage.table.file.data(name), "rows").unwrap();
}

/// A server that was removed while it was started, and has failed: the file that it has made would be in the way of the next one of its name.
#[test]
fn who_was_removed_and_could_not_be_started_leaves_no_file() {
    let stage = stage(Name::ConsistentHash);
    let program = Program::of(Some(std::env::current_exe().unwrap()), "shard", UNLIMITED).unwrap();
    let mut keeper = Keeper::new(Arc::clone(&stage.table), program, Lifeline::open().unwrap(), bounded(1));
    let since = stage.table.layout().unwrap().since("S1");
    for (name, since, stays) in
        [("S1", since, true), ("S2", Some(77), false), ("S4", since, false), ("S5", None, false)]
    {
        with_a_file(&stage, name);
        let server = Err("it has not come".to_owned());
        keeper.has_started(name, Start { began: Instant::now(), since, server });
        assert_eq!(stage.table.file.data(name).exists(), stays, "{name}");
    }
}

/// The files of this stage, as the next load balancer finds them.
fn next(stage: &Stage) -> (Arc<Table>, Keeper) {
    let file = StateFile::new(stage.folder.path().join("state.json"));
    let state = file.read().unwrap();
    let (events, _) = Events::with_listeners(0);
    let pool = Pool::new(Settings::of(Name::ConsistentHash, 0), events.clone());
    let table = Arc::new(Table::new(file, state, pool, events));
    let program = Program::of(Some(std::env::current_exe().unwrap()), "shard", UNLIMITED).unwrap();
    let keeper = Keeper::new(Arc::clone(&table), program, Lifeline::open().unwrap(), bounded(1));
    (table, keeper)
}

fn going(stage: &Stage) -> Vec<String> {
    let file = StateFile::new(stage.folder.path().join("state.json"));
    file.read().unwrap().unwrap().going.into_iter().collect()
}

fn add(name: &str) -> (Vec<Shard>, Servers) {
    let body = json!({ "n": 1, "servers": { name: ["a"] } }).to_string();
    let Ok(Call::Add { shards, servers }) = Call::read("add", body.as_bytes(), &mut || 0) else { panic!() };
    (shards, servers)
}

/// Removed, as if the load balancer had been killed before it could remove the file.
fn killed_in_the_middle_of_removing_s3() -> Stage {
    let stage = stage(Name::ConsistentHash);
    stage.table.remove(1, vec!["S3".into()], &stage.asked().0).unwrap();
    assert_eq!(going(&stage), [""; 0], "its files are gone, and it with them");
    stage.table.record(|state| state.going.extend(["S3".to_owned()])).unwrap();
    ["S1", "S3", "S9"].iter().for_each(|name| with_a_file(&stage, name));
    fs::write(stage.folder.path().join("S3.sqlite-wal"), "changes").unwrap();
    stage
}

#[test]
fn who_was_killed_while_it_removed_a_server_leaves_no_file() {
    let stage = killed_in_the_middle_of_removing_s3();
    let (table, mut keeper) = next(&stage);
    keeper.clear_away(Instant::now());
    let there = |name: &str| stage.folder.path().join(name).exists();
    assert_eq!(
        ["S1.sqlite", "S3.sqlite", "S3.sqlite-wal", "S9.sqlite"].map(there),
        [true, false, false, true],
        "what is not known to be a rest is not touched"
    );
    assert_eq!(going(&stage), [""; 0]);
    let (shards, servers) = add("S3");
    table.add(shards, servers, &stage.asked().0).unwrap();
}

/// Whoever is quicker than the keeper: what is added is another server of this name, and its file stays.
#[test]
fn a_server_that_is_added_again_keeps_its_file() {
    let stage = killed_in_the_middle_of_removing_s3();
    let (table, mut keeper) = next(&stage);
    let (shards, servers) = add("S3");
    table.add(shards, servers, &stage.asked().0).unwrap();
    assert!(!table.file.data("S3").exists(), "it begins with nothing");
    assert_eq!(going(&stage), [""; 0]);
    with_a_file(&stage, "S3");
    keeper.clear_away(Instant::now());
    assert!(table.file.data("S3").exists());
}

/// A process that has not ended yet may still write.
#[test]
fn the_file_of_a_server_that_still_lives_is_removed_when_it_has_ended() {
    let stage = killed_in_the_middle_of_removing_s3();
    let (table, mut keeper) = next(&stage);
    let lock = fs::File::create(stage.folder.path().join("S3.sqlite.lock")).unwrap();
    lock.lock().unwrap();
    keeper.clear_away(Instant::now());
    let file = table.file.data("S3");
    assert_eq!((file.exists(), going(&stage)), (true, vec!["S3".to_owned()]));
    let (shards, servers) = add("S3");
    let told = table.add(shards, servers, &stage.asked().0).unwrap_err();
    assert_has(&told.says(), &["'S3' was removed, and its file is not gone yet: try again"]);
    drop(lock);
    keeper.clear_away(Instant::now());
    assert_eq!((file.exists(), going(&stage)), (false, vec![]));
}

/// The files go at once; that they are gone is written when it can be, and not at every look.
#[test]
fn that_a_server_is_gone_is_written_a_second_later_if_it_cannot_be_written() {
    let stage = killed_in_the_middle_of_removing_s3();
    let (table, mut keeper) = next(&stage);
    let state_file = stage.cannot_write();
    let now = Instant::now();
    keeper.clear_away(now);
    assert!(!table.file.data("S3").exists());
    state_file.put_back();
    keeper.clear_away(now + Duration::from_millis(999));
    assert_eq!(going(&stage), ["S3"]);
    keeper.clear_away(now + Duration::from_secs(1));
    assert_eq!(going(&stage), [""; 0]);
}

/// A disk that is full is not empty in a moment: who tries again at once has nothing else to do.
#[test]
fn a_state_that_cannot_be_written_is_tried_again_after_a_second_and_then_all_goes_on() {
    let stage = stage(Name::ConsistentHash);
    let file = stage.cannot_write();
    stage.fakes["S2"].replica.breaks(&["/write"]);
    assert_eq!(stage.write(&[1]).unwrap_err().status, Status::GATEWAY_TIMEOUT);
    let before = stage.fakes["S1"].replica.heard("/state").len();
    let (words, heard) = bounded(16);
    let program = Program::of(Some(std::env::current_exe().unwrap()), "shard", UNLIMITED).unwrap();
    let keeper = Keeper::new(Arc::clone(&stage.table), program, Lifeline::open().unwrap(), (words.clone(), heard));
    let keeper = std::thread::spawn(move || keeper.run());
    let until = |holds: &dyn Fn() -> bool| {
        let end = Instant::now() + fake::LONG;
        while !holds() {
            assert!(Instant::now() < end, "waited in vain");
            // Not to wait for anything: so that looking costs nothing.
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let asked = || stage.fakes["S1"].replica.heard("/state")[before..].to_vec();
    until(&|| asked().len() >= 3);
    for pair in asked().windows(2) {
        let pause = pair[1].0 - pair[0].0;
        assert!(pause >= Duration::from_secs(1), "it was tried again after {pause:?}");
    }
    assert_eq!(stage.read(1, 1).unwrap_err().status, Status::SERVICE_UNAVAILABLE);
    file.put_back();
    until(&|| stage.read(1, 1) == Ok(vec![1]));
    words.send(Word::End).unwrap();
    keeper.join().unwrap();
}

/// What says where the rows are decides what becomes of the files.
#[test]
fn it_is_known_whether_the_rows_are_in_a_database_or_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    let words = |config: Option<Value>| {
        let file = folder.path().join("database.json");
        config.iter().for_each(|config| fs::write(&file, config.to_string()).unwrap());
        let (shard_program, shard_database) = (Some(own.clone()), config.map(|_| file));
        program(&ShardFlags { shard_program, shard_database, ..ShardFlags::default() }).unwrap().1
    };
    let postgres = json!({
        "engine": "postgres", "host": "db", "port": 5432, "database": "lab", "user": "u", "password": "secret",
    });
    assert_eq!(words(Some(postgres)).as_deref(), Some("lab at db:5432"));
    assert_eq!(words(Some(json!({ "engine": "sqlite", "path": "lab.db" }))), None);
    assert_eq!(words(None), None);
}

/// Whoever reads this must not remove the files of the other servers.
#[test]
fn a_file_in_the_way_of_a_new_server_is_named_alone() {
    let stage = stage(Name::ConsistentHash);
    with_a_file(&stage, "S4");
    let body = json!({ "n": 1, "servers": { "S4": ["a"] } }).to_string();
    let Ok(Call::Add { shards, servers }) = Call::read("add", body.as_bytes(), &mut || 0) else { panic!() };
    let told = stage.table.add(shards, servers, &stage.asked().0).unwrap_err();
    let file = stage.table.file.data("S4");
    assert_eq!(told.status, Status::CONFLICT);
    assert_has(&told.says(), &["a server 'S4' that the table does not have", &format!("remove {},", file.display())]);
    assert!(!told.says().contains("folder"), "{told:?}");
}
