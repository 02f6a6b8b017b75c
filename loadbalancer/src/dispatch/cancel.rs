//! Telling a server to stop, and waiting for its last word.
//!
//! A server that is told to stop says how far it had come. Only then is its place free: a lease ends when the answer has
//! come, the cancellation is confirmed, or the server is known dead, never because somebody lost patience.

use super::runner::Runner;
use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    message::{ErrorCode, Failure},
    wire::{WireError, from_header},
};
use std::time::Duration;

/// How long a server may take to confirm that it has stopped working on a request.
pub(crate) const CANCEL_TIME: Duration = Duration::from_secs(1);

/// What a server said when it was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It stopped, and the request surely was not carried out.
    Surely,
    /// It was done before it heard: its place is free, the request was carried out.
    AfterAll,
    /// Nothing, in time: it gets no further request until it has been asked.
    Unconfirmed,
}

/// Tells the server to stop and waits a moment for its last word. `unread` bytes of a frame are still on the way.
pub fn stop_work(runner: &mut Runner, unread: usize) -> Stopped {
    let deadline = Deadline::after(CANCEL_TIME);
    if tell(runner).is_err() {
        return Stopped::Unconfirmed;
    }
    last_word(runner, unread, deadline).unwrap_or(Stopped::Unconfirmed)
}

/// Tells the server to stop.
///
/// # Errors
/// If the connection to it failed.
pub fn tell(runner: &mut Runner) -> Result<(), WireError> {
    runner.link.send(&Prefix::new(Kind::Cancel, runner.tag, 0, 0), &[], &[])
}

/// Waits until the deadline for the last word of a server that was told to stop.
pub fn confirmed(runner: &mut Runner, deadline: Deadline) -> Stopped {
    last_word(runner, 0, deadline).unwrap_or(Stopped::Unconfirmed)
}

fn last_word(runner: &mut Runner, mut unread: usize, deadline: Deadline) -> Option<Stopped> {
    let (link, tag) = (&mut runner.link, runner.tag);
    let mut header = Vec::new();
    // A server that goes on and on has not confirmed anything.
    while !deadline.has_passed() {
        link.skip_until(std::mem::take(&mut unread), deadline).ok()?;
        let prefix = link.next(&mut header, Phase::Answer, Some(deadline), CANCEL_TIME).ok()??;
        link.skip_until(prefix.body_len as usize, deadline).ok()?;
        if prefix.id == tag && prefix.kind.ends_an_answer() {
            let failure: Option<Failure> = from_header(link.peer(), &prefix, &header).ok();
            let surely = failure.is_some_and(|said| said.code == ErrorCode::Cancelled && said.definite);
            return Some(if surely { Stopped::Surely } else { Stopped::AfterAll });
        }
    }
    None
}
