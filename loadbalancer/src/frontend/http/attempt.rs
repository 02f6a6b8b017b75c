//! One attempt: the request goes to one server, and its answer comes back.

use super::{
    exchange::Exchange,
    fields, passage,
    trouble::{How, Trouble},
    tunnel,
    upload::Sent,
    watch::{self, Came},
};
use crate::{
    dispatch::retry::Lost,
    event::{Event, micros},
    policy::{Ended, UNLIMITED},
    pool::Lease,
};
use protocol::{
    deadline::{Deadline, Phase},
    http::{
        Answer, Framing, HttpConnection, Status, Version,
        encode::{push_answer, push_request},
        limits::MAX_INTERIM,
    },
    limits::HEADER_TIME,
};
use std::{net::Shutdown, sync::Arc, time::Duration};

/// How long a server that was given up may take to end the connection.
const LAST_WORD_TIME: Duration = Duration::from_secs(1);

/// How long an answer may take to come out of a connection on which the request could not be sent whole.
const EARLY_ANSWER_TIME: Duration = Duration::from_secs(1);

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The client has the whole answer.
    Answered,
    /// The client and the server have spoken another protocol, until one of them ended it.
    Tunnelled,
    /// It went wrong.
    Trouble(Trouble),
    /// The server says that it is busy or ending, and another one may have the request.
    Busy(String),
}

/// A request at a server. The connection stands before the lease, because it must be closed before anybody asks the server
/// what it is still doing.
pub(super) struct Runner {
    pub(super) link: HttpConnection,
    pub(super) lease: Lease,
    /// Whether the server has got only a part of the request: then the connection is of no further use.
    pub(super) cut: bool,
}

/// Sends the request to the server of this lease, and passes its answer on.
pub(super) fn attempt(exchange: &mut Exchange<'_>, lease: Lease) -> Attempt {
    let server = Arc::clone(lease.server());
    if let Some(kept) = server.kept_connection() {
        let mut runner = Runner { link: HttpConnection::over(kept), lease, cut: false };
        match ask(exchange, &mut runner) {
            // Servers end connections that were idle for long, and cannot know that a request is on its way.
            Err(Trouble::Server { how: How::Silent, .. }) if exchange.may_repeat() => {
                return on_new_connection(exchange, runner.lease);
            }
            asked => return go_on(exchange, runner, asked),
        }
    }
    on_new_connection(exchange, lease)
}

fn on_new_connection(exchange: &mut Exchange<'_>, lease: Lease) -> Attempt {
    match lease.server().fresh_connection(exchange.http.connect_timeout) {
        Ok(wire) => {
            let mut runner = Runner { link: HttpConnection::over(wire), lease, cut: false };
            let asked = ask(exchange, &mut runner);
            go_on(exchange, runner, asked)
        }
        Err(error) => {
            lease.server().ask();
            lease.finish(Ended::Failed);
            Attempt::Trouble(Trouble::Server { lost: Lost::BeforeSent, why: error.to_string(), how: How::Broken })
        }
    }
}

fn go_on(exchange: &mut Exchange<'_>, runner: Runner, asked: Result<Answer, Trouble>) -> Attempt {
    match asked {
        Ok(answer) if answer.status == Status::SWITCHING_PROTOCOLS => tunnel::open(exchange, runner, &answer),
        Ok(answer) => passage::pass_on(exchange, runner, &answer),
        Err(trouble) => runner.failed(trouble),
    }
}

/// Sends the request and waits for the head of its answer.
fn ask(exchange: &mut Exchange<'_>, runner: &mut Runner) -> Result<Answer, Trouble> {
    let head = head(exchange);
    if let Err(error) = exchange.upload.send_first(&mut runner.link, &head) {
        return refused_early(exchange, runner, Trouble::silent(error.sentence()));
    }
    runner.lease.server().statistics.bytes_in.add(head.len() as u64);
    let mut early = None;
    loop {
        match exchange.upload.send_rest(exchange.client, &mut runner.link, early.is_none()) {
            Ok(Sent::Whole) => break,
            Ok(Sent::ServerSpeaks) => early = next_answer(exchange, runner, HEADER_TIME)?,
            Err(trouble @ Trouble::Server { .. }) if early.is_none() => {
                return refused_early(exchange, runner, trouble);
            }
            Err(Trouble::Server { .. }) => runner.cut = true,
            Err(trouble) => return Err(trouble),
        }
        // Who answers with an error, or ends the connection, does not want the rest.
        runner.cut |= early.as_ref().is_some_and(|answer| answer.status.code() >= 400 || !answer.keep_alive);
        if runner.cut {
            break;
        }
    }
    let time = runner.lease.server().processing_time + exchange.http.flags.http_answer_time;
    early.map_or_else(|| final_answer(exchange, runner, time), Ok)
}

/// The request could not be sent whole. Perhaps the server has refused it and ended its side: then its answer is there.
fn refused_early(exchange: &mut Exchange<'_>, runner: &mut Runner, trouble: Trouble) -> Result<Answer, Trouble> {
    runner.cut = true;
    final_answer(exchange, runner, EARLY_ANSWER_TIME).map_err(|_| trouble)
}

/// The head of the request as this server gets it.
fn head(exchange: &Exchange<'_>) -> Vec<u8> {
    let (request, flags) = (exchange.request, &exchange.http.flags);
    let (mut headers, connection) = fields::to_server(request, &exchange.arrival, flags.http_underscores);
    if let Some(resume) = exchange.download.resume() {
        fields::ask_for_rest(&mut headers, &resume.range(), resume.etag());
    }
    let mut head = Vec::with_capacity(512);
    let line = (&request.method, request.target.path_and_query(), Version::Http11);
    push_request(&mut head, line, &headers, exchange.upload.framing(), connection);
    head
}

/// The head of the final answer, which must begin within this time. Interim ones are passed on.
fn final_answer(exchange: &mut Exchange<'_>, runner: &mut Runner, time: Duration) -> Result<Answer, Trouble> {
    for _ in 0..=MAX_INTERIM {
        if let Some(answer) = next_answer(exchange, runner, time)? {
            return Ok(answer);
        }
    }
    Err(Trouble::unanswered("its interim answers do not end"))
}

/// The next head: `None` if it was an interim one, which is passed on.
fn next_answer(exchange: &mut Exchange<'_>, runner: &mut Runner, time: Duration) -> Result<Option<Answer>, Trouble> {
    let deadline = Deadline::after(time).min(exchange.deadline);
    match watch::for_server(&mut runner.link, exchange.client, exchange.request, deadline) {
        Came::Word => {}
        Came::Silence => return Err(Trouble::late()),
        Came::ClientGone => return Err(Trouble::Client("it is gone".to_owned())),
        Came::End => return Err(Trouble::silent("it ended the connection")),
        Came::Broken(why) => return Err(Trouble::silent(why)),
    }
    let read = runner.link.read_answer(&exchange.request.method, Deadline::after(HEADER_TIME));
    let answer = read.map_err(|error| Trouble::unanswered(error.sentence()))?;
    let switches = answer.status == Status::SWITCHING_PROTOCOLS;
    if switches && !fields::wants_websocket(exchange.request) {
        return Err(Trouble::unanswered("it switched to a protocol that nobody asked for"));
    }
    if switches || !answer.status.is_interim() {
        return Ok(Some(answer));
    }
    pass_interim(exchange, &answer)?;
    Ok(None)
}

/// Passes an interim answer on. `100 Continue` is not: who waits for it hears it when its body is read.
fn pass_interim(exchange: &mut Exchange<'_>, answer: &Answer) -> Result<(), Trouble> {
    let understood = exchange.request.version == Version::Http11 && !exchange.download.has_begun();
    if answer.status == Status::CONTINUE || !understood {
        return Ok(());
    }
    let mut head = Vec::new();
    push_answer(&mut head, answer.status, &fields::to_client(answer, exchange.arrival.id), Framing::Empty, None);
    exchange.client.send(&[&head]).map_err(|error| Trouble::client(&error))
}

impl Runner {
    /// The server has said its last word: its place is free, and its connection, if it can be used again.
    pub(super) fn done(self, keep: bool) {
        let server = Arc::clone(self.lease.server());
        if keep && !self.cut && self.link.is_settled() {
            server.keep(self.link.into_wire());
        }
        self.lease.finish(Ended::Answered);
    }

    /// The attempt went wrong: ends the connection and the lease, each in its way.
    ///
    /// A place is free when the server is done, not when somebody loses patience. A server that ended the connection itself
    /// is done with the request, or dead: it is asked, and if it takes one request at a time it gets nothing before. A
    /// server that hangs is not done: unless it takes as many as come, it gets nothing until it was asked.
    pub(super) fn failed(self, trouble: Trouble) -> Attempt {
        let (server, begun) = (Arc::clone(self.lease.server()), self.link.certain() > 0);
        match &trouble {
            Trouble::Server { how, .. } => {
                let Self { link, lease, .. } = self;
                drop(link);
                let in_doubt = if *how == How::Late { server.capacity != UNLIMITED } else { server.capacity == 1 };
                server.ask();
                if in_doubt { drop(lease) } else { lease.finish(Ended::Failed) }
            }
            Trouble::Client(_) | Trouble::Request(_) => self.taken_back(begun),
        }
        Attempt::Trouble(trouble)
    }

    /// Nobody wants the answer any more. HTTP has no word for that: we end our half of the connection, and a server that
    /// looks at it stops and ends its own. One that does not, and has a number of places, is in doubt.
    fn taken_back(mut self, begun: bool) {
        let unlimited = self.lease.server().capacity == UNLIMITED;
        let ended = begun || unlimited || {
            let _gone_already = self.link.wire().stream().shutdown(Shutdown::Write);
            self.link.wait(Phase::Answer, Some(Deadline::after(LAST_WORD_TIME))).is_ok()
        };
        drop(self.link);
        if ended { self.lease.finish(Ended::Cancelled) } else { drop(self.lease) }
    }
}

/// Tells that the answer begins.
pub(super) fn tell_begun(exchange: &Exchange<'_>, runner: &Runner) {
    let (request, after_us) = (exchange.arrival.id, micros(runner.lease.age()));
    let server = || runner.lease.server().id.clone();
    let offset = exchange.download.resume().map(super::resume::Resume::position);
    exchange.http.events.step(|| match offset {
        Some(offset) => Event::FileResumed { request, server: server(), offset },
        None => Event::AnswerBegun { request, server: server(), after_us },
    });
}
