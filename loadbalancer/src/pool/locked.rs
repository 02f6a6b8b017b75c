//! The rules under their lock, and the hand-over of a server to whoever waits for it.
//!
//! **The problem.** Threads take servers and give them back. Whoever finds none waits, and must be woken by exactly the
//! one who gives back what it can use: not be forgotten, not be woken in vain, not be given what another one has. And it
//! may lose patience in the very moment in which its server comes.
//!
//! **The idea.** Each waiter leaves a channel of one place with its ticket. Whoever changes the pool finds, under the lock,
//! the requests that can be served, and sends each its server. A waiter that gives up takes its ticket back under the same
//! lock: either it succeeds, then nobody will ever send to it; or its ticket is gone, then its server is in its channel
//! already, and must be passed on.
//!
//! **What the lock guards** is all of [`Inner`], and nothing else. It is held for microseconds: under it there is no I/O,
//! no other lock, no call that can block (a send into an empty channel of one place does not), and nothing that can
//! panic, because parking_lot does not poison and a broken pool would go unnoticed.
//!
//! **Why it is generic.** A race shows itself once in a million times, on another machine. `lab race` and the tests run
//! this very file under [shuttle](https://docs.rs/shuttle), which plays thousands of orders of the same threads and can
//! repeat the one that failed. For that it must be shuttle's locks and channels that are used: so they are [`Primitives`].

use super::{
    core::{Core, Decision, Effects, Grant, News, Settings, Taken, Ticket, Wanted},
    wishes::Wishes,
};
use crate::policy::ServerKey;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, time::Duration};

/// A lock around a value.
pub trait Lock<T>: Send + Sync {
    /// A lock that nobody holds.
    fn new(value: T) -> Self;
    /// Works on the value while nobody else does.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

/// The sending half of a channel for one thing.
pub trait Handover<T>: Send + Sized {
    /// The other half.
    type Receiver: Send;
    /// Both halves.
    fn pair() -> (Self, Self::Receiver);
    /// Hands the thing over. Never waits: there is room for it.
    fn hand(self, thing: T);
    /// The thing, if it is there. Never waits.
    fn take(receiver: &Self::Receiver) -> Option<T>;
}

/// Locks and channels of some kind.
pub trait Primitives {
    /// Their lock.
    type Lock<T: Send>: Lock<T>;
    /// Their channel.
    type Handover<T: Send>: Handover<T>;
}

/// The locks and channels of the real program: those of parking_lot and crossbeam.
#[derive(Debug)]
pub struct Real;

impl Primitives for Real {
    type Lock<T: Send> = Mutex<T>;
    type Handover<T: Send> = Sender<T>;
}

impl<T: Send> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock())
    }
}

impl<T: Send> Handover<T> for Sender<T> {
    type Receiver = Receiver<T>;

    fn pair() -> (Self, Receiver<T>) {
        bounded(1)
    }

    fn hand(self, thing: T) {
        // A waiter that gives up meanwhile looks into its channel; one that is gone altogether took its ticket along.
        let _ = self.try_send(thing);
    }

    fn take(receiver: &Receiver<T>) -> Option<T> {
        receiver.try_recv().ok()
    }
}

/// What is handed over: a server, and how it was chosen.
pub type Handed<S> = (S, Decision);

/// Where a waiter finds its server.
pub type ReceiverOf<P, S> = <<P as Primitives>::Handover<Handed<S>> as Handover<Handed<S>>>::Receiver;

/// What the lock guards.
pub struct Inner<P: Primitives, S: Clone + Send> {
    /// The rules.
    pub core: Core,
    /// The servers, by their name in the pool.
    pub members: HashMap<ServerKey, S>,
    /// What a person wants of them.
    pub wishes: Wishes,
    waiters: HashMap<Ticket, P::Handover<Handed<S>>>,
}

/// What taking a server leads to.
pub enum Given<P: Primitives, S: Clone + Send> {
    /// A server, now.
    Server(S, Decision),
    /// A place in the queue.
    Place {
        /// Its name.
        ticket: Ticket,
        /// Where the server will be.
        receiver: ReceiverOf<P, S>,
        /// How many are ahead.
        ahead: usize,
        /// Whether any server is alive that could serve the request.
        hope: bool,
    },
    /// Neither: the queue is full.
    QueueFull,
}

/// The pool's rules, its servers of type `S`, and those who wait, under one lock.
pub struct Locked<P: Primitives, S: Clone + Send> {
    inner: P::Lock<Inner<P, S>>,
}

impl<P: Primitives, S: Clone + Send> fmt::Debug for Locked<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked")
    }
}

impl<P: Primitives, S: Clone + Send> Locked<P, S> {
    /// An empty pool; whether decisions carry their evidence.
    #[must_use]
    pub fn new(settings: Settings, evidence: bool) -> Self {
        let mut core = Core::new(settings);
        core.collect_evidence(evidence);
        let (members, wishes, waiters) = (HashMap::new(), Wishes::default(), HashMap::new());
        Self { inner: Lock::new(Inner { core, members, wishes, waiters }) }
    }

    /// Takes a server for a request, or a place in the queue. `clock` tells the time since the pool began.
    pub fn take(&self, wanted: &Wanted, clock: impl Fn() -> Duration) -> (Given<P, S>, Vec<News>) {
        let before = clock();
        self.inner.with(|inner| {
            let now = clock();
            let news = inner.tick(now);
            let given = match inner.core.take(wanted) {
                Taken::QueueFull => Given::QueueFull,
                Taken::Server(decision) => inner.server(decision, now.saturating_sub(before)),
                Taken::Wait(ticket, ahead) => {
                    let (handover, receiver) = Handover::pair();
                    inner.waiters.insert(ticket, handover);
                    Given::Place { ticket, receiver, ahead, hope: inner.core.any_alive(wanted) }
                }
            };
            (given, news)
        })
    }

    /// Takes a server for a request, if one is free.
    pub fn take_now(&self, wanted: &Wanted, clock: impl Fn() -> Duration) -> (Option<Handed<S>>, Vec<News>) {
        let before = clock();
        self.inner.with(|inner| {
            let now = clock();
            let news = inner.tick(now);
            let decision =
                inner.core.take_now(wanted).map(|decision| inner.server(decision, now.saturating_sub(before)));
            match decision {
                Some(Given::Server(server, decision)) => (Some((server, decision)), news),
                _ => (None, news),
            }
        })
    }

    /// Takes another server for a copy of a request, if one is free that nobody waits for.
    pub fn take_another(&self, wanted: &Wanted) -> Option<Handed<S>> {
        self.inner.with(|inner| {
            let decision = inner.core.take_another(wanted)?;
            inner.members.get(&decision.server).cloned().map(|server| (server, decision))
        })
    }

    /// A waiter gives up. True if it was waiting; false if its server is in its channel already.
    pub fn withdraw(&self, ticket: Ticket) -> bool {
        self.inner.with(|inner| {
            inner.waiters.remove(&ticket);
            inner.core.withdraw(ticket)
        })
    }

    /// Changes the pool at this time, and hands servers over to those whose turn has come.
    pub fn change<R>(&self, now: Duration, change: impl FnOnce(&mut Inner<P, S>) -> (R, Effects)) -> (R, Vec<News>) {
        self.inner.with(|inner| {
            let mut news = inner.tick(now);
            let (result, effects) = change(inner);
            news.extend(inner.hand_over(effects));
            (result, news)
        })
    }

    /// Looks at the pool.
    pub fn look<R>(&self, look: impl FnOnce(&Inner<P, S>) -> R) -> R {
        self.inner.with(|inner| look(inner))
    }
}

impl<P: Primitives, S: Clone + Send> Inner<P, S> {
    fn tick(&mut self, now: Duration) -> Vec<News> {
        let effects = self.core.tick(now);
        self.hand_over(effects)
    }

    fn server(&self, mut decision: Decision, lock_wait: Duration) -> Given<P, S> {
        decision.lock_wait = lock_wait;
        // Whoever is in the core is a member, and the other way round; a server that is none could not be used.
        match self.members.get(&decision.server) {
            Some(server) => Given::Server(server.clone(), decision),
            None => Given::QueueFull,
        }
    }

    fn hand_over(&mut self, effects: Effects) -> Vec<News> {
        for Grant { ticket, decision } in effects.grants {
            let waiter = self.waiters.remove(&ticket);
            if let (Some(waiter), Some(server)) = (waiter, self.members.get(&decision.server)) {
                waiter.hand((server.clone(), decision));
            }
        }
        effects.news
    }
}
