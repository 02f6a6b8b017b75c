//! Replicas are killed while clients ask.

use super::{A3, stage::Stage};
use crate::experiment::{Run, hashing::load::home};
use anyhow::Context;
use protocol::{
    deadline::Deadline,
    http::client::{Ask, KeptClient},
};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    sync::Mutex,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long all requests before a kill may take.
const WAIT: Duration = Duration::from_secs(300);
/// How often it is looked how many requests were sent.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A replica that was killed.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    /// Its id.
    pub killed: String,
    /// The id of the one in its place.
    pub by: String,
    /// From just before the signal until it was said that the other one is in service.
    pub seen_ms: f64,
    /// From the end of the process until then, by the load balancer's clock.
    pub told_ms: f64,
    /// Requests that began meanwhile.
    pub begun: u64,
    /// Requests that were found unanswered meanwhile.
    pub unanswered: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Found {
    /// Each kill.
    pub losses: Vec<Loss>,
    /// Requests that were answered as they should be.
    pub answered: u64,
    /// Requests that were not.
    pub unanswered: u64,
    /// What the first of these saw.
    pub example: Option<String>,
    /// How long all of it took.
    pub seconds: f64,
}

/// What all clients count.
#[derive(Default)]
struct Counts {
    begun: AtomicU64,
    answered: AtomicU64,
    unanswered: AtomicU64,
    /// Whether all kills are over, or have failed.
    over: AtomicBool,
    /// Held to set it once.
    example: Mutex<Option<String>>,
}

impl Counts {
    /// Lets all clients end, however many requests are left.
    fn end(&self, requests: u64) {
        self.over.store(true, Ordering::Relaxed);
        self.begun.fetch_add(requests, Ordering::Relaxed);
    }
}

/// Lets clients ask, and kills.
pub fn measure(a3: &A3, run: &Run, stage: &mut Stage) -> anyhow::Result<Found> {
    let (counts, http, since) = (Counts::default(), stage.http, Instant::now());
    let losses = thread::scope(|scope| {
        for number in 1..=a3.clients {
            let client = thread::Builder::new().name(format!("load-{number}")).stack_size(256 * 1024);
            let counts = &counts;
            if let Err(error) = client.spawn_scoped(scope, move || ask_on(http, a3.requests, counts)) {
                counts.end(a3.requests);
                return Err(error).context("No thread for a client");
            }
        }
        let killed = kill_all(a3, run, stage, &counts);
        match killed {
            Ok(_) => counts.over.store(true, Ordering::Relaxed),
            Err(_) => counts.end(a3.requests),
        }
        killed
    })?;
    let Counts { answered, unanswered, example, .. } = counts;
    Ok(Found {
        losses,
        answered: answered.into_inner(),
        unanswered: unanswered.into_inner(),
        example: example.into_inner().unwrap_or_default(),
        seconds: since.elapsed().as_secs_f64(),
    })
}

fn kill_all(a3: &A3, run: &Run, stage: &mut Stage, counts: &Counts) -> anyhow::Result<Vec<Loss>> {
    let mut losses = Vec::new();
    for kill in 1..=u64::from(a3.kills) {
        let at = kill * a3.requests / (u64::from(a3.kills) + 2);
        let deadline = Deadline::after(WAIT);
        while counts.begun.load(Ordering::Relaxed) < at {
            run.goes_on()?;
            anyhow::ensure!(!deadline.has_passed(), "The clients do not come forward.");
            thread::park_timeout(LOOK_EVERY);
        }
        let place = (kill - 1) as usize % a3.replicas as usize;
        losses.push(kill_one(stage, place, counts)?);
    }
    Ok(losses)
}

/// The answer of `/rep`.
#[derive(Deserialize)]
struct Listed {
    message: Replicas,
}

#[derive(Deserialize)]
struct Replicas {
    replicas: Vec<String>,
}

/// Kills the replica in this place, and waits until another one is there.
fn kill_one(stage: &mut Stage, place: usize, counts: &Counts) -> anyhow::Result<Loss> {
    let listed: Listed = stage.call(&Ask::get("/rep"))?.json()?;
    let name = listed.message.replicas.get(place).context("A replica is missing")?;
    let id = name.trim_start_matches("Server ").to_owned();
    let pid = stage.wait_for(&format!("Started replica {id} (process "))?;
    let pid: u32 = pid.trim_end_matches(").").parse().context("No process number")?;
    let look = || (counts.begun.load(Ordering::Relaxed), counts.unanswered.load(Ordering::Relaxed));
    let (since, before) = (Instant::now(), look());
    kill(pid)?;
    let line = stage.wait_for(&format!("Replica {id} is replaced by "))?;
    let (seen, after) = (since.elapsed(), look());
    let told = line.split_once(", ").and_then(|(by, rest)| Some((by, rest.split_once(" ms")?.0)));
    let (by, told_ms) = told.with_context(|| format!("Not understood: {line}"))?;
    Ok(Loss {
        killed: id,
        by: by.to_owned(),
        seen_ms: seen.as_secs_f64() * 1e3,
        told_ms: told_ms.parse()?,
        begun: after.0 - before.0,
        unanswered: after.1 - before.1,
    })
}

#[cfg(unix)]
fn kill(pid: u32) -> anyhow::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("The process has no number")?;
    kill_process(pid, Signal::KILL).context("The replica cannot be killed")
}

#[cfg(not(unix))]
fn kill(_pid: u32) -> anyhow::Result<()> {
    anyhow::bail!("This system cannot do that to a process.")
}

/// A client, with a connection that is kept.
fn ask_on(http: SocketAddr, requests: u64, counts: &Counts) {
    let mut kept = KeptClient::new(http, PATIENCE);
    while counts.begun.fetch_add(1, Ordering::Relaxed) < requests || !counts.over.load(Ordering::Relaxed) {
        match home(&mut kept) {
            Ok(_) => counts.answered.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                if let Ok(mut example) = counts.example.lock() {
                    example.get_or_insert_with(|| format!("{error:#}"));
                }
                counts.unanswered.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}
