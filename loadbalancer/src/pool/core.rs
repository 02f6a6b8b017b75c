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
//! a newcomer never overtakes.
//!
//! **Doubt.** A server whose answer was lost is neither idle (it may still be computing) nor down (perhaps only the
//! connection broke). Its place stays taken and it gets nothing new until somebody has *asked* it: [`Core::settle`]
//! with the number of requests it says it is serving, or [`Core::down`].

use crate::policy::{Candidate, Ended, Name, Policy, ServerKey};
use std::{collections::VecDeque, time::Duration};

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
}

/// A choice with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who won.
    pub server: ServerKey,
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
    state: State,
    /// Of the active requests, those whose end is in doubt.
    doubtful: u32,
    /// How many ended in doubt since the server joined.
    doubts: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    avoid: Vec<ServerKey>,
}

/// Servers, idle list and queue.
#[derive(Debug)]
pub struct Core {
    policy: Box<dyn Policy>,
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
            policy: policy.build(),
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

    /// Whether any server would get new requests if it were not busy.
    #[must_use]
    pub fn any_up(&self) -> bool {
        self.slots.iter().any(|slot| slot.state == State::Up)
    }

    /// A server's state and how many requests it holds.
    #[must_use]
    pub fn look(&self, key: ServerKey) -> Option<(State, u32)> {
        self.slots.iter().find(|slot| slot.seen.key == key).map(|slot| (slot.state, slot.seen.active))
    }

    // ------------------------------------------------------------------------------------------- the servers

    /// A server joins; it is up and idle.
    pub fn join(&mut self, processing_time: Duration, capacity: u32) -> (ServerKey, Vec<Grant>) {
        self.last_key += 1;
        let key = ServerKey(self.last_key);
        let seen = Candidate { key, processing_time, capacity: capacity.max(1), active: 0, last_chosen: 0 };
        let at = self.slots.partition_point(|slot| slot.seen.processing_time <= processing_time);
        self.slots.insert(at, Slot { seen, state: State::Up, doubtful: 0, doubts: 0 });
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
        let certain = slot.seen.active - slot.doubtful;
        let still = slot.doubtful.min(serving.saturating_sub(certain));
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
        let servers: Vec<Candidate> = self.slots.iter().map(|slot| slot.seen.clone()).collect();
        self.policy.servers_changed(&servers);
    }

    // ------------------------------------------------------------------------------------------ the requests

    /// A request wants a server, but (as long as there is another one up) none of `avoid`.
    pub fn take(&mut self, avoid: &[ServerKey]) -> Taken {
        if let Some(decision) = self.decide(avoid) {
            return Taken::Server(decision);
        }
        if self.waiting.len() >= self.max_waiting {
            return Taken::QueueFull;
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let ahead = self.waiting.len();
        self.waiting.push_back(Waiting { ticket, avoid: avoid.to_vec() });
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
        self.policy.request_finished(key, ended, took);
        if let Some(slot) = self.slot(key) {
            slot.seen.active = slot.seen.active.saturating_sub(1).max(slot.doubtful);
        }
        self.serve_waiting()
    }

    /// A request is over for us, but nobody knows whether it is over for the server: its place stays taken, and
    /// the server gets nothing new until it has been asked.
    pub fn doubt(&mut self, key: ServerKey, took: Duration) -> Vec<Grant> {
        self.policy.request_finished(key, Ended::Failed, took);
        if let Some(slot) = self.slot(key) {
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
            let avoid = std::mem::take(&mut self.waiting[at].avoid);
            if let Some(decision) = self.decide(&avoid) {
                if let Some(waiting) = self.waiting.remove(at) {
                    grants.push(Grant { ticket: waiting.ticket, decision });
                }
            } else {
                self.waiting[at].avoid = avoid;
                at += 1;
            }
        }
        grants
    }

    fn spare(&self) -> bool {
        self.slots.iter().any(|slot| why_not(slot, &[]).is_none())
    }

    /// Lets the policy choose among those who could take a request now.
    fn decide(&mut self, avoid: &[ServerKey]) -> Option<Decision> {
        let up = |slot: &&Slot| slot.state == State::Up;
        let others = self.slots.iter().filter(up).any(|slot| !avoid.contains(&slot.seen.key));
        let avoid = if others { avoid } else { &[] };
        let free = self.slots.iter().filter(|slot| why_not(slot, avoid).is_none());
        let considered: Vec<Candidate> = free.map(|slot| slot.seen.clone()).collect();
        if considered.is_empty() {
            return None;
        }
        let chosen = self.policy.choose(&considered).min(considered.len() - 1);
        let server = considered[chosen].key;
        let skipped = self.slots.iter().filter_map(|slot| Some((slot.seen.key, why_not(slot, avoid)?)));
        let decision = if self.evidence {
            Decision { server, skipped: skipped.collect(), considered }
        } else {
            Decision { server, skipped: Vec::new(), considered: Vec::new() }
        };
        self.choices += 1;
        let choices = self.choices;
        if let Some(slot) = self.slot(server) {
            slot.seen.active += 1;
            slot.seen.last_chosen = choices;
        }
        self.policy.request_started(server);
        Some(decision)
    }
}

/// Why this server cannot take a request now; `None` if it can.
fn why_not(slot: &Slot, avoid: &[ServerKey]) -> Option<Skipped> {
    match slot.state {
        State::Down => Some(Skipped::Down),
        State::Draining => Some(Skipped::Draining),
        State::Doubtful => Some(Skipped::Doubtful),
        State::Up if avoid.contains(&slot.seen.key) => Some(Skipped::AlreadyTried),
        State::Up if slot.seen.active >= slot.seen.capacity => Some(Skipped::Busy),
        State::Up => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pool(times_ms: &[u64]) -> (Core, Vec<ServerKey>) {
        let mut core = Core::new(Name::Power, 4);
        let keys = times_ms.iter().map(|time| core.join(ms(*time), 1).0).collect();
        (core, keys)
    }

    fn server(taken: Taken) -> ServerKey {
        match taken {
            Taken::Server(decision) => decision.server,
            other => panic!("no server: {other:?}"),
        }
    }

    fn ticket(taken: Taken) -> Ticket {
        match taken {
            Taken::Wait(ticket, _) => ticket,
            other => panic!("no wait: {other:?}"),
        }
    }

    fn served(grants: &[Grant]) -> Vec<(Ticket, ServerKey)> {
        grants.iter().map(|grant| (grant.ticket, grant.decision.server)).collect()
    }

    #[test]
    fn idle_servers_are_taken_strongest_first_and_each_only_once() {
        let (mut core, keys) = pool(&[400, 100, 200]);
        assert_eq!([(); 3].map(|()| server(core.take(&[]))), [keys[1], keys[2], keys[0]]);
        assert_eq!(core.take(&[]), Taken::Wait(Ticket(1), 0));
    }

    #[test]
    fn those_who_wait_are_served_in_order_and_never_overtaken() {
        let (mut core, keys) = pool(&[100]);
        server(core.take(&[]));
        let (first, second) = (ticket(core.take(&[])), ticket(core.take(&[])));
        assert_eq!(served(&core.give_back(keys[0], Ended::Answered, TOOK)), [(first, keys[0])]);
        assert_eq!(core.take(&[]), Taken::Wait(Ticket(3), 1), "a newcomer queues behind the second");
        assert_eq!(served(&core.give_back(keys[0], Ended::Answered, TOOK)), [(second, keys[0])]);
    }

    #[test]
    fn a_full_queue_refuses_and_a_withdrawal_makes_room() {
        let (mut core, _) = pool(&[]);
        let first = ticket(core.take(&[]));
        (0..3).map(|_| ticket(core.take(&[]))).for_each(|_| ());
        assert_eq!(core.take(&[]), Taken::QueueFull);
        assert!(core.withdraw(first));
        assert!(!core.withdraw(first));
        assert_eq!(core.take(&[]), Taken::Wait(Ticket(5), 3));
    }

    #[test]
    fn a_server_that_joins_serves_those_who_wait() {
        let (mut core, _) = pool(&[]);
        let waiting = ticket(core.take(&[]));
        let (key, grants) = core.join(ms(10), 1);
        assert_eq!(served(&grants), [(waiting, key)]);
    }

    #[test]
    fn a_server_that_failed_the_request_is_avoided_while_another_is_up() {
        let (mut core, keys) = pool(&[100, 200]);
        assert_eq!(server(core.take(&[keys[0]])), keys[1]);
        let Taken::Wait(patient, _) = core.take(&[keys[0]]) else { panic!("the other one is busy: wait for it") };
        assert_eq!(served(&core.down(keys[1])), [(patient, keys[0])], "the other one is gone: better this than none");
    }

    #[test]
    fn capacity_is_how_often_a_server_is_in_the_idle_list() {
        let mut core = Core::new(Name::Power, 4);
        let (key, _) = core.join(ms(1), 3);
        (0..3).for_each(|_| assert_eq!(server(core.take(&[])), key));
        ticket(core.take(&[]));
        assert_eq!(core.look(key), Some((State::Up, 3)));
    }

    #[test]
    fn a_lost_answer_keeps_the_place_taken_until_the_server_was_asked() {
        let (mut core, keys) = pool(&[100]);
        server(core.take(&[]));
        assert!(core.doubt(keys[0], TOOK).is_empty());
        let waiting = ticket(core.take(&[]));
        let (doubt, grants) = core.settle(keys[0], 1, 1);
        assert!(doubt && grants.is_empty(), "it is still computing");
        let (doubt, grants) = core.settle(keys[0], 0, 1);
        assert!(!doubt);
        assert_eq!(served(&grants), [(waiting, keys[0])]);
    }

    #[test]
    fn settling_does_not_free_places_that_are_honestly_taken() {
        let mut core = Core::new(Name::Power, 4);
        let (key, _) = core.join(ms(1), 3);
        (0..3).map(|_| server(core.take(&[]))).for_each(|_| ());
        core.doubt(key, TOOK);
        assert!(!core.settle(key, 2, 1).0);
        assert_eq!(core.look(key), Some((State::Up, 2)));
    }

    #[test]
    fn an_answer_older_than_the_doubt_settles_nothing() {
        let (mut core, keys) = pool(&[100]);
        server(core.take(&[]));
        let asked_at = core.doubts(keys[0]);
        core.doubt(keys[0], TOOK);
        assert!(core.settle(keys[0], 0, asked_at).0, "it was asked before it got the request");
        assert_eq!(core.look(keys[0]), Some((State::Doubtful, 1)));
    }

    #[test]
    fn a_decision_carries_its_evidence() {
        let (mut core, keys) = pool(&[100, 200, 300, 400]);
        server(core.take(&[]));
        core.down(keys[3]);
        let Taken::Server(decision) = core.take(&[keys[1]]) else { panic!("one is free") };
        assert_eq!(decision.server, keys[2]);
        assert_eq!(decision.considered.iter().map(|server| server.key).collect::<Vec<_>>(), [keys[2]]);
        let skipped = [(keys[0], Skipped::Busy), (keys[1], Skipped::AlreadyTried), (keys[3], Skipped::Down)];
        assert_eq!(decision.skipped, skipped);
    }

    /// Random calls, each a plausible thing to happen; after each, the rules that must always hold.
    #[test]
    fn no_place_is_lost_or_given_twice_whatever_happens() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut core = Core::new(Name::Power, 50);
        let (mut held, mut doubted, mut queue) = (Vec::new(), Vec::new(), VecDeque::new());
        let keys: Vec<ServerKey> = (1..=4).map(|n| core.join(ms(n), random.u32(1..4)).0).collect();
        for step in 0..100_000 {
            let key = keys[random.usize(..keys.len())];
            let mut grants = Vec::new();
            match random.u8(..8) {
                0..=2 => match core.take(&[]) {
                    Taken::Server(decision) => {
                        assert!(queue.is_empty(), "seed {seed}, step {step}: overtaken");
                        held.push(decision.server);
                    }
                    Taken::Wait(ticket, _) => queue.push_back(ticket),
                    Taken::QueueFull => assert_eq!(queue.len(), 50, "seed {seed}"),
                },
                3..=4 if !held.is_empty() => {
                    let server = held.swap_remove(random.usize(..held.len()));
                    grants = core.give_back(server, Ended::Answered, TOOK);
                }
                5 if !held.is_empty() => {
                    let server = held.swap_remove(random.usize(..held.len()));
                    doubted.push(server);
                    grants = core.doubt(server, TOOK);
                }
                6 => {
                    let still = held.iter().filter(|server| **server == key).count() as u32;
                    doubted.retain(|server| *server != key);
                    let (doubt, settled) = core.settle(key, still, core.doubts(key));
                    assert!(!doubt, "seed {seed}, step {step}");
                    grants = settled;
                }
                _ => grants = core.down(key),
            }
            for grant in grants {
                assert_eq!(queue.pop_front(), Some(grant.ticket), "seed {seed}, step {step}: out of order");
                held.push(grant.decision.server);
            }
            for slot in &core.slots {
                let out = |list: &[ServerKey]| list.iter().filter(|key| **key == slot.seen.key).count() as u32;
                assert_eq!(slot.seen.active, out(&held) + out(&doubted), "seed {seed}, step {step}");
                assert!(slot.seen.active <= slot.seen.capacity, "seed {seed}, step {step}");
                let idle = why_not(slot, &[]).is_none();
                assert!(!idle || queue.is_empty(), "seed {seed}, step {step}: idle while somebody waits");
            }
        }
    }
}
