//! Carrying a body from one connection to another.
//!
//! **The problem.** A relay that reads a gigabyte into a buffer and writes it out again copies it twice, into the
//! process and out of it, although it never looks at a byte.
//!
//! **The idea.** On Linux, `splice(2)` moves the kernel's own pages from a socket into a pipe and from the pipe into
//! another socket: the bytes never enter the process. Elsewhere, and where the kernel will not, a buffer of 256 KiB
//! does the same with two copies. Both keep the least rate: each block of a body has its time, in both directions.
//!
//! **What must not go wrong.** Bytes in the pipe have left the one connection and not reached the other. So the pipe is
//! emptied before more is taken, and what was taken and what was given are counted apart; when the sender fails,
//! everything it had sent has been passed on.
//!
//! Sources: Larry McVoy, *The splice I/O model* (1998); `splice(2)`; HAProxy's `option splice-response`.

use super::{Connection, WireError, pace::Pace};
use crate::limits::{BLOCK_TIME, RELAY_BLOCK};

/// Which side failed.
#[derive(Debug)]
pub enum CarryError {
    /// The connection that the body comes from.
    From(WireError),
    /// The connection that it goes to.
    To(WireError),
}

/// How far a body has come, also when it did not come to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes taken from the sender.
    pub taken: usize,
    /// Bytes that the receiver has got.
    pub given: usize,
}

/// What bodies are carried in: a pipe of the kernel's, or a buffer.
#[derive(Debug, Default)]
pub struct Carrier {
    #[cfg(target_os = "linux")]
    pipe: Option<pipe::Pipe>,
    block: Vec<u8>,
}

impl Carrier {
    /// A carrier: with a pipe where that works, else with a buffer.
    #[must_use]
    pub fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            pipe: pipe::Pipe::open(),
            block: Vec::new(),
        }
    }

    /// A carrier that copies, as on systems without `splice`.
    #[must_use]
    pub fn copying() -> Self {
        Self::default()
    }

    /// Carries exactly this many bytes. Returns how far they came, and which side was too slow or ended before, if
    /// one was.
    pub fn carry(
        &mut self,
        from: &mut Connection,
        to: &mut Connection,
        len: usize,
    ) -> (Carried, Result<(), CarryError>) {
        let mut carried = Carried::default();
        let result = self.carry_on(from, to, len, &mut carried);
        (carried, result)
    }

    fn carry_on(
        &mut self,
        from: &mut Connection,
        to: &mut Connection,
        len: usize,
        carried: &mut Carried,
    ) -> Result<(), CarryError> {
        let buffered = len.min(from.end - from.start);
        let begin = from.start;
        from.start += buffered;
        carried.taken += buffered;
        to.send_raw(&from.buffer[begin..begin + buffered]).map_err(CarryError::To)?;
        carried.given += buffered;
        let left = len - buffered;
        #[cfg(target_os = "linux")]
        if let Some(pipe) = &self.pipe {
            match pipe.carry(from, to, left, carried) {
                Err(CarryError::From(error)) if carried.taken == buffered && pipe::is_refused(&error) => {
                    self.pipe = None
                }
                carried => return carried,
            }
        }
        self.copy(from, to, left, carried)
    }

    fn copy(
        &mut self,
        from: &mut Connection,
        to: &mut Connection,
        len: usize,
        carried: &mut Carried,
    ) -> Result<(), CarryError> {
        self.block.resize(RELAY_BLOCK, 0);
        let mut left = len;
        while left > 0 {
            let part = left.min(RELAY_BLOCK);
            from.read_body(&mut self.block[..part]).map_err(CarryError::From)?;
            carried.taken += part;
            to.send_raw(&self.block[..part]).map_err(CarryError::To)?;
            carried.given += part;
            left -= part;
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod pipe {
    //! Carrying with `splice(2)`.

    use super::{BLOCK_TIME, Carried, CarryError, Connection, Pace, WireError};
    use crate::deadline::Phase;
    use rustix::{
        io::Errno,
        pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
    };
    use std::os::fd::OwnedFd;

    /// Size of a pipe, in bytes: what an ordinary user may have. More bytes at once, fewer calls.
    const SIZE: usize = 1024 * 1024;

    /// Bytes that are asked for at once. The call waits until that many have come, so with more the receiver has
    /// nothing to do meanwhile: 1 MiB was 15 % slower.
    const AT_ONCE: usize = 128 * 1024;

    /// A pipe that is empty between two calls.
    #[derive(Debug)]
    pub(super) struct Pipe {
        reader: OwnedFd,
        writer: OwnedFd,
    }

    /// Whether the kernel does not splice such sockets (some sandboxes do not).
    pub(super) fn is_refused(error: &WireError) -> bool {
        let refusals = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP].map(|errno| Some(errno.raw_os_error()));
        matches!(error, WireError::Broken { source, .. } if refusals.contains(&source.raw_os_error()))
    }

    impl Pipe {
        /// A pipe, if one can be had. One of the usual 64 KiB, where a larger one is not allowed, still serves.
        pub(super) fn open() -> Option<Self> {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).ok()?;
            let _as_large_as_allowed = fcntl_setpipe_size(&writer, SIZE);
            Some(Self { reader, writer })
        }

        pub(super) fn carry(
            &self,
            from: &mut Connection,
            to: &mut Connection,
            len: usize,
            carried: &mut Carried,
        ) -> Result<(), CarryError> {
            let (mut reading, mut left) = (Pace::begin(from.patience), len);
            while left > 0 {
                let taken = self.fill(from, left.min(AT_ONCE), &reading).map_err(CarryError::From)?;
                reading.passed(taken);
                left -= taken;
                carried.taken += taken;
                self.empty(to, taken, carried).map_err(CarryError::To)?;
                // The time that the receiver took is not the sender's.
                reading.resume();
            }
            Ok(())
        }

        /// Moves some bytes from a socket into the pipe.
        fn fill(&self, from: &mut Connection, most: usize, pace: &Pace) -> Result<usize, WireError> {
            loop {
                from.set_read_slice(Some(pace.deadline()), Phase::Body)?;
                match splice(&*from.stream, None, &self.writer, None, most, SpliceFlags::MOVE) {
                    Ok(0) => return Err(WireError::closed(from.peer, Phase::Body)),
                    Ok(n) => return Ok(n),
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => return Err(WireError::broken(from.peer, Phase::Body, error.into())),
                }
            }
        }

        /// Moves all bytes from the pipe into a socket.
        fn empty(&self, to: &mut Connection, len: usize, carried: &mut Carried) -> Result<(), WireError> {
            let (mut pace, mut left) = (Pace::begin(BLOCK_TIME), len);
            while left > 0 {
                to.set_write_slice(&pace)?;
                match splice(&self.reader, None, &*to.stream, None, left, SpliceFlags::MOVE) {
                    Ok(0) => return Err(WireError::closed(to.peer, Phase::Send)),
                    Ok(n) => {
                        pace.passed(n);
                        left -= n;
                        carried.given += n;
                    }
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => return Err(WireError::broken(to.peer, Phase::Send, error.into())),
                }
            }
            Ok(())
        }
    }
}
