//! The service `echo`: exactly the bytes that come, in their order, over plain TCP.
//!
//! **The problem.** An echo server looks like three lines: `recv(1024)`, `send`, again. Two lessons hide in it. *TCP has
//! no messages*: a client that writes 2,048 bytes may be read as 1 + 2,047 or as 700 + 700 + 648, so "a piece shorter than
//! 1,024 is the last" loses the rest, and "a piece of exactly 1,024 means that more follows" waits for ever. And *who only
//! writes while he only writes* deadlocks with a peer that does the same: both wait for the other to read.
//!
//! **The idea.** Nothing here looks for the end of a message. What comes goes back; the end is the end of the client's
//! half of the connection (a FIN), after which the rest goes back and our half ends, too. And one wait is for both
//! directions at once (`poll`): while the client does not read, we go on reading, up to a limit.
//!
//! **A worked example.** A client writes 10 MB and reads nothing until it has written all. The sockets' buffers hold
//! perhaps 2 of them; the other 8 wait here ([`owed`]), because a connection may be owed [`MOST_OWED`] = 16 MiB. A client
//! that goes on to write 100 MB is not read from once the 16 MiB are full: its own `write` blocks until it reads. That
//! is a deadlock of its own making, and only the client can end it; after [`STUCK_TIME`] without any progress we do.
//!
//! **What a connection costs.** It is the unit of work: it takes a place from its beginning to its end (when none is
//! free it is closed at once, without a byte), and the processing time is spent once, after the first byte has come
//! and before the first goes back.
//!
//! **Draining.** A stream of bytes has no request after which to stop. A connection that is owed something gets it; one
//! that was quiet for [`QUIET`] and has got all it sent is ended.
//!
//! **When it is wrong.** A FIN says only that the client writes no more, not that it is gone: whether it still reads shows
//! when something is sent. So a client that closes its socket during the processing time keeps its place until that is
//! over; one that is reset (a process killed with bytes unread) is noticed at once.
//!
//! **Simplified.** Production relays move bytes with `splice` and never see them; here they are to be seen.
//!
//! Sources: RFC 862 (the echo protocol); Stevens, *UNIX Network Programming* I, ch. 5 and §16.2 (an echo client that
//! deadlocks, and the one that does not).

mod owed;

use self::owed::{BLOCK, Owed, Pot};
use super::{
    Service, Terms,
    readiness::{Ready, wait},
};
use crate::{sql::Interrupt, work::Interest};
use protocol::{
    deadline::Deadline,
    listener::{Handler, Refusal, Visit},
    output::{Plain, say, warn},
};
use std::{
    io,
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Duration,
};

/// Most bytes that one connection may be owed. More than most tests of an echo send before they read; who sends more
/// is slowed down.
const MOST_OWED: usize = 16 * 1024 * 1024;

/// Most bytes that all connections together may be owed beyond the first block of each. When they are used up, everybody
/// is slowed down to what he reads.
const ALL_OWED: usize = 256 * 1024 * 1024;

/// How long a connection that has got everything may be silent. Long, because somebody may be typing.
const IDLE_TIME: Duration = Duration::from_secs(300);

/// How long a client that is owed something may neither take nor send a byte. Then the connection is closed.
const STUCK_TIME: Duration = Duration::from_secs(60);

/// How long a connection must have been silent before a drain ends it.
const QUIET: Duration = Duration::from_millis(250);

/// Returns what it gets.
pub(super) struct Echo {
    terms: Terms,
    limits: Limits,
    pot: Arc<Pot>,
}

/// What a connection may cost.
#[derive(Clone, Copy, Debug)]
struct Limits {
    most_blocks: usize,
    idle: Duration,
    stuck: Duration,
}

/// How a connection came to its end.
enum End {
    /// As it should: all came, all went back, this many bytes.
    Whole(u64),
    /// It was silent, or stuck, for too long.
    TimeOver,
    /// Nobody is there any more.
    Gone,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Interrupt> for End {
    fn from(_: Interrupt) -> Self {
        Self::Gone
    }
}

impl Echo {
    pub(super) fn new(terms: Terms) -> Self {
        Self { terms, limits: Self::limits(), pot: Pot::new(ALL_OWED / BLOCK) }
    }

    fn limits() -> Limits {
        Limits { most_blocks: MOST_OWED / BLOCK, idle: IDLE_TIME, stuck: STUCK_TIME }
    }

    /// Carries a connection to its end.
    fn carry(&self, visit: &Visit) -> Result<u64, End> {
        let stream = &**visit.stream();
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut owed = Owed::new(self.limits.most_blocks, &self.pot);
        let (mut came, mut ended) = (0, false);
        while !(ended && owed.is_empty()) {
            let wanted = Ready { read: !ended && owed.make_room(), write: !owed.is_empty(), broken: false };
            let ready = self.wait(visit, wanted)?;
            if ready.read
                && let Some(n) = now(owed.take_from(stream))?
            {
                if came == 0 && n > 0 {
                    self.terms.spend(&Line(stream), None).map_err(|_| End::Gone)?;
                }
                came += n as u64;
                ended = n == 0;
            }
            // What has just come can nearly always go back without another wait.
            if !owed.is_empty() {
                now(owed.give_to(stream))?;
            }
        }
        Ok(came)
    }

    /// Waits for the next thing that can be done. A drain ends the wait of a connection that is quiet and has got everything,
    /// as if the client had ended its half.
    fn wait(&self, visit: &Visit, wanted: Ready) -> Result<Ready, End> {
        let stream = &**visit.stream();
        let limit = Deadline::after(if wanted.write { self.limits.stuck } else { self.limits.idle });
        let mut ready = wait(stream, wanted, limit.min(Deadline::after(QUIET)))?;
        if ready == Ready::NOTHING {
            let longer = || wait(stream, wanted, limit);
            ready = if wanted.write { longer() } else { visit.wait_for_request(longer) }?;
        }
        if ready == Ready::NOTHING { Err(End::TimeOver) } else { Ok(ready) }
    }
}

/// The result of a call that does not wait: `None` if it would have had to.
fn now(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A connection that waits for the processing time to pass. The end of the client's half is no loss of interest here.
struct Line<'a>(&'a TcpStream);

impl Interest for Line<'_> {
    fn lost(&self) -> Option<Interrupt> {
        self.wait(Deadline::after(Duration::ZERO)).err()
    }

    fn wait(&self, until: Deadline) -> Result<(), Interrupt> {
        let ready = wait(self.0, Ready::NOTHING, until).map_err(|_| Interrupt::Gone)?;
        if ready.broken { Err(Interrupt::Gone) } else { Ok(()) }
    }
}

impl Service for Echo {
    fn database(&self) -> Option<&str> {
        None
    }
}

impl Handler for Echo {
    fn serve(&self, visit: &Visit) {
        let Ok(peer) = visit.stream().peer_addr() else { return };
        let Some(slot) = self.terms.slots.take() else {
            say!("({}, {}) is turned away: no place is free.", peer.ip(), peer.port());
            return;
        };
        say!("Connected with ({}, {})", peer.ip(), peer.port());
        let end = self.carry(visit).map_or_else(|end| end, End::Whole);
        // Given back before the client sees the end: it may come again at once, and must find a place free.
        drop(slot);
        match end {
            End::Whole(bytes) => {
                let _gone_already = visit.stream().shutdown(Shutdown::Write);
                say!("{bytes} bytes came from ({}, {}) and went back.", peer.ip(), peer.port());
            }
            End::TimeOver => say!("({}, {}) was silent for too long.", peer.ip(), peer.port()),
            End::Gone => say!("({}, {}) is gone.", peer.ip(), peer.port()),
        }
    }

    /// There is nothing to say in a protocol without words: the connection is closed.
    fn refuse(&self, _stream: &TcpStream, _why: Refusal) {}

    fn panicked(&self, message: &str) {
        warn!("A defect of the server ended a connection: {}", Plain(message));
    }
}

#[cfg(test)]
mod tests;
