//! An answer on its way from a server to a client.
//!
//! **Small answers** (up to [`EAGER_ANSWER`]) are taken whole before the client gets any of them. So a slow client holds no
//! server, a server that is lost meanwhile costs nothing, and the answer leaves in one write. If the server is silent for
//! [`LULL`], what there is goes out, and the rest streams: events and answers that are written slowly are seen as they come.
//!
//! **Large answers** stream. Of a body of known length the bytes pass through the kernel ([`Carrier`]) and are never seen
//! here; others come by blocks and are framed anew. Either way a client that reads slowly slows its server down, and memory
//! does not grow.

use super::{
    attempt::{Attempt, Runner, tell_begun},
    exchange::Exchange,
    fields, sticky,
    trouble::Trouble,
    upload::next_part,
    watch::{self, Came},
};
use crate::event::Event;
use protocol::{
    deadline::{Deadline, Phase},
    http::{Answer, Framing, HttpError, Status, encode::around_chunk},
    limits::EAGER_ANSWER,
    wire::{Carrier, CarryError, WireError},
};
use std::time::Duration;

/// A silence after which what has been gathered is passed on.
const LULL: Duration = Duration::from_millis(50);

/// Bytes from which on a part of a body is carried by the kernel: below, a pipe costs more than two copies.
const CARRY_FROM: u64 = 64 * 1024;

/// Bytes that are carried before somebody looks whether the program is ending, and counts them.
const CARRY_AT_ONCE: u64 = 4 * 1024 * 1024;

/// Size of the blocks in which other bodies are read, in bytes.
const BLOCK: usize = 64 * 1024;

/// Passes an answer on.
pub(super) fn pass_on(exchange: &mut Exchange<'_>, mut runner: Runner, answer: &Answer) -> Attempt {
    if exchange.download.has_begun() {
        return match exchange.download.resume().map(|resume| resume.check(answer)) {
            Some(Ok(())) => {
                tell_begun(exchange, &runner);
                stream(exchange, runner, answer, &[])
            }
            Some(Err(why)) => not_the_rest(runner, why),
            None => not_the_rest(runner, "nobody asked it for the rest".to_owned()),
        };
    }
    if answer.status == Status::SERVICE_UNAVAILABLE && exchange.has_another_try() {
        runner.link.skip_body(EAGER_ANSWER as u64);
        runner.done(answer.keep_alive);
        return Attempt::Busy("it answered 503 Service Unavailable".to_owned());
    }
    tell_begun(exchange, &runner);
    let mut held = Vec::new();
    match gather(&mut runner, &mut held) {
        Ok(true) => give_whole(exchange, runner, answer, &held),
        Ok(false) => stream(exchange, runner, answer, &held),
        Err(trouble) => runner.failed(trouble),
    }
}

/// The server has answered something else than what was asked for. It is not at fault, but of no help.
fn not_the_rest(runner: Runner, why: String) -> Attempt {
    runner.done(false);
    Attempt::Trouble(Trouble::partly(why))
}

/// Gathers the body while it comes at once and is small. Says whether all of it is there.
fn gather(runner: &mut Runner, held: &mut Vec<u8>) -> Result<bool, Trouble> {
    let mut body = runner.link.body();
    if body.left().is_some_and(|left| left > EAGER_ANSWER as u64) {
        return Ok(false);
    }
    while !body.is_done() {
        body = body.until(Deadline::after(LULL));
        let (have, left) = (held.len(), body.left().unwrap_or(u64::MAX));
        let room = next_part(have).min(usize::try_from(left).unwrap_or(usize::MAX)).max(1);
        held.resize(have + room, 0);
        let came = body.read_some(&mut held[have..]);
        held.truncate(have + came.as_ref().map_or(0, |n| *n));
        match came {
            Ok(_) => {}
            Err(HttpError::Wire(WireError::Timeout { .. })) => return Ok(false),
            Err(error) => return Err(Trouble::unanswered(error.sentence())),
        }
        if held.len() >= EAGER_ANSWER {
            break;
        }
    }
    Ok(body.is_done())
}

/// All of the answer is there: the server is free before the client has read any of it.
fn give_whole(exchange: &mut Exchange<'_>, mut runner: Runner, answer: &Answer, held: &[u8]) -> Attempt {
    let trailer = runner.link.body().trailer().clone();
    let known = trailer.is_empty().then_some(held.len() as u64);
    let head = begin(exchange, &runner, answer, known);
    let (before, behind) = match exchange.download.framing() {
        Framing::Chunked => around_chunk(held.len(), Some(&trailer)),
        _ => Default::default(),
    };
    server_is_done(exchange, runner, answer, held.len() as u64);
    exchange.download.passed(held.len() as u64);
    match exchange.client.send(&[&head, &before, held, &behind]) {
        Ok(()) => Attempt::Answered,
        Err(error) => Attempt::Trouble(Trouble::client(&error)),
    }
}

/// Passes on what is held, and what follows it as it comes.
fn stream(exchange: &mut Exchange<'_>, mut runner: Runner, answer: &Answer, held: &[u8]) -> Attempt {
    let first = if exchange.download.has_begun() { Ok(()) } else { give_first(exchange, &runner, answer, held) };
    if let Err(trouble) = first.and_then(|()| stream_body(exchange, &mut runner)) {
        return runner.failed(trouble);
    }
    let trailer = runner.link.body().trailer().clone();
    let bytes = exchange.download.passed;
    server_is_done(exchange, runner, answer, bytes);
    if exchange.download.framing() == Framing::Chunked {
        let (_, last) = around_chunk(0, Some(&trailer));
        if let Err(error) = exchange.client.send(&[&last]) {
            return Attempt::Trouble(Trouble::client(&error));
        }
    }
    if exchange.download.is_owed() {
        return Attempt::Trouble(Trouble::partly("its answer was shorter than it said"));
    }
    Attempt::Answered
}

fn give_first(exchange: &mut Exchange<'_>, runner: &Runner, answer: &Answer, held: &[u8]) -> Result<(), Trouble> {
    let head = begin(exchange, runner, answer, None);
    give(exchange, &head, held)
}

/// Sends a part of the body, framed; in front of it the head, if it was not sent.
fn give(exchange: &mut Exchange<'_>, head: &[u8], part: &[u8]) -> Result<(), Trouble> {
    if part.len() as u64 > exchange.download.room() {
        return Err(Trouble::partly("its answer is longer than it said"));
    }
    let (before, behind) = match exchange.download.framing() {
        Framing::Chunked => around_chunk(part.len(), None),
        _ => Default::default(),
    };
    exchange.client.send(&[head, &before, part, &behind]).map_err(|error| Trouble::client(&error))?;
    exchange.download.passed(part.len() as u64);
    Ok(())
}

fn stream_body(exchange: &mut Exchange<'_>, runner: &mut Runner) -> Result<(), Trouble> {
    let (mut carrier, mut block) = (None, Vec::new());
    while !runner.link.body().is_done() {
        let length = matches!(exchange.download.framing(), Framing::Length(_));
        let certain = runner.link.certain().min(exchange.download.room());
        if length && certain >= CARRY_FROM {
            carry(exchange, runner, carrier.get_or_insert_with(Carrier::new), certain.min(CARRY_AT_ONCE))?;
            continue;
        }
        block.resize(BLOCK, 0);
        let n = read(exchange, runner, &mut block)?;
        if n > 0 {
            give(exchange, &[], &block[..n])?;
        }
    }
    Ok(())
}

fn carry(exchange: &mut Exchange<'_>, runner: &mut Runner, by: &mut Carrier, bytes: u64) -> Result<(), Trouble> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let (carried, result) = runner.link.carry(exchange.client, by, bytes);
    exchange.download.passed(carried.given as u64);
    result.map_err(|error| match error {
        CarryError::From(error) => Trouble::partly(error.to_string()),
        CarryError::To(error) => Trouble::client(&error.into()),
    })
}

/// Reads some of the body. One of known length keeps the least rate; any other may be silent for a while, and the client is
/// looked at meanwhile.
fn read(exchange: &mut Exchange<'_>, runner: &mut Runner, into: &mut [u8]) -> Result<usize, Trouble> {
    let gap = Deadline::after(exchange.http.flags.http_answer_time);
    let lost = |error: HttpError| Trouble::partly(error.sentence());
    if runner.link.body().left().is_some() {
        return runner.link.body().read_some(into).map_err(lost);
    }
    if !runner.link.has_unread() {
        match watch::for_server(&mut runner.link, exchange.client, exchange.request, gap) {
            // An end may be the end of the body: whoever reads on finds out.
            Came::Word | Came::End => {}
            Came::Broken(why) => return Err(Trouble::partly(why)),
            Came::Silence => return Err(Trouble::partly(format!("it was silent {}", Phase::Body))),
            Came::ClientGone => return Err(Trouble::Client("it is gone".to_owned())),
        }
    }
    runner.link.body().until(gap).read_some(into).map_err(lost)
}

/// The head of the answer, as the client gets it.
fn begin(exchange: &mut Exchange<'_>, runner: &Runner, answer: &Answer, known: Option<u64>) -> Vec<u8> {
    let mut headers = fields::to_client(answer, exchange.arrival.id);
    if let Some(name) = &exchange.http.flags.http_sticky {
        sticky::set(&mut headers, exchange.request, name, runner.lease.server());
    }
    let keep = exchange.may_keep();
    exchange.download.begin((exchange.request, answer), &headers, known, keep)
}

fn server_is_done(exchange: &Exchange<'_>, runner: Runner, answer: &Answer, bytes: u64) {
    let (request, server) = (exchange.arrival.id, runner.lease.server());
    server.statistics.bytes.add(bytes);
    exchange.http.events.step(|| Event::AnswerTaken { request, server: server.id.clone(), bytes });
    runner.done(answer.keep_alive);
}
