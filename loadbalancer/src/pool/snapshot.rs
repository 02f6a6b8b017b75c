//! The pool at one moment: what the administration, the metrics and the client's list of servers show.

use super::{Admin, Pool, Server, Standing, State};
use crate::policy::{Name, Options, UNLIMITED};
use protocol::message::ServerStatus;
use serde::Serialize;
use std::{net::SocketAddr, sync::Arc};

/// The pool at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct PoolSnapshot {
    /// The policy that chooses.
    pub policy: Name,
    /// Its options.
    pub options: Options,
    /// How many requests wait.
    pub waiting: usize,
    /// How many may wait.
    pub max_queue: usize,
    /// For how long the pool has been there, in seconds.
    pub up_s: f64,
    /// The servers, strongest first.
    pub servers: Vec<ServerSnapshot>,
}

/// A server at one moment. Counters count since it joined.
#[derive(Clone, Debug, Serialize)]
pub struct ServerSnapshot {
    /// Its id.
    pub id: String,
    /// Where it serves.
    pub address: SocketAddr,
    /// In one word: `idle`, `busy`, `doubtful`, `down`, `drain`, `maintenance`, `ejected` …
    pub status: &'static str,
    /// Whether it is able to take requests.
    pub state: State,
    /// What a person has decided about it.
    pub admin: Admin,
    /// Whether it is left out for a while.
    pub ejected: bool,
    /// Whether it has just returned and gets a growing share.
    pub warming_up: bool,
    /// Why it is in its state.
    pub reason: Option<String>,
    /// For how long it has been in its state, in seconds.
    pub since_s: f64,
    /// What it spends on a request, in seconds.
    pub processing_time: f64,
    /// The weight that a person gave it.
    pub weight: Option<u32>,
    /// How many requests it may hold; `None`: as many as come.
    pub capacity: Option<u32>,
    /// How many it holds.
    pub active: u32,
    /// The most it held at once.
    pub most_active: u64,
    /// Requests that were given to it.
    pub chosen: u64,
    /// Requests it answered.
    pub answered: u64,
    /// Requests it lost, refused, or was too slow with.
    pub failed: u64,
    /// Requests that were taken back, or that another server was faster with.
    pub cancelled: u64,
    /// Copies of requests that it was given beside the original.
    pub copies: u64,
    /// Connections that it did not accept.
    pub connect_errors: u64,
    /// Bytes of answers taken from it.
    pub bytes: u64,
    /// Mean time of an answered request, in milliseconds.
    pub mean_ms: Option<f64>,
    /// Probes that it did not answer.
    pub probes_failed: u64,
    /// How often it was found down.
    pub downs: u64,
    /// How often it was ejected.
    pub ejections: u64,
    /// Which of its lives this is.
    pub incarnation: u64,
}

impl Pool {
    /// The pool as it is now.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let (policy, options, waiting, mut seen) = self.locked.look(|inner| {
            let (policy, options) = inner.core.policy();
            let look = |server: &Arc<Server>| Some((Arc::clone(server), inner.core.look(server.key)?));
            let seen: Vec<_> = inner.members.values().filter_map(look).collect();
            (policy, options.clone(), inner.core.waiting(), seen)
        });
        seen.sort_by(|(a, _), (b, _)| (a.processing_time, &a.id).cmp(&(b.processing_time, &b.id)));
        let servers = seen.into_iter().map(|(server, standing)| snapshot_of(&server, standing)).collect();
        let up_s = self.begun.elapsed().as_secs_f64();
        PoolSnapshot { policy, options, waiting, max_queue: self.max_queue, up_s, servers }
    }

    /// The list of servers as clients see it, strongest first.
    #[must_use]
    pub fn status(&self) -> Vec<ServerStatus> {
        let status = |server: ServerSnapshot| ServerStatus {
            id: server.id,
            address: server.address,
            state: server.status.to_owned(),
            processing_time: server.processing_time,
            capacity: server.capacity.unwrap_or(UNLIMITED),
            active: server.active,
            answered: server.answered,
            failed: server.failed,
            reason: server.reason,
        };
        self.snapshot().servers.into_iter().map(status).collect()
    }
}

fn snapshot_of(server: &Server, standing: Standing) -> ServerSnapshot {
    let counted = &server.statistics;
    let answered = counted.answered.get();
    let (reason, since) = server.reason();
    ServerSnapshot {
        id: server.id.clone(),
        address: server.address,
        status: in_a_word(standing),
        state: standing.state,
        admin: standing.admin,
        ejected: standing.ejected,
        warming_up: standing.warming_up,
        reason,
        since_s: since.elapsed().as_secs_f64(),
        processing_time: server.processing_time.as_secs_f64(),
        weight: standing.weight,
        capacity: (standing.capacity != UNLIMITED).then_some(standing.capacity),
        active: standing.active,
        most_active: counted.most_active.get(),
        chosen: counted.chosen.get(),
        answered,
        failed: counted.failed.get(),
        cancelled: counted.cancelled.get(),
        copies: counted.copies.get(),
        connect_errors: counted.connect_errors.get(),
        bytes: counted.bytes.get(),
        mean_ms: (answered > 0).then(|| counted.answering_us.get() as f64 / answered as f64 / 1e3),
        probes_failed: counted.probes_failed.get(),
        downs: counted.downs.get(),
        ejections: counted.ejections.get(),
        incarnation: server.incarnation,
    }
}

fn in_a_word(standing: Standing) -> &'static str {
    match standing {
        Standing { admin: Admin::Maintenance, .. } => "maintenance",
        Standing { state: State::Down, .. } => "down",
        Standing { admin: Admin::Drain, .. } | Standing { state: State::Draining, .. } => "drain",
        Standing { state: State::Doubtful, .. } => "doubtful",
        Standing { ejected: true, .. } => "ejected",
        Standing { active: 0, .. } => "idle",
        Standing { active, capacity, .. } if active < capacity => "busy (has room)",
        _ => "busy",
    }
}
