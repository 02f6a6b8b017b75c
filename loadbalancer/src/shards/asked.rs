//! A call under way: its name, by which the journal has its steps.

use super::{lock::Alone, table::Layout};
use crate::{
    dispatch::key::HashKey,
    event::{Event, Events, micros},
};
use protocol::id::RequestId;
use std::{net::IpAddr, time::Instant};
use xxhash_rust::xxh3::xxh3_64;

/// A call under way.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its name.
    pub id: RequestId,
    /// Whose it is.
    pub client: u64,
    /// Its place on a ring of hashes.
    pub key: u64,
}

impl Asked {
    /// A call of this client, with this text.
    #[must_use]
    pub fn new(id: RequestId, client: IpAddr, text: &[u8], by: HashKey) -> Self {
        let client = xxh3_64(client.to_canonical().to_string().as_bytes());
        let key = by.pick(|| client, || xxh3_64(text), id);
        Self { id, client, key }
    }

    /// Tells that it has the locks of these shards, which it wanted since then.
    pub fn tell_locked<'a>(
        &self,
        events: &Events,
        shards: impl Iterator<Item = &'a String>,
        alone: bool,
        since: Option<Instant>,
    ) {
        events.step(|| Event::ShardsLocked {
            request: self.id,
            shards: shards.cloned().collect(),
            alone,
            waited_us: since.map_or(0, |since| micros(since.elapsed())),
        });
    }

    /// Tells which table there is from now on.
    pub fn tell_table(&self, events: &Events, layout: &Layout) {
        events.emit(|| Event::TableChanged {
            request: self.id,
            shards: layout.map.shards.iter().map(|shard| shard.id.clone()).collect(),
            servers: layout.map.servers.keys().cloned().collect(),
        });
    }
}

/// Now, if anybody wants to hear what was waited since.
#[must_use]
pub fn now_if_wanted(events: &Events) -> Option<Instant> {
    events.steps_wanted().then(Instant::now)
}

/// A shard that is held alone, by its name.
pub type Held<'a> = (String, Alone<'a>);
