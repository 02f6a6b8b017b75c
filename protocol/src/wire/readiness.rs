//! Looking at a connection without reading from it: is somebody still there, and which of two speaks first?
//!
//! A thread that waits for a server's answer must also notice that its client is gone. `poll(2)` waits for both
//! with one call. Where it does not exist, a short peek at each in turn does the same, a little later.

use super::Connection;
use crate::deadline::Deadline;
#[cfg(unix)]
use std::os::fd::AsFd;
use std::{io, net::TcpStream};

/// What a look at a connection shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Nothing has come: the peer is there and silent.
    Nothing,
    /// Bytes have come.
    Bytes,
    /// The peer has ended its side, or the connection is broken.
    Gone,
}

/// Which of two connections has something to say (bytes, an end, or an error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable {
    /// The first.
    pub first: bool,
    /// The second.
    pub second: bool,
}

impl Readable {
    const NEITHER: Self = Self { first: false, second: false };
}

impl Connection {
    /// Looks whether something has come, without waiting.
    #[must_use]
    pub fn pending(&self) -> Pending {
        if self.start < self.end { Pending::Bytes } else { self.peek_socket() }
    }

    pub(super) fn peek_socket(&self) -> Pending {
        pending(&self.stream)
    }

    /// Waits until something comes (or the peer ends) or the deadline passes; says which of the two it was.
    ///
    /// # Errors
    /// If the system cannot wait.
    pub fn wait_readable(&self, deadline: Deadline) -> io::Result<bool> {
        if self.start < self.end {
            return Ok(true);
        }
        Ok(poll(self, None, deadline)?.first)
    }
}

/// Looks whether something has come on a socket, without waiting.
#[cfg(unix)]
#[must_use]
pub fn pending(stream: &TcpStream) -> Pending {
    use rustix::net::{RecvFlags, recv};
    let mut byte = [0_u8; 1];
    match recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((0, _)) => Pending::Gone,
        Ok(_) => Pending::Bytes,
        Err(e) if io::Error::from(e).kind() == io::ErrorKind::WouldBlock => Pending::Nothing,
        Err(rustix::io::Errno::INTR) => Pending::Nothing,
        Err(_) => Pending::Gone,
    }
}

/// Looks whether something has come on a socket, without waiting.
#[cfg(not(unix))]
#[must_use]
pub fn pending(stream: &TcpStream) -> Pending {
    let mut byte = [0_u8; 1];
    if stream.set_nonblocking(true).is_err() {
        return Pending::Gone;
    }
    let peeked = stream.peek(&mut byte);
    if stream.set_nonblocking(false).is_err() {
        return Pending::Gone;
    }
    match peeked {
        Ok(0) => Pending::Gone,
        Ok(_) => Pending::Bytes,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Pending::Nothing,
        Err(_) => Pending::Gone,
    }
}

/// Waits until one of two connections has something to say, or the deadline passes.
///
/// # Errors
/// If the system cannot wait.
pub fn wait_either(first: &Connection, second: &Connection, deadline: Deadline) -> io::Result<Readable> {
    let buffered = Readable { first: first.start < first.end, second: second.start < second.end };
    if buffered != Readable::NEITHER {
        return Ok(buffered);
    }
    poll(first, Some(second), deadline)
}

/// Waits until one of several connections has something to say (bytes, an end, or an error), or the deadline passes:
/// then it is none. Of several the first in the list is named.
///
/// # Errors
/// If the system cannot wait.
pub fn wait_any(connections: &[&Connection], deadline: Deadline) -> io::Result<Option<usize>> {
    let buffered = connections.iter().position(|connection| connection.start < connection.end);
    if buffered.is_some() {
        return Ok(buffered);
    }
    poll_any(connections, deadline)
}

#[cfg(unix)]
fn poll_any(connections: &[&Connection], deadline: Deadline) -> io::Result<Option<usize>> {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let sockets = connections.iter().map(|connection| connection.stream.as_fd());
    let mut all: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)).collect();
    loop {
        let Ok(timeout) = Timespec::try_from(deadline.remaining()) else { return Ok(None) };
        match rustix::event::poll(&mut all, Some(&timeout)) {
            Ok(0) if deadline.has_passed() => return Ok(None),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(all.iter().position(|fd| !fd.revents().is_empty())),
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(not(unix))]
fn poll_any(connections: &[&Connection], deadline: Deadline) -> io::Result<Option<usize>> {
    /// How often all are looked at, where nothing waits for all of them at once.
    const TURN: std::time::Duration = std::time::Duration::from_millis(5);
    loop {
        let speaks = connections.iter().position(|connection| connection.pending() != Pending::Nothing);
        let turn = deadline.remaining().min(TURN);
        if speaks.is_some() || turn.is_zero() {
            return Ok(speaks);
        }
        std::thread::park_timeout(turn);
    }
}

#[cfg(unix)]
fn poll(first: &Connection, second: Option<&Connection>, deadline: Deadline) -> io::Result<Readable> {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let watch = |connection| PollFd::new(connection, PollFlags::IN);
    loop {
        let Ok(timeout) = Timespec::try_from(deadline.remaining()) else { return Ok(Readable::NEITHER) };
        let mut both = [watch(&*first.stream), watch(&*second.unwrap_or(first).stream)];
        let watched = if second.is_some() { &mut both[..] } else { &mut both[..1] };
        match rustix::event::poll(watched, Some(&timeout)) {
            // Any event counts, errors and hang-ups too: the read that follows tells which it was.
            Ok(0) if deadline.has_passed() => return Ok(Readable::NEITHER),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                let ready = |at: usize| !watched.get(at).is_none_or(|fd| fd.revents().is_empty());
                return Ok(Readable { first: ready(0), second: ready(1) });
            }
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(not(unix))]
fn poll(first: &Connection, second: Option<&Connection>, deadline: Deadline) -> io::Result<Readable> {
    /// How long one side is listened to before the other is looked at.
    const TURN: std::time::Duration = std::time::Duration::from_millis(20);
    loop {
        let turn = deadline.remaining().min(TURN);
        if turn.is_zero() {
            return Ok(Readable::NEITHER);
        }
        let before = first.stream.read_timeout()?;
        first.stream.set_read_timeout(Some(turn))?;
        let peeked = first.stream.peek(&mut [0]);
        first.stream.set_read_timeout(before)?;
        let waits = |e: &io::Error| matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let ready = Readable {
            first: !matches!(&peeked, Err(e) if waits(e)),
            second: second.is_some_and(|other| other.pending() != Pending::Nothing),
        };
        if ready != Readable::NEITHER {
            return Ok(ready);
        }
    }
}
