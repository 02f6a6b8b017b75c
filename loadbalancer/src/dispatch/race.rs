//! One request at several servers: who answers first?
//!
//! The theory is in [`copies`](super::copies). Here is the race itself: runners are started, at once or when the first one
//! is late; whoever speaks first is listened to. If what it says is no answer (it is full, it is lost, it would have to
//! write and must not), the others run on. When somebody has begun to answer, the others are dismissed.

use super::{
    Context,
    answer::{Said, understand},
    passage::{Broken, Passage},
    relay::{Attempt, broken_off, pass_on, too_late},
    request::{Request, What},
    retry::Lost,
    runner::Runner,
    story::Story,
    tell_choice, watch,
};
use crate::{
    event::{Event, micros},
    policy::Ended,
};
use protocol::{
    deadline::Deadline,
    frame::Prefix,
    limits::HEADER_TIME,
    message::{ErrorCode, Failure},
    wire::{Connection, wait_any},
};
use std::{mem, time::Instant};

/// Whether this request may be at several servers: doing it twice must do no harm, or the server must refuse to do it
/// again; and nothing may depend on which of them answers.
#[must_use]
pub fn may_be_copied(story: &Story) -> bool {
    !story.doubt && !story.resumes() && !story.alone
}

/// A race.
pub struct Race<'a> {
    context: &'a Context,
    request: &'a Request,
    runners: Vec<Runner>,
    since: Instant,
    /// When another copy is due.
    hedge_at: Option<Deadline>,
    /// Whether the client is still worth watching; see [`watch`].
    watching: bool,
}

/// What came first.
enum First {
    /// This runner has something to say.
    Speaks(usize),
    /// It is time for a copy.
    Late,
    /// Nobody has answered in time.
    Silence,
    /// The client took the request back, or is gone.
    Withdrawn,
}

impl<'a> Race<'a> {
    /// A race that one runner has begun.
    pub fn new(context: &'a Context, request: &'a Request, first: Runner) -> Self {
        let hedge_at = context.copies.hedge_after().map(Deadline::after);
        let since = Instant::now();
        Self { context, request, runners: vec![first], since, hedge_at, watching: true }
    }

    /// Starts copies until `at_once` servers have the request, or no other one is free.
    pub fn fill(&mut self, at_once: u32, story: &mut Story) {
        while self.runners.len() < at_once as usize {
            if !self.start_copy(story) {
                let why = "no other server is free".to_owned();
                return self.context.events.step(|| Event::CopyNotSent { request: self.request.prefix.id, why });
            }
        }
    }

    /// Runs until somebody has answered, or nobody will.
    pub fn run(mut self, story: &mut Story, client: &mut Connection) -> Attempt {
        loop {
            match self.first(client, story.deadline) {
                First::Late => self.hedge(story),
                First::Silence => {
                    let last = self.runners.remove(0);
                    self.dismiss_all();
                    return too_late(Passage::new(self.context, self.request, story, last, client));
                }
                First::Withdrawn => return self.withdrawn(story, client),
                First::Speaks(at) => {
                    let runner = self.runners.remove(at);
                    if let Some(attempt) = self.listen(runner, story, client) {
                        return attempt;
                    }
                }
            }
        }
    }

    fn first(&mut self, client: &mut Connection, deadline: Deadline) -> First {
        let end = self.runners.iter().map(|runner| runner.deadline).max().map_or(deadline, |last| last.min(deadline));
        let until = self.hedge_at.map_or(end, |at| at.min(end));
        loop {
            let mut all: Vec<&Connection> = self.runners.iter().map(|runner| &runner.link).collect();
            if self.watching {
                all.push(client);
            }
            match wait_any(&all, until) {
                Ok(Some(at)) if at < self.runners.len() => return First::Speaks(at),
                Ok(Some(_)) if watch::withdrawn(client, self.request.prefix.id) => return First::Withdrawn,
                Ok(Some(_)) => self.watching = false,
                Ok(None) if !end.has_passed() => return First::Late,
                Ok(None) | Err(_) => return First::Silence,
            }
        }
    }

    /// The first server is late: another one gets a copy, if there is one and the budget allows it.
    fn hedge(&mut self, story: &mut Story) {
        self.hedge_at = None;
        let request = self.request.prefix.id;
        if !self.context.copies.may_hedge() {
            let why = "the budget for hedging is spent".to_owned();
            self.context.events.step(|| Event::CopyNotSent { request, why });
        } else if !self.start_copy(story) {
            let why = "no other server is free".to_owned();
            self.context.events.step(|| Event::CopyNotSent { request, why });
        }
    }

    /// Sends a copy to another server that is free. A server that cannot be reached is passed over.
    fn start_copy(&mut self, story: &mut Story) -> bool {
        let mut wanted = story.wanted.clone();
        wanted.avoid.extend(self.runners.iter().map(|runner| runner.lease.server().key));
        while let Some(found) = self.context.pool.take_another(&wanted) {
            let server = std::sync::Arc::clone(found.lease.server());
            wanted.avoid.push(server.key);
            story.attempts += 1;
            let (pool, events) = (&self.context.pool, &self.context.events);
            tell_choice(pool, events, self.request.prefix.id, story.attempts, &found, true);
            match Runner::start(self.context, found.lease, self.request, story, true) {
                Ok(runner) => {
                    self.context.pool.totals().copies_sent.add_one();
                    let (request, after_us) = (self.request.prefix.id, micros(self.since.elapsed()));
                    self.context.events.step(|| Event::CopySent { request, server: server.id.clone(), after_us });
                    self.runners.push(runner);
                    return true;
                }
                Err((lost, why)) => self.tell_lost(&server.id, why, Some(lost)),
            }
        }
        false
    }

    /// Listens to a runner that has something to say. `None` if that is no answer and others run on.
    fn listen(&mut self, runner: Runner, story: &mut Story, client: &mut Connection) -> Option<Attempt> {
        let (server, marked) = (std::sync::Arc::clone(runner.lease.server()), runner.marked);
        let mut passage = Passage::new(self.context, self.request, story, runner, client);
        let mut header = Vec::new();
        let last = self.runners.is_empty();
        match passage.next_frame(&mut header, Deadline::after(HEADER_TIME)) {
            Ok(prefix) => match self.verdict(&prefix, &header, marked) {
                Verdict::Wins => {
                    self.context.copies.answered(self.since.elapsed());
                    if marked && self.context.copies.at_once() == 1 {
                        self.context.pool.totals().copies_won.add_one();
                    }
                    self.dismiss_all();
                    Some(pass_on(passage, self.request, prefix, header))
                }
                Verdict::MustNotWrite => self.refused_to_write(passage, last, &server.id),
                Verdict::NoAnswer(_) if last => Some(pass_on(passage, self.request, prefix, header)),
                Verdict::NoAnswer(why) => {
                    passage.refused();
                    self.tell_lost(&server.id, why, None);
                    None
                }
            },
            Err(broken) if last => Some(broken_off(passage, broken)),
            Err(broken) => {
                drop(passage);
                let why = broken.sentence();
                if !marked {
                    let _decided_by_the_others = story.lost(self.request, &server, Lost::Unanswered, &why);
                }
                story.avoid(server.key);
                self.tell_lost(&server.id, why, Some(Lost::Unanswered));
                None
            }
        }
    }

    fn verdict(&self, prefix: &Prefix, header: &[u8], marked: bool) -> Verdict {
        match understand(self.request.what, true, prefix, header) {
            Err(why) => Verdict::NoAnswer(why),
            Ok(said) => match said.not_now() {
                Some(failure) => Verdict::NoAnswer(failure.message.clone()),
                None if marked && must_not_write(self.request, &said) => Verdict::MustNotWrite,
                None => Verdict::Wins,
            },
        }
    }

    /// A statement that writes must not be at several servers. If its first server has it unmarked, that one goes on;
    /// otherwise it starts again, alone.
    fn refused_to_write(&mut self, passage: Passage<'_>, last: bool, server: &str) -> Option<Attempt> {
        passage.server_is_done(Ended::Answered);
        let request = self.request.prefix.id;
        let (server, why) = (server.to_owned(), "it would have to write for it".to_owned());
        self.context.events.step(|| Event::CopyLost { request, server, why });
        if !last && self.runners.iter().any(|runner| !runner.marked) {
            return None;
        }
        self.dismiss_all();
        Some(Attempt::Writes)
    }

    /// The client took the request back: all are told to stop.
    fn withdrawn(mut self, story: &mut Story, client: &mut Connection) -> Attempt {
        let writes = self.runners.iter().position(|runner| !runner.marked).unwrap_or(0);
        let runner = self.runners.remove(writes);
        self.dismiss_all();
        broken_off(Passage::new(self.context, self.request, story, runner, client), Broken::Withdrawn)
    }

    fn dismiss_all(&mut self) {
        for loser in mem::take(&mut self.runners) {
            let (request, server) = (self.request.prefix.id, loser.lease.server().id.clone());
            self.context.losers.dismiss(loser);
            let why = "another one was first, or the request is over".to_owned();
            self.context.events.step(|| Event::CopyLost { request, server, why });
        }
    }

    fn tell_lost(&self, server: &str, why: String, lost: Option<Lost>) {
        let (request, server) = (self.request.prefix.id, server.to_owned());
        self.context.events.emit(|| Event::AttemptFailed { request, server, why, again: true, lost });
    }
}

/// What a runner's first frame means for the race.
enum Verdict {
    /// It is an answer.
    Wins,
    /// It is none: the server cannot serve the request now.
    NoAnswer(String),
    /// The statement writes, and the server was told not to.
    MustNotWrite,
}

/// A server that was told not to write refuses a statement that would with `forbidden`. It may also mean that the
/// statement is forbidden for everybody; then the server that gets it alone will say so again.
fn must_not_write(request: &Request, said: &Said) -> bool {
    let forbidden = |failure: &Failure| failure.code == ErrorCode::Forbidden;
    request.what == What::Query && matches!(said, Said::Failed(failure) if forbidden(failure))
}
