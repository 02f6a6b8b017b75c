//! Reading: which server is asked for the rows of a shard, and another one if it fails.
//!
//! A read holds the locks of all its shards, shared: so it is of one moment, also over several shards. Of each shard it asks one server,
//! all at once. Which one is chosen by the same pool and the same policies as everywhere ([`crate::policy`]); only those can be chosen
//! that are in step. With `consistent-hash`, which is the coursework's way, all servers of the table stand on one ring, and those that are not of the shard are
//! passed by: what is left is the ring of the shard, point by point.
//!
//! ```text
//! ring         Server0 · Server4 · Server3 · Server5 ·    sh1 is on 0, 3 and 5
//! key →                 ^ passed by  ^ chosen             3 fails: the next one that is in step is 5
//! ```

use super::{
    answers,
    asked::{Asked, now_if_wanted},
    at_once::at_once,
    group::Group,
    map::Part,
    server::Server,
    table::{Layout, Table, nobody},
};
use crate::{
    dispatch::{chosen, retry::Lost},
    event::{Event, SkippedServer},
    policy::Ended,
    pool::{Found, Lease, Skipped, Wanted},
};
use protocol::{
    http::Status,
    id::RequestId,
    shard::{
        KEY,
        told::{Told, bad},
    },
};
use serde_json::json;
use std::sync::Arc;

/// What stands before and behind the rows in a server's answer.
const ROWS: (&str, &str) = ("{\"data\":[", "],\"status\":\"success\"}");

impl Table {
    /// The rows with these keys, both ends included.
    pub(super) fn read(&self, layout: &Layout, (low, high): (i64, i64), asked: &Asked) -> Result<Told, Told> {
        let parts = layout.map.cover(low, high).map_err(|why| bad(&why))?;
        let locks = parts.iter().map(|(shard, ..)| layout.group(shard)).collect::<Result<Vec<_>, _>>()?;
        let since = now_if_wanted(&self.events);
        let locked: Vec<_> = locks.into_iter().map(|lock| lock.read()).collect();
        asked.tell_locked(&self.events, parts.iter().map(|(shard, ..)| shard), false, since);
        let both: Vec<(&Part, &Group)> = parts.iter().zip(locked.iter().map(|group| &**group)).collect();
        let rows = at_once(&both, |(part, group)| self.part(layout, part, group, asked));
        let mut rows = rows.into_iter().collect::<Result<Vec<String>, Told>>()?;
        rows.retain(|rows| !rows.is_empty());
        let shards: Vec<String> = parts.iter().map(|(shard, ..)| shard.clone()).collect();
        Ok(answers::rows(&shards, &rows.join(",")))
    }

    /// The rows of one shard, from a server that is in step.
    pub(super) fn part(&self, layout: &Layout, part: &Part, group: &Group, asked: &Asked) -> Result<String, Told> {
        let (shard, low, high) = part;
        let Some(seq) = group.seq else { return Err(nobody(shard)) };
        // A server that is not where it should be says so instead.
        let body = json!({ "shard": shard, KEY: { "low": low, "high": high }, "seq": seq }).to_string();
        let (mut left, mut attempt) = (self.alive(&group.in_step), 0);
        while let Some((server, found)) = self.choose(&left, asked) {
            attempt += 1;
            self.events.step(|| self.choice(layout, shard, (attempt, asked), &found));
            let request = asked.id;
            match rows_of(&server, request, body.as_bytes()) {
                Ok(rows) => {
                    count(&found.lease, body.len(), rows.len());
                    found.lease.finish(Ended::Answered);
                    let (server, bytes) = (&server.name, rows.len() as u64);
                    self.events.step(|| Event::ShardRead {
                        request,
                        shard: shard.clone(),
                        server: server.clone(),
                        seq,
                        bytes,
                    });
                    return Ok(rows);
                }
                Err((lost, why)) => {
                    found.lease.server().statistics.redispatches.add_one();
                    found.lease.finish(Ended::Failed);
                    left.retain(|other| !Arc::ptr_eq(other, &server));
                    let (server, again) = (server.name.clone(), !left.is_empty());
                    self.events.emit(|| Event::AttemptFailed { request, server, why, again, lost });
                }
            }
        }
        Err(nobody(shard))
    }

    /// One of these, by the policy.
    fn choose(&self, left: &[Arc<Server>], asked: &Asked) -> Option<(Arc<Server>, Found)> {
        let among: Vec<_> = left.iter().filter_map(|server| Some(server.place()?.key)).collect();
        let (client, key) = (asked.client, asked.key);
        let found = self.pool.take_now(&Wanted { client, key, among: Some(among), ..Wanted::default() })?;
        let is_it = |server: &&Arc<Server>| server.place().is_some_and(|place| place.key == found.lease.server().key);
        let server = left.iter().find(is_it).map(Arc::clone);
        server.map(|server| (server, found))
    }

    /// The choice with its evidence. Of those that could not be chosen, only the shard's own servers are of interest; those that do not live are
    /// not in the pool.
    fn choice(&self, layout: &Layout, shard: &str, (attempt, asked): (u32, &Asked), found: &Found) -> Event {
        let choice = (&**found.lease.server(), &found.decision);
        let mut event = chosen(&self.pool, asked.id, (attempt, false), choice, found.waited);
        if let Event::ServerChosen { skipped, considered, shard: of, .. } = &mut event {
            *of = Some(shard.to_owned());
            let own: Vec<&str> = layout.map.servers_of(shard).collect();
            skipped.retain(|skipped| own.contains(&&*skipped.server));
            let seen = |name: &str| {
                considered.iter().any(|one| one.server == name) || skipped.iter().any(|one| one.server == name)
            };
            let gone: Vec<_> = own.into_iter().filter(|name| !seen(name)).collect();
            skipped.extend(gone.into_iter().map(|name| SkippedServer { server: name.to_owned(), why: Skipped::Down }));
        }
        event
    }
}

fn count(lease: &Lease, asked: usize, answered: usize) {
    lease.server().statistics.bytes_in.add(asked as u64);
    lease.server().statistics.bytes.add(answered as u64);
}

/// The rows, as they stand between the brackets of a server's answer; else why there are none, and how the server was lost, if it was.
fn rows_of(server: &Server, call: RequestId, body: &[u8]) -> Result<String, (Option<Lost>, String)> {
    let lost = |error: protocol::http::HttpError| (Some(Lost::Unanswered), error.to_string());
    let reply = server.read(call, body).map_err(lost)?;
    let status = reply.status;
    if status != Status::OK {
        return Err((None, Told { status, body: reply.text() }.says()));
    }
    let text = String::from_utf8(reply.body).ok();
    let rows = text.as_deref().and_then(|text| text.strip_prefix(ROWS.0)?.strip_suffix(ROWS.1));
    rows.map(str::to_owned).ok_or_else(|| (None, "its answer cannot be read".to_owned()))
}
