//! The TCP frontend: any service that speaks TCP. The unit is a connection.
//!
//! **The problem.** The bytes of a database, a cache or a TLS session mean nothing to us: where a request ends is known only
//! to its two ends. So a request cannot be balanced, retried or hedged; a connection can be balanced.
//!
//! **The idea.** Each connection of a client gets a server from the same pool, by the same policies, as a request of the lab
//! does: it waits for a turn if nobody has spare capacity, it holds a lease as long as it lasts, and the end of it is the
//! end of the lease. From then on bytes are passed on in both directions (`pump`). As long as nothing of the client
//! was passed on, another server may have it: when connecting fails, the next one is tried, as far as the budget of retries
//! allows, and as long as the client is there.
//!
//! **When it is wrong.** Few long connections: they stay where they were put, whatever happens to the load. A pool of
//! connections in the client (most database drivers) hides its requests behind them. That is why there is a frontend for
//! HTTP, whose unit is a request.

pub mod flags;
pub mod proxy_protocol;
mod pump;
mod way;

pub use self::{
    flags::TcpFlags,
    pump::{Flow, Over, pump},
};

use self::proxy_protocol::{Ends, Read, Version};
use crate::{
    dispatch::{
        LEAST_PAUSE,
        budget::Budget,
        retry::{Lost, MAX_ATTEMPTS},
        tell_choice,
    },
    event::{Event, Events, micros},
    membership::network::Network,
    policy::Ended,
    pool::{Found, Lease, Pool, Refused, Server, Taking, Wanted},
};
use protocol::{
    deadline::Deadline,
    id::{IdSource, RequestId},
    limits::HEADER_TIME,
    listener::{Handler, Refusal, Visit},
    wire::{Connection, Pending},
};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use xxhash_rust::xxh3::xxh3_64;

/// Passes connections on.
#[derive(Debug)]
pub struct Tcp {
    /// Where servers are taken from.
    pub pool: Arc<Pool>,
    /// Where what happens is told.
    pub events: Events,
    /// The names of connections.
    pub ids: IdSource,
    /// How long a server may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long a connection waits for a server.
    pub queue_timeout: Duration,
    /// How much trying again is allowed.
    pub budget: Budget,
    /// How long nothing may be said in either direction.
    pub idle: Duration,
    /// The PROXY header that servers get.
    pub send_proxy: Option<Version>,
    /// The networks whose connections begin with a PROXY header.
    pub trusted: Vec<Network>,
}

/// A connection that came.
struct Call<'a> {
    id: RequestId,
    stream: &'a TcpStream,
    ends: Ends,
    since: Instant,
}

impl Handler for Tcp {
    fn serve(&self, visit: &Visit) {
        let Ok(peer) = visit.stream().peer_addr() else { return };
        self.events.step(|| Event::ClientConnected { peer });
        let totals = self.pool.totals();
        totals.connections.add_one();
        let _connected = totals.clients.enter();
        match self.receive(visit.stream(), peer) {
            Ok(call) => {
                totals.requests.add_one();
                let _in_hand = totals.in_hand.enter();
                self.pass_on(&call);
            }
            Err(error) => {
                totals.client_errors.add_one();
                self.events.emit(|| Event::ClientFailed { peer, why: error.to_string() });
            }
        }
    }

    /// Nothing can be said in a protocol that is not known: the connection is closed.
    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        let why = match why {
            Refusal::TooManyConnections => "as many connections as there may be",
            Refusal::NoDescriptors => "no file descriptor is left",
            Refusal::NoThread => "the system gives no further thread",
        };
        let peer = stream.peer_addr().ok();
        self.pool.totals().refused.add_one();
        self.events.emit(|| Event::ClientRefused { peer, why: why.to_owned() });
    }

    fn panicked(&self, message: &str) {
        self.events.emit(|| Event::Panicked { message: message.to_owned() });
    }
}

impl Tcp {
    /// Finds out who is calling: whoever connected, or whom a trusted relay names.
    fn receive<'a>(&self, stream: &'a TcpStream, peer: SocketAddr) -> io::Result<Call<'a>> {
        let since = Instant::now();
        stream.set_nodelay(true)?;
        let own = Ends { client: peer, destination: stream.local_addr()? };
        let relayed = self.trusted.iter().any(|network| network.contains(peer.ip()));
        let ends = if relayed { read_header(stream)?.unwrap_or(own) } else { own };
        let call = Call { id: self.ids.next(), stream, ends, since };
        let (client, text) = (ends.client.to_string(), "a connection".to_owned());
        self.events.step(|| Event::RequestReceived { request: call.id, client, text });
        Ok(call)
    }

    /// Carries a connection to its end, by the first server that accepts it.
    fn pass_on(&self, call: &Call<'_>) {
        let caller = xxh3_64(call.ends.client.ip().to_string().as_bytes());
        let mut wanted = Wanted { client: caller, key: caller, ..Wanted::default() };
        let mut account = self.budget.open();
        let mut before: Option<Arc<Server>> = None;
        for attempt in 1..=MAX_ATTEMPTS {
            let found = match self.take(call, &wanted) {
                Ok(found) => found,
                Err(refused) => return self.refused(call, refused),
            };
            tell_choice(&self.pool, &self.events, call.id, attempt, &found, false);
            let server = Arc::clone(found.lease.server());
            if wanted.avoid.contains(&server.key) {
                // Nobody else is up: the same one again, but not at once.
                thread::park_timeout(LEAST_PAUSE);
            }
            if before.is_some() && !is_there(call.stream) {
                found.lease.finish(Ended::Cancelled);
                return self.refused(call, Refused::Withdrawn);
            }
            before.iter().for_each(|before| self.pool.count_again(before, &server));
            wanted.avoid.push(server.key);
            before = Some(server);
            match self.connect(call, &found.lease) {
                Ok(server) => {
                    // It is placed. What is in hand is what still looks for a server.
                    drop(account);
                    return self.carry(call, found.lease, &server);
                }
                Err(why) => {
                    let again = attempt < MAX_ATTEMPTS && account.may_retry();
                    self.not_connected(call, found.lease, why, again);
                    if !again {
                        break;
                    }
                }
            }
        }
        self.refused(call, Refused::NoServer);
    }

    fn take(&self, call: &Call<'_>, wanted: &Wanted) -> Result<Found, Refused> {
        match self.pool.take(wanted)? {
            Taking::Server(found) => Ok(found),
            Taking::Turn(turn) => {
                self.events.step(|| Event::RequestWaits { request: call.id, ahead: turn.ahead() });
                turn.wait(Deadline::after(self.queue_timeout), || is_there(call.stream))
            }
        }
    }

    /// Connects to the server, and tells it who is calling if it wants to know.
    fn connect(&self, call: &Call<'_>, lease: &Lease) -> Result<Connection, String> {
        let server = lease.server().fresh_connection(self.connect_timeout).map_err(|error| error.to_string())?;
        if let Some(version) = self.send_proxy {
            let header = proxy_protocol::header(version, call.ends);
            (&**server.stream()).write_all(&header).map_err(|error| error.to_string())?;
        }
        Ok(server)
    }

    /// Nothing of the client was passed on, so the server cannot have done anything with it.
    fn not_connected(&self, call: &Call<'_>, lease: Lease, why: String, again: bool) {
        let (request, server) = (call.id, lease.server().id.clone());
        // Whoever watches it looks at once, and not when it is time again.
        lease.server().ask();
        lease.finish(Ended::Failed);
        self.events.emit(|| Event::AttemptFailed { request, server, lost: Some(Lost::BeforeSent), why, again });
    }

    fn carry(&self, call: &Call<'_>, lease: Lease, server: &Connection) {
        let was_cut = || lease.server().has_cut(server);
        let (flow, over) = pump(call.stream, server.stream(), self.idle, &was_cut);
        let (request, id) = (call.id, lease.server().id.clone());
        let (statistics, totals) = (&lease.server().statistics, self.pool.totals());
        statistics.bytes_in.add(flow.up);
        statistics.bytes.add(flow.down);
        totals.bytes_in.add(flow.up);
        totals.bytes_out.add(flow.down);
        let (ended, how) = match &over {
            Over::Done => (Ended::Answered, "both have ended it".to_owned()),
            Over::Idle => (Ended::Answered, "nothing was said for too long".to_owned()),
            Over::Client(error) => (Ended::Cancelled, format!("the client broke it: {error}")),
            Over::Server(error) => (Ended::Failed, format!("the server broke it: {error}")),
        };
        lease.finish(ended);
        match ended {
            Ended::Answered => {
                totals.answered.add_one();
                totals.times.add(call.since.elapsed());
            }
            // What the two had said to each other by then, nobody here understands.
            Ended::Failed => totals.in_doubt.add_one(),
            Ended::Cancelled => totals.cancelled.add_one(),
        }
        let took_us = micros(call.since.elapsed());
        self.events.step(|| Event::ConnectionEnded { request, server: id, up: flow.up, down: flow.down, took_us, how });
    }

    fn refused(&self, call: &Call<'_>, refused: Refused) {
        let failure = refused.failure();
        let counted = self.pool.totals();
        if refused == Refused::Withdrawn { &counted.cancelled } else { &counted.failed }.add_one();
        let (request, code, definite) = (call.id, failure.code, failure.definite);
        self.events.emit(|| Event::RequestFailed { request, code, definite, message: failure.message });
    }
}

/// Whether the caller still waits. One that has ended its half may have asked everything it wants to ask.
fn is_there(stream: &TcpStream) -> bool {
    protocol::wire::pending(stream) != Pending::Gone
}

/// Reads a PROXY header, and not a byte more: what follows is the client's.
fn read_header(mut stream: &TcpStream) -> io::Result<Option<Ends>> {
    let deadline = Deadline::after(HEADER_TIME);
    let mut bytes = [0; proxy_protocol::LONGEST_BLOCK];
    let mut known = 0;
    loop {
        let left =
            deadline.slice().ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "its PROXY header is late"))?;
        stream.set_read_timeout(Some(left))?;
        let seen = match stream.peek(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(seen) => seen,
            Err(error) if is_timeout(&error) => continue,
            Err(error) => return Err(error),
        };
        match proxy_protocol::read(&bytes[..seen]) {
            Read::Header(len, ends) => {
                stream.read_exact(&mut bytes[..len])?;
                return Ok(ends);
            }
            Read::Wrong(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
            // What has come stays in the socket, so the next look would return at once.
            Read::More if seen == known => thread::park_timeout(Duration::from_millis(1)),
            Read::More => known = seen,
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests;
