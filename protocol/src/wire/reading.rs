//! One read of a socket, that waits no longer than it may, and does not fall asleep for what comes soon.
//!
//! **The problem.** A thread that blocks in a read is put to sleep, and whoever sends it something must wake it. On a busy
//! machine these switches cost as much as the message itself.
//!
//! **The idea.** Look without waiting. If nothing is there, give the core away (`sched_yield`): whoever is waited for runs
//! meanwhile, and at our next turn the bytes have come. Only behind a few such looks block, for a slice of the deadline at a
//! time. What was there at the first look costs no other call, not even one that sets the socket's timeout.
//!
//! **When it is wrong.** Where the peer takes long the looks are in vain: two of them and two yields, a fraction of a microsecond each. To go
//! on looking would take the core from those who have something to do.

use super::{Connection, WireError};
use crate::deadline::{Deadline, Phase};
use std::{io, io::Read as _, net::TcpStream, time::Duration};

/// How often is looked before a read blocks. On two busy cores, HTTP over 64 kept connections in three rounds in turn, 0 to 3
/// looks gave 13,900, 19,200, 19,700 and 21,400 answers a second, where less than a fifth is noise.
const LOOKS: u32 = if cfg!(unix) { 2 } else { 0 };

/// Where bytes are read to.
pub(super) enum Target<'a> {
    /// The connection's buffer, behind what it holds.
    Buffer,
    /// Past the buffer, which is empty.
    Slice(&'a mut [u8]),
}

impl Connection {
    /// One read, begun again when a slice of the deadline has passed or a signal came. Returns 0 when the peer has ended.
    pub(super) fn read_socket(
        &mut self,
        mut target: Target<'_>,
        phase: Phase,
        deadline: Option<Deadline>,
    ) -> Result<usize, WireError> {
        let mut looks = 0;
        loop {
            let waits = looks >= LOOKS;
            if waits {
                self.set_read_slice(deadline, phase)?;
            } else {
                self.slice(deadline, phase)?;
            }
            let into = match &mut target {
                Target::Buffer => &mut self.buffer[self.end..],
                Target::Slice(slice) => slice,
            };
            match if waits { (&*self.stream).read(into) } else { look(&self.stream, into) } {
                Ok(n) => return Ok(n),
                Err(e) if is_wait_over(&e) => {}
                Err(e) => return Err(WireError::broken(self.peer, phase, e)),
            }
            if !waits {
                looks += 1;
                std::thread::yield_now();
            }
        }
    }

    /// Has the socket wait for the next stretch when it is read.
    pub(super) fn set_read_slice(&mut self, deadline: Option<Deadline>, phase: Phase) -> Result<(), WireError> {
        let slice = self.slice(deadline, phase)?;
        if slice != self.read_timeout {
            self.stream.set_read_timeout(slice).map_err(|e| WireError::broken(self.peer, phase, e))?;
            self.read_timeout = slice;
        }
        Ok(())
    }

    /// The next stretch to wait, or the error that the deadline has passed.
    pub(super) fn slice(&self, deadline: Option<Deadline>, phase: Phase) -> Result<Option<Duration>, WireError> {
        match deadline {
            None => Ok(None),
            Some(deadline) => match deadline.slice() {
                Some(slice) => Ok(Some(slice)),
                None => Err(WireError::Timeout { peer: self.peer, phase }),
            },
        }
    }
}

/// Reads what is there; [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is.
#[cfg(unix)]
fn look(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    use rustix::net::{RecvFlags, recv};
    Ok(recv(stream, into, RecvFlags::DONTWAIT)?.0)
}

/// A single read cannot be told not to wait everywhere; where it cannot, there are no looks.
#[cfg(not(unix))]
fn look(mut stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    stream.read(into)
}

/// A socket timeout is `WouldBlock` on Unix and `TimedOut` on Windows; a signal interrupts either.
pub(super) fn is_wait_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
