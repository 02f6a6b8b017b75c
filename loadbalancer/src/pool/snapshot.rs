//! The pool at one moment: what the administration, the metrics and the client's list of servers show.

use super::{
    Admin, Pool, Server, Standing, State,
    server::Cause,
    statistics::{Times, Totals},
};
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
    /// How many waited at the most.
    pub most_waiting: usize,
    /// How many may wait.
    pub max_queue: usize,
    /// For how long the pool has been there, in seconds.
    pub up_s: f64,
    /// What has happened in all.
    pub totals: TotalsSnapshot,
    /// The servers, strongest first.
    pub servers: Vec<ServerSnapshot>,
}

/// What has happened since the start. The fields are those of [`Totals`], where each is explained.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "each is explained where it is counted")]
pub struct TotalsSnapshot {
    pub clients: u64,
    pub most_clients: u64,
    pub connections: u64,
    pub refused: u64,
    pub client_errors: u64,
    pub in_hand: u64,
    pub most_in_hand: u64,
    pub requests: u64,
    pub malformed: u64,
    pub answered: u64,
    pub failed: u64,
    pub in_doubt: u64,
    pub cancelled: u64,
    pub queued: u64,
    pub queue_full: u64,
    pub queue_timeouts: u64,
    pub no_server: u64,
    pub waited_s: f64,
    pub retries: u64,
    pub redispatches: u64,
    pub copies_sent: u64,
    pub copies_won: u64,
    pub foreign: u64,
    pub dropped: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub times: TimesSnapshot,
}

/// Times in classes; the bounds are [`BOUNDS_MS`](super::statistics::BOUNDS_MS).
#[derive(Clone, Debug, Serialize)]
pub struct TimesSnapshot {
    /// How many there were in each class, and above all of them.
    pub classes: Vec<u64>,
    /// All of them together, in seconds.
    pub sum_s: f64,
}

impl TimesSnapshot {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// The mean, in milliseconds, if there were any.
    #[must_use]
    pub fn mean_ms(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum_s * 1e3 / count as f64)
    }
}

impl From<&Times> for TimesSnapshot {
    fn from(times: &Times) -> Self {
        Self { classes: times.classes(), sum_s: times.sum_s() }
    }
}

impl From<&Totals> for TotalsSnapshot {
    fn from(totals: &Totals) -> Self {
        Self {
            clients: totals.clients.now(),
            most_clients: totals.clients.most(),
            connections: totals.connections.get(),
            refused: totals.refused.get(),
            client_errors: totals.client_errors.get(),
            in_hand: totals.in_hand.now(),
            most_in_hand: totals.in_hand.most(),
            requests: totals.requests.get(),
            malformed: totals.malformed.get(),
            answered: totals.answered.get(),
            failed: totals.failed.get(),
            in_doubt: totals.in_doubt.get(),
            cancelled: totals.cancelled.get(),
            queued: totals.queued.get(),
            queue_full: totals.queue_full.get(),
            queue_timeouts: totals.queue_timeouts.get(),
            no_server: totals.no_server.get(),
            waited_s: totals.waited_us.get() as f64 / 1e6,
            retries: totals.retries.get(),
            redispatches: totals.redispatches.get(),
            copies_sent: totals.copies_sent.get(),
            copies_won: totals.copies_won.get(),
            foreign: totals.foreign.get(),
            dropped: totals.dropped.get(),
            bytes_in: totals.bytes_in.get(),
            bytes_out: totals.bytes_out.get(),
            times: TimesSnapshot::from(&totals.times),
        }
    }
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
    pub most_active: u32,
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
    /// Attempts that were made again at it, after it had lost them.
    pub retries: u64,
    /// Attempts that were made again at another server, after it had lost them.
    pub redispatches: u64,
    /// Bytes of requests sent to it.
    pub bytes_in: u64,
    /// Bytes of answers taken from it.
    pub bytes: u64,
    /// Mean time of an answered request, in milliseconds.
    pub mean_ms: Option<f64>,
    /// What the requests took that it answered.
    pub times: TimesSnapshot,
    /// Probes that it did not answer.
    pub probes_failed: u64,
    /// How often it was found down.
    pub downs: u64,
    /// How long it has been down in all, in seconds.
    pub downtime_s: f64,
    /// How often it was ejected.
    pub ejections: u64,
    /// Which of its lives this is.
    pub incarnation: u64,
}

impl Pool {
    /// The pool as it is now.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let (policy, options, (waiting, most_waiting), mut seen) = self.locked.look(|inner| {
            let (policy, options) = inner.core.policy();
            let member = |(key, standing)| Some((Arc::clone(inner.members.get(&key)?), standing));
            let seen: Vec<_> = inner.core.standings().filter_map(member).collect();
            (policy, options.clone(), (inner.core.waiting(), inner.core.most_waiting()), seen)
        });
        seen.sort_by(|(a, _), (b, _)| (a.processing_time, &a.id).cmp(&(b.processing_time, &b.id)));
        let servers = seen.into_iter().map(|(server, standing)| snapshot_of(&server, standing)).collect();
        let (up_s, totals) = (self.begun.elapsed().as_secs_f64(), TotalsSnapshot::from(self.totals()));
        PoolSnapshot { policy, options, waiting, most_waiting, max_queue: self.max_queue, up_s, totals, servers }
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
    let times = TimesSnapshot::from(&counted.times);
    let (status, cause) = in_a_word(standing);
    let (reason, since) = server.reason(cause);
    ServerSnapshot {
        id: server.id.clone(),
        address: server.address,
        status,
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
        most_active: standing.most_active,
        chosen: counted.chosen.get(),
        answered: counted.answered.get(),
        failed: counted.failed.get(),
        cancelled: counted.cancelled.get(),
        copies: counted.copies.get(),
        connect_errors: counted.connect_errors.get(),
        retries: counted.retries.get(),
        redispatches: counted.redispatches.get(),
        bytes_in: counted.bytes_in.get(),
        bytes: counted.bytes.get(),
        mean_ms: times.mean_ms(),
        times,
        probes_failed: counted.probes_failed.get(),
        downs: counted.downs.get(),
        downtime_s: server.downtime().as_secs_f64(),
        ejections: counted.ejections.get(),
        incarnation: server.incarnation,
    }
}

/// The word for how a server stands, and the cause that it names.
fn in_a_word(standing: Standing) -> (&'static str, Option<Cause>) {
    match standing {
        Standing { admin: Admin::Maintenance, .. } => ("maintenance", Some(Cause::Admin)),
        Standing { state: State::Down, .. } => ("down", Some(Cause::State)),
        Standing { admin: Admin::Drain, .. } => ("drain", Some(Cause::Admin)),
        Standing { state: State::Draining, .. } => ("drain", Some(Cause::State)),
        Standing { state: State::Doubtful, .. } => ("doubtful", Some(Cause::State)),
        Standing { ejected: true, .. } => ("ejected", Some(Cause::Ejection)),
        Standing { active: 0, .. } => ("idle", None),
        Standing { active, capacity, .. } if active < capacity => ("busy (has room)", None),
        _ => ("busy", None),
    }
}
