//! The pool's rules, without its lock: who is in it, who is idle, who waits, who gets what.
//!
//! **The problem.** Two clients look at the list of idle servers at the same moment, both see server 1, both take
//! it, and each gets the other's answer. Checking and taking must be one step.
//!
//! **The idea.** One structure holds servers, idle list and queue, and every change of it is one call here, made
//! under one lock ([`super::Pool`]). This file knows nothing of locks, threads or sockets: what happens goes in as
//! a call, and what follows from it comes out as a value. So each rule is tested in a line, and a simulation can
//! drive the very same code with a clock of its own.
//!
//! **The idle list is "servers with spare capacity"**, strongest first. With capacity 1 it is the classic list of
//! idle servers; with more, the policies that look at load get something to look at.
//!
//! **Waiting.** A request that finds no spare capacity waits in the [queue], in which clients take turns. Whenever
//! capacity becomes free, the queue is looked through from its front; so nobody who could use a server waits while one
//! is idle, and a newcomer never overtakes.
//!
//! **Doubt.** A server whose answer was lost is neither idle (it may still be computing) nor down (perhaps only the
//! connection broke). Its place stays taken and it gets nothing new until somebody has *asked* it: [`Core::settle`]
//! with the number of requests it says it is serving, or [`Core::down`].
//!
//! **Observation.** Every end of a request says something about its server. One that fails again and again, or is much
//! slower than the others, is *ejected* for a while ([`crate::health::outlier`]), but never more than half of them, and
//! never the last one. One that returns gets a growing share at first ([`crate::health::slow_start`]).
//!
//! **Time** is told ([`Core::tick`]) before anything else is; this file has no clock.

pub mod queue;
mod slot;
mod decision;

pub use self::{
    decision::{Decision, Evidence, Weighed},
    queue::Ticket,
    slot::{Admin, Skipped, Standing, State},
};

use self::{queue::Queue, slot::Slot};
use crate::{
    health::outlier::{self, Observed},
    policy::{Candidate, Ended, Name, Options, Policy, ServerKey},
};
use std::{sync::Arc, time::Duration};

/// What a request wants of its server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Servers that have lost this request: taken only when no other one is up.
    pub avoid: Vec<ServerKey>,
    /// The database that may have carried it out already: only servers of this one can know.
    pub database: Option<Arc<str>>,
    /// Whose request it is: clients take turns in the queue.
    pub client: u64,
    /// Only these servers can answer it; all, if it does not say. Of a sharded table: those that are in step.
    pub among: Option<Vec<ServerKey>>,
    /// The hash of its key, for policies that send requests of one key to one server.
    pub key: u64,
}

/// A server for a request that has waited.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The request.
    pub ticket: Ticket,
    /// Its server.
    pub decision: Decision,
}

/// What a request for a server leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// A server, now.
    Server(Decision),
    /// A place in the queue, behind this many others.
    Wait(Ticket, usize),
    /// Neither: the queue is full.
    QueueFull,
}

/// Something that the pool did by its own rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A server is left out for so long.
    Ejected {
        /// Which.
        server: ServerKey,
        /// Why, as a sentence.
        why: String,
        /// For how long.
        lasting: Duration,
    },
    /// A server that was left out may take requests again.
    Readmitted(ServerKey),
}

/// What follows from something that happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Requests that have a server now.
    pub grants: Vec<Grant>,
    /// What people should be told.
    pub news: Vec<News>,
}

/// How a pool is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The policy.
    pub policy: Name,
    /// What can be chosen beside its name.
    pub options: Options,
    /// How many requests may wait.
    pub max_queue: usize,
    /// What all random choices come from.
    pub seed: u64,
    /// When a server is ejected.
    pub eject: outlier::Rules,
    /// How long a server that returns gets a growing share; zero: it gets its full share at once.
    pub slow_start: Duration,
}

impl Settings {
    /// A pool with this policy and else the defaults of the program, except that nothing is random.
    #[must_use]
    pub fn of(policy: Name, max_queue: usize) -> Self {
        let (options, eject, slow_start) = (Options::default(), outlier::Rules::default(), Duration::ZERO);
        Self { policy, options, max_queue, seed: 1, eject, slow_start }
    }
}

/// A server that joins.
#[derive(Clone, Debug, Default)]
pub struct Newcomer {
    /// Its number: see [`crate::policy::number_of`].
    pub number: u64,
    /// What it spends on a request.
    pub processing_time: Duration,
    /// How many requests it takes at once.
    pub capacity: u32,
    /// The identity of its database.
    pub database: Option<Arc<str>>,
    /// How many requests of others it is serving (of a load balancer that was here before). Without any it is up and
    /// idle, else in doubt until it has said that it is free.
    pub serving: u32,
    /// What a person has decided about the server of this id, in a life before.
    pub admin: Admin,
    /// The weight that a person gave it then.
    pub weight: Option<u32>,
}

/// Servers, idle list and queue.
#[derive(Debug)]
pub struct Core {
    policy: Box<dyn Policy>,
    settings: Settings,
    /// In the order of the pool: strongest first, then by the order of joining.
    slots: Vec<Slot>,
    queue: Queue,
    /// The time since the pool began, as it was told last.
    now: Duration,
    random: fastrand::Rng,
    /// Kept only so that a decision need not allocate.
    candidates: Vec<Candidate>,
    last_key: u64,
    last_ticket: u64,
    choices: u64,
    most_waiting: usize,
    evidence: bool,
}

impl Core {
    /// An empty pool.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            policy: settings.policy.build(&settings.options),
            slots: Vec::new(),
            queue: Queue::default(),
            now: Duration::ZERO,
            random: fastrand::Rng::with_seed(settings.seed),
            candidates: Vec::new(),
            last_key: 0,
            last_ticket: 0,
            choices: 0,
            most_waiting: 0,
            evidence: true,
            settings,
        }
    }

    /// Whether decisions carry their evidence, which costs two small lists each.
    pub fn collect_evidence(&mut self, yes: bool) {
        self.evidence = yes;
    }

    /// Tells the time since the pool began. Ejections that are over end.
    pub fn tick(&mut self, now: Duration) -> Effects {
        self.now = self.now.max(now);
        let mut news = Vec::new();
        for slot in &mut self.slots {
            if slot.observed.returns(self.now) {
                slot.back_since = Some(self.now);
                // Else something else keeps requests from it, and its end will be told.
                if slot.takes_requests() {
                    news.push(News::Readmitted(slot.key()));
                }
            }
        }
        if news.is_empty() { Effects::default() } else { Effects { news, ..self.serve_waiting() } }
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many requests waited at the most.
    #[must_use]
    pub fn most_waiting(&self) -> usize {
        self.most_waiting
    }

    /// Whether it makes sense to wait: some server for this request is up, or will be when its doubts are settled.
    #[must_use]
    pub fn any_alive(&self, wanted: &Wanted) -> bool {
        self.slots.iter().any(|slot| slot.is_hoped_for() && slot.serves(wanted))
    }

    /// How a server stands; `None` if it is not in the pool.
    #[must_use]
    pub fn look(&self, key: ServerKey) -> Option<Standing> {
        self.slots.iter().find(|slot| slot.key() == key).map(|slot| self.standing(slot))
    }

    /// How all servers stand, in the order of the pool.
    pub fn standings(&self) -> impl Iterator<Item = (ServerKey, Standing)> {
        self.slots.iter().map(|slot| (slot.key(), self.standing(slot)))
    }

    fn standing(&self, slot: &Slot) -> Standing {
        Standing {
            state: slot.state,
            admin: slot.admin,
            ejected: slot.observed.is_ejected(self.now),
            warming_up: self.share(slot).is_some(),
            active: slot.seen.active,
            most_active: slot.most_active,
            capacity: slot.seen.capacity,
            weight: slot.seen.weight,
        }
    }

    // ------------------------------------------------------------------------------------------- the servers

    /// A server joins.
    pub fn join(&mut self, newcomer: Newcomer) -> (ServerKey, Effects) {
        self.last_key += 1;
        let key = ServerKey(self.last_key);
        let Newcomer { number, processing_time, database, admin, weight, .. } = newcomer;
        let capacity = newcomer.capacity.max(1);
        let doubtful = newcomer.serving.min(capacity);
        let state = if doubtful > 0 { State::Doubtful } else { State::Up };
        let active = doubtful;
        let seen = Candidate { key, place: 0, number, processing_time, capacity, active, weight, last_chosen: 0 };
        let (observed, most_active) = (Observed::default(), active);
        let slot = Slot { seen, most_active, database, state, admin, doubtful, doubts: 0, observed, back_since: None };
        let at = self.slots.partition_point(|slot| slot.seen.processing_time <= processing_time);
        self.slots.insert(at, slot);
        self.servers_changed();
        (key, self.serve_waiting())
    }

    /// A server is no longer part of the pool. Requests it still holds end as they end.
    pub fn leave(&mut self, key: ServerKey) -> Effects {
        self.slots.retain(|slot| slot.key() != key);
        self.servers_changed();
        // Somebody may have waited for any server but this one; now nothing else is left to hope for.
        self.serve_waiting()
    }

    /// A server does not answer: it gets nothing new.
    pub fn down(&mut self, key: ServerKey) -> Effects {
        self.change(key, |slot, _| slot.state = State::Down)
    }

    /// A server is ending: it gets nothing new and finishes what it has.
    pub fn drain(&mut self, key: ServerKey) -> Effects {
        self.change(key, |slot, _| slot.state = State::Draining)
    }

    /// A person has decided about a server.
    pub fn decide_on(&mut self, key: ServerKey, admin: Admin) -> Effects {
        self.change(key, |slot, now| {
            if slot.admin != Admin::Ready && admin == Admin::Ready {
                slot.back_since = Some(now);
            }
            if admin == Admin::Ready {
                // Whoever says so knows better than what was observed.
                slot.observed.pardon(now);
            }
            slot.admin = admin;
        })
    }

    /// A person gives a server a weight, or takes it away again.
    pub fn weigh(&mut self, key: ServerKey, weight: Option<u32>) -> Effects {
        self.change(key, |slot, _| slot.seen.weight = weight)
    }

    /// From now on a server holds so many requests at once, at least one; what it has beyond that it finishes.
    pub fn resize(&mut self, key: ServerKey, capacity: u32) -> Effects {
        self.change(key, |slot, _| slot.seen.capacity = capacity.max(1))
    }

    fn change(&mut self, key: ServerKey, change: impl FnOnce(&mut Slot, Duration)) -> Effects {
        let now = self.now;
        if let Some(slot) = self.slot(key) {
            change(slot, now);
        }
        self.servers_changed();
        self.serve_waiting()
    }

    /// From now on this policy chooses. It knows nothing of the past.
    pub fn change_policy(&mut self, policy: Name, options: &Options) {
        self.settings.policy = policy;
        self.settings.options = options.clone();
        self.policy = policy.build(options);
        self.servers_changed();
    }

    /// The policy that chooses, and its options.
    #[must_use]
    pub fn policy(&self) -> (Name, &Options) {
        (self.settings.policy, &self.settings.options)
    }

    /// How many requests of this server ended in doubt so far: to be noted *before* it is asked what it is doing,
    /// because an answer says nothing about doubts that arose after the question.
    #[must_use]
    pub fn doubts(&self, key: ServerKey) -> u64 {
        self.slots.iter().find(|slot| slot.key() == key).map_or(0, |slot| slot.doubts)
    }

    /// A server has answered the question how many requests it is serving, asked when `doubts` had arisen: it is
    /// up, and of the places whose end was in doubt those are free that it no longer uses. Returns whether doubt
    /// remains.
    pub fn settle(&mut self, key: ServerKey, serving: u32, doubts: u64) -> (bool, Effects) {
        let now = self.now;
        let Some(slot) = self.slot(key) else { return (false, Effects::default()) };
        if slot.doubts != doubts {
            return (true, Effects::default());
        }
        if slot.state == State::Up {
            return (false, Effects::default());
        }
        if slot.state == State::Down {
            slot.back_since = Some(now);
        }
        // It may be serving requests that we hold for certain, and not yet have begun with others: which it counts cannot
        // be told. It gets nothing new, so it comes down to what is certain soon.
        let still = slot.doubtful.min(serving);
        slot.seen.active -= slot.doubtful - still;
        slot.doubtful = still;
        slot.state = if still > 0 { State::Doubtful } else { State::Up };
        self.servers_changed();
        (still > 0, self.serve_waiting())
    }

    fn slot(&mut self, key: ServerKey) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.key() == key)
    }

    fn servers_changed(&mut self) {
        self.slots.iter_mut().enumerate().for_each(|(place, slot)| slot.seen.place = place);
        let servers: Vec<Candidate> = self.slots.iter().map(|slot| slot.seen.clone()).collect();
        self.policy.servers_changed(&servers, self.now);
    }

    // ------------------------------------------------------------------------------------------ the requests

    /// A request wants a server.
    pub fn take(&mut self, wanted: &Wanted) -> Taken {
        if let Some(decision) = self.decide(wanted) {
            return Taken::Server(decision);
        }
        if self.queue.len() >= self.settings.max_queue {
            return Taken::QueueFull;
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let ahead = self.queue.push(ticket, wanted.clone());
        self.most_waiting = self.most_waiting.max(self.queue.len());
        Taken::Wait(ticket, ahead)
    }

    /// A request for a server that does not wait: whoever asks has a queue of its own.
    pub fn take_now(&mut self, wanted: &Wanted) -> Option<Decision> {
        if self.queue.is_empty() { self.decide(wanted) } else { None }
    }

    /// A request that has a server wants another one for a copy: only one that is free, that is none of those to be
    /// avoided, and that nobody waits for.
    pub fn take_another(&mut self, wanted: &Wanted) -> Option<Decision> {
        let untried = |slot: &Slot| slot.takes_requests() && slot.serves(wanted) && !slot.is_avoided(wanted);
        if !self.queue.is_empty() || !self.slots.iter().any(untried) { None } else { self.decide(wanted) }
    }

    /// Whom the policy would give this request, which then goes there by itself and will never be heard of again: the server
    /// holds no more than before. It is a choice all the same, and moves turns on.
    pub fn choose_only(&mut self, wanted: &Wanted) -> Option<Decision> {
        let most: Vec<u32> = self.slots.iter().map(|slot| slot.most_active).collect();
        let decision = self.decide(wanted)?;
        let at = self.slots.iter().position(|slot| slot.key() == decision.server)?;
        let slot = &mut self.slots[at];
        (slot.seen.active, slot.most_active) = (slot.seen.active - 1, most[at]);
        self.policy.request_finished(&slot.seen, Ended::Cancelled, Duration::ZERO, self.now);
        Some(decision)
    }

    /// A waiting request gives up. False if it is not waiting any more: then its grant is on the way.
    pub fn withdraw(&mut self, ticket: Ticket) -> bool {
        self.queue.remove(ticket)
    }

    /// A request is over and its server has a free place.
    pub fn give_back(&mut self, key: ServerKey, ended: Ended, took: Duration) -> Effects {
        let news = self.observe(key, ended, took);
        if let Some(slot) = self.slot(key) {
            slot.seen.active = slot.seen.active.saturating_sub(1).max(slot.doubtful);
        }
        Effects { news, ..self.serve_waiting() }
    }

    /// A request is over for us, but nobody knows whether it is over for the server: its place stays taken, and
    /// the server gets nothing new until it has been asked.
    pub fn doubt(&mut self, key: ServerKey, took: Duration) -> Effects {
        let news = self.observe(key, Ended::Failed, took);
        if let Some(slot) = self.slot(key) {
            slot.doubtful = (slot.doubtful + 1).min(slot.seen.active);
            slot.doubts += 1;
            if slot.state == State::Up {
                slot.state = State::Doubtful;
            }
        }
        Effects { news, ..self.serve_waiting() }
    }

    /// Looks at how a request ended: the policy may learn from it, and the server may have to be left out for a while.
    fn observe(&mut self, key: ServerKey, ended: Ended, took: Duration) -> Vec<News> {
        let (now, rules) = (self.now, &self.settings.eject);
        let others = self.slots.iter().filter(|slot| slot.key() != key).map(|slot| &slot.observed);
        let usual = outlier::usual_time(others, rules);
        // One that is down, or that a person has taken out, is not one of those that may be out; one in doubt is back soon.
        let out = self.slots.iter().filter(|slot| slot.is_hoped_for() && slot.observed.is_ejected(now)).count();
        let (all, mut news) = (self.slots.iter().filter(|slot| slot.takes_requests()).count(), Vec::new());
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.key() == key) {
            self.policy.request_finished(&slot.seen, ended, took, now);
            let suspicion = slot.observed.note(ended, took, now, usual, rules);
            if let Some(why) = suspicion
                && outlier::may_eject(out, all, rules)
            {
                let lasting = slot.observed.eject(now, rules);
                news.push(News::Ejected { server: key, why, lasting });
            }
        }
        news
    }

    /// Gives what is free to those who wait.
    fn serve_waiting(&mut self) -> Effects {
        let mut queue = std::mem::take(&mut self.queue);
        let mut grants = Vec::new();
        while !queue.is_empty() && self.spare() {
            let Some((ticket, decision)) = queue.serve(|wanted| self.decide(wanted)) else { break };
            grants.push(Grant { ticket, decision });
        }
        self.queue = queue;
        Effects { grants, news: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
