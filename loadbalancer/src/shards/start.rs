//! A server is started, and told its shards: that takes as long as it takes, and the keeper hears what came of it.

use super::{
    gone,
    server::Server,
    table::{Layout, Table},
};
use crate::replicas::Program;
use protocol::{
    http::{Method, Status, client::Reply},
    lifeline::LifelineAddress,
    shard::told::Told,
};
use serde_json::json;
use std::{sync::Arc, time::Instant};

/// What came of starting a server.
#[derive(Debug)]
pub struct Start {
    /// When it began.
    pub began: Instant,
    /// With which change of the map the server came.
    pub since: Option<u64>,
    /// The server, or why there is none.
    pub server: Result<Arc<Server>, String>,
}

/// Starts a server and tells it its shards (thread `shards-start-NAME`). `lost` is called when its process has ended.
pub fn start(
    table: &Table,
    program: &Program,
    lifeline: &LifelineAddress,
    name: &str,
    lost: impl FnOnce(Arc<Server>) + Send + 'static,
) -> Start {
    let began = Instant::now();
    let layout = table.layout();
    let since = layout.as_ref().and_then(|layout| layout.since(name));
    let started = Server::start(name, program, &table.file.data(name), lifeline, lost);
    let server = started.map_err(|error| format!("it cannot be started: {error}"));
    let server = server.and_then(|server| configured(table, layout.as_deref(), server));
    Start { began, since, server }
}

fn configured(table: &Table, layout: Option<&Layout>, server: Arc<Server>) -> Result<Arc<Server>, String> {
    let Some((layout, shards)) = layout.and_then(|layout| Some((layout, layout.map.servers.get(&server.name)?))) else {
        server.kill();
        return Err("it is not wanted any more".to_owned());
    };
    if shards.is_empty() {
        return Ok(server);
    }
    // Before it has the shards: after it, a shard that was lost looks like one that is new.
    if let Err(why) = gone::look(table, layout, &server, shards) {
        server.kill();
        return Err(why);
    }
    let body = json!({ "schema": layout.map.schema, "shards": shards }).to_string();
    match server.ask(Method::Post, "/config", body.as_bytes()) {
        Ok(reply) if reply.status == Status::OK => Ok(server),
        said => {
            server.kill();
            let words = |reply: Reply| Told { status: reply.status, body: reply.text() }.says();
            Err(said.map_or_else(|error| error.to_string(), words))
        }
    }
}
