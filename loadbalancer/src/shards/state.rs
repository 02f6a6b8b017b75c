//! What must survive the load balancer: the map, and which servers have all changes of which shard.
//!
//! **Why the second.** A server that has missed a change must never be asked again before it was filled, also not by the next
//! load balancer, which cannot see what was missed: an older copy looks like any other. So that a server is out of step is
//! durable *before* the change that it has missed is acknowledged. (Kafka keeps its "in-sync replicas" for the same reason.)
//!
//! **And which servers are going.** A server is removed when the map without it is durable; its process and its file go after that. A load
//! balancer that is killed in between leaves a file of which the map knows nothing, and whose it is cannot be seen. So the same write says who goes.

use super::map::Map;
use anyhow::Context as _;
use protocol::{flags::parse_server_id, registry::replace_file};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// The map and who is in step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The map.
    pub map: Map,
    /// By shard, the servers that have all its changes.
    pub in_step: BTreeMap<String, BTreeSet<String>>,
    /// Shards that were settled once. A server that is in step of one of these and does not know it has lost its rows; of another one, it
    /// is new.
    #[serde(default)]
    pub begun: BTreeSet<String>,
    /// Servers that were removed, and whose files may still be there. What was begun so is finished by whoever reads this: the keeper, of
    /// this load balancer or of the next one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub going: BTreeSet<String>,
}

impl State {
    /// A new table: all servers of a shard are in step, because nothing was changed yet.
    #[must_use]
    pub fn new(map: Map) -> Self {
        let mut state = Self { map, in_step: BTreeMap::new(), begun: BTreeSet::new(), going: BTreeSet::new() };
        state.fill_up();
        state
    }

    /// New shards begin with all their servers in step; shards and servers that are gone are forgotten.
    pub fn fill_up(&mut self) {
        let Self { map, in_step, begun, going } = self;
        // One that is there again has files of its own.
        going.retain(|name| !map.servers.contains_key(name));
        in_step.retain(|id, _| map.shards.iter().any(|shard| shard.id == *id));
        begun.retain(|id| in_step.contains_key(id));
        for shard in &map.shards {
            let servers: BTreeSet<String> = map.servers_of(&shard.id).map(str::to_owned).collect();
            in_step.entry(shard.id.clone()).or_insert_with(|| servers.clone()).retain(|name| servers.contains(name));
        }
    }
}

/// The file of the state, and where the servers' rows are.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// The database that has the rows, in words; none if they are in files beside the state.
    database: Option<String>,
}

impl StateFile {
    /// This file, which need not be there.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, database: None }
    }

    /// The same; the servers have their rows in this database. Their files only say so.
    #[must_use]
    pub fn with_database(self, database: Option<String>) -> Self {
        Self { database, ..self }
    }

    /// The database that has the servers' rows, if they are not in files.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The folder in which the servers' files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The file of a server.
    #[must_use]
    pub fn data(&self, server: &str) -> PathBuf {
        self.folder().join(format!("{server}.sqlite"))
    }

    /// Removes what a server had that is not there any more.
    pub fn remove_data(&self, server: &str) {
        for end in ["", "-wal", "-shm", ".lock"] {
            let mut file = self.data(server).into_os_string();
            file.push(end);
            let _not_there = fs::remove_file(file);
        }
    }

    /// Removes what a server had that was removed. False if it may still live, or its files cannot be removed: another time.
    ///
    /// A server holds the lock beside its file as long as it lives, and so does this while it removes both. With a database there is
    /// no such lock: the file is a mark, the rows' own lock is in the database, and nobody writes into a mark.
    #[must_use]
    pub fn clear_away(&self, server: &str) -> bool {
        let mut lock = self.data(server).into_os_string();
        lock.push(".lock");
        let _held = match File::options().write(true).open(lock) {
            Ok(file) if file.try_lock().is_ok() => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // Whether somebody has it cannot be seen.
            _ => return false,
        };
        self.remove_data(server);
        self.data(server).try_exists().is_ok_and(|there| !there)
    }

    /// Takes the folder for this process, as long as what is returned lives: two load balancers would each forget who is out of step for
    /// the other.
    ///
    /// # Errors
    /// If another one has it.
    pub fn lock(&self) -> anyhow::Result<File> {
        fs::create_dir_all(self.folder())?;
        let path = self.folder().join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "Another load balancer has the shards in {}: name a --state in another folder",
                    self.folder().display()
                )
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }

    /// What was written last; nothing if there is no file.
    ///
    /// # Errors
    /// If it cannot be read, or is none of ours.
    pub fn read(&self) -> anyhow::Result<Option<State>> {
        let shown = self.path.display();
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("The state of the shards, {shown}, cannot be read"));
            }
        };
        let state: State = serde_json::from_slice(&bytes)
            .with_context(|| format!("{shown} is no state of shards. Move it away, or name another with --state"))?;
        let unusable = |why| anyhow::anyhow!("{shown} cannot be used: {why}");
        // They become names of files.
        let mut names = state.map.servers.keys().chain(&state.going);
        names.try_for_each(|name| parse_server_id(name).map(drop)).map_err(unusable)?;
        let State { map: Map { schema, shards, servers }, .. } = state.clone();
        Map::new(schema, shards, servers).map_err(unusable)?;
        Ok(Some(state))
    }

    /// Replaces it, durably.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, state: &State) -> anyhow::Result<()> {
        fs::create_dir_all(self.folder())?;
        Ok(replace_file(&self.path, &serde_json::to_vec_pretty(state)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shards::calls::Call;

    #[test]
    fn what_was_written_is_read_and_what_is_no_state_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("new").join("state.json"));
        let locked = file.lock().unwrap();
        let again = StateFile::new(folder.path().join("new").join("other.json"));
        assert!(again.lock().unwrap_err().to_string().contains("Another load balancer"));
        drop(locked);
        again.lock().unwrap();
        assert_eq!(file.read().unwrap(), None);
        let Ok(Call::Init(map)) = Call::read("init", b"", &mut || 0) else { panic!() };
        let mut state = State::new(map);
        state.in_step.get_mut("sh1").unwrap().remove("Server0");
        file.write(&state).unwrap();
        assert_eq!(file.read().unwrap(), Some(state.clone()));
        fs::write(folder.path().join("new").join("state.json"), "{}").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("no state of shards"));
    }

    /// The names in it become names of files that are removed.
    #[test]
    fn a_state_with_names_that_no_server_has_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("state.json"));
        let Ok(Call::Init(map)) = Call::read("init", b"", &mut || 0) else { panic!() };
        let mut state = State::new(map);
        state.going.insert("../Server9".to_owned());
        file.write(&state).unwrap();
        let why = file.read().unwrap_err().to_string();
        assert!(why.contains("cannot be used") && why.contains("'../Server9' is not an id"), "{why}");
        state.going = BTreeSet::from(["Server9".to_owned()]);
        file.write(&state).unwrap();
        assert_eq!(file.read().unwrap(), Some(state));
    }

    /// What cannot be looked at may be held.
    #[test]
    fn files_stay_when_it_cannot_be_seen_whether_their_server_lives() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("state.json"));
        let lock = folder.path().join("S.sqlite.lock");
        fs::write(file.data("S"), "rows").unwrap();
        // A folder cannot be opened for writing, not even by root.
        fs::create_dir(&lock).unwrap();
        assert!(!file.clear_away("S") && file.data("S").exists());
        fs::remove_dir(&lock).unwrap();
        assert!(file.clear_away("S") && !file.data("S").exists());
    }

    #[test]
    fn who_is_new_in_an_old_shard_is_out_of_step() {
        let Ok(Call::Init(map)) = Call::read("init", b"", &mut || 0) else { panic!() };
        let mut state = State::new(map.clone());
        let body = br#"{"n":1,"new_shards":[{"Stud_id_low":16384,"Shard_id":"sh5","Shard_size":9}],"servers":{"S":["sh1","sh5"]}}"#;
        let Ok(Call::Add { shards, servers }) = Call::read("add", body, &mut || 0) else { panic!() };
        state.map = map.with(shards, servers).unwrap();
        state.fill_up();
        assert!(!state.in_step["sh1"].contains("S") && state.in_step["sh5"].contains("S"));
        state.map = state.map.without(&["Server0".into()]).unwrap();
        state.fill_up();
        assert_eq!(state.in_step["sh1"].iter().collect::<Vec<_>>(), ["Server3", "Server5"]);
    }
}
