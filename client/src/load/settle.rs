//! After an unknown outcome: asking again, under the same id, until it is known.
//!
//! What counts as known is decided in [`crate::error`]: an answer, or a failure that is recorded as the outcome. That
//! nobody can be reached, or that a server is busy, settles nothing; that the record is gone ends the asking.

use super::caller::Caller;
use crate::request::Request;
use protocol::{id::RequestId, message::ErrorCode, stop::Stop};
use std::time::{Duration, Instant};

/// First pause between two questions.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What asking again has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, or is now.
    Done,
    /// It surely was not and will not be.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// Asks for this long at most. Also says how often.
pub fn settle(caller: &mut Caller, id: RequestId, request: &Request, limit: Duration, stop: &Stop) -> (Outcome, u64) {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut asked = 0;
    loop {
        if stop.is_set() || begun.elapsed() >= limit {
            return (Outcome::Unknown, asked);
        }
        asked += 1;
        match caller.ask_again(id, request) {
            Ok(()) => return (Outcome::Done, asked),
            Err(failed) if failed.is_definite() => return (Outcome::Failed, asked),
            Err(failed) if failed.to_failure().code == ErrorCode::Expired => return (Outcome::Unknown, asked),
            Err(_) => {}
        }
        let left = limit.saturating_sub(begun.elapsed());
        if stop.wait_timeout(pause.min(left)) {
            return (Outcome::Unknown, asked);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
