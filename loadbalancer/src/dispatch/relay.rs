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
    cancel::Stopped,
    passage::{Broken, Passage},
    race::{Race, may_be_copied},
    request::Request,
    retry::Lost,
    runner::Runner,
    story::Story,
};
use crate::{policy::Ended, pool::Lease};
use protocol::{
    frame::Prefix,
    message::{ErrorCode, Failure},
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
    /// The server would not, and another one may: it is full, ending, or cannot go on with this file.
    Refused(Failure),
    /// The server has failed a request that an earlier server may have carried out.
    Failed(Failure),
    /// The server took too long and has confirmed that it stopped.
    TooSlow,
    /// The server is lost, hangs, or sent what is no answer.
    Lost(Lost, String),
    /// It was to be at several servers at once, and would write: it must go to one alone.
    Writes,
    /// The client took the request back; `surely`: and the server had not carried it out.
    Cancelled {
        /// Whether the server has confirmed that it stopped before it was done.
        surely: bool,
    },
    /// The client is gone or does not read. The server has been told.
    ClientLost(WireError),
}

/// One attempt: the request goes to the server of this lease, and perhaps as copies to others; the answer goes to the
/// client.
pub fn relay(
    context: &Context,
    lease: Lease,
    request: &Request,
    story: &mut Story,
    client: &mut Connection,
) -> Attempt {
    let copied = may_be_copied(story);
    let at_once = if copied { context.copies.at_once() } else { 1 };
    let marked = at_once > 1;
    story.turn_to(lease.server(), marked);
    let runner = match Runner::start(context, lease, request, story, marked, context.connect_timeout) {
        Ok(runner) => runner,
        Err((lost, why)) => return Attempt::Lost(lost, why),
    };
    if copied && context.copies.wanted() {
        let mut race = Race::new(context, request, runner);
        race.fill(at_once, story);
        return race.run(story, client);
    }
    let deadline = runner.deadline;
    let mut passage = Passage::new(context, request, story, runner, client);
    let mut header = Vec::new();
    match passage.next_frame(&mut header, deadline) {
        Ok(prefix) => pass_on(passage, request, prefix, header),
        Err(Broken::Silence) => too_late(passage),
        Err(broken) => broken_off(passage, broken),
    }
}

/// Passes the answer on that begins with this frame.
pub(super) fn pass_on(mut passage: Passage<'_>, request: &Request, mut prefix: Prefix, mut header: Vec<u8>) -> Attempt {
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
            if let Said::Failed(failure) = &said
                && passage.follows_another()
            {
                return failed_after_another(passage, failure.clone());
            }
            passage.begun();
            first = false;
        }
        if said != Said::Part && passage.owes() {
            return match said {
                Said::Failed(failure) => {
                    passage.server_is_done(Ended::Answered);
                    Attempt::Refused(failure)
                }
                _ => broken_off(passage, Broken::Server("its answer ended in the middle of a chunk".to_owned())),
            };
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

/// The server has failed what another server began. It cannot go on with a file: perhaps a third one can. What it
/// says of a statement is the end, but must be read in the light of what the other one may have done.
fn failed_after_another(passage: Passage<'_>, failure: Failure) -> Attempt {
    let resumed = passage.resumes();
    passage.server_is_done(Ended::Answered);
    if resumed { Attempt::Refused(failure) } else { Attempt::Failed(failure) }
}

/// The server has not begun in time: it is told to stop.
pub(super) fn too_late(passage: Passage<'_>) -> Attempt {
    let why = match passage.cancel() {
        Stopped::Surely => return Attempt::TooSlow,
        Stopped::AfterAll => "its answer came too late",
        Stopped::Unconfirmed => "it neither answered in time nor confirmed that it stopped",
    };
    Attempt::Lost(Lost::Unanswered, why.to_owned())
}

/// The answer does not come to its end.
pub(super) fn broken_off(mut passage: Passage<'_>, broken: Broken) -> Attempt {
    let mut lost = |why| match passage.save_what_is_whole() {
        Ok(true) => Attempt::Lost(Lost::Partly, why),
        Ok(false) => Attempt::Lost(Lost::Unanswered, why),
        Err(error) => Attempt::ClientLost(error),
    };
    match broken {
        Broken::Server(why) => lost(why),
        Broken::Silence => lost("it stopped in the middle of its answer".to_owned()),
        Broken::Differs => {
            passage.cancel();
            let message = "Another server has a different file of this name: what has come so far is void.";
            Attempt::Refused(Failure::definite(ErrorCode::Damaged, message))
        }
        Broken::Withdrawn => Attempt::Cancelled { surely: passage.cancel() == Stopped::Surely },
        Broken::Client(error) => {
            passage.cancel();
            Attempt::ClientLost(error)
        }
    }
}
