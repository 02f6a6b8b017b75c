//! The life of a request, as `dispatch` leads it, without its connections.
//!
//! What is pure there is used here: the retry table, the budget of retries, the allowance of hedges, the limits. The loop
//! over the attempts and the race of copies are bound to sockets; they are told again here, event by event:
//! `dispatch::attempts` is [`take`](World::take) and [`tried`](World::tried), `dispatch::race` is [`start`](World::start),
//! [`heard`](World::heard), [`too_late`](World::too_late) and [`dismiss_others`](World::dismiss_others).

use super::{
    agenda::{AttemptId, Event, Message, RequestId, Said},
    rules::Rules,
    scenario::{Arrival, exponential},
    world::World,
};
use crate::{
    dispatch::{
        LEAST_PAUSE,
        budget::Account,
        cancel::CANCEL_TIME,
        request::What,
        retry::{self, Lost, MAX_ATTEMPTS, Nature},
        story::SLOW_STATEMENTS,
    },
    policy::{Ended, ServerKey},
    pool::{
        core::{Taken, Ticket, Wanted},
        turn::{LOOK_EVERY, NO_SERVER_WAIT},
    },
};
use protocol::limits::ATTEMPT_GRACE;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// A request that has no answer yet.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    client: u64,
    writes: bool,
    wanted: Wanted,
    account: Account<'a>,
    attempts: u32,
    /// It may have been carried out.
    doubt: bool,
    /// It must not be at several servers.
    alone: bool,
    slow: u32,
    ticket: Option<Ticket>,
    hopeless_since: Option<Duration>,
    /// Where it is.
    runners: Vec<AttemptId>,
    since: Duration,
    /// When it was given to the first of the servers that have it: what it takes counts from there, whoever wins.
    raced_since: Duration,
    counts: bool,
}

/// Why a server was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    /// It was too late.
    TooLate,
    /// Another one was first, or nobody wants the answer.
    Dismissed,
}

/// A request at a server: a lease.
#[derive(Debug)]
pub(super) struct Attempt {
    request: RequestId,
    key: ServerKey,
    pub(super) machine: usize,
    life: u32,
    /// The server was told that it must not write.
    marked: bool,
    since: Duration,
    deadline: Duration,
    stopping: Option<Stopping>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    Withdrawn,
    Refused,
    Failed,
}

impl<R: Rules> World<'_, R> {
    // ------------------------------------------------------------------------------------------ it comes

    /// The next request of an open loop.
    pub(super) fn arrive(&mut self) {
        let Arrival::Rate(per_second, clients) = self.scenario.arrival else { return };
        if !self.evening {
            let client = self.random.u64(..clients.max(1)) + 1;
            self.ask(client);
            let mean = Duration::from_secs_f64(1.0 / per_second.max(1e-6));
            self.agenda.after(exponential(mean, &mut self.random), Event::Arrive);
        }
    }

    /// A client asks.
    pub(super) fn ask(&mut self, client: u64) {
        if self.evening {
            return;
        }
        let (now, request) = (self.agenda.now(), self.next_id());
        self.outcome.requests += 1;
        let key = if self.scenario.keys == 0 { request } else { self.random.u64(..self.scenario.keys) };
        let wanted = Wanted { client, key: xxh3_64(&key.to_be_bytes()), ..Wanted::default() };
        let asked = Asked {
            client,
            writes: self.random.f64() < self.scenario.writes,
            wanted,
            account: self.budget.open(),
            attempts: 0,
            doubt: false,
            alone: false,
            slow: 0,
            ticket: None,
            hopeless_since: None,
            runners: Vec::new(),
            since: now,
            raced_since: now,
            counts: self.outcome.requests > self.scenario.warm_up,
        };
        self.requests.insert(request, asked);
        if self.random.f64() < self.scenario.impatient {
            let patience = exponential(Duration::from_millis(100), &mut self.random);
            self.agenda.after(patience, Event::GivesUp(request));
        }
        self.take(request);
    }

    /// Takes a server, or a place in the queue.
    pub(super) fn take(&mut self, request: RequestId) {
        let Some(asked) = self.requests.get_mut(&request) else { return };
        let (wanted, deadline) = (asked.wanted.clone(), asked.since + self.scenario.request_timeout);
        match self.rules.take(&wanted) {
            Taken::Server(decision) => {
                self.chosen(&decision);
                self.start(request, decision.server, false);
            }
            Taken::QueueFull => self.end(request, End::Refused),
            Taken::Wait(ticket, _) => {
                (asked.ticket, asked.hopeless_since) = (Some(ticket), None);
                self.books.waits(ticket, request, &wanted);
                let patience = self.scenario.queue_timeout.min(deadline.saturating_sub(self.agenda.now()));
                self.agenda.after(patience, Event::QueueEnd(request, ticket));
                self.look(request, ticket);
            }
        }
    }

    /// A request that waits looks whether there is any server to hope for.
    pub(super) fn look(&mut self, request: RequestId, ticket: Ticket) {
        let now = self.agenda.now();
        let Some(asked) = self.requests.get_mut(&request).filter(|asked| asked.ticket == Some(ticket)) else { return };
        if self.rules.core().any_alive(&asked.wanted) {
            asked.hopeless_since = None;
        } else if now - *asked.hopeless_since.get_or_insert(now) >= NO_SERVER_WAIT {
            return self.leave_the_queue(request, End::Failed);
        }
        self.agenda.after(LOOK_EVERY, Event::Look(request, ticket));
    }

    /// It has waited long enough.
    pub(super) fn queue_end(&mut self, request: RequestId, ticket: Ticket) {
        if self.requests.get(&request).is_some_and(|asked| asked.ticket == Some(ticket)) {
            self.leave_the_queue(request, End::Refused);
        }
    }

    fn leave_the_queue(&mut self, request: RequestId, end: End) {
        let Some(ticket) = self.requests.get_mut(&request).and_then(|asked| asked.ticket.take()) else { return };
        let (waited, believed) = (self.books.waits_no_longer(ticket).is_some(), self.rules.withdraw(ticket));
        if waited != believed {
            self.books.wrong = Some(format!("{ticket:?} gives up; it waits: {waited}, the pool believes: {believed}"));
        }
        self.end(request, end);
    }

    /// The client gives up.
    pub(super) fn gives_up(&mut self, request: RequestId) {
        let Some(asked) = self.requests.get(&request) else { return };
        if asked.ticket.is_some() {
            return self.leave_the_queue(request, End::Withdrawn);
        }
        self.dismiss_others(request);
        self.end(request, End::Withdrawn);
    }

    // -------------------------------------------------------------------------------------- it is at servers

    /// The request is given to a server; `copy`: beside one that has it already.
    pub(super) fn start(&mut self, request: RequestId, key: ServerKey, copy: bool) {
        let (now, link, id) = (self.agenda.now(), self.scenario.link, self.next_id());
        let Some(machine) = self.of_key.get(&key).copied() else { return };
        let (at_once, hedged) = (self.copies.at_once(), self.copies.wanted());
        let Some(asked) = self.requests.get_mut(&request) else { return };
        asked.ticket = None;
        asked.attempts += 1;
        if !copy {
            asked.raced_since = now;
        }
        let copied = hedged && !asked.doubt && !asked.alone;
        let marked = copy || (copied && at_once > 1);
        let (spec, life) = (&self.machines[machine].spec, self.machines[machine].known.map_or(0, |known| known.1));
        let end = asked.since + self.scenario.request_timeout;
        let deadline = (now + spec.processing_time + ATTEMPT_GRACE).min(end);
        asked.runners.push(id);
        let writes = asked.writes;
        self.attempts.insert(id, Attempt { request, key, machine, life, marked, since: now, deadline, stopping: None });
        if self.machines[machine].runs && self.machines[machine].life == life {
            let message = Message::Request { attempt: id, writes, may_write: !marked };
            self.agenda.after(link, Event::At(machine, life, message));
        } else {
            self.agenda.after(link * 2, Event::Heard(id, Said::Refused));
        }
        self.agenda.after(deadline - now, Event::TooLate(id));
        if copy {
            self.outcome.copies += 1;
        } else if copied {
            (1..at_once).for_each(|_| self.start_copy(request));
            if let Some(after) = self.copies.hedge_after() {
                self.agenda.after(after, Event::Hedge(request));
            }
        }
    }

    /// Sends a copy to another server that is free, if there is one.
    fn start_copy(&mut self, request: RequestId) {
        let Some(asked) = self.requests.get(&request) else { return };
        let mut wanted = asked.wanted.clone();
        wanted.avoid.extend(asked.runners.iter().filter_map(|id| self.attempts.get(id)).map(|attempt| attempt.key));
        if let Some(decision) = self.rules.take_another(&wanted) {
            if wanted.avoid.contains(&decision.server) {
                self.books.wrong = Some(format!("{:?} has the request, and is given a copy", decision.server));
            }
            self.chosen(&decision);
            self.start(request, decision.server, true);
        }
    }

    /// The first server is late.
    pub(super) fn hedge(&mut self, request: RequestId) {
        let in_hand = self.requests.get(&request).is_some_and(|asked| asked.runners.len() == 1 && !asked.doubt);
        if in_hand && self.copies.may_hedge() {
            self.start_copy(request);
        }
    }

    /// Something is heard of a request at a server.
    pub(super) fn heard(&mut self, id: AttemptId, said: Said) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (request, machine, marked, stopping) = (attempt.request, attempt.machine, attempt.marked, attempt.stopping);
        let took = self.agenda.now() - attempt.since;
        if let Some(why) = stopping {
            return self.last_word(id, said, why);
        }
        match said {
            Said::Answer => {
                self.give_back(id, Ended::Answered, took);
                let Some(asked) = self.requests.get(&request) else { return };
                self.copies.answered(self.agenda.now() - asked.raced_since);
                self.machines[machine].outcome.answered += u64::from(asked.counts);
                self.dismiss_others(request);
                self.end(request, End::Answered);
            }
            Said::MustNotWrite => {
                self.give_back(id, Ended::Answered, took);
                self.must_not_write(request);
            }
            Said::NotNow => {
                // What it is doing instead is not known.
                let key = self.doubt(id);
                self.tried(request, key, true);
            }
            Said::Refused | Said::Broken | Said::Stopped => {
                let key = self.doubt(id);
                let lost = if said == Said::Refused { Lost::BeforeSent } else { Lost::Unanswered };
                self.lost(request, key, lost, marked);
            }
        }
    }

    /// A server would have to write, and was told not to: the first one goes on if it may, else the request begins anew.
    fn must_not_write(&mut self, request: RequestId) {
        let Some(asked) = self.requests.get(&request) else { return };
        let marked = |id: &AttemptId| self.attempts.get(id).is_none_or(|attempt| attempt.marked);
        if asked.runners.iter().all(marked) {
            self.dismiss_others(request);
            if let Some(asked) = self.requests.get_mut(&request) {
                asked.alone = true;
            }
            self.take(request);
        }
    }

    /// A server has not answered in its time: it is told to stop. Of several the last one counts.
    pub(super) fn too_late(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get(&id).filter(|attempt| attempt.stopping.is_none()) else { return };
        let Some(asked) = self.requests.get(&attempt.request) else { return };
        let later = |other: &AttemptId| {
            *other != id && self.attempts.get(other).is_some_and(|other| other.deadline > attempt.deadline)
        };
        if asked.runners.iter().any(later) {
            return;
        }
        let others: Vec<AttemptId> = asked.runners.iter().filter(|other| **other != id).copied().collect();
        others.into_iter().for_each(|other| self.stop(other, Stopping::Dismissed));
        self.stop(id, Stopping::TooLate);
    }

    /// Tells a server to stop.
    fn stop(&mut self, id: AttemptId, why: Stopping) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        attempt.stopping = Some(why);
        let (machine, life) = (attempt.machine, attempt.life);
        if why == Stopping::Dismissed
            && let Some(asked) = self.requests.get_mut(&attempt.request)
        {
            asked.runners.retain(|other| *other != id);
        }
        let message = Message::Stop { attempt: id, confirm: true };
        self.agenda.after(self.scenario.link, Event::At(machine, life, message));
        self.agenda.after(CANCEL_TIME, Event::NoLastWord(id));
    }

    /// The last word of a server that was told to stop.
    fn last_word(&mut self, id: AttemptId, said: Said, why: Stopping) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (request, took, marked) = (attempt.request, self.agenda.now() - attempt.since, attempt.marked);
        if matches!(said, Said::Broken | Said::Refused) {
            return self.no_last_word(id);
        }
        let key = self.give_back(id, Ended::Cancelled, took);
        match (why, said) {
            (Stopping::Dismissed, _) => {}
            (Stopping::TooLate, Said::Stopped) => {
                let Some(asked) = self.requests.get_mut(&request) else { return };
                asked.slow += 1;
                let again = !asked.writes || asked.slow < SLOW_STATEMENTS;
                self.tried(request, key, again);
            }
            (Stopping::TooLate, _) => self.lost(request, key, Lost::Unanswered, marked),
        }
    }

    /// There is none.
    pub(super) fn no_last_word(&mut self, id: AttemptId) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (request, marked, why) = (attempt.request, attempt.marked, attempt.stopping);
        let key = self.doubt(id);
        if why == Some(Stopping::TooLate) {
            self.lost(request, key, Lost::Unanswered, marked);
        }
    }

    /// Whoever else has the request is told to stop.
    fn dismiss_others(&mut self, request: RequestId) {
        let Some(asked) = self.requests.get(&request) else { return };
        for id in asked.runners.clone() {
            if self.attempts.get(&id).is_some_and(|attempt| attempt.stopping.is_none()) {
                self.stop(id, Stopping::Dismissed);
            }
        }
    }

    // ------------------------------------------------------------------------------------- leases, and the end

    fn give_back(&mut self, id: AttemptId, ended: Ended, took: Duration) -> ServerKey {
        let key = self.forget(id);
        self.books.look(self.rules.core());
        self.books.given_back(key);
        let effects = self.rules.give_back(key, ended, took);
        self.apply(effects);
        key
    }

    /// The connection is closed and the lease dropped: the server is asked at once what it is doing, and stops working
    /// when it notices that nobody listens.
    fn doubt(&mut self, id: AttemptId) -> ServerKey {
        let (machine, life, took) = match self.attempts.get(&id) {
            Some(attempt) => (attempt.machine, attempt.life, self.agenda.now() - attempt.since),
            None => (0, 0, Duration::ZERO),
        };
        let key = self.forget(id);
        self.books.look(self.rules.core());
        self.books.in_doubt(key);
        let effects = self.rules.doubt(key, took);
        self.apply(effects);
        let message = Message::Stop { attempt: id, confirm: false };
        self.agenda.after(self.scenario.link, Event::At(machine, life, message));
        self.ask_at_once(machine, key);
        key
    }

    fn forget(&mut self, id: AttemptId) -> ServerKey {
        let Some(attempt) = self.attempts.remove(&id) else { return ServerKey(0) };
        if let Some(asked) = self.requests.get_mut(&attempt.request) {
            asked.runners.retain(|other| *other != id);
        }
        attempt.key
    }

    /// A server was lost. If others run on, they decide.
    fn lost(&mut self, request: RequestId, key: ServerKey, lost: Lost, marked: bool) {
        let database = self.database.clone();
        let Some(asked) = self.requests.get_mut(&request) else { return };
        let what = if asked.writes { What::Query } else { What::File };
        let nature = Nature { what, read_only: marked, recorded: true };
        if retry::leaves_doubt(nature, lost) {
            asked.doubt = true;
            asked.wanted.database = Some(database);
        }
        self.tried(request, key, retry::may_retry(nature, lost));
    }

    /// An attempt came to nothing: may there be another one?
    fn tried(&mut self, request: RequestId, key: ServerKey, again: bool) {
        let now = self.agenda.now();
        let Some(asked) = self.requests.get_mut(&request) else { return };
        let known = asked.wanted.avoid.contains(&key);
        if !asked.runners.is_empty() {
            return asked.wanted.avoid.push(key);
        }
        let in_time = asked.attempts < MAX_ATTEMPTS && now < asked.since + self.scenario.request_timeout;
        if !(again && in_time && asked.account.may_retry()) {
            return self.end(request, End::Failed);
        }
        self.outcome.retries += 1;
        asked.wanted.avoid.push(key);
        // No other server is up: the same one is asked again, but not at once.
        if known { self.agenda.after(LEAST_PAUSE, Event::Again(request)) } else { self.take(request) }
    }

    /// The request has its answer. A second one would be one too many.
    fn end(&mut self, request: RequestId, end: End) {
        let Some(asked) = self.requests.remove(&request) else {
            self.books.wrong = Some(format!("request {request} is answered twice"));
            return;
        };
        let (now, outcome) = (self.agenda.now(), &mut self.outcome);
        match end {
            End::Answered => outcome.answered += 1,
            End::Withdrawn => outcome.withdrawn += 1,
            End::Refused => outcome.refused += 1,
            End::Failed => outcome.failed += 1,
        }
        if end == End::Answered && asked.counts {
            self.times.push(now - asked.since);
        }
        if let Arrival::Clients(_, pause) = self.scenario.arrival {
            // Who is refused comes again a little later.
            let pause = if end == End::Refused { pause.max(Duration::from_millis(10)) } else { pause };
            let pause = exponential(pause, &mut self.random);
            self.agenda.after(pause, Event::Ask(asked.client));
        }
    }
}
