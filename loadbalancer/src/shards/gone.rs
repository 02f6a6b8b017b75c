//! A server that comes back without its rows: its disk was changed, or somebody has removed its file.
//!
//! **The problem.** The state says that it has all changes of a shard, and it has none. Told the shard anew, it has an empty one, at
//! change 0, like any server of a new table. If that is all that answers in time, the shard is settled at 0, and
//! the one copy that is still good is filled with nothing.
//!
//! **The idea.** A server is asked which shards it knows *before* it is told which it has. One that does not know a shard of which it is in
//! step, although that was settled once ([`State::begun`](super::state::State::begun)), has lost its rows: it is out of step, durably, and will be filled. The last one that is in step
//! cannot be spared so: it stays out until its rows are back, and the shard has no server. That is said, and nothing is lost that is not lost already.
//!
//! **In a database** a server's file is only the mark that says which schema is its own. Then it stays, whatever is not there: without it, the
//! server would take a schema that comes back for that of an earlier table, and empty it.

use super::{
    server::Server,
    table::{Layout, Table},
};
use crate::event::Event;
use protocol::{
    http::{Method, Status},
    shard::told::Told,
};
use serde_json::{Map, Value};

/// Looks whether a server has the rows that it should have, of these shards.
///
/// # Errors
/// Why it must not come: it does not say, or nobody else has its rows.
pub fn look(table: &Table, layout: &Layout, server: &Server, shards: &[String]) -> Result<(), String> {
    let known = known(server)?;
    let begun = table.state.lock().as_ref().map(|state| state.begun.clone()).unwrap_or_default();
    let mut gone = shards.iter().filter(|shard| known.get(shard).is_none() && begun.contains(*shard));
    let spared = gone.try_for_each(|shard| leave(table, layout, server, shard));
    if spared.is_err() && known.as_object().is_some_and(Map::is_empty) && table.file.database().is_none() {
        // Whoever puts the file back must not find a new one in its place.
        server.kill();
        table.file.remove_data(&server.name);
    }
    spared
}

/// The shards that it knows.
fn known(server: &Server) -> Result<Value, String> {
    let reply = server.ask(Method::Get, "/state", b"").map_err(|error| error.to_string())?;
    if reply.status != Status::OK {
        return Err(Told { status: reply.status, body: reply.text() }.says());
    }
    let state: Value = reply.json().map_err(|error| error.to_string())?;
    Ok(state["shards"].clone())
}

/// Puts it out of step of this shard, if it is not the last one.
fn leave(table: &Table, layout: &Layout, server: &Server, shard: &str) -> Result<(), String> {
    let mut group = layout.group(shard).map_err(|told| told.says())?.alone();
    if !group.in_step.contains(&server.name) {
        return Ok(());
    }
    let mut in_step = group.in_step.clone();
    in_step.remove(&server.name);
    if in_step.is_empty() {
        let put_back = match table.file.database() {
            Some(database) => format!("see that the database {database} has the rows of {} again", server.name),
            None => format!("put back {}", table.file.data(&server.name).display()),
        };
        return Err(format!(
            "its rows of {shard} are gone, and no other server has all changes of it. End the load balancer, {put_back}, \
             and start it again"
        ));
    }
    let recorded = table.record(|state| drop(state.in_step.insert(shard.to_owned(), in_step.clone())));
    recorded.map_err(|told| told.says())?;
    group.in_step = in_step;
    table.events.emit(|| Event::ReplicaEmpty { server: server.name.clone(), shard: shard.to_owned() });
    Ok(())
}
