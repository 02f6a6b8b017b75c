//! How long a killed server is missed: from the signal until it is back, has all rows and all changes, and is asked again.

use super::{
    clients::{Outcome, PAUSE, all_rows, exchange},
    ground::Ground,
    stand::{self, Stand},
};
use crate::process::LOOK_EVERY;
use anyhow::{Context, bail, ensure};
use protocol::{
    deadline::Deadline,
    http::{Method, Status},
};
use rustix::process::Pid;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// Rows of one call, at most.
const BATCH: usize = 1_000;
/// After so long it is given up.
const MISSED: Duration = Duration::from_secs(100);

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// Rows that the table has.
    pub rows: usize,
    /// How many servers are killed, one after the other.
    pub kills: usize,
    /// Within which time each must be back; none if that is not judged.
    pub within: Option<Duration>,
}

/// Fills the table up to so many rows, kills one server after the other, and changes a row of each of its shards before it can be back,
/// so that it has to be filled anew. The time for each.
pub(super) fn measure(
    recovery: Recovery,
    stand: &mut Stand,
    ground: &Ground,
    mut there: BTreeMap<i64, i64>,
) -> anyhow::Result<Vec<(String, Duration)>> {
    let deadline = Deadline::after(MISSED);
    while there.len() < recovery.rows {
        ensure!(!deadline.has_passed(), "The table takes no rows");
        let missing =
            (0..ground.keys()).filter(|id| !there.contains_key(id)).take(BATCH.min(recovery.rows - there.len()));
        let row = |id: i64| json!({ "Stud_id": id, "Stud_name": "N", "Stud_marks": 0 });
        let data: Vec<Value> = missing.map(row).collect();
        ensure!(!data.is_empty(), "The table has no keys for so many rows");
        // What has become of it is seen by looking.
        let _seen_below = exchange(ground.at, &mut None, Method::Post, "/write", &json!({ "data": data }));
        there = all_rows(ground)?;
    }
    let servers: Vec<String> = stand.servers()?.keys().cloned().collect();
    let mut missed = Vec::new();
    for name in servers.iter().cycle().take(recovery.kills) {
        missed.push((name.clone(), kill_one(stand, ground.at, name, &there)?));
    }
    Ok(missed)
}

fn kill_one(stand: &mut Stand, at: SocketAddr, name: &String, there: &BTreeMap<i64, i64>) -> anyhow::Result<Duration> {
    let (pid, services, ranges) = (pid(stand, name)?, services(stand, name), ranges(at, name)?);
    let since = Instant::now();
    stand::kill(pid);
    for (low, high) in ranges {
        if let Some((id, _)) = there.range(low..=high).next() {
            ask(at, Method::Put, "/update", &json!({ "Stud_id": id, "data": { "Stud_marks": 1 } }))?;
        }
    }
    let deadline = Deadline::after(MISSED);
    while self::services(stand, name) <= services {
        stand.must_live()?;
        ensure!(!deadline.has_passed(), "{name} does not come back");
        thread::park_timeout(LOOK_EVERY / 4);
    }
    Ok(since.elapsed())
}

/// The keys of a server's shards.
fn ranges(at: SocketAddr, name: &String) -> anyhow::Result<Vec<(i64, i64)>> {
    let status = ask(at, Method::Get, "/status", &Value::Null)?;
    let shards = status["shards"].as_array().context("There are no shards")?;
    let range = |shard: &Value| {
        let has = status["servers"][name].as_array()?.contains(&shard["Shard_id"]);
        let low = shard["Stud_id_low"].as_i64().filter(|_| has)?;
        Some((low, low + shard["Shard_size"].as_i64()? - 1))
    };
    Ok(shards.iter().filter_map(range).collect())
}

/// The process of this server, the latest one.
fn pid(stand: &Stand, name: &str) -> anyhow::Result<Pid> {
    let (said, begin) = (stand.said(), format!("Started replica {name} (process "));
    let last = said.lines().filter_map(|line| line.strip_prefix(&begin)).next_back();
    let pid = last.and_then(|text| Pid::from_raw(text.trim_end_matches(").").parse().ok()?));
    pid.with_context(|| format!("{name} has no process"))
}

/// How often this server has come into service.
fn services(stand: &Stand, name: &str) -> usize {
    let begin = format!("Replica {name} is in service, ");
    stand.said().lines().filter(|line| line.starts_with(&begin)).count()
}

/// Asks what may be asked again, until it is done.
fn ask(at: SocketAddr, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
    let deadline = Deadline::after(MISSED);
    loop {
        match exchange(at, &mut None, method.clone(), path, body) {
            Outcome::Done(reply) if reply.status == Status::OK => return Ok(reply.json()?),
            Outcome::Done(reply) if reply.status != Status::SERVICE_UNAVAILABLE => {
                bail!("{path} is refused: {}", reply.text())
            }
            _ => ensure!(!deadline.has_passed(), "{path} is not answered"),
        }
        thread::park_timeout(PAUSE);
    }
}
