//! Clients that call one thing after the other, each on a connection of its own.

use super::stage::key;
use crate::{experiment::Run, record::median};
use anyhow::Context;
use protocol::http::{
    HttpError, Method, Status,
    client::{Ask, KeptClient, Reply},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A call.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// A new row with this key.
    Write(u64),
    /// The row with this key, which must be there.
    Read(u64),
    /// Other marks for this key.
    Update(u64, u64),
}

impl Deed {
    fn ask(self) -> Ask {
        match self {
            Self::Write(id) => Ask::post("/write").body(json!({ "data": [row(id)] }).to_string()),
            Self::Read(id) => Ask::post("/read").body(json!({ "Stud_id": { "low": id, "high": id } }).to_string()),
            Self::Update(id, marks) => Ask::new(Method::Put, "/update")
                .body(json!({ "Stud_id": id, "data": { "Stud_marks": marks } }).to_string()),
        }
    }

    /// Why this answer is not the right one.
    fn wrong(self, reply: Result<Reply, HttpError>) -> Option<String> {
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => return Some(error.to_string()),
        };
        let right = match self {
            Self::Read(id) => reply.json::<Value>().is_ok_and(|told| {
                told["data"].as_array().is_some_and(|data| data.len() == 1 && key(&data[0]) == Some(id))
            }),
            _ => true,
        };
        (reply.status != Status::OK || !right).then(|| format!("{self:?}: {} {}", reply.status.code(), reply.text()))
    }
}

/// A row as it is written.
pub fn row(id: u64) -> Value {
    json!({ "Stud_id": id, "Stud_name": format!("Student {id}"), "Stud_marks": id % 101 })
}

/// What came of many calls.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// What was called.
    pub what: &'static str,
    /// By how many clients at once.
    pub clients: u32,
    /// How often.
    pub calls: u64,
    /// How long all of it took.
    pub seconds: f64,
    /// The median of the calls' times.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// Calls that were not answered as they should be.
    pub wrong: u64,
    /// What the first of these saw.
    pub example: Option<String>,
}

impl Sample {
    /// Calls a second.
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// What all clients count.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls that have begun.
    pub begun: AtomicU64,
    /// Calls that were not answered as they should be.
    pub wrong: AtomicU64,
    /// What the first of these saw. Held to set it.
    example: Mutex<Option<String>>,
}

/// Lets so many clients call at once. `next` is asked with the number of each call, from 0 on; when it has none a client ends. `meanwhile`
/// is done here while they call.
///
/// # Errors
/// If there is no thread, or what is done meanwhile fails.
pub fn drive<T>(
    (what, clients, at): (&'static str, u32, SocketAddr),
    next: &(impl Fn(u64) -> Option<Deed> + Sync),
    meanwhile: impl FnOnce(&Counts) -> anyhow::Result<T>,
) -> anyhow::Result<(Sample, T)> {
    let (counts, since) = (Counts::default(), Instant::now());
    let (mut times, done) = thread::scope(|scope| {
        let counts = &counts;
        let start = |number: u32| {
            let client = thread::Builder::new().name(format!("load-{number}")).stack_size(256 * 1024);
            client.spawn_scoped(scope, move || call(at, next, counts)).context("No thread for a client")
        };
        let started: Vec<_> = (1..=clients).map(start).collect();
        let done = meanwhile(counts);
        let times: Vec<f64> =
            started.into_iter().flatten().flat_map(|client| client.join().unwrap_or_default()).collect();
        anyhow::Ok((times, done?))
    })?;
    let seconds = since.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let Counts { wrong, example, .. } = counts;
    let sample = Sample {
        what,
        clients,
        calls: times.len() as u64,
        seconds,
        p50_ms: median(times.clone()).unwrap_or_default(),
        p99_ms: times.get(times.len() * 99 / 100).copied().unwrap_or_default(),
        wrong: wrong.into_inner(),
        example: example.into_inner().unwrap_or_default(),
    };
    Ok((sample, done))
}

/// The same, and nothing meanwhile but Ctrl-C, which ends it.
///
/// # Errors
/// If there is no thread, or somebody has pressed Ctrl-C.
pub fn all(what: &'static str, clients: u32, at: SocketAddr, deeds: &[Deed], run: &Run) -> anyhow::Result<Sample> {
    let next = |n: u64| deeds.get(usize::try_from(n).ok()?).copied().filter(|_| !run.stop.is_set());
    let (sample, ()) = drive((what, clients, at), &next, |_| Ok(()))?;
    run.goes_on()?;
    Ok(sample)
}

/// A client. The milliseconds of its calls.
fn call(at: SocketAddr, next: &impl Fn(u64) -> Option<Deed>, counts: &Counts) -> Vec<f64> {
    let (mut kept, mut times) = (KeptClient::new(at, PATIENCE), Vec::new());
    while let Some(deed) = next(counts.begun.fetch_add(1, Ordering::Relaxed)) {
        let (ask, since) = (deed.ask(), Instant::now());
        let reply = kept.ask(&ask);
        times.push(since.elapsed().as_secs_f64() * 1e3);
        if let Some(why) = deed.wrong(reply) {
            counts.wrong.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut example) = counts.example.lock() {
                example.get_or_insert(why);
            }
        }
    }
    times
}
