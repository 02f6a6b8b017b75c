//! Reading a body: as it comes, or whole up to a limit.

use super::{
    connection::HttpConnection, decoder::Decoder, error::HttpError, headers::Headers, limits::MAX_HEAD,
    refused::Refused,
};
use crate::{
    deadline::{Deadline, Phase},
    limits::RELAY_BLOCK,
};
use serde::de::DeserializeOwned;
use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// How much memory is taken for a body before any of it has come, in bytes: its length is only a claim.
const FIRST_ROOM: u64 = 8 * 1024;

/// The least rate of a body: each [`RELAY_BLOCK`] of it may be waited for so long in all. Only waiting counts: who reads
/// a body slowly does not blame its sender.
#[derive(Debug)]
pub(super) struct Allowance {
    /// For a whole block.
    patience: Duration,
    /// Of it, for the rest of this block.
    left: Duration,
    in_block: usize,
}

impl Allowance {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, left: patience, in_block: 0 }
    }

    /// A body begins.
    pub(super) fn renew(&mut self) {
        *self = Self::new(self.patience);
    }

    fn passed(&mut self, bytes: usize) {
        self.in_block += bytes;
        if self.in_block >= RELAY_BLOCK {
            self.renew();
        }
    }
}

/// The body of a message that is being received.
#[derive(Debug)]
pub struct BodyReader<'a> {
    connection: &'a mut HttpConnection,
    deadline: Option<Deadline>,
    /// How long nothing may come, if that is what counts.
    pause: Option<Duration>,
}

impl<'a> BodyReader<'a> {
    pub(super) fn new(connection: &'a mut HttpConnection) -> Self {
        Self { connection, deadline: None, pause: None }
    }

    /// Sets a deadline for all of the body, instead of the least rate.
    #[must_use]
    pub fn until(self, deadline: Deadline) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Gives up when nothing has come for so long, instead of asking for a least rate: for a body that may be as large, and as slow, as it
    /// is, from a sender that is trusted.
    pub fn let_pause(&mut self, pause: Duration) {
        self.pause = Some(pause);
    }

    /// The address of the sender.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.connection.peer()
    }

    /// The socket below, to look whether the sender is still there while the answer is being made. What follows the body
    /// may have been read from it already.
    #[must_use]
    pub fn stream(&self) -> &Arc<TcpStream> {
        self.connection.wire.stream()
    }

    /// Whether all of it has been read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.decoder().is_done()
    }

    /// How many bytes are left, where that is known: of a chunked body it is not.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.decoder().left()
    }

    /// The fields behind a chunked body, once it has been read.
    #[must_use]
    pub fn trailer(&self) -> &Headers {
        self.decoder().trailer()
    }

    fn decoder(&self) -> &Decoder {
        &self.connection.decoder
    }

    /// Reads some bytes; 0 when the body is over. The first call tells a peer that waits for it to go on (`100 Continue`).
    ///
    /// # Errors
    /// If the body is cut, malformed or too slow.
    pub fn read_some(&mut self, into: &mut [u8]) -> Result<usize, HttpError> {
        if into.is_empty() {
            return Ok(0);
        }
        self.tell_to_go_on()?;
        while !self.is_done() {
            let certain = usize::try_from(self.decoder().certain()).unwrap_or(usize::MAX).min(into.len());
            if certain > 0 {
                let n = self.wait(|it, deadline| it.wire.read_some(&mut into[..certain], Phase::Body, deadline))?;
                if n == 0 {
                    self.connection.decoder.end()?;
                }
                self.connection.decoder.passed(n);
                self.connection.allowance.passed(n);
                return Ok(n);
            }
            self.read_coding()?;
        }
        Ok(0)
    }

    /// Reads up to the next bytes of the body.
    fn read_coding(&mut self) -> Result<(), HttpError> {
        if !self.connection.has_unread()
            && self.wait(|it, deadline| it.wire.read_more(MAX_HEAD, Phase::Body, deadline))? == 0
        {
            return Ok(self.connection.decoder.end()?);
        }
        let used = self.connection.decoder.coding(self.connection.wire.unread())?;
        self.connection.wire.used(used);
        Ok(())
    }

    /// Waits for bytes, as long as the block of the body that is coming may still be waited for.
    fn wait(
        &mut self,
        read: impl FnOnce(&mut HttpConnection, Option<Deadline>) -> Result<usize, crate::wire::WireError>,
    ) -> Result<usize, HttpError> {
        if self.connection.has_unread() {
            return Ok(read(self.connection, self.deadline)?);
        }
        let begin = Instant::now();
        let least = self.pause.unwrap_or(self.connection.allowance.left);
        let n = read(self.connection, Some(self.deadline.unwrap_or(Deadline::at(begin + least))))?;
        let left = &mut self.connection.allowance.left;
        *left = left.saturating_sub(begin.elapsed());
        Ok(n)
    }

    fn tell_to_go_on(&mut self) -> Result<(), HttpError> {
        if self.connection.owes_continue {
            self.connection.owes_continue = false;
            // A peer that has begun already did not wait (RFC 9110 §10.1.1).
            if !self.connection.has_unread() {
                self.connection.wire.send_parts(&[b"HTTP/1.1 100 Continue\r\n\r\n"])?;
            }
        }
        Ok(())
    }

    /// Reads all of it. Memory is taken as the bytes come, not as the length claims.
    ///
    /// # Errors
    /// [`Refused::TooLarge`] if it has more than `limit` bytes (without reading any, if its length says so), and as
    /// [`BodyReader::read_some`].
    pub fn whole(&mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        let claimed = self.left();
        if claimed.is_some_and(|length| length > limit) {
            return Err(Refused::TooLarge { limit }.into());
        }
        let room = claimed.unwrap_or(FIRST_ROOM).min(FIRST_ROOM);
        let mut whole = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
        let mut part = [0; 4 * 1024];
        loop {
            let n = self.read_some(&mut part)?;
            whole.extend_from_slice(&part[..n]);
            if whole.len() as u64 > limit {
                return Err(Refused::TooLarge { limit }.into());
            }
            if n == 0 {
                return Ok(whole);
            }
        }
    }

    /// Reads all of it as JSON.
    ///
    /// # Errors
    /// As [`BodyReader::whole`], and [`HttpError::Json`] if it is not what is expected.
    pub fn json<T: DeserializeOwned>(&mut self, limit: u64) -> Result<T, HttpError> {
        serde_json::from_slice(&self.whole(limit)?).map_err(HttpError::Json)
    }
}

impl Read for BodyReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Ok(self.read_some(into)?)
    }
}
