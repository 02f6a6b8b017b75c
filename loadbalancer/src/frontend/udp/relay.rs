//! Tagged mode: requests on their way to servers. The way back is in `back`, what time brings in `clock`.
//!
//! Two locks: that of the table, and the pool's, which is never asked for while the table is held. For each batch first all
//! servers are found, then the table is locked once, then all is sent.

use super::{
    super::is_ours,
    clock::unanswered,
    draw::Draw,
    flags::UdpFlags,
    outgoing::Outgoing,
    requests::{Finished, Refusal, Requests, Rules},
    upstream::Upstream,
};
use crate::{
    dispatch::{
        copies::{Copies, reason::Reason},
        key::{self, HashKey},
        tell_choice,
    },
    event::{Event, Events},
    policy::{Ended, ServerKey},
    pool::{Found, Lease, Pool, Server, Wanted},
};
use parking_lot::{Condvar, Mutex};
use protocol::{
    datagrams::{Inbox, Sent},
    id::{IdSource, RequestId},
    message::ErrorCode,
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Instant,
};
use xxhash_rust::xxh3::xxh3_64;

/// Passes tagged requests on.
pub struct Relay {
    pub(super) pool: Arc<Pool>,
    pub(super) events: Events,
    pub(super) socket: Arc<UdpSocket>,
    pub(super) flags: UdpFlags,
    pub(super) copies: Copies,
    ids: IdSource,
    hash_key: HashKey,
    /// Held to open, send or end requests of a batch; nothing is sent, and no other lock taken, under it.
    pub(super) table: Mutex<Table>,
    /// Told when the clock must look sooner than it would.
    pub(super) sooner: Condvar,
    /// The ways to the servers. Held to look one up, or to open it.
    pub(super) upstreams: Mutex<HashMap<ServerKey, Arc<Upstream>>>,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) requests: Requests<Lease>,
    draw: Draw,
    /// When the clock looks next.
    pub(super) looks_at: Option<Instant>,
    pub(super) over: bool,
}

/// A request of a batch, before it is in the table.
struct Arrival {
    id: RequestId,
    wanted: Wanted,
    found: Option<Found>,
}

/// What a thread that takes requests keeps from batch to batch.
#[derive(Default)]
pub(super) struct Intake {
    arrivals: Vec<Option<Arrival>>,
    outgoing: Outgoing,
}

impl Relay {
    /// A relay between this socket and the servers of this pool, in which so many requests may wait.
    #[must_use]
    pub fn new(
        (pool, events): (Arc<Pool>, Events),
        socket: UdpSocket,
        flags: UdpFlags,
        hash_key: HashKey,
        copies: Copies,
        most_waiting: usize,
    ) -> Arc<Self> {
        let rules = Rules {
            tag_bytes: usize::from(flags.tag_bytes),
            try_for: flags.udp_try,
            deadline: flags.udp_timeout,
            most_waiting,
        };
        let (requests, draw) = (Requests::new(rules), Draw::default());
        Arc::new(Self {
            pool,
            events,
            socket: Arc::new(socket),
            flags,
            copies,
            ids: IdSource::new(fastrand::u64(..)),
            hash_key,
            table: Mutex::new(Table { requests, draw, looks_at: None, over: false }),
            sooner: Condvar::new(),
            upstreams: Mutex::default(),
        })
    }

    /// Passes on what clients have sent.
    pub(super) fn take(self: &Arc<Self>, inbox: &mut Inbox, intake: &mut Intake) {
        let totals = self.pool.totals();
        intake.arrivals.clear();
        let others_wait = self.table.lock().requests.next_waiting().is_some();
        for (bytes, from) in inbox.iter_mut() {
            let announced = self.announced(bytes, from);
            let arrival = (!announced).then(|| self.arrive(bytes, from, others_wait, &mut intake.outgoing));
            intake.arrivals.push(arrival);
        }
        let (mut refused, mut opened) = (Vec::new(), Vec::new());
        let now = Instant::now();
        {
            let table = &mut *self.table.lock();
            for ((bytes, from), arrival) in inbox.iter_mut().zip(&mut intake.arrivals) {
                let Some(Arrival { id, wanted, found }) = arrival.take() else { continue };
                match table.requests.open(from, bytes, id, wanted, now) {
                    Err(why) => refused.push((from, id, refusal(why), found.map(|found| found.lease))),
                    Ok(number) => match place(table, number, found, &mut intake.outgoing, now) {
                        Ok(()) => opened.push(number),
                        Err((why, lease)) => {
                            table.requests.finish(number);
                            refused.push((from, id, why, lease));
                        }
                    },
                }
            }
            totals.in_hand.set(table.requests.len() as u64);
            self.wake_clock(table);
        }
        intake.outgoing.send(|upstream, sent| self.sent(upstream, sent));
        for (from, id, (code, why), lease) in refused {
            lease.into_iter().for_each(|lease| lease.finish(Ended::Cancelled));
            self.refused(from, id, code, why);
        }
        if self.copies.wanted() {
            opened.into_iter().for_each(|number| self.copy(number, now));
        }
        if others_wait {
            self.serve_waiting();
        }
    }

    /// A request: its name, what it wants, and its server, if one is free.
    fn arrive(self: &Arc<Self>, bytes: &[u8], from: SocketAddr, others_wait: bool, outgoing: &mut Outgoing) -> Arrival {
        let (id, totals) = (self.ids.next(), self.pool.totals());
        totals.requests.add_one();
        totals.bytes_in.add(bytes.len() as u64);
        self.events.step(|| Event::RequestReceived { request: id, client: from.to_string(), text: shown(bytes) });
        let wanted = self.wanted(bytes, from.ip(), id);
        // Who has waited longer is served first.
        let found = if others_wait { None } else { self.pool.take_now(&wanted) };
        let found = found.and_then(|found| self.lead(found, outgoing, (id, 1, false)));
        found.iter().for_each(|found| tell_choice(&self.pool, &self.events, id, 1, found, false));
        Arrival { id, wanted, found }
    }

    /// Makes sure that a way leads to the server that was found, for this attempt of a request.
    fn lead(
        self: &Arc<Self>,
        found: Found,
        outgoing: &mut Outgoing,
        (request, attempt, copy): (RequestId, u32, bool),
    ) -> Option<Found> {
        let server = found.lease.server();
        if outgoing.leads_to(server.key) {
            return Some(found);
        }
        match self.upstream(server) {
            Ok(upstream) => {
                outgoing.lead(upstream);
                Some(found)
            }
            Err(error) => {
                tell_choice(&self.pool, &self.events, request, attempt, &found, copy);
                let (server, why) = (server.id.clone(), format!("there is no way to it ({error})"));
                self.events.emit(|| Event::AttemptFailed { request, server, why, again: true, lost: None });
                found.lease.finish(if is_ours(&error) { Ended::Cancelled } else { Ended::Failed });
                None
            }
        }
    }

    fn wanted(&self, bytes: &[u8], client: IpAddr, id: RequestId) -> Wanted {
        let client = key::of_ip(client);
        let key = self.hash_key.pick(|| client, || xxh3_64(bytes), id);
        Wanted { client, key, ..Wanted::default() }
    }

    /// What the system said of datagrams to a server.
    fn sent(self: &Arc<Self>, upstream: &Upstream, sent: Sent) {
        if sent.refused {
            self.lost(upstream.server());
        }
    }

    fn refused(&self, peer: SocketAddr, request: RequestId, code: ErrorCode, why: &str) {
        let totals = self.pool.totals();
        if code == ErrorCode::TooLarge {
            totals.malformed.add_one();
            self.events.step(|| Event::ClientFailed { peer, why: why.to_owned() });
        } else {
            totals.queue_full.add_one();
        }
        totals.failed.add_one();
        self.events.emit(|| Event::RequestFailed { request, code, definite: true, message: why.to_owned() });
    }

    // --------------------------------------------------------------------------------------- one request at a time

    /// Copies of a request that has just been sent.
    fn copy(self: &Arc<Self>, number: u64, now: Instant) {
        (1..self.copies.at_once()).all(|_| self.send_on(number, Reason::Duplicate));
        if let Some(after) = self.copies.hedge_after() {
            let table = &mut *self.table.lock();
            table.requests.hedge_at(now + after, number);
            self.wake_clock(table);
        }
    }

    /// Sends the request to one more server. False if there is none, or the request is over.
    pub(super) fn send_on(self: &Arc<Self>, number: u64, reason: Reason) -> bool {
        let Some((wanted, request, attempt)) = self.look(number) else { return false };
        let found = reason.find(&self.pool, &wanted);
        let mut outgoing = Outgoing::default();
        let copy = reason != Reason::Needed;
        let found = found.and_then(|found| self.lead(found, &mut outgoing, (request, attempt, copy)));
        let Some(found) = found else { return false };
        let server = Arc::clone(found.lease.server());
        tell_choice(&self.pool, &self.events, request, attempt, &found, copy);
        let now = Instant::now();
        let sent = {
            let table = &mut *self.table.lock();
            let sent = place(table, number, Some(found), &mut outgoing, now);
            self.wake_clock(table);
            sent
        };
        if let Err((_, lease)) = sent {
            lease.into_iter().for_each(|lease| lease.finish(Ended::Cancelled));
            return false;
        }
        match (reason, wanted.avoid.last()) {
            (Reason::Needed, Some(before)) => self.count_again(*before, &server),
            (Reason::Needed, None) => {}
            _ => self.pool.totals().copies_sent.add_one(),
        }
        outgoing.send(|upstream, sent| self.sent(upstream, sent));
        true
    }

    fn count_again(&self, before: ServerKey, now: &Server) {
        let servers = self.pool.servers();
        if let Some(before) = servers.iter().find(|server| server.key == before) {
            self.pool.count_again(before, now);
        }
    }

    pub(super) fn look(&self, number: u64) -> Option<(Wanted, RequestId, u32)> {
        let table = self.table.lock();
        table.requests.get(number).map(|request| (request.wanted.clone(), request.id, request.attempts + 1))
    }

    /// Gives servers that are free to requests that wait for one. One that finds none is back in line before it is looked for once
    /// more: the thread of a server that has become free meanwhile found nobody there.
    pub(super) fn serve_waiting(self: &Arc<Self>) {
        let mut again = true;
        loop {
            let Some(first) = self.table.lock().requests.take_waiting() else { return };
            if self.send_on(first, Reason::Needed) {
                continue;
            }
            let table = &mut *self.table.lock();
            table.requests.wait_on(first);
            if !std::mem::take(&mut again) {
                return self.wake_clock(table);
            }
        }
    }

    /// The request has no server: it waits for one. If too many do it is given up, unless a silent server may still answer.
    pub(super) fn wait(&self, number: u64) {
        let full = {
            let table = &mut *self.table.lock();
            let goes_on = table.requests.wait(number) || table.requests.is_anywhere(number);
            let full = if goes_on { None } else { table.requests.finish(number) };
            self.wake_clock(table);
            full
        };
        full.into_iter().for_each(|finished| self.give_up(finished, QUEUE_FULL));
    }

    /// The request is over, and its client gets no answer.
    pub(super) fn give_up(&self, finished: Finished<Lease>, (code, message): (ErrorCode, &str)) {
        let Finished { id: request, attempts, others, .. } = finished;
        others.into_iter().for_each(|place| match code {
            ErrorCode::Draining => place.lease.finish(Ended::Cancelled),
            _ => unanswered(place),
        });
        let (totals, definite) = (self.pool.totals(), attempts == 0);
        if definite { &totals.failed } else { &totals.in_doubt }.add_one();
        self.events.emit(|| Event::RequestFailed { request, code, definite, message: message.to_owned() });
    }

    /// The way to this server.
    fn upstream(self: &Arc<Self>, server: &Arc<Server>) -> std::io::Result<Arc<Upstream>> {
        let mut upstreams = self.upstreams.lock();
        if let Some(upstream) = upstreams.get(&server.key).filter(|upstream| !upstream.is_over()) {
            return Ok(Arc::clone(upstream));
        }
        let upstream = Upstream::open(server, self)?;
        upstreams.insert(server.key, Arc::clone(&upstream));
        Ok(upstream)
    }
}

/// What a request that finds too many waiting is told.
pub(super) const QUEUE_FULL: (ErrorCode, &str) = (ErrorCode::Busy, "Too many requests are waiting for a server.");

/// Puts a copy for the server that was found into the table and on its way; without one the request waits.
fn place(
    table: &mut Table,
    number: u64,
    found: Option<Found>,
    outgoing: &mut Outgoing,
    now: Instant,
) -> Result<(), ((ErrorCode, &'static str), Option<Lease>)> {
    let Some(found) = found else {
        return if table.requests.wait(number) { Ok(()) } else { Err((QUEUE_FULL, None)) };
    };
    let (key, spends) = (found.lease.server().key, found.lease.server().processing_time);
    match table.requests.send(number, (key, spends), found.lease, table.draw.next(), now) {
        Ok((tag, payload)) => {
            outgoing.push(key, &[payload, tag.bytes()]);
            Ok(())
        }
        Err(lease) => Err(((ErrorCode::Busy, "All tags of its server are in use."), Some(lease))),
    }
}

fn refusal(why: Refusal) -> (ErrorCode, &'static str) {
    match why {
        Refusal::TooMany => (ErrorCode::Busy, "Too many requests are under way."),
        Refusal::TooMuch => (ErrorCode::Busy, "The requests under way take too much memory."),
        Refusal::TooLong => (ErrorCode::TooLarge, "A datagram has no room for the request and its tag."),
    }
}

/// A request, for people: how long it is, and its first bytes.
fn shown(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    const SHOWN: usize = 8;
    let mut text = format!("{} bytes:", bytes.len());
    for byte in &bytes[..bytes.len().min(SHOWN)] {
        // Writing into memory cannot fail.
        let _written = write!(text, " {byte:02x}");
    }
    text + if bytes.len() > SHOWN { " …" } else { "" }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("flags", &self.flags).finish_non_exhaustive()
    }
}
