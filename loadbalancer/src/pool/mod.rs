//! The pool: THE lock of the load balancer.
//!
//! [`core`] has the rules; this file puts them under one mutex, wakes those who waited, and hands out [`Lease`]s
//! that give themselves back. Nothing here does I/O while the lock is held: it is held for microseconds, by whoever
//! takes a server, gives one back, or changes the list of servers.
//!
//! Waiting is done outside of the lock, on a channel of the waiter's own: the thread that makes a server free sends
//! the lease to exactly the one whose turn it is.

pub mod core;
mod lease;
mod server;

pub use self::{
    core::{Decision, Skipped, State},
    lease::Lease,
    server::Server,
};

use self::core::{Core, Grant, Taken, Ticket};
use crate::{
    event::{Considered, Event, Events, SkippedServer},
    policy::{Ended, Name, ServerKey},
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use protocol::{
    deadline::Deadline,
    message::{ErrorCode, Failure, Identity, ServerStatus},
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a request waits for a server when none is up at all. Long enough for a server that is being restarted,
/// short enough that nobody takes it for a hang.
pub const NO_SERVER_WAIT: Duration = Duration::from_secs(3);

/// All servers, the idle list, and those who wait.
#[derive(Debug)]
pub struct Pool {
    /// Guards the one structure from which servers are taken. Held for microseconds: under it there is no I/O, no
    /// other lock, no call that can block (waking a waiter is a send into an empty channel of one place), and
    /// nothing that can panic, because parking_lot does not poison and a broken pool would go unnoticed.
    inner: Mutex<Inner>,
    events: Events,
}

#[derive(Debug)]
struct Inner {
    core: Core,
    members: HashMap<ServerKey, Arc<Server>>,
    waiters: HashMap<Ticket, Sender<(Arc<Server>, Decision)>>,
}

/// Why a request gets no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many are waiting already.
    QueueFull,
    /// No server became free in time.
    QueueTimeout,
    /// No server is up.
    NoServer,
}

impl Refused {
    /// What the client is told.
    #[must_use]
    pub fn failure(self) -> Failure {
        match self {
            Self::QueueFull => {
                Failure::definite(ErrorCode::Busy, "Too many requests are waiting for a server.").retry_after_ms(1_000)
            }
            Self::QueueTimeout => {
                Failure::definite(ErrorCode::Busy, "No server became idle in time.").retry_after_ms(1_000)
            }
            Self::NoServer => Failure::definite(ErrorCode::Unavailable, "No server is running.").retry_after_ms(1_000),
        }
    }
}

/// A server found for a request, and how.
#[derive(Debug)]
pub struct Found {
    /// The server, as long as it is needed.
    pub lease: Lease,
    /// Why this one.
    pub decision: Decision,
    /// How long the request waited.
    pub waited: Duration,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(policy: Name, max_queue: usize, events: Events) -> Arc<Self> {
        let mut core = Core::new(policy, max_queue);
        core.collect_evidence(events.wanted());
        let inner = Inner { core, members: HashMap::new(), waiters: HashMap::new() };
        Arc::new(Self { inner: Mutex::new(inner), events })
    }

    // ------------------------------------------------------------------------------------------ the requests

    /// Takes a server for a request, waiting for one until the deadline. `waits` is told how many are ahead if the
    /// request has to wait. Servers in `avoid` are taken only when no other one is up.
    ///
    /// # Errors
    /// [`Refused`], which says why there is none.
    pub fn take(
        self: &Arc<Self>,
        avoid: &[ServerKey],
        deadline: Deadline,
        waits: impl FnOnce(usize),
    ) -> Result<Found, Refused> {
        let begin = Instant::now();
        let (ticket, ahead, granted) = {
            let mut inner = self.inner.lock();
            match inner.core.take(avoid) {
                Taken::QueueFull => return Err(Refused::QueueFull),
                Taken::Server(decision) => {
                    let server = inner.members.get(&decision.server).map(Arc::clone);
                    drop(inner);
                    return server.map(|server| self.found(server, decision, begin)).ok_or(Refused::NoServer);
                }
                Taken::Wait(ticket, ahead) => {
                    let (waker, granted) = bounded(1);
                    inner.waiters.insert(ticket, waker);
                    (ticket, ahead, granted)
                }
            }
        };
        waits(ahead);
        let (server, decision) = self.wait_for_turn(ticket, &granted, deadline)?;
        Ok(self.found(server, decision, begin))
    }

    fn found(self: &Arc<Self>, server: Arc<Server>, decision: Decision, begin: Instant) -> Found {
        Found { lease: Lease::new(Arc::clone(self), server), decision, waited: begin.elapsed() }
    }

    fn wait_for_turn(
        &self,
        ticket: Ticket,
        granted: &Receiver<(Arc<Server>, Decision)>,
        deadline: Deadline,
    ) -> Result<(Arc<Server>, Decision), Refused> {
        let patience = Deadline::after(NO_SERVER_WAIT).min(deadline);
        let mut refused = Refused::NoServer;
        let mut answer = granted.recv_deadline(patience.instant());
        if matches!(answer, Err(RecvTimeoutError::Timeout)) && self.inner.lock().core.any_up() {
            refused = Refused::QueueTimeout;
            answer = granted.recv_deadline(deadline.instant());
        }
        if let Ok(found) = answer {
            return Ok(found);
        }
        let mut inner = self.inner.lock();
        inner.waiters.remove(&ticket);
        if inner.core.withdraw(ticket) {
            return Err(refused);
        }
        // The turn came in this very moment: the server is ours and is in the channel.
        drop(inner);
        granted.try_recv().map_err(|_| refused)
    }

    fn give_back(&self, key: ServerKey, ended: Ended, took: Duration) {
        self.change(|inner| ((), inner.core.give_back(key, ended, took)));
    }

    fn doubt(&self, key: ServerKey, took: Duration) {
        self.change(|inner| ((), inner.core.doubt(key, took)));
    }

    /// Changes the pool under its lock and wakes those whose turn has come.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> (T, Vec<Grant>)) -> T {
        let mut inner = self.inner.lock();
        let (result, grants) = change(&mut inner);
        for Grant { ticket, decision } in grants {
            let waker = inner.waiters.remove(&ticket);
            if let (Some(waker), Some(server)) = (waker, inner.members.get(&decision.server)) {
                // The channel has room for one and is sent to once; a waiter that gave up meanwhile is still there
                // to look into it, because it gives up under this lock.
                let _ = waker.send((Arc::clone(server), decision));
            }
        }
        result
    }

    // ------------------------------------------------------------------------------------------- the servers

    /// A server has said who it is: it joins, and gets requests from now on.
    pub fn join(&self, identity: &Identity, ask: Sender<()>) -> Arc<Server> {
        let processing_time = Duration::try_from_secs_f64(identity.processing_time).unwrap_or_default();
        let server = self.change(|inner| {
            let (key, grants) = inner.core.join(processing_time, identity.capacity);
            let server = Arc::new(Server::new(key, identity, processing_time, ask));
            inner.members.insert(key, Arc::clone(&server));
            (server, grants)
        });
        self.events.emit(|| Event::ServerJoined {
            server: server.id.clone(),
            address: server.address,
            processing_time: identity.processing_time,
            capacity: server.capacity,
            incarnation: server.incarnation,
        });
        server
    }

    /// A server is no longer part of the pool.
    pub fn leave(&self, server: &Server) {
        self.change(|inner| {
            inner.members.remove(&server.key);
            ((), inner.core.leave(server.key))
        });
        server.forget_connections();
        self.events.emit(|| Event::ServerLeft { server: server.id.clone() });
    }

    /// A server does not answer. Says whether that is news.
    pub fn down(&self, server: &Server, why: &str) {
        let news = self.state(server) != Some(State::Down);
        self.change(|inner| ((), inner.core.down(server.key)));
        server.forget_connections();
        if news {
            self.events.emit(|| Event::ServerDown { server: server.id.clone(), why: why.to_owned() });
        }
    }

    /// A server is ending and gets nothing new.
    pub fn drain(&self, server: &Server) {
        if self.state(server) != Some(State::Draining) {
            self.change(|inner| ((), inner.core.drain(server.key)));
            self.events.emit(|| Event::ServerDraining { server: server.id.clone() });
        }
    }

    /// How many requests of this server ended in doubt so far; see [`Core::doubts`].
    #[must_use]
    pub fn doubts(&self, server: &Server) -> u64 {
        self.inner.lock().core.doubts(server.key)
    }

    /// A server has said how many requests it is serving, asked when `doubts` had arisen: it is up, and doubts are
    /// settled as far as they can be. Returns whether doubt remains.
    pub fn settle(&self, server: &Server, serving: u32, doubts: u64) -> bool {
        let before = self.state(server);
        let doubt = self.change(|inner| inner.core.settle(server.key, serving, doubts));
        if matches!(before, Some(State::Down | State::Doubtful)) && !doubt {
            server.remember_connections();
            self.events.emit(|| Event::ServerUp { server: server.id.clone() });
        }
        doubt
    }

    /// A server's state; `None` if it is not in the pool.
    #[must_use]
    pub fn state(&self, server: &Server) -> Option<State> {
        self.inner.lock().core.look(server.key).map(|(state, _)| state)
    }

    /// The list of servers, by id.
    #[must_use]
    pub fn status(&self) -> Vec<ServerStatus> {
        let seen: Vec<_> = {
            let inner = self.inner.lock();
            let look = |server: &Arc<Server>| Some((Arc::clone(server), inner.core.look(server.key)?));
            inner.members.values().filter_map(look).collect()
        };
        let mut list: Vec<_> = seen.into_iter().map(|(server, (state, active))| server.status(state, active)).collect();
        list.sort_by(|a, b| a.processing_time.total_cmp(&b.processing_time).then_with(|| a.id.cmp(&b.id)));
        list
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.lock().core.waiting()
    }

    /// The evidence of a decision, with the servers' ids instead of keys.
    #[must_use]
    pub fn evidence(&self, decision: &Decision) -> (Vec<Considered>, Vec<SkippedServer>) {
        let inner = self.inner.lock();
        let id = |key: &ServerKey| inner.members.get(key).map_or_else(|| "?".to_owned(), |server| server.id.clone());
        let considered = decision.considered.iter().map(|server| Considered {
            server: id(&server.key),
            processing_time: server.processing_time.as_secs_f64(),
            active: server.active,
            capacity: server.capacity,
        });
        let skipped = decision.skipped.iter().map(|(key, why)| SkippedServer { server: id(key), why: *why });
        (considered.collect(), skipped.collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::deadline::Deadline;
    use std::thread;

    /// What a server with this id and processing time says of itself.
    pub(crate) fn identity(id: &str, processing_time: f64, capacity: u32) -> Identity {
        Identity {
            nonce: String::new(),
            id: id.to_owned(),
            incarnation: fastrand::u64(..),
            service: "lab".into(),
            address: ([127, 0, 0, 1], 1).into(),
            processing_time,
            capacity,
            database: None,
            min_version: 1,
            max_version: 1,
            pid: 1,
        }
    }

    fn pool() -> Arc<Pool> {
        Pool::new(Name::Power, 1_000, Events::default())
    }

    fn join(pool: &Pool, id: &str, time: f64, capacity: u32) -> Arc<Server> {
        pool.join(&identity(id, time, capacity), bounded(1).0)
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(20))
    }

    #[test]
    fn a_lease_that_is_dropped_unfinished_leaves_doubt() {
        let pool = pool();
        let server = join(&pool, "1", 0.1, 1);
        let found = pool.take(&[], soon(), |_| ()).unwrap();
        drop(found);
        assert_eq!(pool.state(&server), Some(State::Doubtful));
        assert!(!pool.settle(&server, 0, pool.doubts(&server)));
        assert_eq!(pool.state(&server), Some(State::Up));
    }

    #[test]
    fn who_waits_gets_the_server_that_becomes_free() {
        let pool = pool();
        join(&pool, "1", 0.1, 1);
        let first = pool.take(&[], soon(), |_| ()).unwrap();
        thread::scope(|scope| {
            let (told, tells) = bounded(1);
            let pool = &pool;
            let waiter = scope.spawn(move || pool.take(&[], soon(), |ahead| told.send(ahead).unwrap()));
            assert_eq!(tells.recv().unwrap(), 0);
            first.lease.finish(Ended::Answered);
            let found = waiter.join().unwrap().unwrap();
            assert_eq!(found.lease.server().id, "1");
            found.lease.finish(Ended::Answered);
        });
    }

    #[test]
    fn whoever_waits_too_long_is_told_why() {
        let pool = pool();
        let refused =
            |pool: &Arc<Pool>| pool.take(&[], Deadline::after(Duration::from_millis(10)), |_| ()).unwrap_err();
        assert_eq!(refused(&pool), Refused::NoServer);
        join(&pool, "1", 0.1, 1);
        let _held = pool.take(&[], soon(), |_| ()).unwrap();
        assert_eq!(refused(&pool), Refused::QueueTimeout);
        assert_eq!(pool.waiting(), 0);
    }

    #[test]
    fn many_threads_never_share_a_server_of_capacity_one() {
        let pool = pool();
        let servers: Vec<_> = (1..=3).map(|n| join(&pool, &n.to_string(), f64::from(n), 1)).collect();
        let holders: HashMap<_, _> = servers.iter().map(|server| (server.id.clone(), Mutex::new(()))).collect();
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let found = pool.take(&[], soon(), |_| ()).unwrap();
                        let alone = holders[&found.lease.server().id].try_lock();
                        assert!(alone.is_some(), "two requests on server {}", found.lease.server().id);
                        drop(alone);
                        found.lease.finish(Ended::Answered);
                    }
                });
            }
        });
        assert!(pool.status().iter().all(|server| server.active == 0 && server.state == "idle"));
        assert_eq!(pool.status().iter().map(|server| server.answered).sum::<u64>(), 8_000);
    }
}
