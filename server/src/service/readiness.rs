//! Waiting for one socket: in both directions at once, or for its end alone.

use protocol::deadline::Deadline;
use std::{io, net::TcpStream};

/// What is waited for, or what has come of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ready {
    /// Bytes to be read, or the end of the peer's half.
    pub(super) read: bool,
    /// Room for bytes to be sent.
    pub(super) write: bool,
    /// The connection is broken, or shut down in both directions; never asked for, always told.
    pub(super) broken: bool,
}

impl Ready {
    /// Nothing: what is left when a deadline passes.
    pub(super) const NOTHING: Self = Self { read: false, write: false, broken: false };
}

/// Waits until something of what is wanted is ready, or the connection is broken, or the deadline passes.
#[cfg(unix)]
pub(super) fn wait(stream: &TcpStream, wanted: Ready, until: Deadline) -> io::Result<Ready> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut events = PollFlags::empty();
    events.set(PollFlags::IN, wanted.read);
    events.set(PollFlags::OUT, wanted.write);
    let mut one = [PollFd::new(stream, events)];
    loop {
        // The sum of an instant and a century is still a time that the system understands.
        let Ok(timeout) = Timespec::try_from(until.remaining()) else { return Ok(Ready::NOTHING) };
        match poll(&mut one, Some(&timeout)) {
            Ok(0) if until.has_passed() => return Ok(Ready::NOTHING),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                let came = one[0].revents();
                let broken = came.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
                // The read or write that follows tells how it is broken.
                let read = wanted.read && (broken || came.contains(PollFlags::IN));
                let write = wanted.write && (broken || came.contains(PollFlags::OUT));
                return Ok(Ready { read, write, broken });
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Where nothing waits for both directions: says after a moment that they may be ready. A try on a socket that does not
/// block costs little.
#[cfg(not(unix))]
pub(super) fn wait(_stream: &TcpStream, wanted: Ready, until: Deadline) -> io::Result<Ready> {
    const MOMENT: std::time::Duration = std::time::Duration::from_millis(2);
    if wanted == Ready::NOTHING {
        std::thread::sleep(until.remaining());
    } else {
        std::thread::park_timeout(until.remaining().min(MOMENT));
    }
    Ok(if until.has_passed() { Ready::NOTHING } else { wanted })
}
