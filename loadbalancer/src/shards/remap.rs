//! Changes of the map: a table begins, shards and servers come, servers go. In the thread of who asks for it, one at a time; the keeper then finds
//! servers to start.
//!
//! **A server that goes** must not be the last one with all changes of a shard, and that must not become true between the look and the deed:
//! so its shards are held alone meanwhile. A server or a shard that comes needs no lock: nobody asks it before the map is there.

use super::{
    asked::{Asked, Held},
    map::{Map, Servers, Shard},
    state::State,
    table::{Layout, Table, not_configured},
};
use crate::event::Event;
use protocol::{
    http::Status,
    shard::told::{Told, bad, refused},
};
use std::{collections::BTreeSet, sync::Arc};

impl Table {
    /// Begins with this map.
    ///
    /// # Errors
    /// If there is one, or files of an earlier table.
    pub fn init(&self, map: Map, asked: &Asked) -> Result<(), Told> {
        let _alone = self.changing.lock();
        if self.layout().is_some() {
            return Err(bad("The database is configured already"));
        }
        if let Some(there) = self.with_file(map.servers.keys()) {
            let why = format!(
                "There is the file of a server '{there}' of an earlier table. Remove the folder of the state, or name another"
            );
            return Err(refused(Status::CONFLICT, &why));
        }
        let state = State::new(map);
        self.write_state(&state)?;
        let layout = Layout::new(&state, None);
        *self.state.lock() = Some(state);
        asked.tell_table(&self.events, &layout);
        self.put(layout);
        Ok(())
    }

    /// More shards and servers.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn add(&self, shards: Vec<Shard>, servers: Servers, asked: &Asked) -> Result<(), Told> {
        let _alone = self.changing.lock();
        let old = self.layout().ok_or_else(not_configured)?;
        let names: Vec<String> = servers.keys().cloned().collect();
        let map = old.map.with(shards, servers).map_err(|why| bad(&why))?;
        let going = self.state.lock().as_ref().map(|state| state.going.clone()).unwrap_or_default();
        if let Some(busy) = names.iter().find(|name| going.contains(*name) && !self.file.clear_away(name)) {
            let why = format!("Server '{busy}' was removed, and its file is not gone yet: try again");
            return Err(refused(Status::CONFLICT, &why));
        }
        if let Some(there) = self.with_file(&names) {
            // Not its folder, in which those of the others are.
            let file = self.file.data(there);
            let why = format!(
                "There is the file of a server '{there}' that the table does not have: remove {}, or name another server",
                file.display()
            );
            return Err(refused(Status::CONFLICT, &why));
        }
        self.remap(&old, map, &[], asked)
    }

    /// So many servers less, these among them: which went.
    ///
    /// # Errors
    /// If they cannot be spared.
    pub fn remove(&self, n: usize, names: Vec<String>, asked: &Asked) -> Result<Vec<String>, Told> {
        let _alone = self.changing.lock();
        let old = self.layout().ok_or_else(not_configured)?;
        let names = chosen(&old.map, n, names).map_err(|why| bad(&why))?;
        let map = old.map.without(&names).map_err(|why| bad(&why))?;
        let theirs: BTreeSet<&String> = names.iter().filter_map(|name| old.map.servers.get(name)).flatten().collect();
        let shards = old.map.shards.iter().map(|shard| &shard.id).filter(|shard| theirs.contains(shard));
        let mut held: Vec<Held<'_>> =
            shards.map(|shard| Ok((shard.clone(), old.group(shard)?.alone()))).collect::<Result<_, Told>>()?;
        // Those that remain must have all that there is: the map says who should, the shards know who does.
        for (shard, group) in &held {
            if self.alive(group.in_step.iter().filter(|name| !names.contains(*name))).is_empty() {
                let why = format!("No other server has all changes of shard '{shard}' at the moment");
                return Err(refused(Status::SERVICE_UNAVAILABLE, &why));
            }
        }
        // From now on it is certain that they go, whatever becomes of this process.
        self.remap(&old, map, &names, asked)?;
        let gone: Vec<_> = names.iter().filter_map(|name| self.servers.lock().remove(name)).collect();
        held.iter_mut().for_each(|(_, group)| group.in_step.retain(|name| !names.contains(name)));
        drop(held);
        gone.iter().filter_map(|server| server.place()).for_each(|place| self.pool.leave(place));
        gone.iter().for_each(|server| server.kill());
        for server in &names {
            self.events.emit(|| Event::ReplicaRemoved { server: server.clone() });
        }
        // One that is just being started may make its file yet: the keeper sees to that, and to what cannot be removed or written now.
        let cleared: Vec<&String> = names.iter().filter(|name| self.file.clear_away(name)).collect();
        let ended = |name: &String| cleared.contains(&name) && gone.iter().any(|server| server.name == *name);
        let _another_time = self.record(|state| state.going.retain(|name| !ended(name)));
        Ok(names)
    }

    fn remap(&self, old: &Arc<Layout>, map: Map, going: &[String], asked: &Asked) -> Result<(), Told> {
        self.record(|state| {
            state.map = map;
            state.going.extend(going.iter().cloned());
            state.fill_up();
        })?;
        let layout = self.state.lock().as_ref().map(|state| Layout::new(state, Some(old)));
        let layout = layout.ok_or_else(not_configured)?;
        asked.tell_table(&self.events, &layout);
        self.put(layout);
        Ok(())
    }

    /// The first of these servers that has a file. One that is new has none: that of an earlier table would be taken for its own.
    fn with_file<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Option<&'a String> {
        names.into_iter().find(|name| self.file.data(name).exists())
    }
}

/// The servers that are named, and others by chance that can be spared.
fn chosen(map: &Map, n: usize, mut names: Vec<String>) -> Result<Vec<String>, String> {
    if n > map.servers.len() {
        return Err(format!("n is {n}, and there are {} servers", map.servers.len()));
    }
    let mut others: Vec<&String> = map.servers.keys().filter(|name| !names.contains(name)).collect();
    fastrand::shuffle(&mut others);
    for other in others {
        if names.len() == n {
            break;
        }
        let with: Vec<String> = names.iter().chain([other]).cloned().collect();
        if map.without(&with).is_ok() {
            names = with;
        }
    }
    if names.len() == n { Ok(names) } else { Err("So many servers cannot be spared: each shard keeps one".to_owned()) }
}
