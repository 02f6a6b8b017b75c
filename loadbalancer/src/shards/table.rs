//! The table: its map, its servers, and what is durable of both.
//!
//! Locks, in this order: that of changes of the map (one at a time), the shards' (in the order of their keys; shared by reads, alone by
//! changes), the state's, the map's and the list of servers. The shards' are held while servers are asked: that is what keeps readers from seeing
//! a change on one server and not on another, and it is the price. The map's is held for a look only: a call goes on with the map that it
//! has begun with, which is right, because shards are never taken away, and who is in step is known under their locks.

use super::{
    answers,
    asked::Asked,
    calls::Call,
    group::Group,
    lock::Lock,
    map::Map,
    server::Server,
    state::{State, StateFile},
};
use crate::{event::Events, pool::Pool};
use parking_lot::{Mutex, RwLock};
use protocol::{
    http::{Method, Status},
    output::warn,
    shard::{
        KEY,
        told::{Told, bad, refused},
    },
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The shards by name.
pub type Groups = BTreeMap<String, Arc<Lock>>;

/// The table, and its servers.
#[derive(Debug)]
pub struct Table {
    /// The map and the shards' locks; none before `/init`. Held for a look, or to put another one there.
    layout: RwLock<Option<Arc<Layout>>>,
    /// What is durable. Held while it is written.
    pub state: Mutex<Option<State>>,
    /// Where that is.
    pub file: StateFile,
    /// The servers that live, by name. Held for a look or a change.
    pub servers: Mutex<HashMap<String, Arc<Server>>>,
    /// Held by who changes the map.
    pub changing: Mutex<()>,
    /// The same servers, for whoever chooses one to read from.
    pub pool: Arc<Pool>,
    /// Where what happens is told.
    pub events: Events,
    /// Whether the state could not be written the last time: that is told once, until it can be.
    unwritten: AtomicBool,
}

/// The map, and a lock for each shard.
#[derive(Debug)]
pub struct Layout {
    /// The map.
    pub map: Map,
    /// The locks.
    pub groups: Groups,
    /// Which change of the map this is.
    version: u64,
    /// With which change of the map each server came: one of the same name that was removed meanwhile is another one.
    since: BTreeMap<String, u64>,
}

impl Layout {
    /// The layout of this state, behind another one, whose locks it keeps.
    #[must_use]
    pub fn new(state: &State, before: Option<&Self>) -> Self {
        let version = before.map_or(0, |before| before.version) + 1;
        let lock = |shard: &String| before.and_then(|before| before.groups.get(shard).map(Arc::clone));
        let new = |in_step| Arc::new(Lock::new(Group::new(in_step)));
        let group = |(shard, in_step): (&String, &_)| {
            (shard.clone(), lock(shard).unwrap_or_else(|| new(Clone::clone(in_step))))
        };
        let since = |name: &String| before.and_then(|before| before.since.get(name).copied()).unwrap_or(version);
        Self {
            map: state.map.clone(),
            groups: state.in_step.iter().map(group).collect(),
            version,
            since: state.map.servers.keys().map(|name| (name.clone(), since(name))).collect(),
        }
    }

    /// With which change of the map this server came; none if it is not in it.
    #[must_use]
    pub fn since(&self, server: &str) -> Option<u64> {
        self.since.get(server).copied()
    }

    /// Whether this server has all changes of all its shards.
    #[must_use]
    pub fn is_in_step(&self, server: &str) -> bool {
        let has_all = |shard: &String| self.groups.get(shard).is_some_and(|group| group.has_in_step(server));
        self.map.servers.get(server).is_some_and(|shards| shards.iter().all(has_all))
    }

    /// The lock of a shard.
    ///
    /// # Errors
    /// If there is no such shard.
    pub fn group(&self, shard: &str) -> Result<&Lock, Told> {
        self.groups.get(shard).map(|group| &**group).ok_or_else(|| bad(&format!("There is no shard '{shard}'")))
    }
}

impl Table {
    /// A table whose state is in this file, and whose servers are in this pool.
    #[must_use]
    pub fn new(file: StateFile, state: Option<State>, pool: Arc<Pool>, events: Events) -> Self {
        let layout = state.as_ref().map(|state| Arc::new(Layout::new(state, None)));
        let (layout, state) = (RwLock::new(layout), Mutex::new(state));
        Self {
            layout,
            state,
            file,
            servers: Mutex::default(),
            changing: Mutex::default(),
            pool,
            events,
            unwritten: AtomicBool::new(false),
        }
    }

    /// The map and the locks, as they are now.
    #[must_use]
    pub fn layout(&self) -> Option<Arc<Layout>> {
        self.layout.read().as_ref().map(Arc::clone)
    }

    /// From now on it is this one.
    pub fn put(&self, layout: Layout) {
        *self.layout.write() = Some(Arc::new(layout));
    }

    /// Changes what is durable. Nothing is changed if it cannot be written.
    ///
    /// # Errors
    /// If so.
    pub fn record(&self, change: impl FnOnce(&mut State)) -> Result<(), Told> {
        let mut state = self.state.lock();
        let Some(mut new) = state.clone() else { return Err(not_configured()) };
        change(&mut new);
        if state.as_ref() != Some(&new) {
            self.write_state(&new)?;
            *state = Some(new);
        }
        Ok(())
    }

    /// Writes what is to be durable.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write_state(&self, state: &State) -> Result<(), Told> {
        let written = self.file.write(state);
        let told = self.unwritten.swap(written.is_err(), Ordering::SeqCst);
        written.map_err(|error| {
            if !told {
                warn!("{error:#}");
            }
            refused(Status::SERVICE_UNAVAILABLE, "The state of the shards cannot be written. Nothing was changed")
        })
    }

    /// Whether this server is the one of its name.
    #[must_use]
    pub fn has(&self, server: &Arc<Server>) -> bool {
        self.servers.lock().get(&server.name).is_some_and(|there| Arc::ptr_eq(there, server))
    }

    /// Those of these servers that live.
    pub fn alive<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Vec<Arc<Server>> {
        let servers = self.servers.lock();
        names.into_iter().filter_map(|name| servers.get(name).map(Arc::clone)).collect()
    }

    /// Carries out a call that neither begins a table nor changes its servers.
    ///
    /// # Errors
    /// What is told instead.
    pub fn carry_out(&self, call: Call, asked: &Asked) -> Result<Told, Told> {
        let layout = self.layout().ok_or_else(not_configured)?;
        match call {
            Call::Read { low, high } => self.read(&layout, (low, high), asked),
            Call::Write(rows) => self.write(&layout, rows, asked),
            Call::Update { id, data } => {
                layout.map.schema.changes(id, &data).map_err(|why| bad(&why))?;
                let body = json!({ KEY: id, "data": data });
                self.change(&layout, id, (Method::Put, "/update", body), asked).map(|()| answers::updated(id))
            }
            Call::Delete { id } => {
                let body = json!({ KEY: id });
                self.change(&layout, id, (Method::Delete, "/del", body), asked).map(|()| answers::removed(id))
            }
            Call::Status => Ok(answers::status(&layout.map)),
            Call::Init(_) | Call::Add { .. } | Call::Remove { .. } => {
                Err(bad("That changes the map, and not the rows"))
            }
        }
    }
}

/// There is no table yet.
#[must_use]
pub fn not_configured() -> Told {
    bad("The database is not configured: POST /init comes first")
}

/// A shard that nobody can be asked for.
#[must_use]
pub fn nobody(shard: &str) -> Told {
    refused(Status::SERVICE_UNAVAILABLE, &format!("Shard '{shard}' has no server at the moment. Nothing was changed"))
}
