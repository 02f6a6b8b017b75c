//! The HTTP frontend: any service that speaks HTTP/1.1. The unit is a request.
//!
//! **The problem.** Behind the TCP frontend a browser's connection stays at one server, whatever it asks; and what one
//! server cannot answer nobody answers. Whoever knows where a request ends can give each to another server, try again what
//! was lost, and say what happened. But then two programs in a row must agree on where it ends: see [`protocol::http`].
//!
//! **The idea.** A thread of the [crew](protocol::listener) serves one client as long as it stays. It reads a request, takes a
//! server from the pool, sends the request on a connection that was kept, and passes the answer back (`exchange` is the
//! loop, `attempt` one turn of it). Nothing is passed on as it came: heads are written anew from what was understood
//! ([`fields`]), and bodies are framed anew from their real length.
//!
//! **What a server must never see.** More requests than the client has sent. So whatever could be read in two ways is refused
//! with 400 before any server is taken, and behind a refusal the connection is closed; behind an answer that came too early
//! the server's connection is.
//!
//! **When it is wrong.** A small body waits here until it is whole, an answer until 256 KiB are there or the server pauses: a
//! delay of microseconds, but not for whoever streams single bytes in lock-step. A server that sends megabytes of its answer
//! while it is still reading the request (an echo) is not read from meanwhile, and cut off when all buffers are full. A thread per client is right for
//! thousands of clients, not for a million.
//!
//! Sources: RFC 9110, 9111 §5.1, 9112; HAProxy's `mode http`; nginx's `proxy_next_upstream`.

pub mod flags;
pub mod fields;
pub mod page;
pub mod resume;
pub mod sticky;
mod replicas;
mod trouble;
mod watch;
mod upload;
mod download;
mod exchange;
mod ending;
mod attempt;
mod passage;
mod tunnel;

pub use self::flags::HttpFlags;

use self::{ending::send_refusal, exchange::Exchange, page::Refusal};
use crate::{
    dispatch::{budget::Budget, key::HashKey},
    event::{Event, Events},
    pool::Pool,
    replicas::Desk,
};
use protocol::{
    deadline::{Deadline, Phase},
    http::{Authority, HttpConnection, HttpError, Request, Status},
    id::IdSource,
    limits::HEADER_TIME,
    listener::{Handler, Visit},
    wire::WireError,
};
use std::{net::TcpStream, sync::Arc, time::Duration};

/// How long somebody who is not served is waited for, at the most.
const REFUSE_TIME: Duration = Duration::from_millis(100);

/// Passes requests on.
#[derive(Debug)]
pub struct Http {
    /// Where servers are taken from.
    pub pool: Arc<Pool>,
    /// Where what happens is told.
    pub events: Events,
    /// The names of requests.
    pub ids: IdSource,
    /// How long a server may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long a request waits for a server.
    pub queue_timeout: Duration,
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
    /// How much trying again is allowed.
    pub budget: Budget,
    /// What policies that hash send to the same server.
    pub hash_key: HashKey,
    /// What the command line says.
    pub flags: HttpFlags,
    /// Where replicas are asked for, if there are any.
    pub replicas: Option<Desk>,
}

/// What becomes of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It is kept for the next request.
    Keep,
    /// It is closed, and the client may be sending still.
    Close,
    /// It is of no use, or closed already.
    Drop,
}

impl Handler for Http {
    fn serve(&self, visit: &Visit) {
        let Ok(mut client) = HttpConnection::new(Arc::clone(visit.stream())) else { return };
        let (peer, totals) = (client.peer(), self.pool.totals());
        totals.connections.add_one();
        let _connected = totals.clients.enter();
        self.events.step(|| Event::ClientConnected { peer });
        let end = loop {
            let then = match self.next_request(visit, &mut client) {
                Ok(Some(request)) => self.answer(visit, &request, &mut client),
                Ok(None) => Then::Drop,
                Err(error) => self.unreadable(&mut client, &error),
            };
            if then != Then::Keep {
                break then;
            }
        };
        if end == Then::Close {
            client.close();
        }
        self.events.step(|| Event::ClientLeft { peer });
    }

    fn refuse(&self, stream: &TcpStream, why: protocol::listener::Refusal) {
        use protocol::listener::Refusal::{NoDescriptors, NoThread, TooManyConnections};
        let sentence = match why {
            TooManyConnections => "The load balancer serves as many connections as it may.",
            NoDescriptors => "The load balancer has no file descriptor left.",
            NoThread => "The system gives the load balancer no further thread.",
        };
        let peer = stream.peer_addr().ok();
        self.pool.totals().refused.add_one();
        let _nobody_to_tell = turn_away(stream, sentence);
        self.events.emit(|| Event::ClientRefused { peer, why: sentence.to_owned() });
    }

    fn panicked(&self, message: &str) {
        self.events.emit(|| Event::Panicked { message: message.to_owned() });
    }
}

impl Http {
    /// Waits for the next request, until a drain or the idle time ends it, and reads its head.
    fn next_request(&self, visit: &Visit, client: &mut HttpConnection) -> Result<Option<Request>, HttpError> {
        if !client.has_unread() {
            let idle = Deadline::after(self.flags.http_idle);
            if !visit.wait_for_request(|| client.wait(Phase::Idle, Some(idle)))? {
                return Ok(None);
            }
        }
        client.read_request(HEADER_TIME)
    }

    /// Answers a request: itself if it is a call for replicas, else by a server.
    fn answer(&self, visit: &Visit, request: &Request, client: &mut HttpConnection) -> Then {
        let called = self.replicas.as_ref().filter(|_| self.serves(request));
        match called.and_then(|desk| Some((desk, replicas::call(request)?))) {
            Some((desk, call)) => replicas::answer(self, visit, (desk, call), request, client),
            None => Exchange::new(self, visit, request, client).run(),
        }
    }

    /// Whether the host that is asked is one of those that are served.
    fn serves(&self, request: &Request) -> bool {
        let is_own = |host: &Authority| {
            let same = |own: &Authority| own.host == host.host && own.port.is_none_or(|port| Some(port) == host.port);
            self.flags.http_host.iter().any(same)
        };
        self.flags.http_host.is_empty() || request.host.as_ref().is_some_and(is_own)
    }

    /// Answers a request whose head cannot be believed; after it, nobody knows where the next one begins.
    fn unreadable(&self, client: &mut HttpConnection, error: &HttpError) -> Then {
        let idle = matches!(error, HttpError::Wire(WireError::Timeout { phase: Phase::Idle, .. }));
        if idle {
            return Then::Drop;
        }
        let (peer, why) = (client.peer(), error.to_string());
        self.pool.totals().client_errors.add_one();
        self.events.emit(|| Event::ClientFailed { peer, why });
        let Some(status) = error.status() else { return Then::Drop };
        let refusal = Refusal::definite(status, error.sentence());
        if send_refusal(client, &refusal, None, false) { Then::Close } else { Then::Drop }
    }
}

/// Sends an answer to somebody who is not served, and waits a moment for him to read it: a socket that is closed with unread
/// bytes is reset, and the reset may overtake the answer.
fn turn_away(stream: &TcpStream, sentence: &str) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let refusal = Refusal::definite(Status::SERVICE_UNAVAILABLE, sentence);
    let (content_type, body) = refusal.page(None, None);
    let mut stream = stream;
    stream.set_write_timeout(Some(REFUSE_TIME))?;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Retry-After: 1\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), &body].concat())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let until = Deadline::after(REFUSE_TIME);
    while let Some(left) = until.slice() {
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut [0; 1024])? == 0 {
            break;
        }
    }
    Ok(())
}
