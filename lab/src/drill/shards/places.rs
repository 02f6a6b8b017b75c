//! Servers and shards that come and go under load, down to one server for each shard.

use super::{
    clients::PAUSE,
    ground::{Ground, SIZE},
    stand::{self, PATIENCE, Stand},
};
use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use protocol::{
    deadline::Deadline,
    http::{
        Method, Status,
        client::{Ask, Reply, ask},
    },
};
use serde_json::{Map, Value, json};
use std::thread;

/// Servers, and the shards of each.
type Servers = Map<String, Value>;

impl Stand {
    /// Removes a server and adds it again, while everybody asks. False if that cannot be now: the others may lack something.
    pub(super) fn swap(&mut self, dice: &mut Rng) -> anyhow::Result<bool> {
        let servers = self.servers()?;
        let Some((name, shards)) = servers.iter().nth(dice.usize(..servers.len())) else { return Ok(false) };
        if self.remove(&[name])?.status != Status::OK {
            return Ok(false);
        }
        self.add(&json!([]), &Servers::from_iter([(name.clone(), shards.clone())]))?;
        Ok(true)
    }

    /// Adds a shard behind the others, and two servers that have it and one of the old ones; the name of one is drawn. Clients use it from
    /// then on.
    pub(super) fn grow(&mut self, ground: &Ground, dice: &mut Rng) -> anyhow::Result<()> {
        let (low, number) = (ground.keys(), ground.keys() / SIZE + 1);
        let new = format!("sh{number}");
        let mut old = || format!("sh{}", dice.i64(1..number));
        let servers =
            [(format!("Server{}", 10 + number), json!([new, old()])), ("Server[1]".to_owned(), json!([old(), new]))];
        self.add(&json!([{ "Stud_id_low": low, "Shard_id": new, "Shard_size": SIZE }]), &Servers::from_iter(servers))?;
        ground.set_keys(low + SIZE);
        Ok(())
    }

    /// Removes servers until none can be spared: then a shard has one server. That one must be refused, whoever is named. One of the last
    /// is killed, and then all come back. What was answered that should not have been.
    pub(super) fn shrink(&mut self, dice: &mut Rng) -> anyhow::Result<Vec<String>> {
        let (before, mut wrong) = (self.servers()?, Vec::new());
        let deadline = Deadline::after(PATIENCE);
        loop {
            let reply = self.remove(&[])?;
            match reply.status {
                Status::OK => {}
                Status::BAD_REQUEST if reply.text().contains("cannot be spared") => break,
                // Those that would remain lack something: they are being filled.
                Status::SERVICE_UNAVAILABLE => thread::park_timeout(PAUSE),
                _ => bail!("No server can be removed: {}", reply.text()),
            }
            self.must_live()?;
            ensure!(!deadline.has_passed(), "Servers cannot be removed: {}", reply.text());
        }
        let left = self.servers()?;
        for name in left.keys() {
            let reply = self.remove(&[name])?;
            if reply.status != Status::BAD_REQUEST || !reply.text().contains("last copy cannot be removed") {
                wrong.push(format!("/rm of {name}, which has the last copy: {}", reply.text()));
            }
        }
        if self.servers()? != left {
            wrong.push("/rm was refused, and changed something".to_owned());
        }
        let pids = self.server_pids()?;
        pids.get(dice.usize(..pids.len().max(1))).copied().into_iter().for_each(stand::kill);
        let gone = before.into_iter().filter(|(name, _)| !left.contains_key(name)).collect::<Servers>();
        self.add(&json!([]), &gone)?;
        Ok(wrong)
    }

    /// Servers and their shards.
    pub(super) fn servers(&self) -> anyhow::Result<Servers> {
        let status = ask(self.address(), &Ask::get("/status"), PATIENCE)?;
        Ok(status.json::<Value>()?["servers"].as_object().context("There are no servers")?.clone())
    }

    /// Removes these, or any one.
    fn remove(&self, names: &[&String]) -> anyhow::Result<Reply> {
        let body = json!({ "n": names.len().max(1), "servers": names });
        Ok(ask(self.address(), &Ask::new(Method::Delete, "/rm").json(&body)?, PATIENCE)?)
    }

    fn add(&self, shards: &Value, servers: &Servers) -> anyhow::Result<()> {
        let body = json!({ "n": servers.len(), "new_shards": shards, "servers": servers });
        let added = ask(self.address(), &Ask::post("/add").json(&body)?, PATIENCE)?;
        // What does not come into service in time comes later: it is in the map.
        let is_there = matches!(added.status, Status::OK | Status::ACCEPTED);
        ensure!(is_there, "{servers:?} cannot be added: {}", added.text());
        Ok(())
    }
}
