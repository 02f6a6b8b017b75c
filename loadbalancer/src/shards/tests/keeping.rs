//! What becomes of the servers' files.

use super::*;
use crate::{
    replicas::Program,
    shards::{ShardFlags, keeper::Keeper, program, start::Start},
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
