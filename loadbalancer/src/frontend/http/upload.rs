//! The body of a request, on its way to a server.
//!
//! **Small bodies** (up to [`AHEAD`] bytes) are read whole before a server is taken. So a slow client costs no server
//! anything, a request whose body is no body never reaches one, and as long as nothing beyond was read, the request can be
//! given to another server.
//!
//! **Large bodies** stream, block by block, each framed anew. The server is listened to meanwhile: an answer that comes
//! before the body has ended (413, 401) ends the upload, and the client learns it at once. An answer that is no error is
//! kept in hand until the body has been sent: a server may begin to answer before it has heard everything.
//!
//! A client that waits for `100 Continue` is not told to go on before its server was asked: then nothing is read ahead.

use super::trouble::Trouble;
use protocol::{
    deadline::{Deadline, Phase},
    http::{Framing, Headers, HttpConnection, HttpError, Refused, Request, encode::around_chunk},
    limits::{BLOCK_TIME, RELAY_BLOCK},
    wire::{WireError, wait_either},
};
use std::{
    mem,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// How much of a body is read before a server is taken, and kept so that another server may have it, in bytes. Times 5,000
/// clients it is the most memory that bodies can take. A longer one streams, and is not tried again once more was read.
pub const AHEAD: usize = 256 * 1024;

/// Size of the blocks in which a large body is sent, in bytes.
const BLOCK: usize = 64 * 1024;

/// Least and most bytes for which room is made at once, while it is not known how much will come.
const PARTS: RangeInclusive<usize> = 4 * 1024..=64 * 1024;

/// How much room is made behind so many bytes that have come: as much again. Who sends a byte now and then is held in a page;
/// on the stack of its thread, which never shrinks, a large block would stay for good.
pub(super) fn next_part(have: usize) -> usize {
    have.clamp(*PARTS.start(), *PARTS.end())
}

/// How long a server that was told that a client waits for `100 Continue` may take to say so. Old ones never do.
const CONTINUE_TIME: Duration = Duration::from_secs(1);

/// The body of a request.
#[derive(Debug)]
pub(super) struct Upload {
    framing: Framing,
    /// What was read before a server was taken.
    ahead: Vec<u8>,
    /// A block, framed, and how much of it was sent.
    block: Vec<u8>,
    sent: usize,
    /// Whether all of the body was read.
    whole: bool,
    /// Whether more was read than is kept.
    beyond: bool,
    /// Whether the client waits to be told to go on.
    expects: bool,
    /// Whether the server was given a moment to say whether it wants the body.
    asked: bool,
    trailer: Headers,
    /// How many bytes were read, and may be.
    read: u64,
    most: u64,
    patience: Patience,
}

/// The client's time: each block of 256 KiB may be waited for so long in all.
#[derive(Debug)]
struct Patience {
    left: Duration,
    in_block: usize,
}

/// How far a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The server has all of it.
    Whole,
    /// The server has something to say before.
    ServerSpeaks,
}

impl Upload {
    /// The body of this request, which may have so many bytes.
    pub(super) fn new(request: &Request, most: Option<u64>) -> Self {
        Self {
            framing: request.framing,
            ahead: Vec::new(),
            block: Vec::new(),
            sent: 0,
            whole: request.framing.is_empty(),
            beyond: false,
            expects: request.expects_continue,
            asked: false,
            trailer: Headers::new(),
            read: 0,
            most: most.unwrap_or(u64::MAX),
            patience: Patience { left: BLOCK_TIME, in_block: 0 },
        }
    }

    /// Whether another server could be given the whole request.
    pub(super) fn is_repeatable(&self) -> bool {
        !self.beyond
    }

    /// Bytes that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.read
    }

    /// Whether the client waits to be told to go on.
    fn is_waited_for(&self) -> bool {
        self.expects && !self.beyond && !self.whole
    }

    /// Whether the client sends more than anybody would read and drop, or waits to be told to go on: then its connection
    /// is of no further use.
    pub(super) fn is_stuck(&self, client: &mut HttpConnection, limit: u64) -> bool {
        self.is_waited_for() || client.body().left().is_some_and(|left| left > limit)
    }

    /// Reads what is small, whole. A client that waits to be told to go on is left waiting.
    ///
    /// # Errors
    /// If it is too large, too slow, or no body.
    pub(super) fn read_ahead(&mut self, client: &mut HttpConnection) -> Result<(), HttpError> {
        if matches!(self.framing, Framing::Length(length) if length > self.most) {
            return Err(Refused::TooLarge { limit: self.most }.into());
        }
        if self.whole || self.expects {
            return Ok(());
        }
        let mut ahead = mem::take(&mut self.ahead);
        while !self.whole && ahead.len() < AHEAD {
            let have = ahead.len();
            ahead.resize(have + next_part(have), 0);
            let n = self.read(client, &mut ahead[have..])?;
            ahead.truncate(have + n);
        }
        self.ahead = ahead;
        Ok(())
    }

    fn read(&mut self, client: &mut HttpConnection, into: &mut [u8]) -> Result<usize, HttpError> {
        let mut body = client.body();
        let n = body.read_some(into)?;
        if body.is_done() {
            self.whole = true;
            self.trailer = body.trailer().clone();
        }
        self.read += n as u64;
        if self.read > self.most { Err(Refused::TooLarge { limit: self.most }.into()) } else { Ok(n) }
    }

    /// How it is framed for the server. A short body that came in chunks has a known length by now.
    pub(super) fn framing(&self) -> Framing {
        let known = self.framing == Framing::Chunked && self.whole && !self.beyond && self.trailer.is_empty();
        if known { Framing::Length(self.ahead.len() as u64) } else { self.framing }
    }

    /// Sends the head, and all that was read ahead, in one write.
    ///
    /// # Errors
    /// If the server does not take it.
    pub(super) fn send_first(&mut self, server: &mut HttpConnection, head: &[u8]) -> Result<(), HttpError> {
        (self.block, self.sent, self.asked) = (Vec::new(), 0, false);
        let chunked = self.framing() == Framing::Chunked;
        let (before, behind) = if chunked {
            around_chunk(self.ahead.len(), self.whole.then_some(&self.trailer))
        } else {
            Default::default()
        };
        server.send(&[head, &before, &self.ahead, &behind])
    }

    /// Sends what was not read ahead, until the server has all of it or, if it is listened to, says something.
    ///
    /// # Errors
    /// [`Trouble::Request`] or [`Trouble::Client`] if the client's body is at fault, else [`Trouble::Server`].
    pub(super) fn send_rest(
        &mut self,
        client: &mut HttpConnection,
        server: &mut HttpConnection,
        listening: bool,
    ) -> Result<Sent, Trouble> {
        let first_word = self.is_waited_for() && !mem::replace(&mut self.asked, true);
        if first_word && ask_for_word(client, server) {
            return Ok(Sent::ServerSpeaks);
        }
        loop {
            if !self.send_block(server, listening)? {
                return Ok(Sent::ServerSpeaks);
            }
            if self.whole {
                return Ok(Sent::Whole);
            }
            // A client that waits to be told to go on is told by being read from.
            if listening && !self.is_waited_for() && !self.patience.wait(client, server)? {
                return Ok(Sent::ServerSpeaks);
            }
            self.next_block(client)?;
        }
    }

    /// Sends what is left of the block at hand. False: the server says something.
    fn send_block(&mut self, server: &mut HttpConnection, listening: bool) -> Result<bool, Trouble> {
        let left = &self.block[self.sent..];
        if left.is_empty() {
            return Ok(true);
        }
        let sent = if listening { server.send_listening(left) } else { server.send(&[left]).map(|()| left.len()) };
        self.sent += sent.map_err(|error| Trouble::unanswered(error.sentence()))?;
        Ok(self.sent == self.block.len())
    }

    fn next_block(&mut self, client: &mut HttpConnection) -> Result<(), Trouble> {
        self.beyond = true;
        let mut bytes = mem::take(&mut self.block);
        bytes.resize(BLOCK, 0);
        let n = self.read(client, &mut bytes).map_err(Trouble::request)?;
        bytes.truncate(n);
        self.patience.passed(n);
        self.sent = 0;
        self.block = if self.framing == Framing::Chunked {
            let (before, behind) = around_chunk(n, self.whole.then_some(&self.trailer));
            [before, bytes, behind].concat()
        } else {
            bytes
        };
        Ok(())
    }
}

/// Gives the server a moment to say whether it wants the body; whether it says something.
fn ask_for_word(client: &HttpConnection, server: &HttpConnection) -> bool {
    // A client that does not wait that long ends the wait.
    let ready = wait_either(server.wire(), client.wire(), Deadline::after(CONTINUE_TIME));
    ready.is_ok_and(|ready| ready.first)
}

impl Patience {
    /// Waits for the client. False: the server says something.
    fn wait(&mut self, client: &HttpConnection, server: &HttpConnection) -> Result<bool, Trouble> {
        let begun = Instant::now();
        let ready = wait_either(server.wire(), client.wire(), Deadline::after(self.left));
        let ready = ready.map_err(|error| Trouble::Client(format!("it cannot be waited for: {error}")))?;
        self.left = self.left.saturating_sub(begun.elapsed());
        if !ready.first && !ready.second {
            let late = WireError::Timeout { peer: client.peer(), phase: Phase::Body };
            return Err(Trouble::request(late.into()));
        }
        Ok(!ready.first)
    }

    fn passed(&mut self, bytes: usize) {
        self.in_block += bytes;
        if self.in_block >= RELAY_BLOCK {
            *self = Self { left: BLOCK_TIME, in_block: 0 };
        }
    }
}
