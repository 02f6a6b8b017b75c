//! The pool as a client sees it, and what a client does there.

use super::{
    primitives::{Receiver, Shuttle},
    stage::{Actor, Stage, Standing},
};
use loadbalancer::{
    policy::{Ended, ServerKey},
    pool::{
        Settings,
        core::{Admin, Effects, Newcomer, State, Ticket, Wanted},
        locked::{Given, Handed, Handover as _, Inner, Locked},
    },
};
use std::{collections::BTreeMap, time::Duration};

/// The real pool, with the locks and channels of shuttle. A server is its number, which is its key, too.
pub type Pool = Locked<Shuttle, u32>;

/// What taking a server leads to.
pub enum Got<T, N> {
    /// This server.
    Server(u32),
    /// A place in the queue: its name, and where the server will be.
    Place(N, Receiver<T>),
    /// The queue is full.
    Refused,
}

/// Where a client takes a server, waits for one, and gives it back.
pub trait Desk: Send + Sync + 'static {
    /// What is handed to whoever waits.
    type Thing: Send + 'static;
    /// Names a place in the queue.
    type Name: Copy + Send;

    /// The server in what was handed over.
    fn server(thing: &Self::Thing) -> u32;
    /// Takes a server, or a place in the queue.
    fn take(&self, me: &Actor, wanted: &Wanted) -> Got<Self::Thing, Self::Name>;
    /// Gives a server back.
    fn give_back(&self, me: &Actor, server: u32);
    /// Leaves the queue. A server that has come meanwhile is passed on.
    fn give_up(&self, me: &Actor, name: Self::Name, receiver: &Receiver<Self::Thing>);
    /// How it stands.
    fn standing(&self) -> Standing;
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it has a server, or nobody can move any more.
    Long,
    /// Not at all: it gives up at some moment, wherever the others are then.
    None,
}

impl Actor {
    /// A whole request: takes a server, or waits for one; uses it; gives it back.
    pub fn asks<D: Desk>(&self, desk: &D, wanted: &Wanted, patience: Patience) {
        if let Some(server) = self.gets(desk, wanted, patience) {
            self.begins(server, 1);
            self.time_passes();
            self.ends(server);
            desk.give_back(self, server);
        }
    }

    /// Takes a server, or waits for one. `None` if that came to nothing.
    pub fn gets<D: Desk>(&self, desk: &D, wanted: &Wanted, patience: Patience) -> Option<u32> {
        match desk.take(self, wanted) {
            Got::Server(server) => Some(server),
            Got::Refused => {
                self.tell(|| "is refused: the queue is full".to_owned());
                None
            }
            Got::Place(name, receiver) if patience == Patience::None => {
                self.time_passes();
                self.tell(|| "has no patience and gives up".to_owned());
                desk.give_up(self, name, &receiver);
                None
            }
            Got::Place(name, receiver) => {
                self.waits(receiver.closer());
                let handed = receiver.wait();
                self.waits_no_longer();
                if handed.is_none() {
                    self.tell(|| "has waited long enough and gives up".to_owned());
                    desk.give_up(self, name, &receiver);
                }
                handed.as_ref().map(D::server)
            }
        }
    }
}

/// The real pool.
pub struct Real {
    /// The pool itself.
    pub pool: Pool,
}

/// What happens takes no time, as far as the pool is concerned.
pub const NOW: Duration = Duration::ZERO;

/// The key of a server.
#[must_use]
pub fn key(server: u32) -> ServerKey {
    ServerKey(u64::from(server))
}

impl Real {
    /// A pool of servers of these capacities, numbered from 1.
    #[must_use]
    pub fn new(settings: Settings, capacities: &[u32]) -> Self {
        let desk = Self { pool: Locked::new(settings, false) };
        capacities.iter().for_each(|capacity| {
            desk.joins(*capacity);
        });
        desk
    }

    /// A server joins. Returns its number.
    pub fn joins(&self, capacity: u32) -> u32 {
        let newcomer = Newcomer { capacity, ..Newcomer::default() };
        self.change(|inner| {
            let (key, effects) = inner.core.join(newcomer);
            let server = u32::try_from(key.0).unwrap_or(u32::MAX);
            inner.members.insert(key, server);
            (server, effects)
        })
    }

    /// Changes the pool under its lock.
    pub fn change<R>(&self, change: impl FnOnce(&mut Inner<Shuttle, u32>) -> (R, Effects)) -> R {
        self.pool.change(NOW, change).0
    }

    /// Makes a change that says nothing.
    pub fn order(&self, change: impl FnOnce(&mut Inner<Shuttle, u32>) -> Effects) {
        self.change(|inner| ((), change(inner)));
    }

    /// Asks a server what it is doing, and settles the doubts about it. What was in doubt is noted *before* it is asked.
    pub fn asks_and_settles(&self, me: &Actor, server: u32, ask: impl FnOnce() -> u32) {
        let doubts = self.pool.look(|inner| inner.core.doubts(key(server)));
        let serving = ask();
        self.settles(me, server, serving, doubts);
    }

    /// Takes an answer of a server for what it is worth.
    pub fn settles(&self, me: &Actor, server: u32, serving: u32, doubts: u64) {
        self.change(|inner| {
            let (doubt, effects) = inner.core.settle(key(server), serving, doubts);
            me.tell(|| match doubt {
                true => format!("tells the pool so, which stays in doubt about server {server}"),
                false => format!("tells the pool so, for which server {server} is up"),
            });
            if !doubt && inner.core.look(key(server)).is_some_and(|standing| standing.state == State::Up) {
                me.settled(server);
            }
            ((), effects)
        });
    }
}

impl Desk for Real {
    type Thing = Handed<u32>;
    type Name = Ticket;

    fn server(thing: &Handed<u32>) -> u32 {
        thing.0
    }

    fn take(&self, me: &Actor, wanted: &Wanted) -> Got<Handed<u32>, Ticket> {
        me.tell(|| "asks for a server".to_owned());
        match self.pool.take(wanted, || NOW).0 {
            Given::Server(server, _) => {
                me.tell(|| format!("gets server {server}"));
                Got::Server(server)
            }
            Given::Place { ticket, receiver, .. } => {
                me.tell(|| "finds no idle server and gets a place in the queue".to_owned());
                Got::Place(ticket, receiver)
            }
            Given::QueueFull => Got::Refused,
        }
    }

    fn give_back(&self, me: &Actor, server: u32) {
        self.change(|inner| {
            me.tell(|| format!("gives server {server} back"));
            ((), inner.core.give_back(key(server), Ended::Answered, NOW))
        });
    }

    fn give_up(&self, me: &Actor, ticket: Ticket, receiver: &Receiver<Handed<u32>>) {
        if self.pool.withdraw(ticket) {
            me.tell(|| "leaves the queue".to_owned());
        } else if let Some((server, _)) = super::primitives::Sender::take(receiver) {
            me.tell(|| format!("finds that server {server} has come in that moment, and passes it on"));
            self.give_back(me, server);
        }
    }

    fn standing(&self) -> Standing {
        self.pool.look(|inner| {
            let look = |server: &u32| inner.core.look(key(*server)).map(|standing| (*server, standing));
            let all: Vec<_> = inner.members.values().filter_map(look).collect();
            let takes =
                |standing: &loadbalancer::pool::Standing| standing.state == State::Up && standing.admin == Admin::Ready;
            // An ejected server serves only when all are.
            let all_ejected = all.iter().filter(|(_, standing)| takes(standing)).all(|(_, standing)| standing.ejected);
            let spare = all.iter().any(|(_, standing)| {
                takes(standing) && (all_ejected || !standing.ejected) && standing.active < standing.capacity
            });
            let busy = all.iter().map(|(server, standing)| (*server, standing.active)).collect::<BTreeMap<_, _>>();
            Standing { busy, spare, waiting: inner.core.waiting() }
        })
    }
}

/// Somebody who looks at the pool at a moment of his own: no server may hold more than it may, nobody may wait while one
/// could serve him.
pub fn inspector(stage: &std::sync::Arc<Stage>, desk: &std::sync::Arc<Real>, capacity: u32) {
    let desk = std::sync::Arc::clone(desk);
    stage.thread("the inspector", move |me| {
        for _ in 0..2 {
            let standing = desk.standing();
            if standing.spare && standing.waiting > 0 {
                me.broken(format!("{} wait while a server is idle.", standing.waiting));
            }
            if let Some((server, busy)) = standing.busy.iter().find(|(_, busy)| **busy > capacity) {
                me.broken(format!("Server {server} holds {busy} of {capacity}."));
            }
        }
    });
}
