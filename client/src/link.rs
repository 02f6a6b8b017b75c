//! Putting a request on the wire: where to, under which id, in which frame.

use crate::{error::Error, request::Request};
use protocol::{
    frame::{Kind, Prefix},
    id::{ClientIds, RequestId},
    limits::CLIENT_PATIENCE,
    message::{FileRequest, QueryRequest},
    wire::{Connection, WireError, to_header},
};
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// Where the load balancer is, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct Link {
    /// The id of this client, as it was typed.
    pub client: String,
    /// The load balancer, or one server: they speak the same frames.
    pub balancer: SocketAddr,
    /// How long it may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long it may take to begin an answer.
    pub request_timeout: Duration,
}

/// What a request is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its id.
    pub id: RequestId,
    /// Everything of the same client number below this sequence is settled; 0 says nothing.
    pub low_water: u64,
    /// Whether it was sent before and may have been carried out, so that its record is to be looked for first.
    pub repeated: bool,
}

impl Ticket {
    /// For a request that is new.
    pub fn next(ids: &mut ClientIds) -> Self {
        let (id, low_water) = ids.next(SystemTime::now());
        Self { id, low_water, repeated: false }
    }

    /// For a request that was sent under this id before.
    #[must_use]
    pub fn again(id: RequestId) -> Self {
        Self { id, low_water: 0, repeated: true }
    }

    fn prefix(self, kind: Kind, header: usize, body: usize) -> Prefix {
        let prefix = Prefix::new(kind, self.id, header, body);
        if self.repeated { prefix.as_repeated() } else { prefix }
    }
}

impl Link {
    /// A new connection. It waits long for the bodies of answers, because a load balancer may be looking for another
    /// server in the middle of one.
    ///
    /// # Errors
    /// [`Error::NoBalancer`].
    pub fn connect(&self) -> Result<Connection, Error> {
        let address = self.balancer;
        Connection::connect(address, self.connect_timeout)
            .map(|connection| connection.with_patience(CLIENT_PATIENCE))
            .map_err(|source| Error::NoBalancer { address, source })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When it was not sent whole, so that nobody can have acted on it.
    pub fn send(&self, connection: &mut Connection, ticket: Ticket, request: &Request) -> Result<(), WireError> {
        let (request_id, client) = (ticket.id, self.client.clone());
        let timeout_ms = u64::try_from(self.request_timeout.as_millis()).ok();
        match request {
            Request::File(name) => {
                let name = name.clone();
                let header = FileRequest { request: request_id, client, name, timeout_ms, offset: 0, sha256: None };
                let header = to_header(&header);
                connection.send(&ticket.prefix(Kind::File, header.len(), 0), &header, &[])
            }
            Request::Query(sql) => {
                let low_water = ticket.low_water;
                let header = to_header(&QueryRequest { request: request_id, client, timeout_ms, low_water });
                connection.send(&ticket.prefix(Kind::Query, header.len(), sql.len()), &header, sql.as_bytes())
            }
            Request::Ping => connection.send(&Prefix::new(Kind::Ping, request_id, 0, 0), &[], &[]),
            Request::Servers => connection.send(&Prefix::new(Kind::Servers, request_id, 0, 0), &[], &[]),
        }
    }
}
