//! The life of a request: take a server · relay · give it back; if the server was lost, decide whether another one
//! may have the request.
//!
//! [`request`] reads it, [`mod@relay`] is one attempt, [`answer`] knows what a server may say, [`passage`] carries it,
//! [`watch`] waits with an eye on the client, [`retry`] has the rules. The loop over the attempts is here. Policies
//! are below (they see only candidates), frontends above (they know how a client speaks).

pub mod request;
pub mod relay;
pub mod answer;
pub mod passage;
pub mod watch;
pub mod retry;

use self::{
    relay::{Attempt, relay},
    request::{Request, What},
    retry::{Lost, MAX_ATTEMPTS, may_retry},
};
use crate::{
    event::{Event, Events, micros},
    policy::{Ended, ServerKey},
    pool::{Found, Pool, Refused, Taking},
};
use protocol::{
    deadline::Deadline,
    frame::Kind,
    id::IdSource,
    message::{ErrorCode, Failure},
    wire::{Connection, WireError},
};
use std::{sync::Arc, time::Duration};

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
    match attempts(context, request, client) {
        Outcome::Answered { server, bytes, complete } => {
            if request.what == What::File && complete {
                events.emit(|| Event::FileSent { request: id, server: server.clone(), bytes });
            }
            events.emit(|| Event::ResponseSent { request: id, server, took_us: took() });
            Ok(())
        }
        Outcome::Failed(failure) => {
            let Failure { code, definite, .. } = failure;
            events.emit(|| Event::RequestFailed { request: id, code, definite, message: failure.message.clone() });
            client.send_message(Kind::Error, id, &failure)
        }
        Outcome::Cancelled { server, surely } => {
            events.emit(|| Event::RequestCancelled { request: id, server });
            let definite = surely || request.what != What::Query;
            let failure = Failure::definite(ErrorCode::Cancelled, "The request was taken back.");
            client.send_message(Kind::Error, id, &Failure { definite, ..failure })
        }
        Outcome::ClientLost(error) => Err(error),
    }
}

/// Tries servers until one has answered, or the rules or the deadline say that it is over.
fn attempts(context: &Context, request: &Request, client: &mut Connection) -> Outcome {
    let mut tried: Vec<ServerKey> = Vec::new();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let found = match take(context, request, &tried, attempt, client) {
            Ok(found) => found,
            Err(Refused::Withdrawn) => return Outcome::Cancelled { server: None, surely: true },
            Err(refused) => return Outcome::Failed(Failure { attempts: attempt - 1, ..refused.failure() }),
        };
        let server = Arc::clone(found.lease.server());
        let ended = relay(context, found.lease, request, client);
        let id = server.id.clone();
        let (failure, again) = match ended {
            Attempt::Answered { bytes, complete } => return Outcome::Answered { server: id, bytes, complete },
            Attempt::Cancelled { surely } => return Outcome::Cancelled { server: Some(id), surely },
            Attempt::ClientLost(error) => return Outcome::ClientLost(error),
            Attempt::Refused(failure) => (failure, true),
            Attempt::TooSlow => too_slow(request),
            Attempt::Lost(lost, why) => lost_server(request, lost, &why),
        };
        let again = again && attempt < MAX_ATTEMPTS && !request.deadline.has_passed();
        let (message, request_id) = (failure.message.clone(), request.prefix.id);
        context.events.emit(|| Event::AttemptFailed { request: request_id, server: id.clone(), why: message, again });
        if !again {
            return Outcome::Failed(Failure { attempts: attempt, server: Some(id), ..failure });
        }
        tried.push(server.key);
    }
}

/// Takes a server, waiting for one with an eye on the client, and tells why this one.
fn take(
    context: &Context,
    request: &Request,
    tried: &[ServerKey],
    attempt: u32,
    client: &mut Connection,
) -> Result<Found, Refused> {
    let id = request.prefix.id;
    let found = match context.pool.take(tried)? {
        Taking::Server(found) => found,
        Taking::Turn(turn) => {
            context.events.emit(|| Event::RequestWaits { request: id, ahead: turn.ahead() });
            let deadline = Deadline::after(context.queue_timeout).min(request.deadline);
            let found = turn.wait(deadline, || !watch::withdrawn(client, id))?;
            if watch::withdrawn(client, id) {
                found.lease.finish(Ended::Cancelled);
                return Err(Refused::Withdrawn);
            }
            found
        }
    };
    context.events.emit(|| {
        let (considered, skipped) = context.pool.evidence(&found.decision);
        let (server, waited_us) = (found.lease.server().id.clone(), micros(found.waited));
        Event::ServerChosen { request: id, attempt, server, considered, skipped, waited_us }
    });
    Ok(found)
}

/// The server did not answer in time and has stopped. Another may be faster with a file; a statement that is too
/// slow here is too slow elsewhere.
fn too_slow(request: &Request) -> (Failure, bool) {
    let message = "The server gave no answer within its time and was stopped.";
    let failure = Failure::definite(ErrorCode::Timeout, message);
    (failure, request.what != What::Query)
}

fn lost_server(request: &Request, lost: Lost, why: &str) -> (Failure, bool) {
    let read_only = request.prefix.read_only();
    (retry::failure(request.what, read_only, lost, why), may_retry(request.what, read_only, lost))
}
