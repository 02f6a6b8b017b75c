//! The lab frontend: clients that speak the lab protocol. The unit is a request; a connection carries any number of
//! them, one after the other.
//!
//! A thread of the [crew](protocol::listener) serves one client for as long as it stays: it reads a request, carries
//! it through [`dispatch`](crate::dispatch) and writes the answer. No request is handed from thread to thread.

use crate::{
    dispatch::{
        self, Context,
        request::{Incoming, next_frame, receive},
    },
    event::Event,
};
use protocol::{
    frame::{Kind, Prefix},
    id::RequestId,
    listener::{Handler, Refusal, Visit},
    message::{ErrorCode, Failure},
    wire::{Connection, WireError, push_frame, to_header},
};
use std::{io::Write, net::TcpStream, sync::Arc, time::Duration};

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
        events.emit(|| Event::ClientConnected { peer });
        match self.requests(visit, &mut client) {
            Ok(()) => events.emit(|| Event::ClientLeft { peer }),
            Err(error) => {
                events.emit(|| Event::ClientFailed { peer, why: error.to_string() });
                if let Some(failure) = error.farewell() {
                    client.close_with(RequestId::NONE, &failure);
                }
            }
        }
    }

    fn refuse(&self, mut stream: &TcpStream, why: Refusal) {
        let why = match why {
            Refusal::TooManyConnections => "The load balancer serves as many connections as it may.",
            Refusal::NoDescriptors => "The load balancer has no file descriptor left.",
            Refusal::NoThread => "The system gives the load balancer no further thread.",
        };
        let failure = Failure::definite(ErrorCode::Busy, why).retry_after_ms(1_000);
        let mut frame = Vec::new();
        push_frame(&mut frame, Kind::Error, RequestId::NONE, &to_header(&failure), &[]);
        let _ = stream.set_write_timeout(Some(REFUSE_TIME));
        let _ = stream.write_all(&frame);
        let peer = stream.peer_addr().ok();
        self.context.events.emit(|| Event::ClientRefused { peer, why: why.to_owned() });
    }

    fn panicked(&self, message: &str) {
        self.context.events.emit(|| Event::Panicked { message: message.to_owned() });
    }
}

impl Lab {
    /// The requests of one client, until it leaves or the program ends.
    fn requests(&self, visit: &Visit, client: &mut Connection) -> Result<(), WireError> {
        let mut header = Vec::new();
        loop {
            let wait =
                |client: &mut Connection, header: &mut Vec<u8>| visit.wait_for_request(|| next_frame(client, header));
            match receive(client, &mut header, wait, self.request_timeout)? {
                Incoming::End => return Ok(()),
                Incoming::LateCancel => {}
                Incoming::Servers(prefix) => self.list_servers(client, prefix.id)?,
                Incoming::Wrong(prefix, failure) => self.refuse_request(client, &prefix, &failure)?,
                Incoming::Request(request) => {
                    let id = request.prefix.id;
                    self.context.events.emit(|| Event::RequestReceived {
                        request: id,
                        client: request.client.clone(),
                        text: request.text.clone(),
                    });
                    dispatch::serve(&self.context, &request, client)?;
                }
            }
            if visit.draining() {
                return Ok(());
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
        self.context.events.emit(|| Event::RequestFailed { request, code, definite, message });
        client.send_message(Kind::Error, prefix.id, failure)
    }
}
