//! One request and its answer, over a connection that is kept.
//!
//! **The problem.** A connection for each request costs a round trip each; one that is kept may have died since.
//! Then it matters *when*: a request that was never sent whole may simply be sent again; one whose answer was lost
//! may have been carried out, and an `INSERT` that is sent again happens twice.
//!
//! **The idea.** Look before using a kept connection, and remember how far the request came:
//!
//! | lost | a file | SQL |
//! |---|---|---|
//! | before it was sent whole | once more, over a new connection | once more, over a new connection |
//! | sent, nothing of the answer came | once more | outcome unknown: the user decides |
//! | in the middle of the answer | an error, nothing kept | outcome unknown |
//!
//! What the user can decide: to ask again *under the same id*. Then whoever has carried it out finds the record of
//! that, and returns it; nobody carries it out twice. A statement also says up to which one its client knows the
//! outcomes (the low-water mark), so that older records need not be kept.
//!
//! Each answer must carry the id of its request. One with another id is dropped and reported, never shown.
//!
//! **Time.** The load balancer is told how long the client is willing to wait, and ends the request itself; the
//! client waits [`GRACE`] longer, so that the better-informed error wins. The same time holds for each further frame
//! of a long answer: a file whose server was lost may have to wait for another one to take over.

use crate::{
    answer::{Answer, Sink, Step},
    error::{Error, Failed},
    interrupt::Bell,
    link::{Link, Ticket},
    request::Request,
};
use protocol::{
    deadline::{Deadline, Phase},
    frame::Kind,
    id::{ClientIds, RequestId},
    limits::HEADER_TIME,
    message::{End, ErrorCode},
    wire::{Connection, Pending, WireError, wait_either},
};
use std::{
    net::Shutdown,
    time::{Duration, SystemTime},
};

/// How much longer than the load balancer the client waits.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long the confirmation of a request that was taken back may take.
pub const CANCEL_TIME: Duration = Duration::from_secs(2);

/// One user's exchange with the load balancer. Requests are sent one after the other.
#[derive(Debug)]
pub struct Exchange {
    link: Link,
    ids: ClientIds,
    bell: Option<Bell>,
    kept: Option<Connection>,
    interrupted: bool,
    /// Reused for every frame.
    header: Vec<u8>,
    body: Vec<u8>,
}

/// How an attempt failed, and whether it may be followed by another one.
enum Attempt {
    /// The request surely did nothing, or may be done twice; and nothing of an answer was shown.
    MayRepeat(Error),
    /// It ends here.
    Final(Error),
}

impl Attempt {
    fn into_error(self) -> Error {
        match self {
            Self::MayRepeat(error) | Self::Final(error) => error,
        }
    }
}

impl Exchange {
    /// An exchange whose requests can be taken back with the bell, if there is one. Connects with the first request.
    #[must_use]
    pub fn new(link: Link, bell: Option<Bell>) -> Self {
        let ids = ClientIds::new(SystemTime::now());
        Self { link, ids, bell, kept: None, interrupted: false, header: Vec::new(), body: Vec::new() }
    }

    /// What the next request is to be known by. Each one that is taken must be asked, or the marks of later ones stay
    /// where they are.
    pub fn next_ticket(&mut self) -> Ticket {
        Ticket::next(&mut self.ids)
    }

    /// Where requests go.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Whether the last request was taken back with the bell, whatever came of it.
    #[must_use]
    pub fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Sends the request with this ticket, and gives its answer to the sink, piece by piece.
    ///
    /// # Errors
    /// When it failed, or nobody knows.
    pub fn ask(&mut self, ticket: Ticket, request: &Request, sink: &mut dyn Sink) -> Result<End, Failed> {
        let bell = self.bell.take();
        let listening = bell.as_ref().map(Bell::listen);
        self.interrupted = false;
        let asked = match self.attempt(ticket, request, sink, bell.as_ref()) {
            Err(Attempt::MayRepeat(_)) => self.attempt(ticket, request, sink, bell.as_ref()),
            other => other,
        };
        drop(listening);
        self.bell = bell;
        let asked = asked.map_err(|ended| Failed::new(ticket, request, ended.into_error()));
        if asked.as_ref().err().is_none_or(Failed::is_definite) {
            self.ids.settled(ticket.id);
        }
        asked
    }

    /// One attempt, over the kept connection if it is still good. The connection is kept again if it ends in order.
    fn attempt(
        &mut self,
        ticket: Ticket,
        request: &Request,
        sink: &mut dyn Sink,
        bell: Option<&Bell>,
    ) -> Result<End, Attempt> {
        let kept = self.kept.take().filter(|connection| connection.pending() == Pending::Nothing);
        let reused = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.link.connect().map_err(Attempt::Final)?,
        };
        sink.sending();
        if let Err(error) = self.link.send(&mut connection, ticket, request) {
            let error = Error::NotSent(error);
            return Err(if reused { Attempt::MayRepeat(error) } else { Attempt::Final(error) });
        }
        let mut answer = Answer::to(request);
        let read = self.read(&mut connection, ticket.id, &mut answer, sink, bell);
        match read {
            Ok(_) | Err(Error::Failed(_)) => self.kept = Some(connection),
            Err(Error::Lost(_)) if answer.has_not_begun() && !request.may_change_something() => {
                return read.map_err(Attempt::MayRepeat);
            }
            Err(_) => {}
        }
        read.map_err(Attempt::Final)
    }

    /// Reads frames until the answer is over.
    fn read(
        &mut self,
        connection: &mut Connection,
        id: RequestId,
        answer: &mut Answer,
        sink: &mut dyn Sink,
        bell: Option<&Bell>,
    ) -> Result<End, Error> {
        let peer = connection.peer();
        let mut wait = Wait::new(self.link.request_timeout.saturating_add(GRACE));
        loop {
            let waited = wait.for_frame(connection, id, bell);
            self.interrupted |= wait.cancelled;
            waited?;
            let next = connection.next(&mut self.header, Phase::Answer, Some(wait.until), HEADER_TIME);
            let Some(prefix) = next.map_err(|error| wait.explain(error))? else {
                return Err(Error::Lost(WireError::Closed { peer, phase: Phase::Answer }));
            };
            self.body.clear();
            connection.append_body(prefix.body_len as usize, &mut self.body).map_err(Error::Lost)?;
            if prefix.id != id && !(prefix.id == RequestId::NONE && prefix.kind == Kind::Error) {
                sink.foreign(prefix.id);
                // It does not buy more time, or a stream of such frames would hold the client for ever.
                if wait.until.has_passed() {
                    return Err(wait.explain(WireError::Timeout { peer, phase: Phase::Answer }));
                }
                continue;
            }
            match answer.step(prefix.kind, &self.header, &self.body, sink) {
                Ok(Step::GoesOn) => wait.renew(),
                Ok(Step::Complete(end)) => return Ok(end),
                Ok(Step::Failed(failure)) => {
                    if prefix.id == RequestId::NONE || failure.code == ErrorCode::Draining {
                        // The other side is about to close: a next request must not be sent into that.
                        let _closed = connection.stream().shutdown(Shutdown::Both);
                    }
                    return Err(Error::Failed(failure));
                }
                Err(error) => return Err(Error::from_step(peer, error)),
            }
        }
    }
}

/// Waiting for the next frame, which Ctrl-C cuts short.
struct Wait {
    patience: Duration,
    until: Deadline,
    cancelled: bool,
}

impl Wait {
    fn new(patience: Duration) -> Self {
        Self { patience, until: Deadline::after(patience), cancelled: false }
    }

    /// Something of the answer came, so there is time again for the next of it.
    fn renew(&mut self) {
        if !self.cancelled {
            self.until = Deadline::after(self.patience);
        }
    }

    /// Blocks until a frame begins. When the bell rings meanwhile, the request is taken back, and there is only
    /// [`CANCEL_TIME`] left for the confirmation; when it rings again, none.
    fn for_frame(&mut self, connection: &mut Connection, id: RequestId, bell: Option<&Bell>) -> Result<(), Error> {
        let Some(bell) = bell else { return Ok(()) };
        let peer = connection.peer();
        loop {
            let Ok(ready) = wait_either(connection, bell.connection(), self.until) else { return Ok(()) };
            if ready.second && bell.hear() {
                if self.cancelled {
                    return Err(Error::Abandoned(peer));
                }
                self.cancelled = true;
                self.until = Deadline::after(CANCEL_TIME);
                connection.send_message(Kind::Cancel, id, &Nothing {}).map_err(|_| Error::Abandoned(peer))?;
            } else {
                // A frame, or the end of the time, or nobody left to ring: the read that follows finds it out.
                return Ok(());
            }
        }
    }

    fn explain(&self, error: WireError) -> Error {
        match error {
            WireError::Timeout { peer, .. } if self.cancelled => Error::Abandoned(peer),
            WireError::Timeout { peer, phase: Phase::Answer } => Error::Late { peer, waited: self.patience },
            other => Error::Lost(other),
        }
    }
}

/// The header of a frame that needs none: an empty object.
#[derive(serde::Serialize)]
struct Nothing {}
