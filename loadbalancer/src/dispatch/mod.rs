//! The life of a request: take a server · relay · give it back; if the server was lost, decide whether another one
//! may have the request.
//!
//! [`request`] reads it, [`mod@relay`] is one attempt, [`answer`] knows what a server may say, [`passage`] carries it,
//! [`watch`] waits with an eye on the client, [`retry`] has the rules, [`transfer`] goes on with a file, [`budget`]
//! keeps retries from becoming a storm. A request may be at several servers at once: [`copies`] says when, [`race`] runs
//! them, [`losers`] sees to those that were not first. The loop over the attempts is here; what it remembers is the [`story`].
//! Policies are below (they see only candidates), frontends above (they know how a client speaks).

pub mod request;
pub mod key;
pub mod runner;
pub mod relay;
pub mod answer;
pub mod passage;
pub mod watch;
pub mod cancel;
pub mod copies;
pub mod race;
pub mod losers;
pub mod retry;
pub mod story;
pub mod transfer;
pub mod budget;

use self::{
    budget::Budget,
    copies::Copies,
    key::HashKey,
    losers::Losers,
    relay::{Attempt, relay},
    request::{Request, What},
    retry::{Lost, MAX_ATTEMPTS},
    story::Story,
};
use crate::{
    event::{Event, Events, micros},
    policy::Ended,
    pool::{Decision, Found, Pool, Refused, Server, Taking},
};
use protocol::{
    deadline::Deadline,
    frame::Kind,
    id::{IdSource, RequestId},
    limits::RELAY_BLOCK,
    message::{ErrorCode, Failure},
    wire::{Connection, Pending, WireError},
};
use std::{sync::Arc, time::Duration};

/// How long a request pauses before the same server is tried again because there is no other.
pub(crate) const LEAST_PAUSE: Duration = Duration::from_millis(20);
/// The longest such pause, whatever the server says about when to come again.
const MOST_PAUSE: Duration = Duration::from_millis(500);

/// What every request needs.
#[derive(Debug)]
pub struct Context {
    /// Where servers are taken from.
    pub pool: Arc<Pool>,
    /// Where what happens is told.
    pub events: Events,
    /// The tags of the attempts.
    pub tags: IdSource,
    /// How long a server may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long a request may wait for a server.
    pub queue_timeout: Duration,
    /// How much trying again is allowed.
    pub budget: Budget,
    /// When copies of a request are sent.
    pub copies: Copies,
    /// Where those go whose copy was not the first.
    pub losers: Losers,
    /// What policies that hash send to the same server.
    pub hash_key: HashKey,
}

/// What became of a request, before the client was told.
enum Outcome {
    Answered { server: String, bytes: u64, complete: bool },
    Failed(Failure),
    Cancelled { server: Option<String>, surely: bool },
    ClientLost(WireError),
}

/// Answers a request: with a server's answer, or with a failure that says what happened.
///
/// # Errors
/// If the client cannot be answered any more. Then its connection must end.
pub fn serve(context: &Context, request: &Request, client: &mut Connection) -> Result<(), WireError> {
    let id = request.prefix.id;
    let (events, took) = (&context.events, || micros(request.since.elapsed()));
    let totals = context.pool.totals();
    let _in_hand = totals.in_hand.enter();
    totals.bytes_in.add((request.header.len() + request.body.len()) as u64);
    let mut story = Story::new(request, context.hash_key);
    match attempts(context, request, &mut story, client) {
        Outcome::Answered { server, bytes, complete } => {
            totals.answered.add_one();
            totals.bytes_out.add(bytes);
            totals.times.add(request.since.elapsed());
            if let Some(file) = request.file.as_ref().filter(|_| request.what == What::File && complete) {
                let bytes = story.transfer.resume_at().0.saturating_sub(file.offset);
                events.step(|| Event::FileSent { request: id, server: server.clone(), bytes });
            }
            events.step(|| Event::ResponseSent { request: id, server, took_us: took(), complete });
            Ok(())
        }
        Outcome::Failed(failure) => {
            let Failure { code, definite, .. } = failure;
            if definite { &totals.failed } else { &totals.in_doubt }.add_one();
            events.emit(|| Event::RequestFailed { request: id, code, definite, message: failure.message.clone() });
            fill_up(&story, client)?;
            client.send_message(Kind::Error, id, &failure)
        }
        Outcome::Cancelled { server, surely } => {
            totals.cancelled.add_one();
            events.step(|| Event::RequestCancelled { request: id, server });
            let definite = (surely && !story.doubt) || request.what != What::Query;
            let failure = Failure::definite(ErrorCode::Cancelled, "The request was taken back.");
            fill_up(&story, client)?;
            client.send_message(Kind::Error, id, &Failure { definite, ..failure })
        }
        Outcome::ClientLost(error) => {
            totals.cancelled.add_one();
            events.step(|| Event::RequestAbandoned { request: id, why: error.to_string() });
            Err(error)
        }
    }
}

/// A frame once begun must be completed, or the client could not be told anything more: zeros fill it up, and the
/// error that follows makes it void.
fn fill_up(story: &Story, client: &mut Connection) -> Result<(), WireError> {
    let mut owed = story.transfer.owed();
    let zeros = vec![0; owed.min(RELAY_BLOCK)];
    while owed > 0 {
        let part = owed.min(zeros.len());
        client.send_raw(&zeros[..part])?;
        owed -= part;
    }
    Ok(())
}

/// Tries servers until one has answered, or the rules or the deadline say that it is over.
fn attempts(context: &Context, request: &Request, story: &mut Story, client: &mut Connection) -> Outcome {
    let mut account = context.budget.open();
    let mut before: Option<Arc<Server>> = None;
    loop {
        let found = match take(context, request, story, client) {
            Ok(found) => found,
            Err(Refused::Withdrawn) => return Outcome::Cancelled { server: None, surely: true },
            Err(refused) => return Outcome::Failed(story.ended(refused.failure(), None)),
        };
        let server = Arc::clone(found.lease.server());
        if let Some(before) = &before {
            context.pool.count_again(before, &server);
        }
        let ended = relay(context, found.lease, request, story, client);
        // Of several that had the request, another one may have answered it, or lost it last.
        let server = story.server.clone().unwrap_or(server);
        let id = server.id.clone();
        let loss = if let Attempt::Lost(lost, why) = &ended { Some((*lost, why.clone())) } else { None };
        let (failure, again) = match ended {
            Attempt::Answered { bytes, complete } => return Outcome::Answered { server: id, bytes, complete },
            Attempt::Cancelled { surely } => return Outcome::Cancelled { server: Some(id), surely },
            Attempt::ClientLost(error) => return Outcome::ClientLost(error),
            Attempt::Writes => match story.unrepeatable.clone() {
                Some(failure) => (failure, false),
                None => {
                    story.alone = true;
                    continue;
                }
            },
            Attempt::Refused(failure) => (failure, true),
            Attempt::Failed(failure) => (failure, false),
            Attempt::TooSlow => story.too_slow(request),
            Attempt::Lost(lost, why) => story.lost(request, &server, lost, &why),
        };
        let in_time = story.rounds < MAX_ATTEMPTS && !story.deadline.has_passed();
        let again = again && story.unrepeatable.is_none() && in_time;
        // A server that accepted no connection was given nothing to do: trying the next one adds no load to any.
        let nothing_sent = matches!(loss, Some((Lost::BeforeSent, _)));
        let again = again && (nothing_sent || account.may_retry());
        let request_id = request.prefix.id;
        context.events.emit(|| {
            let (lost, why) = loss.map_or_else(|| (None, failure.message.clone()), |(lost, why)| (Some(lost), why));
            Event::AttemptFailed { request: request_id, server: id, why, again, lost }
        });
        if !again {
            return Outcome::Failed(story.ended(failure, Some(&server)));
        }
        if story.wanted.avoid.contains(&server.key) {
            pause(&failure, client);
        }
        story.avoid(server.key);
        before = Some(server);
    }
}

/// No other server is up: the same one is asked again, but not at once.
fn pause(failure: &Failure, client: &Connection) {
    let asked_for = failure.retry_after_ms.map_or(LEAST_PAUSE, Duration::from_millis);
    let until = Deadline::after(asked_for.clamp(LEAST_PAUSE, MOST_PAUSE));
    // A client that goes ends the pause; one that has sent its next request already cannot be watched.
    if client.wait_readable(until).is_ok_and(|spoke| spoke) && client.pending() == Pending::Bytes {
        std::thread::park_timeout(until.remaining());
    }
}

/// Takes a server, waiting for one with an eye on the client, and tells why this one.
fn take(context: &Context, request: &Request, story: &mut Story, client: &mut Connection) -> Result<Found, Refused> {
    let id = request.prefix.id;
    let found = match context.pool.take(&story.wanted)? {
        Taking::Server(found) => found,
        Taking::Turn(turn) => {
            context.events.step(|| Event::RequestWaits { request: id, ahead: turn.ahead() });
            let deadline = Deadline::after(context.queue_timeout).min(story.deadline);
            let found = turn.wait(deadline, || !watch::withdrawn(client, id))?;
            if watch::withdrawn(client, id) {
                found.lease.finish(Ended::Cancelled);
                return Err(Refused::Withdrawn);
            }
            found
        }
    };
    story.rounds += 1;
    story.attempts += 1;
    let attempt = story.attempts;
    tell_choice(&context.pool, &context.events, id, attempt, &found, false);
    Ok(found)
}

/// Tells who was chosen, and why; `copy`: beside one that has the request already.
pub(crate) fn tell_choice(pool: &Pool, events: &Events, request: RequestId, attempt: u32, found: &Found, copy: bool) {
    let choice = (&**found.lease.server(), &found.decision);
    events.step(|| chosen(pool, request, (attempt, copy), choice, found.waited));
}

/// That this server was chosen, and why.
pub(crate) fn chosen(
    pool: &Pool,
    request: RequestId,
    (attempt, copy): (u32, bool),
    (server, decision): (&Server, &Decision),
    waited: Duration,
) -> Event {
    let (considered, skipped) = pool.evidence(decision);
    Event::ServerChosen {
        request,
        attempt,
        server: server.id.clone(),
        policy: decision.policy,
        how: decision.how,
        considered,
        skipped,
        waited_us: micros(waited),
        lock_wait_us: micros(decision.lock_wait),
        copy,
        shard: None,
    }
}
