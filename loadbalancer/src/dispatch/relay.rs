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
    answer::{Said, understand},
    passage::{Broken, Passage, Stopped},
    request::Request,
    retry::Lost,
};
use crate::pool::Lease;
use protocol::{
    deadline::Deadline,
    frame::Prefix,
    limits::ATTEMPT_GRACE,
    message::Failure,
    wire::{Connection, WireError},
};

/// How an attempt ended.
#[derive(Debug)]
pub enum Attempt {
    /// The client has the server's whole answer.
    Answered {
        /// Its length.
        bytes: u64,
        /// Whether it is what was asked for, and not an error.
        complete: bool,
    },
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
    let mut passage = Passage::new(context, request, lease, link, tag, client);
    let mut header = Vec::new();
    match passage.next_frame(&mut header, deadline) {
        Ok(prefix) => pass_on(passage, request, prefix, header),
        Err(Broken::Silence) => too_late(passage),
        Err(broken) => broken_off(passage, broken),
    }
}

/// Passes the answer on that begins with this frame.
fn pass_on(mut passage: Passage<'_>, request: &Request, mut prefix: Prefix, mut header: Vec<u8>) -> Attempt {
    let mut first = true;
    loop {
        let said = match understand(request.what, first, &prefix, &header) {
            Ok(said) => said,
            Err(why) => return broken_off(passage, Broken::Server(why)),
        };
        if first {
            if let Some(failure) = said.not_now() {
                passage.refused();
                return Attempt::Refused(failure.clone());
            }
            passage.begun();
            first = false;
        }
        if let Err(broken) = passage.pass_frame(&prefix, &header) {
            return broken_off(passage, broken);
        }
        if said != Said::Part {
            let complete = said == Said::Complete;
            return passage.complete().map_or_else(Attempt::ClientLost, |bytes| Attempt::Answered { bytes, complete });
        }
        match passage.following_frame(&mut header) {
            Ok(next) => prefix = next,
            Err(broken) => return broken_off(passage, broken),
        }
    }
}

/// The server has not begun in time: it is told to stop.
fn too_late(passage: Passage<'_>) -> Attempt {
    let why = match passage.cancel() {
        Stopped::Surely => return Attempt::TooSlow,
        Stopped::AfterAll => "its answer came too late",
        Stopped::Unconfirmed => "it neither answered in time nor confirmed that it stopped",
    };
    Attempt::Lost(Lost::Unanswered, why.to_owned())
}

/// The answer does not come to its end.
fn broken_off(passage: Passage<'_>, broken: Broken) -> Attempt {
    let lost = if passage.client_got_nothing() { Lost::Unanswered } else { Lost::Partly };
    match broken {
        Broken::Server(why) => Attempt::Lost(lost, why),
        Broken::Silence => Attempt::Lost(lost, "it stopped in the middle of its answer".to_owned()),
        Broken::Withdrawn => Attempt::Cancelled { surely: passage.cancel() == Stopped::Surely },
        Broken::Client(error) => {
            passage.cancel();
            Attempt::ClientLost(error)
        }
    }
}
