//! A second book-keeping, beside the pool's, and what must be so after every step.
//!
//! The pool says how many requests each server holds and who waits; here it is counted again, from what was granted and
//! what ended, without looking at how the pool counts. After every step the two must agree. The order of the
//! queue is kept in another way, too (by stamps instead of lines), so that a mistake would have to be made twice.

use crate::{
    health::outlier,
    policy::ServerKey,
    pool::core::{Admin, Core, Grant, Standing, State, Ticket, Wanted},
};
use std::collections::{BTreeMap, HashMap};

/// What is known of one server in the pool.
#[derive(Debug, Default)]
struct Page {
    /// Requests that it has.
    held: u32,
    /// Requests whose end is in doubt.
    doubtful: u32,
    /// How many ended in doubt so far.
    doubts: u64,
    /// Its capacity.
    capacity: u32,
    /// What it may hold: its capacity, or what it held when that was lowered.
    allowed: u32,
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) request: u64,
    wanted: Wanted,
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Books {
    pages: BTreeMap<ServerKey, Page>,
    waiting: BTreeMap<Ticket, Waiter>,
    /// Since when each client that waits stands in the line of clients.
    lines: HashMap<u64, u64>,
    stamp: u64,
    /// How many servers were able to take requests before the call at hand.
    able: usize,
    /// How many were left out then, of those that are neither down nor ending nor taken out by a person.
    out: usize,
    standings: Vec<(ServerKey, Standing)>,
    /// The first thing that was wrong.
    pub(super) wrong: Option<String>,
}

impl Books {
    fn wrong(&mut self, what: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            self.wrong = Some(what());
        }
    }

    /// A server is in the pool, and says that it serves so many requests of others.
    pub(super) fn joined(&mut self, key: ServerKey, capacity: u32, serving: u32) {
        let doubtful = serving.min(capacity);
        self.pages.insert(key, Page { doubtful, capacity, allowed: capacity, ..Page::default() });
    }

    /// A server has left.
    pub(super) fn left(&mut self, key: ServerKey) {
        self.pages.remove(&key);
    }

    /// A server is to have this capacity.
    pub(super) fn resized(&mut self, key: ServerKey, capacity: u32) {
        if let Some(page) = self.pages.get_mut(&key) {
            page.capacity = capacity;
            page.allowed = capacity.max(page.held + page.doubtful);
        }
    }

    /// A request was given to a server.
    pub(super) fn given(&mut self, key: ServerKey) {
        match self.pages.get_mut(&key) {
            Some(page) => page.held += 1,
            None => self.wrong(|| format!("{key:?} was chosen, which is not in the pool")),
        }
    }

    /// A server has given a place back.
    pub(super) fn given_back(&mut self, key: ServerKey) {
        if let Some(page) = self.pages.get_mut(&key) {
            page.held -= 1;
        }
    }

    /// The end of a request is in doubt.
    pub(super) fn in_doubt(&mut self, key: ServerKey) {
        if let Some(page) = self.pages.get_mut(&key) {
            page.held -= 1;
            page.doubtful += 1;
            page.doubts += 1;
        }
    }

    /// A server has said that it serves so many, asked when so many had ended in doubt.
    pub(super) fn settled(&mut self, key: ServerKey, serving: u32, doubts: u64) {
        if let Some(page) = self.pages.get_mut(&key)
            && page.doubts == doubts
        {
            page.doubtful = page.doubtful.min(serving);
        }
    }

    // --------------------------------------------------------------------------------------------- the queue

    /// A request waits.
    pub(super) fn waits(&mut self, ticket: Ticket, request: u64, wanted: &Wanted) {
        self.stamp += 1;
        if wanted.avoid.is_empty() {
            self.lines.entry(wanted.client).or_insert(self.stamp);
        }
        self.waiting.insert(ticket, Waiter { request, wanted: wanted.clone() });
    }

    /// A request does not wait any more.
    pub(super) fn waits_no_longer(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiting.remove(&ticket)?;
        let client = waiter.wanted.client;
        if !self.waiting.values().any(|other| other.wanted.client == client && other.wanted.avoid.is_empty()) {
            self.lines.remove(&client);
        }
        Some(waiter)
    }

    /// A request that waited has a server: was it its turn?
    pub(super) fn granted(&mut self, grant: &Grant, last_resort: bool) -> Option<Waiter> {
        let Some(waiter) = self.waiting.get(&grant.ticket) else {
            self.wrong(|| format!("{:?} has a server, and does not wait", grant.ticket));
            return None;
        };
        let (client, first_time) = (waiter.wanted.client, waiter.wanted.avoid.is_empty());
        let mine = self.turn(grant.ticket, waiter);
        // Whoever wants nothing in particular could have had this server, too, unless it is ejected: a last resort.
        let ordinary = |other: &Waiter| other.wanted.avoid.is_empty() && other.wanted.database.is_none();
        let before = |(ticket, other): &(&Ticket, &Waiter)| ordinary(other) && self.turn(**ticket, other) < mine;
        if !last_resort && let Some((before, _)) = self.waiting.iter().find(before) {
            let before = *before;
            self.wrong(|| format!("{:?} has a server, and it was {before:?}'s turn", grant.ticket));
        }
        let waiter = self.waits_no_longer(grant.ticket);
        self.stamp += 1;
        if first_time && let Some(line) = self.lines.get_mut(&client) {
            *line = self.stamp;
        }
        waiter
    }

    /// Where a request stands: those that have lost a server first, then by their client's place in the line.
    fn turn(&self, ticket: Ticket, waiter: &Waiter) -> (u64, Ticket) {
        let line = self.lines.get(&waiter.wanted.client).copied().unwrap_or(0);
        (if waiter.wanted.avoid.is_empty() { line } else { 0 }, ticket)
    }

    // --------------------------------------------------------------------------------------------- after a step

    /// Looks at the servers before a call that may eject one.
    pub(super) fn look(&mut self, core: &Core) {
        self.able = core.standings().filter(|(_, standing)| is_able(standing)).count();
        let left_out = |standing: &Standing| {
            standing.ejected
                && !matches!(standing.state, State::Down | State::Draining)
                && standing.admin == Admin::Ready
        };
        self.out = core.standings().filter(|(_, standing)| left_out(standing)).count();
    }

    /// A server was ejected: never more than half of those that could work, and never the last one.
    pub(super) fn ejected(&mut self, key: ServerKey, rules: &outlier::Rules) {
        let out = self.out + 1;
        let most = (self.able * rules.most_percent as usize / 100).max(1);
        let able = self.able;
        if out > most || able < 2 {
            self.wrong(|| format!("{key:?} was ejected, with which {out} of {able} are out"));
        }
    }

    /// What must be so after every step. Returns how many servers are idle, busy and out.
    pub(super) fn check(&mut self, core: &Core) -> [usize; 3] {
        self.standings.clear();
        self.standings.extend(core.standings());
        let mut classes = [0; 3];
        for (key, standing) in &self.standings {
            let Some(page) = self.pages.get_mut(key) else {
                self.wrong.get_or_insert(format!("{key:?} is in the pool, and has not joined"));
                continue;
            };
            let active = page.held + page.doubtful;
            page.allowed = page.capacity.max(page.allowed.min(active));
            let class = [is_able(standing) && active < page.capacity, is_able(standing), true];
            classes[class.iter().position(|is| *is).unwrap_or(2)] += 1;
            if standing.active != active {
                self.wrong.get_or_insert(format!("{key:?} holds {active}, and the pool believes {}", standing.active));
            } else if active > page.allowed {
                self.wrong.get_or_insert(format!("{key:?} holds {active} of {}", page.capacity));
            }
        }
        let (counted, registered) = (classes.iter().sum::<usize>(), self.pages.len());
        if counted != registered {
            self.wrong(|| format!("idle, busy and out are {counted} of {registered} registered servers"));
        }
        self.check_queue(core, classes[0]);
        classes
    }

    fn check_queue(&mut self, core: &Core, idle: usize) {
        let (waiting, believed) = (self.waiting.len(), core.waiting());
        if waiting != believed {
            self.wrong(|| format!("{waiting} wait, and the pool believes {believed}"));
        }
        if idle == 0 {
            return;
        }
        let forgotten = self.waiting.iter().find(|(_, waiter)| could_be_served(&self.standings, &waiter.wanted));
        if let Some((ticket, _)) = forgotten {
            let ticket = *ticket;
            self.wrong(|| format!("{ticket:?} waits, and a server is idle that could take it"));
        }
    }

    /// At the end, when everybody has gone home: nothing is held, nobody waits.
    pub(super) fn at_rest(&mut self, core: &Core) {
        let busy = core.standings().find(|(_, standing)| standing.active > 0 && is_able(standing));
        if let Some((key, standing)) = busy {
            self.wrong(|| format!("{key:?} holds {} at the end: a lease is lost", standing.active));
        }
        if core.waiting() > 0 {
            self.wrong(|| format!("{} wait at the end", core.waiting()));
        }
    }
}

fn is_able(standing: &Standing) -> bool {
    standing.state == State::Up && standing.admin == Admin::Ready
}

/// Whether one of these servers could take such a request now: one that is ejected, or has lost the request, only if
/// there is no other. (All servers of a simulation share one database.)
fn could_be_served(servers: &[(ServerKey, Standing)], wanted: &Wanted) -> bool {
    let able: Vec<_> = servers.iter().filter(|(_, standing)| is_able(standing)).collect();
    let fresh = |(key, _): &&&(ServerKey, Standing)| !wanted.avoid.contains(key);
    let any_fresh = able.iter().any(|server| fresh(&server));
    let left: Vec<_> = able.iter().filter(|server| !any_fresh || fresh(server)).collect();
    let heed_ejection = (any_fresh || wanted.avoid.is_empty()) && left.iter().any(|(_, standing)| !standing.ejected);
    left.iter().any(|(_, standing)| standing.active < standing.capacity && !(heed_ejection && standing.ejected))
}
