//! One agreed state: after the load balancer has begun, or when all servers of a shard have failed in one change.
//!
//! All servers in step have every acknowledged change. Some may have one more, of which nobody was told. Either is right, but all
//! must be alike: whoever has the highest number is believed, and the others are out of step, durably, before the shard is read or
//! changed again.
//!
//! ```text
//! Server0 at 42 · Server3 at 41 · Server5 at 42       the shard is at 42; 0 and 5 are in step, 3 is filled
//! Server0 at 42 · Server3 silent for 5 s · Server5 at 42    the same: whatever 3 has, it was not acknowledged alone
//! ```
//!
//! They are asked without the shard's lock, because an unsettled shard is not changed. Whoever settles it holds the lock, and looks whether
//! it is still the same case (the generation).

use super::{
    at_once::at_once,
    lock::{Lock, Seen},
    server::Server,
    table::Table,
};
use crate::event::Event;
use protocol::http::Method;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A shard that is to be settled.
#[derive(Debug)]
pub struct Open {
    /// Its name.
    pub shard: String,
    /// Its lock.
    pub lock: Arc<Lock>,
    /// How it was when that was decided.
    pub seen: Seen,
    /// Whether it is done with those that answer, even if others do not.
    pub last: bool,
}

/// Settles what can be settled (thread `shards-settle`). False if something could not be, because it could not be written down.
pub fn settle(table: &Table, open: &[Open]) -> bool {
    let names: BTreeSet<&String> = open.iter().flat_map(|open| &open.seen.in_step).collect();
    let servers = table.alive(names);
    let positions = at_once(&servers, |server| positions(server));
    let by_name = servers.iter().map(|server| &server.name).zip(positions);
    let positions: BTreeMap<&String, Value> = by_name.filter_map(|(name, at)| Some((name, at?))).collect();
    open.iter().all(|open| settle_one(table, open, &positions))
}

/// The number that a server has of each of its shards, if it answers.
fn positions(server: &Server) -> Option<Value> {
    server.ask(Method::Get, "/state", b"").ok()?.json::<Value>().ok().map(|mut state| state["shards"].take())
}

/// The same for one. False if that could not be written down.
fn settle_one(table: &Table, Open { shard, lock, seen, last }: &Open, positions: &BTreeMap<&String, Value>) -> bool {
    let at = |name: &String| positions.get(name)?[shard]["seq"].as_u64();
    let said: Vec<(&String, u64)> = seen.in_step.iter().filter_map(|name| Some((name, at(name)?))).collect();
    let Some(most) = said.iter().map(|(_, seq)| *seq).max() else { return true };
    if said.len() < seen.in_step.len() && !last {
        return true;
    }
    let (believed, behind): (Vec<_>, Vec<_>) = said.iter().partition(|(_, seq)| *seq == most);
    let in_step: BTreeSet<String> = believed.into_iter().map(|(name, _)| name.clone()).collect();
    let mut group = lock.alone();
    if group.seq.is_some() || group.generation() != seen.generation || group.in_step != seen.in_step {
        return true;
    }
    let recorded = table.record(|state| {
        state.in_step.insert(shard.clone(), in_step.clone());
        state.begun.insert(shard.clone());
    });
    if recorded.is_err() {
        return false;
    }
    group.settle(most, in_step.clone());
    table.events.emit(|| Event::ShardSettled {
        shard: shard.clone(),
        seq: most,
        behind: behind.into_iter().map(|(name, _)| name.clone()).collect(),
        silent: seen.in_step.iter().filter(|name| at(name).is_none()).cloned().collect(),
        believed: in_step.into_iter().collect(),
    });
    true
}
