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
mod turn;
mod server;

pub use self::{
    core::{Decision, Skipped, State, Wanted},
    lease::Lease,
    server::Server,
    turn::{Refused, Turn},
};

use self::core::{Core, Grant, Taken, Ticket};
use crate::{
    event::{Considered, Event, Events, SkippedServer},
    policy::{Ended, Name, ServerKey},
};
use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;
use protocol::message::{Identity, ServerStatus};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

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
    /// The database that all servers share, once one has joined.
    database: Option<Arc<str>>,
}

/// What taking a server leads to.
#[derive(Debug)]
pub enum Taking {
    /// A server, now.
    Server(Found),
    /// A place in the queue.
    Turn(Turn),
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
        let inner = Inner { core, members: HashMap::new(), waiters: HashMap::new(), database: None };
        Arc::new(Self { inner: Mutex::new(inner), events })
    }

    // ------------------------------------------------------------------------------------------ the requests

    /// Takes a server for a request, or a place in the queue.
    ///
    /// # Errors
    /// [`Refused::QueueFull`].
    pub fn take(self: &Arc<Self>, wanted: &Wanted) -> Result<Taking, Refused> {
        let mut inner = self.inner.lock();
        match inner.core.take(wanted) {
            Taken::QueueFull => Err(Refused::QueueFull),
            Taken::Server(decision) => {
                let server = inner.members.get(&decision.server).map(Arc::clone);
                drop(inner);
                let server = server.ok_or(Refused::NoServer)?;
                Ok(Taking::Server(self.found(server, decision, Instant::now())))
            }
            Taken::Wait(ticket, ahead) => {
                let (waker, granted) = bounded(1);
                inner.waiters.insert(ticket, waker);
                let hope = inner.core.any_alive(wanted);
                drop(inner);
                Ok(Taking::Turn(Turn::new(self, wanted, (ticket, granted), ahead, hope)))
            }
        }
    }

    fn found(self: &Arc<Self>, server: Arc<Server>, decision: Decision, since: Instant) -> Found {
        Found { lease: Lease::new(Arc::clone(self), server), decision, waited: since.elapsed() }
    }

    /// A waiting request gives up. False if its turn has come already: then the server is in its channel.
    fn withdraw(&self, ticket: Ticket) -> bool {
        let mut inner = self.inner.lock();
        inner.waiters.remove(&ticket);
        inner.core.withdraw(ticket)
    }

    fn any_alive(&self, wanted: &Wanted) -> bool {
        self.inner.lock().core.any_alive(wanted)
    }

    fn give_back(&self, key: ServerKey, ended: Ended, took: Duration) {
        self.change(|inner| ((), inner.core.give_back(key, ended, took)));
    }

    fn doubt(&self, server: &Server, took: Duration) {
        let news = self.change(|inner| {
            let before = inner.core.look(server.key);
            (before.is_some_and(|(state, _)| state == State::Up), inner.core.doubt(server.key, took))
        });
        if news {
            let why = "it has not said its last word on a request.".to_owned();
            self.events.emit(|| Event::ServerDoubtful { server: server.id.clone(), why });
        }
    }

    /// Changes the pool under its lock and wakes those whose turn has come.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> (T, Vec<Grant>)) -> T {
        let mut inner = self.inner.lock();
        let (result, grants) = change(&mut inner);
        for Grant { ticket, decision } in grants {
            let waker = inner.waiters.remove(&ticket);
            if let (Some(waker), Some(server)) = (waker, inner.members.get(&decision.server)) {
                // The channel has room for one and is sent to once; a waiter that gives up meanwhile looks into it,
                // because it finds under this lock that it is not waiting any more.
                let _ = waker.send((Arc::clone(server), decision));
            }
        }
        result
    }

    // ------------------------------------------------------------------------------------------- the servers

    /// Whether a server with this identity may join: all servers share one database. The first one's is remembered
    /// for good, because a statement that may have been carried out there must not be repeated anywhere else.
    ///
    /// # Errors
    /// A sentence, if its database is another one.
    pub fn admit(&self, identity: &Identity) -> Result<(), String> {
        let Some(database) = identity.database.as_deref() else { return Ok(()) };
        let mut inner = self.inner.lock();
        let known = inner.database.get_or_insert_with(|| Arc::from(database));
        if **known == *database {
            return Ok(());
        }
        Err("its database is not the one that the other servers share. If you replaced the database, start the load \
             balancer again."
            .to_owned())
    }

    /// A server has said who it is, and that it is serving so many requests: it joins, and gets requests from now on.
    pub fn join(&self, identity: &Identity, serving: u32, ask: Sender<()>) -> Arc<Server> {
        let processing_time = Duration::try_from_secs_f64(identity.processing_time).unwrap_or_default();
        let server = self.change(|inner| {
            let database = identity.database.as_deref().map(Arc::from);
            let (key, grants) = inner.core.join(processing_time, identity.capacity, database, serving);
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

    /// A server is no longer part of the pool. Requests that it has go on, on the connections they have.
    pub fn leave(&self, server: &Server) {
        self.change(|inner| {
            inner.members.remove(&server.key);
            ((), inner.core.leave(server.key))
        });
        server.forget_connections();
        self.events.emit(|| Event::ServerLeft { server: server.id.clone() });
    }

    /// A server does not answer: it gets nothing new, and the requests that wait for it go elsewhere at once.
    pub fn down(&self, server: &Server, why: &str) {
        let news = self.state(server) != Some(State::Down);
        self.change(|inner| ((), inner.core.down(server.key)));
        server.cut_connections();
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
mod tests;
