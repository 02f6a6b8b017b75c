//! The pool: THE lock of the load balancer.
//!
//! [`core`] has the rules; this file puts them under one mutex, wakes those who waited, and hands out [`Lease`]s
//! that give themselves back. Nothing here does I/O while the lock is held: it is held for microseconds, by whoever
//! takes a server, gives one back, or changes the list of servers.
//!
//! Waiting is done outside of the lock, on a channel of the waiter's own: the thread that makes a server free sends
//! the lease to exactly the one whose turn it is.

pub mod core;
pub mod locked;
mod lease;
pub(crate) mod turn;
mod server;
pub mod statistics;
pub mod snapshot;
mod wishes;
mod admin;

pub use self::{
    admin::{Unacceptable, WEIGHTS},
    core::{Admin, Decision, Settings, Skipped, Standing, State, Wanted},
    lease::Lease,
    server::{Cause, Server},
    snapshot::{PoolSnapshot, ServerSnapshot, TimesSnapshot, TotalsSnapshot},
    turn::{Refused, Turn},
};

use self::{
    core::{Effects, Newcomer, News, Ticket},
    locked::{Given, Inner, Locked, Real},
    statistics::Totals,
    wishes::Wish,
};
use crate::{
    event::{Considered, Event, Events, SkippedServer},
    policy::{Ended, ServerKey, number_of},
};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use protocol::message::Identity;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// All servers, the idle list, and those who wait.
#[derive(Debug)]
pub struct Pool {
    /// THE lock: what it guards, and what may not be done under it, is written there.
    locked: Locked<Real, Arc<Server>>,
    /// The database that all servers share, once one has joined. Held to look or set; never together with another lock.
    database: Mutex<Option<Arc<str>>>,
    begun: Instant,
    max_queue: usize,
    totals: Totals,
    events: Events,
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
    pub fn new(settings: Settings, events: Events) -> Arc<Self> {
        let max_queue = settings.max_queue;
        let locked = Locked::new(settings, events.steps_wanted());
        Arc::new(Self {
            locked,
            database: Mutex::new(None),
            begun: Instant::now(),
            max_queue,
            totals: Totals::default(),
            events,
        })
    }

    /// What has happened in all.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    // ------------------------------------------------------------------------------------------ the requests

    /// Takes a server for a request, or a place in the queue.
    ///
    /// # Errors
    /// [`Refused::QueueFull`].
    pub fn take(self: &Arc<Self>, wanted: &Wanted) -> Result<Taking, Refused> {
        let since = Instant::now();
        let (given, news) = self.locked.take(wanted, || self.later(since).saturating_duration_since(self.begun));
        self.tell(news);
        match given {
            Given::QueueFull => {
                self.totals.queue_full.add_one();
                Err(Refused::QueueFull)
            }
            Given::Server(server, decision) => Ok(Taking::Server(self.found(server, decision, since))),
            Given::Place { ticket, receiver, ahead, hope } => {
                self.totals.queued.add_one();
                Ok(Taking::Turn(Turn::new(self, wanted, (ticket, receiver), ahead, hope)))
            }
        }
    }

    /// Takes a server for a request, if one is free: for frontends that let nobody wait in a thread, and have a queue of
    /// their own.
    pub fn take_now(self: &Arc<Self>, wanted: &Wanted) -> Option<Found> {
        let since = Instant::now();
        let (given, news) = self.locked.take_now(wanted, || self.later(since).saturating_duration_since(self.begun));
        self.tell(news);
        given.map(|(server, decision)| self.found(server, decision, since))
    }

    /// Takes another server for a copy of a request: only one that is free at once, that is none of those to be avoided,
    /// and that nobody waits for.
    pub fn take_another(self: &Arc<Self>, wanted: &Wanted) -> Option<Found> {
        let since = Instant::now();
        let (server, decision) = self.locked.take_another(wanted)?;
        server.statistics.copies.add_one();
        Some(self.found(server, decision, since))
    }

    /// Whom the policy would give this request, for who only names servers and never hears what came of it. Nothing is taken,
    /// and nothing is counted; `None` if nobody takes requests, or nobody has room.
    pub fn choose_only(&self, wanted: &Wanted) -> Option<(Arc<Server>, Decision)> {
        self.change(|inner| {
            let decision = inner.core.choose_only(wanted);
            let chosen =
                decision.and_then(|decision| Some((Arc::clone(inner.members.get(&decision.server)?), decision)));
            (chosen, Effects::default())
        })
    }

    /// All servers and how they stand, in the order of the pool: strongest first.
    #[must_use]
    pub fn standings(&self) -> Vec<(Arc<Server>, Standing)> {
        let member = |inner: &Inner<_, _>, key| inner.members.get(&key).map(Arc::clone);
        self.locked.look(|inner| {
            inner.core.standings().filter_map(|(key, standing)| Some((member(inner, key)?, standing))).collect()
        })
    }

    fn found(self: &Arc<Self>, server: Arc<Server>, decision: Decision, since: Instant) -> Found {
        server.statistics.chosen.add_one();
        let now = self.later(since);
        let waited = now.saturating_duration_since(since);
        Found { lease: Lease::new(Arc::clone(self), server, now), decision, waited }
    }

    /// Now. Who wants no steps hears nothing of what was waited meanwhile; then the time at which it began will do, because a look
    /// at the clock costs as much as the choice of a server.
    fn later(&self, since: Instant) -> Instant {
        if self.events.steps_wanted() { Instant::now() } else { since }
    }

    /// A request that `before` has lost is tried again, at `now`.
    pub fn count_again(&self, before: &Server, now: &Server) {
        if before.key == now.key {
            self.totals.retries.add_one();
            before.statistics.retries.add_one();
        } else {
            self.totals.redispatches.add_one();
            before.statistics.redispatches.add_one();
        }
    }

    /// A waiting request gives up. False if its turn has come already: then the server is in its channel.
    fn withdraw(&self, ticket: Ticket) -> bool {
        self.locked.withdraw(ticket)
    }

    /// Whether there is a server to hope for. Whoever waits asks now and then; so what only time changes is seen, too.
    fn any_alive(&self, wanted: &Wanted) -> bool {
        self.change(|inner| (inner.core.any_alive(wanted), Effects::default()))
    }

    fn give_back(&self, key: ServerKey, ended: Ended, took: Duration, now: Instant) {
        let now = now.saturating_duration_since(self.begun);
        let ((), news) = self.locked.change(now, |inner| ((), inner.core.give_back(key, ended, took)));
        self.tell(news);
    }

    fn doubt(&self, server: &Server, took: Duration) {
        let news = self.change(|inner| {
            let before = inner.core.look(server.key);
            (before.is_some_and(|before| before.state == State::Up), inner.core.doubt(server.key, took))
        });
        if news {
            let why = "it has not said its last word on a request.".to_owned();
            server.because(Cause::State, Some(&why));
            self.events.emit(|| Event::ServerDoubtful { server: server.id.clone(), why });
        }
    }

    /// Changes the pool under its lock and wakes those whose turn has come.
    fn change<T>(&self, change: impl FnOnce(&mut Inner<Real, Arc<Server>>) -> (T, Effects)) -> T {
        let (result, news) = self.locked.change(self.begun.elapsed(), change);
        self.tell(news);
        result
    }

    /// Tells what the pool did by its own rules.
    fn tell(&self, news: Vec<News>) {
        for news in news {
            let key = match &news {
                News::Ejected { server, .. } | News::Readmitted(server) => *server,
            };
            let Some(server) = self.locked.look(|inner| inner.members.get(&key).map(Arc::clone)) else { continue };
            let id = server.id.clone();
            match news {
                News::Ejected { why, lasting, .. } => {
                    server.statistics.ejections.add_one();
                    server.because(Cause::Ejection, Some(&why));
                    let lasting_ms = u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
                    self.events.emit(|| Event::ServerEjected { server: id, why, lasting_ms });
                }
                News::Readmitted(_) => {
                    server.because(Cause::Ejection, None);
                    self.events.emit(|| Event::ServerReadmitted { server: id });
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------- the servers

    /// Whether a server with this identity may join: all servers share one database. The first one's is remembered
    /// for good, because a statement that may have been carried out there must not be repeated anywhere else.
    ///
    /// # Errors
    /// A sentence, if its database is another one.
    pub fn admit(&self, identity: &Identity) -> Result<(), String> {
        let Some(database) = identity.database.as_deref() else { return Ok(()) };
        let mut known = self.database.lock();
        if **known.get_or_insert_with(|| Arc::from(database)) == *database {
            return Ok(());
        }
        Err("its database is not the one that the other servers share. If you replaced the database, start the load \
             balancer again."
            .to_owned())
    }

    /// A server has said who it is, and that it is serving so many requests: it joins, and gets requests from now on,
    /// unless a person has decided otherwise about this id.
    pub fn join(&self, identity: &Identity, serving: u32, ask: Sender<()>) -> Arc<Server> {
        let processing_time = Duration::try_from_secs_f64(identity.processing_time).unwrap_or_default();
        let server = self.change(|inner| {
            let Wish { admin, weight, capacity } = inner.wishes.of(&identity.id);
            let (key, effects) = inner.core.join(Newcomer {
                number: number_of(&identity.id),
                processing_time,
                capacity: capacity.map_or(identity.capacity, |wanted| wanted.min(identity.capacity)),
                database: identity.database.as_deref().map(Arc::from),
                serving,
                admin,
                weight,
            });
            let server = Arc::new(Server::new(key, identity, processing_time, ask));
            server.decided(admin);
            inner.members.insert(key, Arc::clone(&server));
            (server, effects)
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
        let before = self.change(|inner| (inner.core.look(server.key), inner.core.down(server.key)));
        server.cut_connections();
        if before.is_some_and(|before| before.state != State::Down) {
            server.statistics.downs.add_one();
            server.is_down(true);
            server.because(Cause::State, Some(why));
            if before.is_some_and(|before| before.admin != Admin::Maintenance) {
                self.events.emit(|| Event::ServerDown { server: server.id.clone(), why: why.to_owned() });
            }
        }
    }

    /// A server is ending and gets nothing new.
    pub fn drain(&self, server: &Server) {
        let before = self.change(|inner| match inner.core.look(server.key) {
            Some(Standing { state: State::Draining, .. }) => (Some(State::Draining), Effects::default()),
            other => (other.map(|before| before.state), inner.core.drain(server.key)),
        });
        if before != Some(State::Draining) {
            server.because(Cause::State, Some("it says that it is ending."));
            self.events.emit(|| Event::ServerDraining { server: server.id.clone() });
        }
    }

    /// How many requests of this server ended in doubt so far; see [`core::Core::doubts`].
    #[must_use]
    pub fn doubts(&self, server: &Server) -> u64 {
        self.locked.look(|inner| inner.core.doubts(server.key))
    }

    /// A server has said how many requests it is serving, asked when `doubts` had arisen: it is up, and doubts are
    /// settled as far as they can be. Returns whether doubt remains.
    pub fn settle(&self, server: &Server, serving: u32, doubts: u64) -> bool {
        let (before, doubt) = self.change(|inner| {
            let before = inner.core.look(server.key).map(|before| before.state);
            let (doubt, effects) = inner.core.settle(server.key, serving, doubts);
            ((before, doubt), effects)
        });
        server.is_down(false);
        if before.is_some_and(|before| before != State::Up) && !doubt {
            server.because(Cause::State, None);
        }
        if matches!(before, Some(State::Down | State::Doubtful)) && !doubt {
            server.remember_connections();
            self.events.emit(|| Event::ServerUp { server: server.id.clone() });
        }
        doubt
    }

    /// How a server stands; `None` if it is not in the pool.
    #[must_use]
    pub fn look(&self, server: &Server) -> Option<Standing> {
        self.locked.look(|inner| inner.core.look(server.key))
    }

    /// A server's state; `None` if it is not in the pool.
    #[must_use]
    pub fn state(&self, server: &Server) -> Option<State> {
        self.look(server).map(|standing| standing.state)
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.locked.look(|inner| inner.core.waiting())
    }

    /// The evidence of a decision, with the servers' ids instead of keys.
    #[must_use]
    pub fn evidence(&self, decision: &Decision) -> (Vec<Considered>, Vec<SkippedServer>) {
        let Some(evidence) = &decision.evidence else { return Default::default() };
        self.locked.look(|inner| {
            let id =
                |key: &ServerKey| inner.members.get(key).map_or_else(|| "?".to_owned(), |server| server.id.clone());
            let considered = evidence.considered.iter().map(|weighed| Considered {
                server: id(&weighed.candidate.key),
                score: weighed.score,
                processing_time: weighed.candidate.processing_time.as_secs_f64(),
                active: weighed.candidate.active,
                capacity: weighed.candidate.capacity,
                weight: weighed.candidate.weight,
                last_chosen: weighed.candidate.last_chosen,
            });
            let skipped = evidence.skipped.iter().map(|(key, why)| SkippedServer { server: id(key), why: *why });
            (considered.collect(), skipped.collect())
        })
    }
}

#[cfg(test)]
mod tests;
