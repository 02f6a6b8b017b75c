//! Where a head or a trailer ends: at its first empty line.
//!
//! This is looked for before anything is read into the bytes, and with the strictest eyes: lines end with CR LF and
//! nothing else. A parser that also takes LF alone for an end of line sees other lines than its neighbour, and a field
//! that one of them overlooks is how requests are smuggled. The search goes on where it stopped, so a peer that sends
//! single bytes does not make us look at the same bytes again and again; and what it refuses depends on the bytes
//! alone, not on how they were split.

use super::{
    limits::{MAX_FIRST_LINE, MAX_HEAD, MAX_METHOD, MAX_TRAILER},
    method::is_token_byte,
    refused::Refused,
};
use std::ops::Range;

/// What the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Request,
    Response,
    Trailer,
}

/// The search for the end.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    of: Of,
    /// Where the head begins: 2 if an empty line in front of it was passed over.
    start: usize,
    /// Where the line begins that is being looked at.
    line: usize,
    /// Up to here there is no LF in that line.
    seen: usize,
}

impl Lines {
    pub(super) fn new(of: Of) -> Self {
        Self { of, start: 0, line: 0, seen: 0 }
    }

    /// Looks on. `bytes` is all that has come, from the beginning. Returns where the lines are, with the empty one that
    /// ends them, when it is there.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, Refused> {
        self.check_first_byte(bytes)?;
        while let Some(at) = bytes[self.seen..].iter().position(|&byte| byte == b'\n') {
            let next = self.seen + at + 1;
            self.check_length(bytes, next)?;
            let line = bytes[self.line..next].strip_suffix(b"\r\n").ok_or(Refused::BareLineFeed)?;
            if line.contains(&b'\r') {
                return Err(Refused::BareCarriageReturn);
            }
            if line.is_empty() && !self.in_first_line() {
                return Ok(Some(self.start..next));
            }
            if line.is_empty() {
                self.pass_over_empty_line(next)?;
            } else if line.starts_with(b" ") || line.starts_with(b"\t") {
                return Err(Refused::FoldedLine);
            }
            (self.line, self.seen) = (next, next);
            self.check_first_byte(bytes)?;
        }
        self.seen = bytes.len();
        self.check_length(bytes, bytes.len())?;
        Ok(None)
    }

    fn in_first_line(&self) -> bool {
        self.of != Of::Trailer && self.line == self.start
    }

    /// RFC 9112 §2.2: one empty line in front of a request is passed over; old browsers sent one.
    fn pass_over_empty_line(&mut self, next: usize) -> Result<(), Refused> {
        if self.of != Of::Request || self.start > 0 {
            return Err(self.stranger());
        }
        self.start = next;
        Ok(())
    }

    /// The error for what is not HTTP at all.
    fn stranger(&self) -> Refused {
        if self.of == Of::Request { Refused::NotHttp } else { Refused::StatusLine }
    }

    /// Someone who speaks TLS or the lab protocol waits for an answer after a few bytes: tell him now.
    fn check_first_byte(&self, bytes: &[u8]) -> Result<(), Refused> {
        match bytes.get(self.start) {
            Some(&byte) if self.of != Of::Trailer && byte != b'\r' && !is_token_byte(byte) => Err(self.stranger()),
            _ => Ok(()),
        }
    }

    /// Checks what is known of the lengths when the line reaches from `self.line` to `end`.
    fn check_length(&self, bytes: &[u8], end: usize) -> Result<(), Refused> {
        if self.of == Of::Trailer {
            return if end > MAX_TRAILER { Err(Refused::TrailerTooLarge) } else { Ok(()) };
        }
        if self.in_first_line() && end - self.line > MAX_FIRST_LINE {
            let method_ends = bytes[self.line..].iter().take(MAX_METHOD + 1).any(|&byte| byte == b' ');
            return Err(if method_ends { Refused::TargetTooLong } else { Refused::Method });
        }
        if end - self.start > MAX_HEAD { Err(Refused::HeadTooLarge) } else { Ok(()) }
    }
}
