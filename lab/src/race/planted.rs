//! Mistakes, planted on purpose: each is small, plausible, and has been made before.
//!
//! A test that has never failed proves little. So beside the pool of the program, the models are played with pools in
//! which one thing is wrong, and must find it. The first three mistakes are made in a pool from a textbook ([`Textbook`]:
//! a list of idle servers, a line of waiters, one lock), because in the real one they cannot be made: there is no way to
//! look and to take in two steps. The others use the real pool in a wrong way.

use super::{
    desk::{Desk, Got, Real},
    primitives::{Guarded, Receiver, Sender},
    stage::{Actor, Standing},
};
use loadbalancer::pool::{
    core::{Ticket, Wanted},
    locked::{Handed, Handover as _, Lock as _},
};
use std::collections::VecDeque;

/// What is wrong with a textbook pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Nothing: for comparison. If this one failed, the others would prove nothing.
    None,
    /// Looks which server is idle, and takes it in a second step (the coursework's race: check, then act).
    LookThenTake,
    /// Looks whether a server is idle, and gets in line in a second step.
    LookThenWait,
    /// Puts a server on the idle list, and serves the line in a second step.
    IdleThenServe,
}

/// What a textbook pool's lock guards.
#[derive(Default)]
struct Lists {
    idle: VecDeque<u32>,
    waiting: VecDeque<(u64, Sender<u32>)>,
    busy: Vec<u32>,
    last: u64,
}

/// The smallest pool: a list of idle servers, a line of waiters, one lock.
pub struct Textbook {
    lists: Guarded<Lists>,
    mistake: Mistake,
}

impl Textbook {
    /// Idle servers 1 to `servers`.
    #[must_use]
    pub fn new(servers: u32, mistake: Mistake) -> Self {
        let lists = Lists { idle: (1..=servers).collect(), ..Lists::default() };
        Self { lists: Guarded::new(lists), mistake }
    }
}

impl Lists {
    fn take(&mut self, me: &Actor) -> Option<u32> {
        let Some(server) = self.idle.pop_front() else {
            me.tell(|| "sees: no server is idle".to_owned());
            return None;
        };
        self.busy.push(server);
        me.tell(|| format!("sees: server {server} is idle, and takes it in the same step"));
        Some(server)
    }

    fn take_or_wait(&mut self, me: &Actor) -> Got<u32, u64> {
        self.take(me).map_or_else(|| self.get_in_line(me), Got::Server)
    }

    fn get_in_line(&mut self, me: &Actor) -> Got<u32, u64> {
        let (sender, receiver) = Sender::pair();
        self.last += 1;
        self.waiting.push_back((self.last, sender));
        me.tell(|| "gets in line".to_owned());
        Got::Place(self.last, receiver)
    }

    fn put_back(&mut self, me: &Actor, server: u32) {
        self.busy.retain(|busy| *busy != server);
        self.idle.push_back(server);
        me.tell(|| format!("puts server {server} back on the list"));
    }

    fn serve_the_line(&mut self, me: &Actor) {
        while !self.idle.is_empty()
            && let Some((_, waiter)) = self.waiting.pop_front()
            && let Some(server) = self.idle.pop_front()
        {
            self.busy.push(server);
            me.tell(|| format!("hands server {server} to the first in line"));
            waiter.hand(server);
        }
    }
}

impl Desk for Textbook {
    type Thing = u32;
    type Name = u64;

    fn server(thing: &u32) -> u32 {
        *thing
    }

    fn take(&self, me: &Actor, _wanted: &Wanted) -> Got<u32, u64> {
        match self.mistake {
            Mistake::LookThenTake => {
                let seen = self.lists.with(|lists| {
                    let seen = lists.idle.front().copied();
                    me.tell(|| {
                        seen.map_or("sees no idle server".to_owned(), |seen| format!("sees: server {seen} is idle"))
                    });
                    seen
                });
                // Here another client may see the same.
                self.lists.with(|lists| match seen {
                    Some(server) => {
                        lists.idle.retain(|idle| *idle != server);
                        lists.busy.push(server);
                        me.tell(|| format!("takes server {server}, as it has seen"));
                        Got::Server(server)
                    }
                    None => lists.take_or_wait(me),
                })
            }
            Mistake::LookThenWait => {
                if let Some(server) = self.lists.with(|lists| lists.take(me)) {
                    return Got::Server(server);
                }
                // Here a server may come back, find nobody in line, and go to sleep on the list.
                self.lists.with(|lists| lists.get_in_line(me))
            }
            Mistake::None | Mistake::IdleThenServe => self.lists.with(|lists| lists.take_or_wait(me)),
        }
    }

    fn give_back(&self, me: &Actor, server: u32) {
        if self.mistake == Mistake::IdleThenServe {
            self.lists.with(|lists| lists.put_back(me, server));
            // Here a newcomer may take it, before those who have been waiting.
            self.lists.with(|lists| lists.serve_the_line(me));
        } else {
            self.lists.with(|lists| {
                lists.put_back(me, server);
                lists.serve_the_line(me);
            });
        }
    }

    fn give_up(&self, me: &Actor, name: u64, receiver: &Receiver<u32>) {
        let waited = self.lists.with(|lists| {
            let before = lists.waiting.len();
            lists.waiting.retain(|(other, _)| *other != name);
            before > lists.waiting.len()
        });
        if !waited && let Some(server) = Sender::take(receiver) {
            self.give_back(me, server);
        }
    }

    fn standing(&self) -> Standing {
        self.lists.with(|lists| {
            let mut standing =
                Standing { spare: !lists.idle.is_empty(), waiting: lists.waiting.len(), ..Standing::default() };
            lists.busy.iter().for_each(|server| *standing.busy.entry(*server).or_default() += 1);
            standing
        })
    }
}

/// What is wrong with the use of the real pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// Whoever gives up leaves the queue, and does not look whether a server has come in that moment.
    ForgetsTheChannel,
    /// A server is given back when the answer is there, and again when the request is put away.
    GivesBackTwice,
}

/// The real pool, used in a wrong way.
pub struct Misused {
    /// The pool.
    pub real: Real,
    /// What is wrong.
    pub misuse: Misuse,
}

impl Desk for Misused {
    type Thing = Handed<u32>;
    type Name = Ticket;

    fn server(thing: &Handed<u32>) -> u32 {
        Real::server(thing)
    }

    fn take(&self, me: &Actor, wanted: &Wanted) -> Got<Handed<u32>, Ticket> {
        self.real.take(me, wanted)
    }

    fn give_back(&self, me: &Actor, server: u32) {
        self.real.give_back(me, server);
        if self.misuse == Misuse::GivesBackTwice {
            self.real.give_back(me, server);
        }
    }

    fn give_up(&self, me: &Actor, ticket: Ticket, receiver: &Receiver<Handed<u32>>) {
        if self.misuse == Misuse::ForgetsTheChannel {
            let waited = self.real.pool.withdraw(ticket);
            me.tell(|| match waited {
                true => "leaves the queue".to_owned(),
                false => "is not in the queue any more, and goes home".to_owned(),
            });
        } else {
            self.real.give_up(me, ticket, receiver);
        }
    }

    fn standing(&self) -> Standing {
        self.real.standing()
    }
}
