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
    pool::Server,
};
use protocol::{
    deadline::Deadline,
    frame::Prefix,
    limits::HEADER_TIME,
    message::{ErrorCode, Failure},
    wire::{Connection, wait_any},
};
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a server may take to accept a connection for a copy. It is in the way of the answers of those that run.
const COPY_CONNECT: Duration = Duration::from_millis(100);
/// How long a frame that has begun may take while others run. Nobody of them should wait for one that stammers.
const FRAME_TIME: Duration = Duration::from_secs(1);

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
    /// Whether the first server may write: then what a copy says when it fails is no answer, because the first may have
    /// done in the meantime what the copy now finds in its way.
    first_may_write: bool,
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
    /// This runner has not answered in its time; others still may.
    TooLate(usize),
    /// Nobody has answered in time.
    Silence,
    /// The client took the request back, or is gone.
    Withdrawn,
}

impl<'a> Race<'a> {
    /// A race that one runner has begun.
    pub fn new(context: &'a Context, request: &'a Request, first: Runner) -> Self {
        let hedge_at = context.copies.hedge_after().map(Deadline::after);
        let (since, first_may_write) = (Instant::now(), !first.marked);
        Self { context, request, runners: vec![first], since, first_may_write, hedge_at, watching: true }
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
                First::TooLate(at) => self.too_late(at, story),
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
        let (first_late, its_deadline) = self.next_deadline(deadline);
        let end = its_deadline.min(deadline);
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
                Ok(None) if self.runners.len() > 1 && !deadline.has_passed() => return First::TooLate(first_late),
                Ok(None) | Err(_) => return First::Silence,
            }
        }
    }

    /// Whose time is over first, and when.
    fn next_deadline(&self, otherwise: Deadline) -> (usize, Deadline) {
        let deadlines = self.runners.iter().map(|runner| runner.deadline).enumerate();
        deadlines.min_by_key(|(_, deadline)| *deadline).unwrap_or((0, otherwise))
    }

    /// A runner has not answered in its time. It is told to stop, and the others run on.
    fn too_late(&mut self, at: usize, story: &mut Story) {
        let runner = self.runners.remove(at);
        let (server, marked) = (Arc::clone(runner.lease.server()), runner.marked);
        self.context.losers.dismiss(runner);
        self.lost(story, &server, marked, "it gave no answer within its time".to_owned());
    }

    /// A runner is lost while others run. If it might write, it may have.
    fn lost(&self, story: &mut Story, server: &Arc<Server>, marked: bool, why: String) {
        story.turn_to(server, marked);
        if !marked {
            let _others_run = story.lost(self.request, server, Lost::Unanswered, &why);
        }
        story.avoid(server.key);
        self.tell_lost(&server.id, why, Some(Lost::Unanswered));
    }

    /// The first server is late: another one gets a copy, if there is one and the budget allows it.
    fn hedge(&mut self, story: &mut Story) {
        self.hedge_at = None;
        let request = self.request.prefix.id;
        if !self.context.copies.may_hedge() {
            let why = "the budget for hedging is spent".to_owned();
            self.context.events.step(|| Event::CopyNotSent { request, why });
        } else if !self.start_copy(story) {
            self.context.copies.not_sent();
            let why = "no other server is free".to_owned();
            self.context.events.step(|| Event::CopyNotSent { request, why });
        }
    }

    /// Sends a copy to another server that is free. A server that cannot be reached is passed over.
    fn start_copy(&mut self, story: &mut Story) -> bool {
        let mut wanted = story.wanted.clone();
        wanted.avoid.extend(self.runners.iter().map(|runner| runner.lease.server().key));
        while let Some(found) = self.context.pool.take_another(&wanted) {
            let server = Arc::clone(found.lease.server());
            wanted.avoid.push(server.key);
            story.attempts += 1;
            let (pool, events) = (&self.context.pool, &self.context.events);
            tell_choice(pool, events, self.request.prefix.id, story.attempts, &found, true);
            let within = COPY_CONNECT.min(self.context.connect_timeout);
            match Runner::start(self.context, found.lease, self.request, story, true, within) {
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
        let (server, marked) = (Arc::clone(runner.lease.server()), runner.marked);
        let last = self.runners.is_empty();
        let within = if last { HEADER_TIME } else { FRAME_TIME };
        let mut passage = Passage::new(self.context, self.request, story, runner, client);
        let mut header = Vec::new();
        let said = passage.next_frame(&mut header, Deadline::after(within));
        let verdict = said.and_then(|prefix| Ok((prefix, self.verdict(&prefix, &header, marked)?)));
        match verdict {
            Ok((prefix, Verdict::Wins)) => {
                self.won(marked);
                Some(pass_on(passage, self.request, prefix, header))
            }
            Ok((_, Verdict::NotForACopy)) => self.not_for_a_copy(passage, last, &server.id),
            Ok((prefix, Verdict::NotNow(_))) if last => Some(pass_on(passage, self.request, prefix, header)),
            Ok((_, Verdict::NotNow(why))) => {
                passage.refused();
                self.tell_lost(&server.id, why, None);
                None
            }
            Err(Broken::Withdrawn) => Some(self.withdrawn_while_listening(passage)),
            Err(broken) if last => Some(broken_off(passage, broken)),
            Err(broken) => {
                drop(passage);
                self.lost(story, &server, marked, broken.sentence());
                None
            }
        }
    }

    fn won(&mut self, marked: bool) {
        self.context.copies.answered(self.since.elapsed());
        if marked && self.first_may_write {
            self.context.pool.totals().copies_won.add_one();
        }
        self.dismiss_all();
    }

    /// What a runner's first frame means.
    fn verdict(&self, prefix: &Prefix, header: &[u8], marked: bool) -> Result<Verdict, Broken> {
        let said = understand(self.request.what, true, prefix, header).map_err(Broken::Server)?;
        Ok(match (said.not_now(), &said) {
            (Some(failure), _) => Verdict::NotNow(failure.message.clone()),
            (None, Said::Failed(failure)) if marked && self.is_no_answer(failure) => Verdict::NotForACopy,
            (None, _) => Verdict::Wins,
        })
    }

    /// Whether this failure of a copy says nothing about the statement: the copy would have had to write, or its first
    /// server may have done in the meantime what the copy finds in its way (a table that is there already).
    ///
    /// `forbidden` may also mean that the statement is forbidden for everybody; then the server that gets it alone says so.
    fn is_no_answer(&self, failure: &Failure) -> bool {
        self.request.what == What::Query && (self.first_may_write || failure.code == ErrorCode::Forbidden)
    }

    /// A statement that writes must not be at several servers. If its first server has it unmarked, that one goes on;
    /// otherwise it starts again, alone.
    fn not_for_a_copy(&mut self, passage: Passage<'_>, last: bool, server: &str) -> Option<Attempt> {
        passage.server_is_done(Ended::Answered);
        let request = self.request.prefix.id;
        let (server, why) = (server.to_owned(), "a copy cannot answer it: perhaps it writes".to_owned());
        self.context.events.step(|| Event::CopyLost { request, server, why });
        if !last && self.runners.iter().any(|runner| !runner.marked) {
            return None;
        }
        self.dismiss_all();
        Some(Attempt::Writes)
    }

    /// The client took the request back: all are told to stop, and the one that might write is asked whether it has.
    fn withdrawn(mut self, story: &mut Story, client: &mut Connection) -> Attempt {
        let writes = self.runners.iter().position(|runner| !runner.marked).unwrap_or(0);
        let runner = self.runners.remove(writes);
        self.dismiss_all();
        broken_off(Passage::new(self.context, self.request, story, runner, client), Broken::Withdrawn)
    }

    /// The same, noticed while one of them was listened to. If another one might write, nobody has asked it.
    fn withdrawn_while_listening(&mut self, passage: Passage<'_>) -> Attempt {
        let one_may_write = self.runners.iter().any(|runner| !runner.marked);
        self.dismiss_all();
        match broken_off(passage, Broken::Withdrawn) {
            Attempt::Cancelled { surely } => Attempt::Cancelled { surely: surely && !one_may_write },
            other => other,
        }
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
    NotNow(String),
    /// It is none that a copy can give.
    NotForACopy,
}
