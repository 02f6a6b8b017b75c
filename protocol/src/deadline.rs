//! Waiting, but not for ever.
//!
//! **The problem.** A blocking `read` waits for ever, and a read timeout of five seconds is no protection either:
//! a peer that sends one byte every four seconds holds the thread as long as it likes.
//!
//! **The idea.** A *deadline* is a point in time, set once for a whole phase (a header, a block of a body). Every
//! read and write of that phase gets what is left of it, and when nothing is left the error names the phase.
//!
//! **The cost.** A socket's timeout is set by a system call. Setting it anew before every read would double the
//! calls per request, so the wire layer rounds what is left *down* to a power of two of milliseconds
//! ([`Deadline::slice`]): the same value nearly every time, which then needs no call. When such a slice passes with
//! time left, the wait simply goes on with the next, smaller one; 60 s are over after at most 17 slices.
//!
//! Source: phases and named timeouts as in HAProxy (`timeout http-request`) and ureq's timings.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// A point in time after which waiting is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The deadline that lies this far ahead.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        let now = Instant::now();
        // A century is as good as never; the sum of an instant and `Duration::MAX` would overflow.
        let at = now.checked_add(duration).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400));
        Self { at }
    }

    /// The deadline at this instant.
    #[must_use]
    pub fn at(at: Instant) -> Self {
        Self { at }
    }

    /// The instant itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.at
    }

    /// What is left; zero when it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The next stretch to wait: what is left, rounded down to a power of two of milliseconds (at least 1 ms, at
    /// most about 70 minutes). `None` when the deadline has passed.
    #[must_use]
    pub fn slice(self) -> Option<Duration> {
        let left = self.remaining();
        if left.is_zero() {
            return None;
        }
        let ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).clamp(1, 1 << 22);
        Some(Duration::from_millis(u64::from(1_u32 << ms.ilog2())))
    }
}

/// What was being waited for when a deadline passed or a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// For the connection.
    Connect,
    /// For a next request on a kept connection.
    Idle,
    /// For the rest of a frame's prefix or header.
    Header,
    /// For the rest of the head of an HTTP message.
    Head,
    /// For the first byte of an answer.
    Answer,
    /// For the next block of a body.
    Body,
    /// For the peer to take what is sent to it.
    Send,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Idle => "waiting for a request",
            Self::Header => "reading a frame's prefix and header",
            Self::Head => "reading the head of a message",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading a body",
            Self::Send => "sending",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_never_exceeds_what_is_left_and_repeats_itself() {
        let deadline = Deadline::after(Duration::from_secs(60));
        let slice = deadline.slice().unwrap();
        assert_eq!(slice, Duration::from_millis(32_768));
        assert_eq!(Deadline::after(Duration::from_secs(59)).slice(), Some(slice));
        assert_eq!(Deadline::after(Duration::ZERO).slice(), None);
        assert_eq!(Deadline::after(Duration::MAX).slice(), Some(Duration::from_millis(1 << 22)));
    }
}
