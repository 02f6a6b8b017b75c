//! The table with replicas that live in this process: what is told, and what must not happen, whatever fails when.

mod fake;
mod changes;
mod fills;
mod keeping;
mod reads;

use self::fake::Fake;
use super::{
    asked::Asked,
    calls::Call,
    keeper::Word,
    patience::Patience,
    settle::{Open, settle},
    state::{State, StateFile},
    table::Table,
};
use crate::{
    event::{Event, Events, Record, why::explain},
    policy::Name,
    pool::{Pool, Settings},
};
use crossbeam_channel::{Receiver, bounded};
use protocol::{http::Status, id::RequestId, shard::told::Told};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A table on replicas, settled and in step.
struct Stage {
    table: Arc<Table>,
    fakes: BTreeMap<String, Fake>,
    told: Receiver<Arc<Record>>,
    count: AtomicU64,
    folder: tempfile::TempDir,
    patience: Patience,
}

/// Shards a (keys 0 to 99) and b (100 to 199), both on S1, S2 and S3.
fn stage(policy: Name) -> Stage {
    stage_with(policy, Patience::default())
}

/// The same, with servers that are waited for so long.
fn stage_with(policy: Name, patience: Patience) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let (events, mut told) = Events::with_listeners(1);
    let file = StateFile::new(folder.path().join("state.json"));
    let pool = Pool::new(Settings::of(policy, 0), events.clone());
    let table = Arc::new(Table::new(file, None, pool, events));
    let map = json!({
        "N": 3,
        "schema": { "columns": ["Stud_id"], "dtypes": ["Number"] },
        "shards": [
            { "Stud_id_low": 0, "Shard_id": "a", "Shard_size": 100 },
            { "Stud_id_low": 100, "Shard_id": "b", "Shard_size": 100 },
        ],
        "servers": { "S1": ["a", "b"], "S2": ["a", "b"], "S3": ["a", "b"] },
    });
    let Ok(Call::Init(map)) = Call::read("init", map.to_string().as_bytes(), &mut || 0) else { panic!() };
    let told = told.remove(0);
    let mut stage = Stage { table, fakes: BTreeMap::new(), told, count: AtomicU64::new(0), folder, patience };
    stage.table.init(map, &stage.asked().0).unwrap();
    for name in ["S1", "S2", "S3"] {
        stage.come(name);
    }
    stage.settle();
    stage
}

impl Stage {
    /// A server comes, with nothing.
    fn come(&mut self, name: &str) {
        let fake = Fake::with_patience(name, &["a", "b"], self.patience);
        fake.server.join(&self.table.pool);
        self.table.servers.lock().insert(name.to_owned(), Arc::clone(&fake.server));
        self.fakes.insert(name.to_owned(), fake);
    }

    /// A server is lost.
    fn go(&mut self, name: &str) {
        let server = self.table.servers.lock().remove(name).unwrap();
        self.table.pool.leave(server.place().unwrap());
        self.fakes.remove(name);
    }

    /// Whether what came of it could be written down.
    fn settle(&self) -> bool {
        let layout = self.table.layout().unwrap();
        let open = layout.groups.iter().map(|(shard, lock)| Open {
            shard: shard.clone(),
            lock: Arc::clone(lock),
            seen: lock.seen(),
            last: true,
        });
        settle(&self.table, &open.filter(|open| !open.seen.settled).collect::<Vec<_>>())
    }

    fn asked(&self) -> (Asked, RequestId) {
        let id = RequestId { client: 7, sequence: self.count.fetch_add(1, Ordering::SeqCst) + 1 };
        (Asked { id, client: 1, key: id.sequence << 60 }, id)
    }

    fn call(&self, path: &str, body: &Value) -> Result<Told, Told> {
        let call = Call::read(path, body.to_string().as_bytes(), &mut || 0)?;
        self.table.carry_out(call, &self.asked().0)
    }

    fn write(&self, ids: &[i64]) -> Result<Told, Told> {
        let data: Vec<Value> = ids.iter().map(|id| json!({ "Stud_id": id })).collect();
        self.call("write", &json!({ "data": data }))
    }

    fn read(&self, low: i64, high: i64) -> Result<Vec<i64>, Told> {
        let told = self.call("read", &json!({ "Stud_id": { "low": low, "high": high } }))?;
        let told: Value = serde_json::from_str(&told.body).unwrap();
        Ok(told["data"].as_array().unwrap().iter().map(|row| row["Stud_id"].as_i64().unwrap()).collect())
    }

    /// What was told since this was asked last.
    fn events(&self) -> Vec<Event> {
        self.told.try_iter().map(|record| record.event.clone()).collect()
    }

    /// The explanation of the last call.
    fn why(&self) -> String {
        let id = RequestId { client: 7, sequence: self.count.load(Ordering::SeqCst) };
        explain(self.told.try_iter(), id).to_string()
    }

    fn in_step(&self, shard: &str) -> Vec<String> {
        self.table.layout().unwrap().groups[shard].seen().in_step.into_iter().collect()
    }

    /// From now on the state cannot be written.
    fn cannot_write(&self) -> Kept {
        let path = self.folder.path().join("state.json");
        let bytes = fs::read(&path).unwrap();
        // A folder with something in it cannot be replaced by a file, not even by root.
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("in the way")).unwrap();
        Kept { path, bytes }
    }

    /// What a load balancer that starts now would believe.
    fn durable(&self, shard: &str) -> Vec<String> {
        let state: State = serde_json::from_slice(&fs::read(self.folder.path().join("state.json")).unwrap()).unwrap();
        state.in_step[shard].iter().cloned().collect()
    }
}

/// The state as it was when it could be written the last time.
struct Kept {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Kept {
    /// It can be written again.
    fn put_back(self) {
        fs::remove_dir_all(&self.path).unwrap();
        fs::write(&self.path, self.bytes).unwrap();
    }
}

#[track_caller]
fn assert_has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "'{part}' is not said:\n{said}");
    }
}

/// Somebody who waits for the keeper is told what is true: the map is kept.
#[test]
fn who_waits_for_servers_is_told_what_is_kept_and_what_is_not_there() {
    use super::front::Front;
    use crate::dispatch::key::HashKey;
    use protocol::id::IdSource;
    let stage = stage(Name::ConsistentHash);
    let (keeper, heard) = bounded(1);
    let front = Front { table: Arc::clone(&stage.table), keeper, ids: IdSource::new(1), hash_key: HashKey::Request };
    let add = |name: &str| {
        let body = json!({ "n": 1, "servers": { name: ["a"] } }).to_string();
        Call::read("add", body.as_bytes(), &mut || 0).unwrap()
    };
    let told = std::thread::scope(|scope| {
        let asked = scope.spawn(|| front.carry_out(add("S4"), &stage.asked().0));
        let Word::Await(names, reply) = heard.recv_timeout(fake::LONG).unwrap() else { panic!() };
        assert_eq!(names, ["S4"]);
        reply.send(Err(names)).unwrap();
        asked.join().unwrap().unwrap()
    });
    assert_eq!(told.status, Status::ACCEPTED);
    assert_has(&told.says(), &["The map is kept", "S4 is not in service yet"]);
    drop(heard);
    let told = front.carry_out(add("S5"), &stage.asked().0).unwrap();
    assert_eq!(
        (told.status, told.says().contains("The map is kept")),
        (Status::ACCEPTED, true),
        "the keeper has ended"
    );
    assert_eq!(stage.table.layout().unwrap().map.servers.len(), 5);
}
