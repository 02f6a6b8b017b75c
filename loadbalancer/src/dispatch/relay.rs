//! The plain path: one request over one connection to one server, and its answer back.
//!
//! Send the request under a *tag* of our own · wait for the first frame of the answer, with an eye on the client ·
//! pass frame after frame on, until the one that ends the answer. That is all of it; how frames are held and passed
//! is in [`passage`](super::passage), what happens when an attempt fails is decided in the loop above
//! ([`serve`](super::serve)).
//!
//! Why the tag: the answer must carry a name that only this attempt has. Clients' ids may collide, and an attempt
//! that was given up may still be answered. A frame with any other name is dropped and reported, never delivered.

use super::{
    Context,
    passage::{Broken, Passage, Stopped},
    request::Request,
    retry::Lost,
    watch::{First, first_frame},
};
use crate::{policy::Ended, pool::Lease};
use protocol::{
    deadline::Deadline,
    frame::{Kind, Prefix},
    limits::ATTEMPT_GRACE,
    message::{ErrorCode, Failure},
    wire::{Connection, WireError, from_header},
};

/// How an attempt ended.
#[derive(Debug)]
pub enum Attempt {
    /// The client has the whole answer of this many bytes.
    Answered(u64),
    /// The server would not: it is full or ending.
    Refused(Failure),
    /// The server took too long and has confirmed that it stopped.
    TooSlow,
    /// The server is lost, hangs, or sent what is no answer.
    Lost(Lost, String),
    /// The client took the request back; `surely`: and the server had not carried it out.
    Cancelled {
        /// Whether the server has confirmed that it stopped before it was done.
        surely: bool,
    },
    /// The client is gone or does not read. The server has been told.
    ClientLost(WireError),
}

/// One attempt: the request goes to the server of this lease, its answer to the client.
pub fn relay(context: &Context, lease: Lease, request: &Request, client: &mut Connection) -> Attempt {
    let tag = context.tags.next();
    let mut link = match lease.server().connection(context.connect_timeout) {
        Ok(link) => link,
        Err(error) => return Attempt::Lost(Lost::BeforeSent, error.to_string()),
    };
    if let Err(error) = link.send(&request.prefix.with_id(tag), &request.header, &request.body) {
        return Attempt::Lost(Lost::BeforeSent, error.to_string());
    }
    let deadline = Deadline::after(lease.server().processing_time + ATTEMPT_GRACE).min(request.deadline);
    let mut header = Vec::new();
    let first = first_frame(&mut link, client, &mut header, request.prefix.id, tag, deadline);
    let passage = Passage::new(context, request, lease, link, tag, client);
    match first {
        First::Frame(prefix) => pass_on(passage, prefix, header),
        First::Lost(error) => Attempt::Lost(Lost::Unanswered, error.to_string()),
        First::Withdrawn => Attempt::Cancelled { surely: passage.cancel() == Stopped::Surely },
        First::Silence => match passage.cancel() {
            Stopped::Surely => Attempt::TooSlow,
            Stopped::AfterAll => Attempt::Lost(Lost::Unanswered, "its answer came too late".into()),
            Stopped::Unconfirmed => {
                Attempt::Lost(Lost::Unanswered, "it neither answered in time nor confirmed that it stopped".into())
            }
        },
    }
}

/// Passes the answer on that begins with this frame.
fn pass_on(mut passage: Passage<'_>, mut prefix: Prefix, mut header: Vec<u8>) -> Attempt {
    if let Some(refusal) = refusal(&passage, &prefix, &header) {
        passage.server_is_done(Ended::Failed);
        return Attempt::Refused(refusal);
    }
    passage.begun();
    loop {
        let passed = passage.pass_frame(&prefix, &header);
        if passed.is_ok() && prefix.kind.ends_an_answer() {
            return match passage.complete() {
                Ok(bytes) => Attempt::Answered(bytes),
                Err(error) => Attempt::ClientLost(error),
            };
        }
        match passed.and_then(|()| passage.next_frame(&mut header)) {
            Ok(next) => prefix = next,
            Err(Broken::Server(error)) if passage.client_got_nothing() => {
                return Attempt::Lost(Lost::Unanswered, error.to_string());
            }
            Err(Broken::Server(error)) => return Attempt::Lost(Lost::Partly, error.to_string()),
            Err(Broken::Withdrawn) => return Attempt::Cancelled { surely: passage.cancel() == Stopped::Surely },
            Err(Broken::Client(error)) => {
                passage.cancel();
                return Attempt::ClientLost(error);
            }
        }
    }
}

/// The server's own "not now", which another server need not share.
fn refusal(passage: &Passage<'_>, prefix: &Prefix, header: &[u8]) -> Option<Failure> {
    if prefix.kind != Kind::Error {
        return None;
    }
    let failure: Failure = from_header(passage.server_address(), prefix, header).ok()?;
    matches!(failure.code, ErrorCode::Busy | ErrorCode::Draining).then_some(failure)
}
