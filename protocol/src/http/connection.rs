//! One end of an HTTP connection, a server's or a client's: heads and bodies on a socket, with a deadline for each wait.
//!
//! It is the same buffer and the same deadlines as those of the lab protocol ([`crate::wire`]); only where a message
//! ends is found by the rules of HTTP. Bytes behind a message stay in the buffer: the next request may have come
//! already (pipelining).

use super::{
    answer::Answer,
    decoder::Decoder,
    error::HttpError,
    framing::Framing,
    limits::{MAX_HEAD, MAX_INTERIM, UNWANTED_TIME},
    lines::{Lines, Of},
    method::Method,
    reader::{Allowance, BodyReader},
    refused::Refused,
    request::Request,
    status::Status,
    writer::BodyWriter,
};
use crate::{
    deadline::{Deadline, Phase},
    limits::BLOCK_TIME,
    wire::{Carried, Carrier, CarryError, Connection},
};
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

/// The buffer must hold a head that is just too large to be refused, and the empty line that may precede it.
const HEAD_BUFFER: usize = MAX_HEAD + 4;

/// One end of a connection that carries HTTP.
#[derive(Debug)]
pub struct HttpConnection {
    pub(super) wire: Connection,
    /// Where in its body the message is that is being read.
    pub(super) decoder: Decoder,
    /// How long the body may still be waited for.
    pub(super) allowance: Allowance,
    /// Whether the peer waits for `100 Continue`.
    pub(super) owes_continue: bool,
    /// Whether something was sent since the last head was read.
    pub(super) has_answered: bool,
}

impl HttpConnection {
    /// Takes over a connected socket, which may be shared with whoever must be able to shut it down.
    ///
    /// # Errors
    /// If the peer is already gone.
    pub fn new(stream: Arc<TcpStream>) -> Result<Self, HttpError> {
        Ok(Self::over(Connection::new(stream)?))
    }

    /// Connects, waiting at most this long.
    ///
    /// # Errors
    /// If nobody accepts in time.
    pub fn connect(peer: SocketAddr, within: Duration) -> Result<Self, HttpError> {
        Ok(Self::over(Connection::connect(peer, within)?))
    }

    /// Goes on with a connection between two messages, such as one that was kept.
    #[must_use]
    pub fn over(wire: Connection) -> Self {
        let (decoder, allowance) = (Decoder::new(Framing::Empty), Allowance::new(BLOCK_TIME));
        Self { wire, decoder, allowance, owes_continue: false, has_answered: false }
    }

    /// Waits this long for each 256 KiB of a body, instead of [`BLOCK_TIME`].
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { allowance: Allowance::new(patience), ..self }
    }

    /// Gives the peer this long to take each 256 KiB of what is sent, instead of [`BLOCK_TIME`].
    #[must_use]
    pub fn with_send_patience(self, patience: Duration) -> Self {
        Self { wire: self.wire.with_send_patience(patience), ..self }
    }

    /// The address of the other side.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.wire.peer()
    }

    /// The connection below, to watch it or to shut it down.
    #[must_use]
    pub fn wire(&self) -> &Connection {
        &self.wire
    }

    /// The connection below, with what was read ahead: for a tunnel, after 101 or CONNECT.
    #[must_use]
    pub fn into_wire(self) -> Connection {
        self.wire
    }

    /// Whether bytes of a next message have been read already, so that nobody needs to wait for them.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        !self.wire.unread().is_empty()
    }

    /// Whether all that came has been read and belonged to whole messages.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.decoder.is_done() && !self.has_unread()
    }

    /// Waits for the first byte of the next message. False: the peer has ended the connection instead.
    ///
    /// # Errors
    /// If the deadline passes or the connection breaks.
    pub fn wait(&mut self, phase: Phase, deadline: Option<Deadline>) -> Result<bool, HttpError> {
        Ok(self.has_unread() || self.wire.read_more(HEAD_BUFFER, phase, deadline)? > 0)
    }

    /// Reads the head of the next request, all of it within this time, from its first byte on. `None`: the peer has ended
    /// the connection between two requests.
    ///
    /// # Errors
    /// If it is too slow, or refused. Then the connection must be closed.
    pub fn read_request(&mut self, within: Duration) -> Result<Option<Request>, HttpError> {
        self.check_body_is_over()?;
        let Some((head, end)) = self.read_head(Of::Request, Deadline::after(within))? else { return Ok(None) };
        let request = Request::from_head(&self.wire.unread()[head])?;
        self.wire.used(end);
        self.begin_body(request.framing);
        self.owes_continue = request.expects_continue;
        Ok(Some(request))
    }

    /// Reads the head of the answer to a request with this method, before this deadline. Interim answers come as they
    /// are; after one (except 101) the next head follows.
    ///
    /// # Errors
    /// If it is too slow, or refused, or the peer ends the connection instead.
    pub fn read_answer(&mut self, to: &Method, deadline: Deadline) -> Result<Answer, HttpError> {
        self.check_body_is_over()?;
        if !self.wait(Phase::Answer, Some(deadline))? {
            return Err(Refused::Cut.into());
        }
        let (head, end) = self.read_head(Of::Response, deadline)?.ok_or(Refused::Cut)?;
        let answer = Answer::from_head(to, &self.wire.unread()[head])?;
        self.wire.used(end);
        self.begin_body(answer.framing);
        Ok(answer)
    }

    /// Reads the head of the final answer; interim ones (but not 101) are passed over.
    ///
    /// # Errors
    /// As [`HttpConnection::read_answer`], and if interim answers do not end.
    pub fn read_final_answer(&mut self, to: &Method, deadline: Deadline) -> Result<Answer, HttpError> {
        for _ in 0..=MAX_INTERIM {
            let answer = self.read_answer(to, deadline)?;
            if !answer.status.is_interim() || answer.status == Status::SWITCHING_PROTOCOLS {
                return Ok(answer);
            }
        }
        Err(Refused::TooManyInterim.into())
    }

    /// Where the next head lies in the unread bytes, and where it ends.
    fn read_head(&mut self, of: Of, deadline: Deadline) -> Result<Option<(std::ops::Range<usize>, usize)>, HttpError> {
        let mut lines = Lines::new(of);
        loop {
            if let Some(head) = lines.find(self.wire.unread())? {
                let end = head.end;
                return Ok(Some((head, end)));
            }
            let nothing_yet = !self.has_unread();
            if self.wire.read_more(HEAD_BUFFER, Phase::Head, Some(deadline))? == 0 {
                return if nothing_yet { Ok(None) } else { Err(Refused::Cut.into()) };
            }
        }
    }

    fn begin_body(&mut self, framing: Framing) {
        self.decoder = Decoder::new(framing);
        self.allowance.renew();
        self.owes_continue = false;
        self.has_answered = false;
    }

    /// A next head may only be looked for behind the body before it.
    fn check_body_is_over(&self) -> Result<(), HttpError> {
        if self.decoder.is_done() { Ok(()) } else { Err(Refused::BodyUnread.into()) }
    }

    /// The body of the message whose head was read last.
    pub fn body(&mut self) -> BodyReader<'_> {
        BodyReader::new(self)
    }

    /// Whether it can be hoped that [`skip_body`](Self::skip_body) comes to the end of the body: the peer does not wait to be told
    /// to go on, and has not said that more comes than `limit` bytes.
    #[must_use]
    pub fn may_skip_body(&self, limit: u64) -> bool {
        let left = self.decoder.left();
        self.decoder.is_done() || !self.owes_continue && left.is_none_or(|left| left <= limit)
    }

    /// Reads what is left of the body and drops it, if it is at most `limit` bytes and comes at once. Says whether it has
    /// come to its end, so that the connection can be kept.
    pub fn skip_body(&mut self, limit: u64) -> bool {
        let done = self.decoder.is_done();
        if done || !self.may_skip_body(limit) {
            return done;
        }
        let mut body = self.body().until(Deadline::after(UNWANTED_TIME));
        let mut dropped = 0;
        let mut scratch = [0; 4 * 1024];
        while dropped <= limit {
            match body.read_some(&mut scratch) {
                Ok(0) => return true,
                Ok(n) => dropped += n as u64,
                Err(_) => return false,
            }
        }
        false
    }

    /// How many of the next bytes surely belong to the body that is being read, so that they can be
    /// [carried](HttpConnection::carry) without being looked at; `u64::MAX` for one that ends with the connection.
    #[must_use]
    pub fn certain(&self) -> u64 {
        self.decoder.certain()
    }

    /// Carries this many bytes of the body that is being read to another connection. They must be
    /// [certain](HttpConnection::certain).
    pub fn carry(&mut self, to: &mut Self, carrier: &mut Carrier, bytes: usize) -> (Carried, Result<(), CarryError>) {
        debug_assert!(bytes as u64 <= self.certain());
        to.has_answered = true;
        let (carried, result) = carrier.carry(&mut self.wire, &mut to.wire, bytes);
        self.decoder.passed(carried.taken);
        (carried, result)
    }

    /// Sends a part of a body as long as the peer says nothing. Returns how much was sent: less than all if the peer has
    /// something to say, or has ended its side.
    ///
    /// # Errors
    /// As [`HttpConnection::send`].
    pub fn send_listening(&mut self, bytes: &[u8]) -> Result<usize, HttpError> {
        Ok(self.wire.send_listening(bytes)?)
    }

    /// Takes what was read ahead: for a tunnel, in which there are no messages any more.
    #[must_use]
    pub fn take_unread(&mut self) -> Vec<u8> {
        let unread = self.wire.unread().to_vec();
        self.wire.used(unread.len());
        unread
    }

    /// Sends a head, or a whole small message, whose parts leave in one write.
    ///
    /// # Errors
    /// If the peer does not take it in time, or is gone.
    pub fn send(&mut self, parts: &[&[u8]]) -> Result<(), HttpError> {
        self.has_answered = true;
        Ok(self.wire.send_parts(parts)?)
    }

    /// Sends a head, which may wait for the first bytes of the body, and then a body with this framing.
    pub fn write(&mut self, head: Vec<u8>, framing: Framing) -> BodyWriter<'_> {
        BodyWriter::new(self, head, framing)
    }

    /// Ends the connection so that what was sent reaches the peer, who may be sending still: a socket that is closed with
    /// unread bytes is reset, and the reset may overtake the answer.
    pub fn close(mut self) {
        self.wire.linger();
    }
}
