//! The one who asked: reading requests, and noticing that an answer is not wanted any more.
//!
//! While a request is in process its connection is silent, except for two things: a frame `K` that takes the request
//! back, and the end of the connection. Both are looked for while the processing time passes (the wait *is* a wait on
//! the connection), every 20 ms while SQL runs, and between two chunks of an answer.
//!
//! A third thing is possible: the next request, sent before the answer to this one. It is set aside until its turn,
//! and from then on nothing more is looked for, because what follows it belongs to it.

use crate::{sql::Interrupt, work::Interest};
use parking_lot::Mutex;
use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::RequestId,
    limits::{HEADER_TIME, MAX_SQL},
    message::{ErrorCode, Failure, FileRequest, QueryRequest},
    wire::{Connection, Pending, WireError, from_header},
};
use std::{net::SocketAddr, time::Duration};

/// How long a frame that comes in the middle of a request may take to arrive. Its sender writes it in one call; a
/// statement may be holding the database's write lock meanwhile, so there is no patience for one byte a second.
const EARLY_FRAME_TIME: Duration = Duration::from_millis(250);

/// A request that has arrived whole.
#[derive(Debug)]
pub(crate) struct Request {
    /// The id in the prefix, which the answer repeats.
    pub(crate) id: RequestId,
    /// Whether it is marked as one that must not write.
    pub(crate) read_only: bool,
    /// Whether it is marked as one that was sent before.
    pub(crate) repeated: bool,
    /// What is asked.
    pub(crate) ask: Ask,
}

impl Request {
    /// The failure of an attempt, as far as it was not begun: of a statement that was sent before, whether it was carried
    /// out then is still open.
    pub(crate) fn not_begun(&self, failure: Failure) -> Failure {
        let open = self.repeated && !self.read_only && matches!(self.ask, Ask::Query(..));
        Failure { definite: failure.definite && !open, ..failure }
    }
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A file.
    File(FileRequest),
    /// The result of a statement.
    Query(QueryRequest, String),
    /// A pong.
    Ping,
    /// Something that is no request, but ends where its frame ends: it is answered, and the connection goes on.
    Nonsense(Failure),
}

/// A peer with a connection of its own.
#[derive(Debug)]
pub(crate) struct Requester {
    connection: Connection,
    header: Vec<u8>,
    /// The request in process.
    current: RequestId,
    /// The next request's prefix, when it came before its turn; its header is in `header`.
    early: Option<Prefix>,
    /// Why nobody waits for the answer to the current request.
    lost_interest: Option<Interrupt>,
    /// What broke the connection.
    broken: Option<WireError>,
}

impl Requester {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            header: Vec::new(),
            current: RequestId::NONE,
            early: None,
            lost_interest: None,
            broken: None,
        }
    }

    /// The other side's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.connection.peer()
    }

    /// Waits, for ever, for the next request's prefix and header. `None`: the peer has ended the connection.
    pub(crate) fn next_prefix(&mut self) -> Result<Option<Prefix>, WireError> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        if let Some(early) = self.early.take() {
            return Ok(Some(early));
        }
        self.connection.next(&mut self.header, Phase::Idle, None, HEADER_TIME)
    }

    /// Reads the rest of the request behind this prefix. `None`: it was no request but asked for nothing either.
    pub(crate) fn request(&mut self, prefix: &Prefix) -> Result<Option<Request>, WireError> {
        let ask = match prefix.kind {
            Kind::File => self.file(prefix)?,
            Kind::Query => self.query(prefix)?,
            Kind::Ping => self.skip_body(prefix).map(|()| Ask::Ping)?,
            // Takes back a request that was answered already: the two have crossed on the way.
            Kind::Cancel => return self.skip_body(prefix).map(|()| None),
            kind => return Err(WireError::Unexpected { peer: self.peer(), kind }),
        };
        self.current = prefix.id;
        self.lost_interest = None;
        Ok(Some(Request { id: prefix.id, read_only: prefix.read_only(), repeated: prefix.repeated(), ask }))
    }

    fn skip_body(&mut self, prefix: &Prefix) -> Result<(), WireError> {
        self.connection.skip_body(prefix.body_len as usize)
    }

    fn file(&mut self, prefix: &Prefix) -> Result<Ask, WireError> {
        self.skip_body(prefix)?;
        Ok(match from_header(self.peer(), prefix, &self.header) {
            Ok(header) => Ask::File(header),
            Err(error) => nonsense(ErrorCode::BadRequest, error.to_string()),
        })
    }

    fn query(&mut self, prefix: &Prefix) -> Result<Ask, WireError> {
        let header: Result<QueryRequest, _> = from_header(self.peer(), prefix, &self.header);
        let len = prefix.body_len as usize;
        if len > MAX_SQL {
            self.skip_body(prefix)?;
            return Ok(nonsense(ErrorCode::TooLarge, format!("A statement may have {MAX_SQL} bytes; this has {len}.")));
        }
        let mut body = Vec::new();
        self.connection.append_body(len, &mut body)?;
        Ok(match (header, String::from_utf8(body)) {
            (Ok(header), Ok(sql)) => Ask::Query(header, sql),
            (Err(error), _) => nonsense(ErrorCode::BadRequest, error.to_string()),
            (_, Err(_)) => nonsense(ErrorCode::BadRequest, "The statement is not UTF-8 text.".into()),
        })
    }

    /// Sends a frame of an answer.
    pub(crate) fn send(&mut self, prefix: &Prefix, header: &[u8], body: &[u8]) -> Result<(), Lost> {
        let sent = self.connection.send(prefix, header, body);
        self.note(sent)
    }

    /// Sends whole frames.
    pub(crate) fn send_raw(&mut self, frames: &[u8]) -> Result<(), Lost> {
        let sent = self.connection.send_raw(frames);
        self.note(sent)
    }

    fn note(&mut self, sent: Result<(), WireError>) -> Result<(), Lost> {
        sent.map_err(|error| {
            self.broken = Some(error);
            self.lost_interest = Some(Interrupt::Gone);
            Lost
        })
    }

    /// Looks whether the answer is still wanted, without waiting (but see [`EARLY_FRAME_TIME`]).
    pub(crate) fn lost_interest(&mut self) -> Option<Interrupt> {
        // One frame a look: somebody who sends without end must not keep a statement from noticing its time limit.
        if self.lost_interest.is_none() && self.early.is_none() {
            match self.connection.pending() {
                Pending::Nothing => {}
                Pending::Gone => self.lost_interest = Some(Interrupt::Gone),
                Pending::Bytes => self.read_early_frame(),
            }
        }
        self.lost_interest
    }

    fn read_early_frame(&mut self) {
        let soon = Deadline::after(EARLY_FRAME_TIME);
        let read = self.connection.next(&mut self.header, Phase::Header, Some(soon), EARLY_FRAME_TIME);
        let cancel = match read {
            Ok(Some(prefix)) if prefix.kind != Kind::Cancel => return self.early = Some(prefix),
            Ok(Some(prefix)) => {
                let skipped = self.connection.skip_until(prefix.body_len as usize, soon);
                skipped.map(|()| prefix.id == self.current)
            }
            Ok(None) => return self.lost_interest = Some(Interrupt::Gone),
            Err(error) => Err(error),
        };
        match cancel {
            Ok(true) => self.lost_interest = Some(Interrupt::Cancelled),
            // Takes back an earlier request, which was answered meanwhile.
            Ok(false) => {}
            Err(error) => {
                self.broken = Some(error);
                self.lost_interest = Some(Interrupt::Gone);
            }
        }
    }

    /// Waits until the deadline, or until the answer is not wanted any more.
    pub(crate) fn wait(&mut self, until: Deadline) -> Result<(), Interrupt> {
        loop {
            if let Some(interrupt) = self.lost_interest() {
                return Err(interrupt);
            }
            if self.early.is_some() {
                // The next request is here, so the connection is readable all the time and nothing to wait on.
                std::thread::sleep(until.remaining());
                return Ok(());
            }
            match self.connection.wait_readable(until) {
                Ok(true) if !until.has_passed() => {}
                Ok(_) => return Ok(()),
                Err(_) => return Err(Interrupt::Gone),
            }
        }
    }

    /// Ends the connection; tells the peer why, if it can be told, as the answer to this request.
    pub(crate) fn close(self, id: RequestId, error: &WireError) {
        if let Some(failure) = error.farewell() {
            self.connection.close_with(id, &failure);
        }
    }
}

impl Interest for Mutex<Requester> {
    fn lost(&self) -> Option<Interrupt> {
        self.lock().lost_interest()
    }

    fn wait(&self, until: Deadline) -> Result<(), Interrupt> {
        self.lock().wait(until)
    }
}

fn nonsense(code: ErrorCode, message: String) -> Ask {
    Ask::Nonsense(Failure::definite(code, message))
}

/// The connection is of no use any more; why is noted with the [`Requester`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost;
