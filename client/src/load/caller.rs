//! One connection of a load test: a request out, its answer in, at as little cost as can be.
//!
//! The loop that measures must cost little compared with what it measures: a ping to a server of this machine and back
//! takes 20 to 100 µs. So nothing is allocated for it: one write of 32 bytes, and one read into a buffer that brings
//! prefix and body of the pong together. Bodies of files pass through one block of memory that stays in the
//! processor's cache; they are never held whole.

use super::checked::{Checked, Fate};
use crate::{
    answer::{Answer, Sink, SinkError, Step},
    error::{Error, Failed},
    exchange::GRACE,
    link::{Link, Ticket},
    request::Request,
};
use parking_lot::Mutex;
use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, PREFIX_LEN, Prefix},
    id::{ClientIds, RequestId},
    limits::{HEADER_TIME, RELAY_BLOCK},
    message::{End, ErrorCode},
    wire::{Connection, Pending, WireError},
};
use std::{
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The socket that a client uses now, so that another thread can shut it down.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// Guards the socket; held while it is replaced or shut down.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    socket: Option<Arc<TcpStream>>,
    is_cut: bool,
}

impl Cut {
    /// Ends what the client waits for, now and later.
    pub fn cut(&self) {
        let mut state = self.state.lock();
        state.is_cut = true;
        if let Some(socket) = &state.socket {
            let _gone = socket.shutdown(Shutdown::Both);
        }
    }

    fn watch(&self, socket: &Arc<TcpStream>) {
        let mut state = self.state.lock();
        if state.is_cut {
            let _gone = socket.shutdown(Shutdown::Both);
        }
        state.socket = Some(Arc::clone(socket));
    }
}

/// A client's end.
#[derive(Debug)]
pub struct Caller {
    link: Link,
    ids: ClientIds,
    connection: Option<Connection>,
    cut: Cut,
    /// Whether each request gets a connection of its own.
    connect_anew: bool,
    /// Whether the connection of the last request is of no further use.
    spent: bool,
    /// Checks the answers.
    pub checked: Checked,
    /// The server that gave the last answer; empty where it did not say.
    pub server: String,
    /// Bytes received, frames and all.
    pub bytes: u64,
    header: Vec<u8>,
    body: Vec<u8>,
    block: Box<[u8]>,
}

impl Caller {
    /// A client that is not connected yet.
    #[must_use]
    pub fn new(link: Link, cut: Cut, connect_anew: bool, fate: Fate) -> Self {
        Self {
            link,
            ids: ClientIds::new(SystemTime::now()),
            connection: None,
            cut,
            connect_anew,
            spent: false,
            checked: Checked::new(fate),
            server: String::new(),
            bytes: 0,
            header: Vec::new(),
            body: Vec::new(),
            block: vec![0; RELAY_BLOCK].into_boxed_slice(),
        }
    }

    /// Connects before the first request, so that its latency is that of a request. If that fails, the first request
    /// will tell.
    pub fn connect(&mut self) {
        if !self.connect_anew {
            self.connection = self.fresh().ok();
        }
    }

    /// Asks, and checks the answer.
    ///
    /// # Errors
    /// When there was none, or a wrong one.
    pub fn ask(&mut self, request: &Request) -> Result<(), Failed> {
        let ticket = Ticket::next(&mut self.ids);
        let asked = self.call(ticket, request);
        if asked.as_ref().err().is_none_or(Failed::is_definite) {
            self.ids.settled(ticket.id);
        }
        asked
    }

    /// Asks again for the outcome of an earlier request.
    ///
    /// # Errors
    /// As [`Caller::ask`].
    pub fn ask_again(&mut self, id: RequestId, request: &Request) -> Result<(), Failed> {
        let asked = self.call(Ticket::again(id), request);
        if asked.as_ref().err().is_none_or(Failed::is_definite) {
            self.ids.settled(id);
        }
        asked
    }

    fn call(&mut self, ticket: Ticket, request: &Request) -> Result<(), Failed> {
        self.checked.begin();
        self.server.clear();
        self.attempt(ticket, request).map_err(|error| Failed::new(ticket, request, error))
    }

    fn attempt(&mut self, ticket: Ticket, request: &Request) -> Result<(), Error> {
        if let Request::File(name) = request {
            self.checked.name.clone_from(name);
        }
        let mut connection = self.sent(ticket, request)?;
        self.spent = self.connect_anew;
        let received = self.receive(&mut connection, ticket.id, request);
        if !self.spent && matches!(received, Ok(()) | Err(Error::Failed(_))) {
            self.connection = Some(connection);
        }
        received
    }

    /// Sends the request over the kept connection if that is still good, else over a new one.
    fn sent(&mut self, ticket: Ticket, request: &Request) -> Result<Connection, Error> {
        // A look at a kept connection costs a system call, which a ping can do without.
        let good = |connection: &Connection| *request == Request::Ping || connection.pending() == Pending::Nothing;
        if let Some(mut connection) = self.connection.take().filter(good)
            && self.link.send(&mut connection, ticket, request).is_ok()
        {
            return Ok(connection);
        }
        let mut connection = self.fresh()?;
        self.link.send(&mut connection, ticket, request).map_err(Error::NotSent)?;
        Ok(connection)
    }

    fn fresh(&self) -> Result<Connection, Error> {
        let connection = self.link.connect()?;
        self.cut.watch(connection.stream());
        Ok(connection)
    }

    /// Reads frames until the answer is over.
    fn receive(&mut self, connection: &mut Connection, id: RequestId, request: &Request) -> Result<(), Error> {
        let patience = self.link.request_timeout.saturating_add(GRACE);
        let mut until = Deadline::after(patience);
        let mut answer = Answer::to(request);
        loop {
            let prefix = self.next(connection, until, patience)?;
            if prefix.id != id && !(prefix.id == RequestId::NONE && prefix.kind == Kind::Error) {
                self.checked.foreign(prefix.id);
                connection.skip_body(prefix.body_len as usize).map_err(Error::Lost)?;
                continue;
            }
            self.read_body(connection, &prefix, request)?;
            match answer.step(prefix.kind, &self.header, &self.body, &mut self.checked) {
                Ok(Step::GoesOn) => until = Deadline::after(patience),
                Ok(Step::Complete(End { server, .. })) => {
                    self.server = server;
                    return Ok(());
                }
                Ok(Step::Failed(failure)) => {
                    // The other side is about to close: a next request must not be sent into that.
                    self.spent |= prefix.id == RequestId::NONE || failure.code == ErrorCode::Draining;
                    return Err(Error::Failed(failure));
                }
                Err(error) => return Err(Error::from_step(connection.peer(), error)),
            }
        }
    }

    fn next(&mut self, connection: &mut Connection, until: Deadline, patience: Duration) -> Result<Prefix, Error> {
        let peer = connection.peer();
        match connection.next(&mut self.header, Phase::Answer, Some(until), HEADER_TIME) {
            Ok(Some(prefix)) => {
                self.bytes += (PREFIX_LEN + prefix.rest_len()) as u64;
                Ok(prefix)
            }
            Ok(None) => Err(Error::Lost(WireError::Closed { peer, phase: Phase::Answer })),
            Err(WireError::Timeout { phase: Phase::Answer, .. }) => Err(Error::Late { peer, waited: patience }),
            Err(error) => Err(Error::Lost(error)),
        }
    }

    /// Reads a body: of a file block by block past `self.body`, which stays empty; of anything else whole.
    fn read_body(&mut self, connection: &mut Connection, prefix: &Prefix, request: &Request) -> Result<(), Error> {
        self.body.clear();
        let mut left = prefix.body_len as usize;
        if prefix.kind != Kind::Data || !matches!(request, Request::File(_)) {
            return connection.append_body(left, &mut self.body).map_err(Error::Lost);
        }
        while left > 0 {
            let length = left.min(self.block.len());
            let block = &mut self.block[..length];
            connection.read_body(block).map_err(Error::Lost)?;
            let taken = self.checked.bytes(block);
            taken.map_err(|error| Error::from_step(connection.peer(), SinkError::from(error).into()))?;
            left -= length;
        }
        Ok(())
    }
}
