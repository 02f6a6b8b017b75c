//! Writing a body: of a known length, in chunks, or until the connection ends.
//!
//! Small pieces are gathered, and the head waits for them, so that a small message leaves in one write;
//! [`flush`](std::io::Write::flush) sends what there is at once (for a stream of events). A body that is not finished
//! never ends like one that is: the last chunk is missing, or bytes are.

use super::{
    connection::HttpConnection,
    encode::around_chunk,
    error::HttpError,
    framing::Framing,
    headers::{Headers, InvalidField},
    limits::WRITE_BUFFER,
    status::Status,
};
use crate::wire::Pending;
use std::{
    io::{self, Write},
    mem,
    net::SocketAddr,
};

/// The body of a message that is being sent.
#[derive(Debug)]
pub struct BodyWriter<'a> {
    connection: &'a mut HttpConnection,
    framing: Framing,
    /// The head, until it is sent.
    head: Vec<u8>,
    gathered: Vec<u8>,
    trailer: Headers,
    /// How many bytes were written.
    written: u64,
}

impl<'a> BodyWriter<'a> {
    pub(super) fn new(connection: &'a mut HttpConnection, head: Vec<u8>, framing: Framing) -> Self {
        Self { connection, framing, head, gathered: Vec::new(), trailer: Headers::new(), written: 0 }
    }

    /// The address of the receiver.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.connection.peer()
    }

    /// Whether nothing has been sent, so that another answer is still possible.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        !self.head.is_empty()
    }

    /// Whether the receiver has ended the connection: looked at without waiting, for a stream that is silent for long.
    #[must_use]
    pub fn receiver_is_gone(&self) -> bool {
        self.connection.wire.pending() == Pending::Gone
    }

    /// How many bytes of the body were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Adds a field to the trailer, which only a chunked body has; else it is left out.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn trailer(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        self.trailer.push(name, value)
    }

    /// Ends the body.
    ///
    /// # Errors
    /// If fewer bytes were written than announced, or the peer is gone or too slow. Then the connection must be closed.
    pub fn finish(mut self) -> Result<(), HttpError> {
        if let Framing::Length(length) = self.framing
            && self.written < length
        {
            let message = "A body is shorter than was announced.";
            return Err(HttpError::answer(Status::INTERNAL_SERVER_ERROR, message));
        }
        self.send(&[], true)
    }

    /// Sends what is gathered and `more`, as one chunk where there are chunks.
    fn send(&mut self, more: &[u8], last: bool) -> Result<(), HttpError> {
        let length = self.gathered.len() + more.len();
        let (before, behind) = match self.framing {
            Framing::Chunked => around_chunk(length, last.then_some(&self.trailer)),
            _ => (Vec::new(), Vec::new()),
        };
        // Taken first: if sending fails, nobody knows how much of it the peer has got.
        let (head, gathered) = (mem::take(&mut self.head), mem::take(&mut self.gathered));
        if head.len() + length + behind.len() > 0 {
            self.connection.send(&[&head, &before, &gathered, more, &behind])?;
        }
        Ok(())
    }

    fn check_room(&self, more: usize) -> io::Result<()> {
        let room = match self.framing {
            Framing::Empty => 0,
            Framing::Length(length) => length - self.written,
            Framing::Chunked | Framing::UntilClose => u64::MAX,
        };
        let fits = more as u64 <= room;
        if fits { Ok(()) } else { Err(io::Error::other("A body is longer than was announced.")) }
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check_room(bytes.len())?;
        if self.gathered.len() + bytes.len() > WRITE_BUFFER {
            self.send(bytes, false)?;
        } else {
            self.gathered.extend_from_slice(bytes);
        }
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.send(&[], false)?)
    }
}
