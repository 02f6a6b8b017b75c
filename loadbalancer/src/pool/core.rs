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
//! **Waiting.** A request that finds no spare capacity waits, first come first served. Whenever capacity becomes
//! free, the queue is looked through from its front; so nobody who could use a server waits while one is idle, and
//! a newcomer never overtakes. A request whose server was lost has waited its turn already and goes to the front.
//!
//! **Doubt.** A server whose answer was lost is neither idle (it may still be computing) nor down (perhaps only the
//! connection broke). Its place stays taken and it gets nothing new until somebody has *asked* it: [`Core::settle`]
//! with the number of requests it says it is serving, or [`Core::down`].

use crate::policy::{Candidate, Choice, Circumstances, Ended, How, Name, Options, Policy, ServerKey};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// Names a waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Whether a server gets new requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Up,
    /// Not until it has been asked: an answer of it was lost.
    Doubtful,
    /// No: it does not answer.
    Down,
    /// No: it is ending, and finishes what it has.
    Draining,
}

/// Why a server was not considered for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skipped {
    /// It holds as many requests as it may.
    Busy,
    /// An answer of it was lost and it has not been asked yet.
    Doubtful,
    /// It does not answer.
    Down,
    /// It is ending.
    Draining,
    /// It has already lost this request.
    AlreadyTried,
    /// It has another database than the one that may have carried the request out.
    OtherDatabase,
}

/// What a request wants of its server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Servers that have lost this request: taken only when no other one is up.
    pub avoid: Vec<ServerKey>,
    /// The database that may have carried it out already: only servers of this one can know.
    pub database: Option<Arc<str>>,
}

/// A choice with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who won.
    pub server: ServerKey,
    /// What led to it, beside the candidates.
    pub how: How,
    /// Who could have won, in the order the policy saw them. Empty unless evidence was asked for.
    pub considered: Vec<Candidate>,
    /// Who could not, and why. Empty unless evidence was asked for.
    pub skipped: Vec<(ServerKey, Skipped)>,
}

/// A server for a request that has waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The request.
    pub ticket: Ticket,
    /// Its server.
    pub decision: Decision,
}

/// What a request for a server leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A server, now.
    Server(Decision),
    /// A place in the queue, behind this many others.
    Wait(Ticket, usize),
    /// Neither: the queue is full.
    QueueFull,
}

#[derive(Debug)]
struct Slot {
    seen: Candidate,
    database: Option<Arc<str>>,
    state: State,
    /// Of the active requests, those whose end is in doubt.
    doubtful: u32,
    /// How many ended in doubt since the server joined.
    doubts: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    wanted: Wanted,
}

/// Servers, idle list and queue.
#[derive(Debug)]
pub struct Core {
    policy: Box<dyn Policy>,
    /// The time since the pool began, as it was told last.
    now: Duration,
    random: fastrand::Rng,
    /// In the order of the pool: strongest first, then by the order of joining.
    slots: Vec<Slot>,
    waiting: VecDeque<Waiting>,
    max_waiting: usize,
    last_key: u64,
    last_ticket: u64,
    choices: u64,
    evidence: bool,
}

impl Core {
    /// An empty pool with this policy, in which at most `max_waiting` requests wait.
    #[must_use]
    pub fn new(policy: Name, max_waiting: usize) -> Self {
        Self {
            policy: policy.build(&Options::default()),
            now: Duration::ZERO,
            random: fastrand::Rng::with_seed(1),
            slots: Vec::new(),
            waiting: VecDeque::new(),
            max_waiting,
            last_key: 0,
            last_ticket: 0,
            choices: 0,
            evidence: true,
        }
    }

    /// Whether decisions carry their evidence, which costs two small lists each.
    pub fn collect_evidence(&mut self, yes: bool) {
        self.evidence = yes;
    }

    /// How many requests wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether it makes sense to wait: some server for this request is up, or will be when its doubts are settled.
    #[must_use]
    pub fn any_alive(&self, wanted: &Wanted) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, State::Up | State::Doubtful) && slot.serves(wanted))
    }

    /// A server's state and how many requests it holds.
    #[must_use]
    pub fn look(&self, key: ServerKey) -> Option<(State, u32)> {
        self.slots.iter().find(|slot| slot.seen.key == key).map(|slot| (slot.state, slot.seen.active))
    }

    // ------------------------------------------------------------------------------------------- the servers

    /// A server joins that is serving this many requests of others (a load balancer that was here before); without
    /// any it is up and idle, else in doubt until it has said that it is free.
    pub fn join(
        &mut self,
        processing_time: Duration,
        capacity: u32,
        database: Option<Arc<str>>,
        serving: u32,
    ) -> (ServerKey, Vec<Grant>) {
        self.last_key += 1;
        let key = ServerKey(self.last_key);
        let capacity = capacity.max(1);
        let doubtful = serving.min(capacity);
        let state = if doubtful > 0 { State::Doubtful } else { State::Up };
        let seen = Candidate {
            key,
            place: 0,
            number: key.0,
            processing_time,
            capacity,
            active: doubtful,
            weight: None,
            last_chosen: 0,
        };
        let at = self.slots.partition_point(|slot| slot.seen.processing_time <= processing_time);
        self.slots.insert(at, Slot { seen, database, state, doubtful, doubts: 0 });
        self.servers_changed();
        (key, self.serve_waiting())
    }

    /// A server is no longer part of the pool. Requests it still holds end as they end.
    pub fn leave(&mut self, key: ServerKey) -> Vec<Grant> {
        self.slots.retain(|slot| slot.seen.key != key);
        self.servers_changed();
        // Somebody may have waited for any server but this one; now nothing else is left to hope for.
        self.serve_waiting()
    }

    /// A server does not answer: it gets nothing new.
    pub fn down(&mut self, key: ServerKey) -> Vec<Grant> {
        self.set_state(key, State::Down)
    }

    /// A server is ending: it gets nothing new and finishes what it has.
    pub fn drain(&mut self, key: ServerKey) -> Vec<Grant> {
        self.set_state(key, State::Draining)
    }

    fn set_state(&mut self, key: ServerKey, state: State) -> Vec<Grant> {
        if let Some(slot) = self.slot(key) {
            slot.state = state;
        }
        self.servers_changed();
        self.serve_waiting()
    }

    /// How many requests of this server ended in doubt so far: to be noted *before* it is asked what it is doing,
    /// because an answer says nothing about doubts that arose after the question.
    #[must_use]
    pub fn doubts(&self, key: ServerKey) -> u64 {
        self.slots.iter().find(|slot| slot.seen.key == key).map_or(0, |slot| slot.doubts)
    }

    /// A server has answered the question how many requests it is serving, asked when `doubts` had arisen: it is
    /// up, and of the places whose end was in doubt those are free that it no longer uses. Returns whether doubt
    /// remains.
    pub fn settle(&mut self, key: ServerKey, serving: u32, doubts: u64) -> (bool, Vec<Grant>) {
        let Some(slot) = self.slot(key) else { return (false, Vec::new()) };
        if slot.doubts != doubts {
            return (true, Vec::new());
        }
        if slot.state == State::Up {
            return (false, Vec::new());
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
        self.slots.iter_mut().find(|slot| slot.seen.key == key)
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
        if self.waiting.len() >= self.max_waiting {
            return Taken::QueueFull;
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        // A request that has lost a server has waited its turn already: it comes before all that have not.
        let newcomers = |waiting: &Waiting| waiting.wanted.avoid.is_empty();
        let first = self.waiting.iter().position(newcomers).unwrap_or(self.waiting.len());
        let ahead = if wanted.avoid.is_empty() { self.waiting.len() } else { first };
        self.waiting.insert(ahead, Waiting { ticket, wanted: wanted.clone() });
        Taken::Wait(ticket, ahead)
    }

    /// A waiting request gives up. False if it is not waiting any more: then its grant is on the way.
    pub fn withdraw(&mut self, ticket: Ticket) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.ticket != ticket);
        self.waiting.len() < before
    }

    /// A request is over and its server has a free place.
    pub fn give_back(&mut self, key: ServerKey, ended: Ended, took: Duration) -> Vec<Grant> {
        let now = self.now;
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.seen.key == key) {
            self.policy.request_finished(&slot.seen, ended, took, now);
            slot.seen.active = slot.seen.active.saturating_sub(1).max(slot.doubtful);
        }
        self.serve_waiting()
    }

    /// A request is over for us, but nobody knows whether it is over for the server: its place stays taken, and
    /// the server gets nothing new until it has been asked.
    pub fn doubt(&mut self, key: ServerKey, took: Duration) -> Vec<Grant> {
        let now = self.now;
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.seen.key == key) {
            self.policy.request_finished(&slot.seen, Ended::Failed, took, now);
            slot.doubtful = (slot.doubtful + 1).min(slot.seen.active);
            slot.doubts += 1;
            if slot.state == State::Up {
                slot.state = State::Doubtful;
            }
        }
        self.serve_waiting()
    }

    /// Gives what is free to those who wait, from the front of the queue.
    fn serve_waiting(&mut self) -> Vec<Grant> {
        let mut grants = Vec::new();
        let mut at = 0;
        while at < self.waiting.len() && self.spare() {
            let wanted = std::mem::take(&mut self.waiting[at].wanted);
            if let Some(decision) = self.decide(&wanted) {
                if let Some(waiting) = self.waiting.remove(at) {
                    grants.push(Grant { ticket: waiting.ticket, decision });
                }
            } else {
                self.waiting[at].wanted = wanted;
                at += 1;
            }
        }
        grants
    }

    fn spare(&self) -> bool {
        self.slots.iter().any(|slot| slot.why_not(&Wanted::default(), false).is_none())
    }

    /// Lets the policy choose among those who could take a request now.
    fn decide(&mut self, wanted: &Wanted) -> Option<Decision> {
        let other = |slot: &Slot| slot.state == State::Up && slot.serves(wanted) && !slot.is_avoided(wanted);
        let avoid = self.slots.iter().any(other);
        let free = self.slots.iter().filter(|slot| slot.why_not(wanted, avoid).is_none());
        let considered: Vec<Candidate> = free.map(|slot| slot.seen.clone()).collect();
        if considered.is_empty() {
            return None;
        }
        let up = self.slots.iter().filter(|slot| slot.state == State::Up);
        let (servers_up, in_hand) = up.fold((0, 0), |(n, sum), slot| (n + 1, sum + u64::from(slot.seen.active)));
        let mut circumstances = Circumstances { key: 0, now: self.now, in_hand, servers_up, random: &mut self.random };
        let Choice { index, how } = self.policy.choose(&considered, &mut circumstances);
        let server = considered[index.min(considered.len() - 1)].key;
        let skipped = self.slots.iter().filter_map(|slot| Some((slot.seen.key, slot.why_not(wanted, avoid)?)));
        let decision = if self.evidence {
            Decision { server, how, skipped: skipped.collect(), considered }
        } else {
            Decision { server, how, skipped: Vec::new(), considered: Vec::new() }
        };
        self.choices += 1;
        let (choices, now) = (self.choices, self.now);
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.seen.key == server) {
            slot.seen.active += 1;
            slot.seen.last_chosen = choices;
            self.policy.request_started(&slot.seen, now);
        }
        Some(decision)
    }
}

impl Slot {
    /// Whether the request may go to this server at all.
    fn serves(&self, wanted: &Wanted) -> bool {
        wanted.database.is_none() || wanted.database == self.database
    }

    fn is_avoided(&self, wanted: &Wanted) -> bool {
        wanted.avoid.contains(&self.seen.key)
    }

    /// Why this server cannot take the request now; `None` if it can. `avoid`: there is another server for it.
    fn why_not(&self, wanted: &Wanted, avoid: bool) -> Option<Skipped> {
        match self.state {
            State::Down => Some(Skipped::Down),
            State::Draining => Some(Skipped::Draining),
            State::Doubtful => Some(Skipped::Doubtful),
            State::Up if !self.serves(wanted) => Some(Skipped::OtherDatabase),
            State::Up if avoid && self.is_avoided(wanted) => Some(Skipped::AlreadyTried),
            State::Up if self.seen.active >= self.seen.capacity => Some(Skipped::Busy),
            State::Up => None,
        }
    }
}

#[cfg(test)]
mod tests;
