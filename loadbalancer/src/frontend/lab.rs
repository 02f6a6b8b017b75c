//! The lab frontend: clients that speak the lab protocol. The unit is a request; a connection carries any number of
//! them, one after the other.
//!
//! A thread of the [crew](protocol::listener) serves one client for as long as it stays: it reads a request, carries
//! it through [`dispatch`] and writes the answer. No request is handed from thread to thread.

use crate::{
    dispatch::{
        self, Context,
        request::{Incoming, next_frame, receive},
    },
    event::Event,
};
use protocol::{
    deadline::Deadline,
    frame::{Kind, Prefix},
    id::RequestId,
    listener::{Handler, Refusal, Visit},
    message::{ErrorCode, Failure},
    wire::{Connection, WireError, push_frame, to_header},
};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Duration,
};

/// How long a client that is turned away is waited for, at the most.
const REFUSE_TIME: Duration = Duration::from_millis(200);

/// Serves clients that speak the lab protocol.
#[derive(Debug)]
pub struct Lab {
    /// What every request needs.
    pub context: Context,
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
}

impl Handler for Lab {
    fn serve(&self, visit: &Visit) {
        let Ok(mut client) = Connection::new(Arc::clone(visit.stream())) else { return };
        let (peer, events) = (client.peer(), &self.context.events);
        let totals = self.context.pool.totals();
        totals.connections.add_one();
        let _connected = totals.clients.enter();
        events.step(|| Event::ClientConnected { peer });
        match self.requests(visit, &mut client) {
            Ok(Left::Client) => events.step(|| Event::ClientLeft { peer }),
            Ok(Left::Sent { id, repeated }) => {
                events.step(|| Event::ClientLeft { peer });
                let failure = Failure::definite(ErrorCode::Draining, "The load balancer is ending.");
                client.close_with(id, &Failure { definite: !repeated, ..failure });
            }
            Err(error) => {
                totals.client_errors.add_one();
                events.emit(|| Event::ClientFailed { peer, why: error.to_string() });
                if let Some(failure) = error.farewell() {
                    client.close_with(RequestId::NONE, &failure);
                }
            }
        }
    }

    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        let why = match why {
            Refusal::TooManyConnections => "The load balancer serves as many connections as it may.",
            Refusal::NoDescriptors => "The load balancer has no file descriptor left.",
            Refusal::NoThread => "The system gives the load balancer no further thread.",
        };
        let failure = Failure::definite(ErrorCode::Busy, why).retry_after_ms(1_000);
        let _nobody_to_tell = turn_away(stream, &failure);
        let peer = stream.peer_addr().ok();
        self.context.pool.totals().refused.add_one();
        self.context.events.emit(|| Event::ClientRefused { peer, why: why.to_owned() });
    }

    fn panicked(&self, message: &str) {
        self.context.events.emit(|| Event::Panicked { message: message.to_owned() });
    }
}

/// How the requests of a client came to their end.
enum Left {
    /// It has closed the connection.
    Client,
    /// The program is ending: this request is refused, or any that the client may be sending.
    Sent {
        /// The request.
        id: RequestId,
        /// Whether it was sent before, so that it may have been carried out.
        repeated: bool,
    },
}

impl Lab {
    /// The requests of one client, until it leaves or the program ends.
    fn requests(&self, visit: &Visit, client: &mut Connection) -> Result<Left, WireError> {
        let mut header = Vec::new();
        loop {
            let next = visit.wait_for_request(|| next_frame(client, &mut header))?;
            // From here on a drain leaves the connection alone; before, it may have ended the reading side.
            let Some(prefix) = next else { return Ok(Left::Client) };
            if visit.draining() {
                return Ok(Left::Sent { id: prefix.id, repeated: prefix.repeated() });
            }
            match receive(client, prefix, &mut header, self.request_timeout)? {
                Incoming::LateCancel => {}
                Incoming::Servers(prefix) => self.list_servers(client, prefix.id)?,
                Incoming::Wrong(prefix, failure) => self.refuse_request(client, &prefix, &failure)?,
                Incoming::Request(request) => {
                    let id = request.prefix.id;
                    self.context.pool.totals().requests.add_one();
                    self.context.events.step(|| Event::RequestReceived {
                        request: id,
                        client: request.client.clone(),
                        text: request.text.clone(),
                    });
                    dispatch::serve(&self.context, &request, client)?;
                }
            }
        }
    }

    fn list_servers(&self, client: &mut Connection, id: RequestId) -> Result<(), WireError> {
        let mut servers = self.context.pool.status();
        let mut body = to_header(&servers);
        // A frame has room for some 15,000 servers; beyond that the strongest are shown.
        while body.len() > protocol::limits::MAX_BODY {
            servers.truncate(servers.len() / 2);
            body = to_header(&servers);
        }
        client.send(&Prefix::new(Kind::ServerList, id, 2, body.len()), b"{}", &body)
    }

    fn refuse_request(&self, client: &mut Connection, prefix: &Prefix, failure: &Failure) -> Result<(), WireError> {
        let (code, definite) = (failure.code, failure.definite);
        let (request, message) = (prefix.id, failure.message.clone());
        self.context.pool.totals().malformed.add_one();
        self.context.events.emit(|| Event::RequestFailed { request, code, definite, message });
        client.send_message(Kind::Error, prefix.id, failure)
    }
}

/// Sends a failure to someone who is not served, and waits a moment for him to read it: a socket that is closed with
/// unread bytes is reset, and the reset may overtake the failure.
pub(crate) fn turn_away(mut stream: &TcpStream, failure: &Failure) -> io::Result<()> {
    let mut frame = Vec::new();
    push_frame(&mut frame, Kind::Error, RequestId::NONE, &to_header(failure), &[]);
    stream.set_write_timeout(Some(REFUSE_TIME))?;
    stream.write_all(&frame)?;
    stream.shutdown(Shutdown::Write)?;
    let until = Deadline::after(REFUSE_TIME);
    while let Some(left) = until.slice() {
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut [0; 1_024])? == 0 {
            break;
        }
    }
    Ok(())
}
