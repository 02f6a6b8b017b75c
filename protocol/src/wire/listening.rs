//! Sending a large body without growing deaf.
//!
//! **The problem.** A server may answer before it has read the whole request: the body is too large, the password is
//! wrong. If it then stops reading, the sender's buffers fill up, the sender waits for room, the server waits for its
//! answer to be read, and both wait until a deadline.
//!
//! **The idea.** Never block in a write. What the system takes at once is sent; when it takes no more, the sender waits for
//! room *or* for a word of the peer, whichever comes first.

use super::{Connection, WireError};

impl Connection {
    /// Sends these bytes as long as the peer says nothing. Returns how many were sent: fewer than all if it has something
    /// to say, or has ended its side.
    #[cfg(unix)]
    pub(crate) fn send_listening(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        use super::{Pending, pace::Pace};
        use crate::{deadline::Phase, limits::BLOCK_TIME};
        use rustix::{
            io::Errno,
            net::{SendFlags, send},
        };
        let mut pace = Pace::begin(BLOCK_TIME);
        let mut sent = 0;
        while sent < bytes.len() && self.pending() == Pending::Nothing {
            match send(&*self.stream, &bytes[sent..], SendFlags::DONTWAIT) {
                Ok(n) => {
                    sent += n;
                    pace.passed(n);
                }
                Err(Errno::AGAIN) => self.wait_for_room_or_word(pace.deadline())?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(WireError::broken(self.peer, Phase::Send, error.into())),
            }
        }
        Ok(sent)
    }

    /// Waits until something can be sent, or received.
    #[cfg(unix)]
    fn wait_for_room_or_word(&self, deadline: crate::deadline::Deadline) -> Result<(), WireError> {
        use crate::deadline::Phase;
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if deadline.has_passed() {
            return Err(WireError::Timeout { peer: self.peer, phase: Phase::Send });
        }
        let timeout = Timespec::try_from(deadline.remaining()).ok();
        let mut watched = [PollFd::new(&*self.stream, PollFlags::IN | PollFlags::OUT)];
        match poll(&mut watched, timeout.as_ref()) {
            // Whoever waits looks again, and finds the deadline if it has passed.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(WireError::broken(self.peer, Phase::Send, error.into())),
        }
    }

    /// Sends these bytes. Where nothing can be sent without waiting, the peer is not listened to meanwhile.
    #[cfg(not(unix))]
    pub(crate) fn send_listening(&mut self, bytes: &[u8]) -> Result<usize, WireError> {
        self.send_raw(bytes).map(|()| bytes.len())
    }
}
