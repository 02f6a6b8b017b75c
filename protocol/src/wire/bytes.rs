//! The connection as a plain stream of bytes, for protocols that are not frames: HTTP.
//!
//! Deadlines, the read buffer and the least rate are the same; only where a message ends is decided elsewhere.

use super::{BUFFER, Connection, Target, WireError};
use crate::deadline::{Deadline, Phase};
use std::io::IoSlice;

/// Most parts of a message that leave in one write: a head, the size of a chunk, two pieces of it, and its end.
const MOST_PARTS: usize = 5;

impl Connection {
    /// What has been read and not yet used.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// This many of the unread bytes have been used.
    pub(crate) fn used(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.end - self.start);
        self.start += bytes;
    }

    /// Reads once, behind what is unread, with room for at most `most` unread bytes (the buffer grows to that if it
    /// must). Returns how many bytes came: 0 when the peer has ended.
    pub(crate) fn read_more(
        &mut self,
        most: usize,
        phase: Phase,
        deadline: Option<Deadline>,
    ) -> Result<usize, WireError> {
        let full = self.end - self.start == self.buffer.len();
        if full && self.buffer.len() < most {
            let mut larger = vec![0; most].into_boxed_slice();
            larger[..self.end - self.start].copy_from_slice(self.unread());
            (self.start, self.end) = (0, self.end - self.start);
            self.buffer = larger;
        }
        debug_assert!(self.end - self.start < self.buffer.len(), "a read into no room looks like an end");
        self.fill(phase, deadline)
    }

    /// Reads once, into `into` and at most its length: what is unread first, and past the buffer if the room is large.
    /// Returns 0 when the peer has ended.
    pub(crate) fn read_some(
        &mut self,
        into: &mut [u8],
        phase: Phase,
        deadline: Option<Deadline>,
    ) -> Result<usize, WireError> {
        if self.start == self.end {
            if into.len() >= BUFFER {
                return self.read_socket(Target::Slice(into), phase, deadline);
            }
            self.fill(phase, deadline)?;
        }
        let n = into.len().min(self.end - self.start);
        into[..n].copy_from_slice(&self.buffer[self.start..self.start + n]);
        self.start += n;
        Ok(n)
    }

    /// Sends these (at most [`MOST_PARTS`]) in one write if the system takes them so.
    pub(crate) fn send_parts(&mut self, parts: &[&[u8]]) -> Result<(), WireError> {
        debug_assert!(parts.len() <= MOST_PARTS);
        let mut slices = [IoSlice::new(&[]); MOST_PARTS];
        slices.iter_mut().zip(parts).for_each(|(slice, part)| *slice = IoSlice::new(part));
        self.write_all(&mut slices)
    }
}
