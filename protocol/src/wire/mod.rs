//! Frames over a TCP connection: blocking calls, each with a deadline.
//!
//! [`Connection`] is one end of a connection, owned by one thread. It reads through a small buffer, so that the
//! three frames of a short answer cost one system call, and writes each frame with one vectored call, so that
//! Nagle's algorithm and delayed acknowledgements never meet (two small writes without TCP_NODELAY: 44 ms each).
//! Bodies larger than the buffer are read past it, straight to where they are wanted.
//!
//! Every failure is a [`WireError`] that names the peer and the phase.

mod error;
mod pace;
mod reading;
mod writing;
mod listening;
mod carry;
mod vanished;
mod readiness;
mod header;
mod bytes;

pub use carry::{Carried, Carrier, CarryError};
pub use error::WireError;
pub use header::{from_header, push_frame, to_header};
pub use readiness::{Pending, Readable, pending, wait_any, wait_either};

use self::{pace::Pace, reading::Target};
use crate::{
    deadline::{Deadline, Phase},
    frame::{PREFIX_LEN, Prefix},
    limits::{BLOCK_TIME, HEADER_TIME},
};
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

/// Size of the read buffer, in bytes: several prefixes and headers, and most small answers whole.
const BUFFER: usize = 8 * 1024;

/// One end of a connection that carries frames.
#[derive(Debug)]
pub struct Connection {
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    buffer: Box<[u8]>,
    /// The unread bytes of the buffer are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// The timeouts that the socket has now; `None` is "not set, waits for ever".
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    /// How long one block of a body may take to arrive.
    patience: Duration,
    /// How long one block of what is sent may take to be taken.
    send_patience: Duration,
}

impl Connection {
    /// Takes over a connected socket, which may be shared with whoever must be able to shut it down.
    ///
    /// # Errors
    /// If the peer is already gone.
    pub fn new(stream: Arc<TcpStream>) -> Result<Self, WireError> {
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let peer = stream.peer_addr().map_err(|e| WireError::broken(unknown, Phase::Connect, e))?;
        stream.set_nodelay(true).map_err(|e| WireError::broken(peer, Phase::Connect, e))?;
        vanished::notice(&stream).map_err(|e| WireError::broken(peer, Phase::Connect, e))?;
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let (read_timeout, write_timeout) = (None, None);
        let (patience, send_patience) = (BLOCK_TIME, BLOCK_TIME);
        Ok(Self { stream, peer, buffer, start: 0, end: 0, read_timeout, write_timeout, patience, send_patience })
    }

    /// Waits this long for each block of a body, instead of [`BLOCK_TIME`].
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Gives the peer this long to take each block of what is sent, instead of [`BLOCK_TIME`].
    #[must_use]
    pub fn with_send_patience(self, send_patience: Duration) -> Self {
        Self { send_patience, ..self }
    }

    /// Connects, waiting at most this long.
    ///
    /// # Errors
    /// If nobody accepts in time.
    pub fn connect(peer: SocketAddr, within: Duration) -> Result<Self, WireError> {
        let within = within.max(Duration::from_millis(1));
        let stream =
            TcpStream::connect_timeout(&peer, within).map_err(|e| WireError::broken(peer, Phase::Connect, e))?;
        Self::new(Arc::new(stream))
    }

    /// The address of the other side.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The socket, for those who must be able to shut it down from another thread.
    #[must_use]
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    // ---------------------------------------------------------------------------------------------- reading

    /// Reads the next frame's prefix and header (the header replaces what was in `header`).
    ///
    /// Waits until `first` for the first byte (for ever if there is no deadline) in the phase `idle`, then gives
    /// prefix and header together `rest` to arrive. `Ok(None)`: the peer closed the connection between two frames.
    ///
    /// # Errors
    /// A deadline, a broken connection, or bytes that are no frame. After an error the connection is of no use.
    pub fn next(
        &mut self,
        header: &mut Vec<u8>,
        idle: Phase,
        first: Option<Deadline>,
        rest: Duration,
    ) -> Result<Option<Prefix>, WireError> {
        header.clear();
        if self.start == self.end && self.fill(idle, first)? == 0 {
            return Ok(None);
        }
        let deadline = Some(Deadline::after(rest));
        while self.end - self.start < PREFIX_LEN {
            self.refuse_strangers_early()?;
            if self.fill(Phase::Header, deadline)? == 0 {
                return Err(WireError::closed(self.peer, Phase::Header));
            }
        }
        let mut bytes = [0; PREFIX_LEN];
        bytes.copy_from_slice(&self.buffer[self.start..self.start + PREFIX_LEN]);
        self.start += PREFIX_LEN;
        let prefix = Prefix::decode(&bytes).map_err(|source| WireError::Frame { peer: self.peer, source })?;
        header.resize(prefix.header_len as usize, 0);
        self.read_exact(header, Phase::Header, deadline)?;
        Ok(Some(prefix))
    }

    /// Someone who speaks HTTP or types into telnet waits for an answer after fewer than 32 bytes: tell him now.
    fn refuse_strangers_early(&self) -> Result<(), WireError> {
        let seen = &self.buffer[self.start..self.end];
        let mut bytes = crate::frame::MAGIC;
        let n = seen.len().min(bytes.len());
        bytes[..n].copy_from_slice(&seen[..n]);
        if bytes == crate::frame::MAGIC {
            return Ok(());
        }
        Err(WireError::Frame { peer: self.peer, source: crate::frame::FrameError::Magic(bytes) })
    }

    /// Looks at the next frame's prefix without taking it, and without waiting. `None` if it is not there whole, is
    /// none, or the peer has ended.
    pub fn peek_prefix(&mut self) -> Option<Prefix> {
        if !self.has_come(PREFIX_LEN) {
            return None;
        }
        let bytes = self.buffer[self.start..self.end].first_chunk::<PREFIX_LEN>()?;
        Prefix::decode(bytes).ok()
    }

    /// Takes the next frame and drops it, if it is there whole and is `wanted`; says whether it was. Never waits. A
    /// frame that is larger than a few KiB is never taken so.
    pub fn take_if(&mut self, wanted: impl FnOnce(&Prefix) -> bool) -> bool {
        let Some(prefix) = self.peek_prefix().filter(wanted) else { return false };
        let len = PREFIX_LEN + prefix.rest_len();
        let taken = len <= BUFFER && self.has_come(len);
        if taken {
            self.start += len;
        }
        taken
    }

    /// Whether this many bytes (at most [`BUFFER`]) have come; what has is then in the buffer.
    fn has_come(&mut self, len: usize) -> bool {
        while self.end - self.start < len {
            // The look says that a read will not wait.
            let something = self.peek_socket() == Pending::Bytes;
            if !something || !matches!(self.fill(Phase::Idle, Some(Deadline::after(HEADER_TIME))), Ok(1..)) {
                return false;
            }
        }
        true
    }

    /// Reads exactly this many bytes of a body, giving each [`RELAY_BLOCK`](crate::limits::RELAY_BLOCK) of them
    /// [`BLOCK_TIME`].
    ///
    /// # Errors
    /// If the peer is too slow, or ends before.
    pub fn read_body(&mut self, into: &mut [u8]) -> Result<(), WireError> {
        let mut pace = Pace::begin(self.patience);
        let mut filled = 0;
        while filled < into.len() {
            let part = pace.left().min(into.len() - filled);
            self.read_exact(&mut into[filled..filled + part], Phase::Body, Some(pace.deadline()))?;
            pace.passed(part);
            filled += part;
        }
        Ok(())
    }

    /// Reads a body of this length behind what `into` holds. Memory is taken as the bytes arrive, not as the
    /// length claims: at first a little, then as much again as there is.
    ///
    /// # Errors
    /// As [`Connection::read_body`].
    pub fn append_body(&mut self, len: usize, into: &mut Vec<u8>) -> Result<(), WireError> {
        let mut pace = Pace::begin(self.patience);
        let (begin, whole) = (into.len(), into.len() + len);
        while into.len() < whole {
            let at = into.len();
            let part = (at - begin).max(BUFFER).min(pace.left()).min(whole - at);
            into.resize(at + part, 0);
            self.read_exact(&mut into[at..], Phase::Body, Some(pace.deadline()))?;
            pace.passed(part);
        }
        Ok(())
    }

    /// Reads a body and drops it.
    ///
    /// # Errors
    /// As [`Connection::read_body`].
    pub fn skip_body(&mut self, len: usize) -> Result<(), WireError> {
        let mut pace = Pace::begin(self.patience);
        let mut left = len;
        while left > 0 {
            let part = pace.left().min(left);
            self.skip_until(part, pace.deadline())?;
            pace.passed(part);
            left -= part;
        }
        Ok(())
    }

    /// Reads this many bytes of a body and drops them, all before this deadline.
    ///
    /// # Errors
    /// If the peer is too slow, or ends before.
    pub fn skip_until(&mut self, len: usize, deadline: Deadline) -> Result<(), WireError> {
        let mut scratch = [0; BUFFER];
        let mut left = len;
        while left > 0 {
            let part = left.min(BUFFER);
            self.read_exact(&mut scratch[..part], Phase::Body, Some(deadline))?;
            left -= part;
        }
        Ok(())
    }

    /// Fills `into` from the buffer first, then from the socket.
    fn read_exact(&mut self, into: &mut [u8], phase: Phase, deadline: Option<Deadline>) -> Result<(), WireError> {
        let buffered = into.len().min(self.end - self.start);
        into[..buffered].copy_from_slice(&self.buffer[self.start..self.start + buffered]);
        self.start += buffered;
        let mut filled = buffered;
        while filled < into.len() {
            let wanted = into.len() - filled;
            if wanted < BUFFER {
                // A short rest comes through the buffer, together with what follows it.
                let n = self.fill(phase, deadline)?.min(wanted);
                if n == 0 {
                    return Err(WireError::closed(self.peer, phase));
                }
                into[filled..filled + n].copy_from_slice(&self.buffer[self.start..self.start + n]);
                self.start += n;
                filled += n;
            } else {
                match self.read_socket(Target::Slice(&mut into[filled..]), phase, deadline)? {
                    0 => return Err(WireError::closed(self.peer, phase)),
                    n => filled += n,
                }
            }
        }
        Ok(())
    }

    /// Reads once into the buffer, behind what it holds. Returns how many bytes came: 0 when the peer has ended.
    fn fill(&mut self, phase: Phase, deadline: Option<Deadline>) -> Result<usize, WireError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let n = self.read_socket(Target::Buffer, phase, deadline)?;
        self.end += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
