//! One direction of a connection: what has come and must go out.

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice},
};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::OwnedFd,
};

/// Size of the buffer for what is small, in bytes: two packets of a loopback, or a page of a database.
const BUFFER: usize = 16 * 1024;
/// Size of the pipe for what is large, in bytes; where so much is not allowed, the usual 64 KiB serve.
const PIPE: usize = 1024 * 1024;
/// The smallest pipe that is worth it, in bytes. A user who has many pipes gets new ones of a page or two: copying is faster.
const LEAST_PIPE: usize = 64 * 1024;
/// Bytes that are moved at once. More would have the receiver wait for them.
const AT_ONCE: usize = 256 * 1024;

/// One direction.
#[derive(Default)]
pub(super) struct Way {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// For a large flow, and how much is in it.
    pipe: Option<(OwnedFd, OwnedFd)>,
    piped: usize,
    /// Whether a pipe could not be had, or the kernel does not splice these sockets.
    copies: bool,
    /// The side that is read from has ended its half.
    ended: bool,
    /// That was passed on.
    over: bool,
    /// Nobody takes anything any more: what comes is thrown away.
    discards: bool,
    passed: u64,
}

impl Way {
    /// Bytes that were passed on.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Whether the side that is read from has ended its half.
    pub(super) fn has_heard_the_end(&self) -> bool {
        self.ended
    }

    /// From now on what comes is taken and thrown away, for nobody is there to take it; so it is over.
    pub(super) fn discard(&mut self) {
        (self.start, self.end, self.piped, self.pipe) = (0, 0, 0, None);
        (self.copies, self.discards, self.over) = (true, true, true);
    }

    /// Whether everything was passed on, the end included.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether it would read.
    pub(super) fn wants_more(&self) -> bool {
        !self.ended && !self.has_something()
    }

    /// Whether it would write.
    pub(super) fn has_something(&self) -> bool {
        self.start < self.end || self.piped > 0
    }

    /// Takes what has come, if it has nothing left to pass on. Never waits.
    pub(super) fn read(&mut self, from: &TcpStream) -> io::Result<()> {
        if !self.wants_more() {
            return Ok(());
        }
        let taken = match &self.pipe {
            Some((_, writer)) => match splice(from, None, writer, None, AT_ONCE, FLAGS) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    (self.pipe, self.copies) = (None, true);
                    return self.read(from);
                }
                spliced => now(spliced.map_err(io::Error::from))?.inspect(|taken| self.piped = *taken),
            },
            None => self.fill(from)?,
        };
        self.ended = taken == Some(0);
        if self.discards {
            self.end = 0;
        }
        Ok(())
    }

    fn fill(&mut self, mut from: &TcpStream) -> io::Result<Option<usize>> {
        self.buffer.resize(BUFFER, 0);
        let taken = now(from.read(&mut self.buffer))?;
        (self.start, self.end) = (0, taken.unwrap_or(0));
        if self.end == BUFFER && !self.copies {
            self.pipe = open_pipe();
            self.copies = self.pipe.is_none();
        }
        Ok(taken)
    }

    /// Passes on what there is, as far as it is taken; behind the last byte, the end. Never waits.
    pub(super) fn write(&mut self, mut to: &TcpStream) -> io::Result<()> {
        while self.start < self.end {
            let Some(given) = now(to.write(&self.buffer[self.start..self.end]))? else { return Ok(()) };
            self.start += given;
            self.passed += given as u64;
        }
        while let (Some((reader, _)), 1..) = (&self.pipe, self.piped) {
            let spliced = splice(reader, None, to, None, self.piped, FLAGS);
            let Some(given) = now(spliced.map_err(io::Error::from))? else { return Ok(()) };
            self.piped -= given;
            self.passed += given as u64;
        }
        if self.ended && !self.over {
            self.over = true;
            match to.shutdown(Shutdown::Write) {
                // It has ended both halves already: there is nobody to tell.
                Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

fn open_pipe() -> Option<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
    // As large as allowed, which may be too small.
    let size = fcntl_setpipe_size(&writer, PIPE).or_else(|_| fcntl_getpipe_size(&writer)).ok()?;
    (size >= LEAST_PIPE).then_some((reader, writer))
}

/// What was done now; `None` if it would have to wait.
fn now(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
