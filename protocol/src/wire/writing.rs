//! Sending frames, and ending a connection with a word.

use super::{
    Connection,
    pace::Pace,
    reading::{Target, is_wait_over},
};
use crate::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::RequestId,
    limits::LINGER_TIME,
    message::Failure,
    wire::{WireError, to_header},
};
use serde::Serialize;
use std::{
    io::{IoSlice, Write},
    net::Shutdown,
};

impl Connection {
    /// Sends one frame: prefix, header and body in one write.
    ///
    /// An error means that the frame was *not* sent whole, so the peer cannot have acted on it.
    ///
    /// # Errors
    /// If the peer does not take the frame in time, or is gone.
    pub fn send(&mut self, prefix: &Prefix, header: &[u8], body: &[u8]) -> Result<(), WireError> {
        debug_assert_eq!((prefix.header_len as usize, prefix.body_len as usize), (header.len(), body.len()));
        let prefix = prefix.encode();
        let mut parts = [IoSlice::new(&prefix), IoSlice::new(header), IoSlice::new(body)];
        self.write_all(&mut parts)
    }

    /// Sends a frame without a body whose header is this message.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_message<M: Serialize>(&mut self, kind: Kind, id: RequestId, message: &M) -> Result<(), WireError> {
        let header = to_header(message);
        self.send(&Prefix::new(kind, id, header.len(), 0), &header, &[])
    }

    /// Sends bytes that are whole frames already, or a part of a body.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.write_all(&mut [IoSlice::new(bytes)])
    }

    /// Writes all parts, giving each block of them its time.
    pub(super) fn write_all(&mut self, mut parts: &mut [IoSlice<'_>]) -> Result<(), WireError> {
        let mut pace = Pace::begin(self.send_patience);
        IoSlice::advance_slices(&mut parts, 0); // Drops empty parts at the front.
        while !parts.is_empty() {
            self.set_write_slice(&pace)?;
            match (&*self.stream).write_vectored(parts) {
                Ok(0) => return Err(WireError::closed(self.peer, Phase::Send)),
                Ok(n) => {
                    IoSlice::advance_slices(&mut parts, n);
                    pace.passed(n);
                }
                Err(e) if is_wait_over(&e) => {}
                Err(e) => return Err(WireError::broken(self.peer, Phase::Send, e)),
            }
        }
        Ok(())
    }

    /// Has the socket wait for the next stretch when it is written to.
    pub(super) fn set_write_slice(&mut self, pace: &Pace) -> Result<(), WireError> {
        let slice = self.slice(Some(pace.deadline()), Phase::Send)?;
        if slice != self.write_timeout {
            self.stream.set_write_timeout(slice).map_err(|e| WireError::broken(self.peer, Phase::Send, e))?;
            self.write_timeout = slice;
        }
        Ok(())
    }

    /// Tells the peer why the connection ends, and ends it: sends the failure, then reads and drops what the peer
    /// has sent meanwhile (for [`LINGER_TIME`] at most), because a socket closed with unread bytes is reset, and a
    /// reset may overtake the error.
    pub fn close_with(mut self, id: RequestId, failure: &Failure) {
        if self.send_message(Kind::Error, id, failure).is_ok() {
            self.linger();
        }
    }

    /// Ends the sending side, then reads and drops what still comes, for [`LINGER_TIME`] at most.
    pub(crate) fn linger(&mut self) {
        let deadline = Some(Deadline::after(LINGER_TIME));
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        self.start = 0;
        self.end = 0;
        while let Ok(1..) = self.read_socket(Target::Buffer, Phase::Body, deadline) {}
    }
}
