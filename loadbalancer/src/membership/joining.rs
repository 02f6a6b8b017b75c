//! The second source: servers that join over the network, and their leases. The protocol, its theory and its proofs are in
//! [`protocol::join`]; this is the load balancer's side of it.
//!
//! A thread of a crew of its own serves each connection, as long as the lease lasts. Whatever goes wrong on it ends this
//! connection, and with it this lease, and nothing else.

use super::{Members, NotAdded, members::FIRST_WORD, standing::Standing};
use crate::{event::Event, frontend::lab::turn_away};
use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::RequestId,
    join::{Challenge, Claim, JoinRequest, LEASE, Register, Registered, Renewed, is_nonce},
    limits::HEADER_TIME,
    listener::{Handler, Refusal, Visit},
    message::{ErrorCode, Failure},
    token::{Token, draw_nonce},
    wire::{Connection, WireError, from_header},
};
use serde::de::DeserializeOwned;
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

/// Connections to the registration port at once: one for each server that has joined, and some who ask. More are told to
/// come again.
pub const MAX_JOINED: usize = 256;

/// When a server that could not be reached, or found no room, should ask again, in milliseconds.
const AGAIN_MS: u64 = 5_000;
/// When it should ask again if the load balancer is ending: the next one may be there soon.
const AGAIN_SOON_MS: u64 = 250;

/// Serves the registration port.
#[derive(Debug)]
pub struct Registration {
    /// Where servers join.
    pub members: Arc<Members>,
}

/// Why a connection ends without a lease.
enum Turned {
    /// It is told this.
    Away { id: RequestId, server: Option<String>, failure: Failure },
    /// It broke off, was too slow, or speaks something else.
    Wire(WireError),
}

impl From<WireError> for Turned {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// A server's place among the members, taken back when this is dropped.
struct Lease {
    members: Arc<Members>,
    number: u64,
    server: String,
    standing: Arc<Standing>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.members.take_back(self.number);
    }
}

impl Handler for Registration {
    fn serve(&self, visit: &Visit) {
        let Ok(mut connection) = Connection::new(Arc::clone(visit.stream())) else { return };
        let peer = connection.peer();
        match self.admit(visit, &mut connection) {
            Ok(lease) => self.hold(visit, connection, lease),
            Err(Turned::Away { id, server, failure }) => {
                self.tell_refused(peer, server, failure.message.clone());
                connection.close_with(id, &failure);
            }
            Err(Turned::Wire(error)) => {
                self.tell_refused(peer, None, error.to_string());
                if let Some(failure) = error.farewell() {
                    connection.close_with(RequestId::NONE, &failure);
                }
            }
        }
    }

    fn refuse(&self, stream: &TcpStream, _why: Refusal) {
        let sentence = "The load balancer has no room for another server.";
        let failure = Failure::definite(ErrorCode::Busy, sentence).retry_after_ms(AGAIN_MS);
        let _nobody_to_tell = turn_away(stream, &failure);
        if let Ok(peer) = stream.peer_addr() {
            self.tell_refused(peer, None, sentence.to_owned());
        }
    }

    fn panicked(&self, message: &str) {
        self.members.shared().events.emit(|| Event::Panicked { message: message.to_owned() });
    }
}

impl Registration {
    /// From the first word to the lease.
    fn admit(&self, visit: &Visit, connection: &mut Connection) -> Result<Lease, Turned> {
        let (peer, shared) = (connection.peer(), self.members.shared());
        shared.gate.check_peer(peer.ip()).map_err(|why| away(ErrorCode::Forbidden, why))?;
        let (_, JoinRequest { nonce: server_nonce }) = hear(visit, connection, Kind::Join)?;
        if !is_nonce(&server_nonce) {
            return Err(away(ErrorCode::BadRequest, "The nonce of a J is 16 to 64 letters and digits."));
        }
        let balancer_nonce = draw_nonce().map_err(|error| {
            away(ErrorCode::Internal, format!("The system gives the load balancer no random numbers: {error}."))
        })?;
        let challenge = Challenge { nonce: balancer_nonce.clone(), token: shared.token.is_some() };
        connection.send_message(Kind::Challenge, RequestId::NONE, &challenge)?;

        let (prefix, register) = hear::<Register>(visit, connection, Kind::Register)?;
        let claim = Claim {
            server_nonce: &server_nonce,
            balancer_nonce: &balancer_nonce,
            entry: &register.entry,
            incarnation: register.incarnation,
        };
        let refused = |failure| Turned::Away { id: prefix.id, server: Some(register.entry.id.clone()), failure };
        let lease = self.lease(peer, &claim, register.proof.as_deref()).map_err(refused)?;
        let proof = shared.token.as_ref().map(|token| claim.prove_as_balancer(token));
        let registered = Registered { lease_ms: LEASE.as_millis() as u64, proof };
        connection.send_message(Kind::Registered, prefix.id, &registered)?;
        Ok(lease)
    }

    /// A place among the members for who claims this, after all that must be looked at first.
    fn lease(&self, peer: SocketAddr, claim: &Claim<'_>, proof: Option<&str>) -> Result<Lease, Failure> {
        let shared = self.members.shared();
        let forbidden = |why: String| Failure::definite(ErrorCode::Forbidden, why);
        check_proof(shared.token.as_ref(), claim, proof).map_err(|why| forbidden(why.to_owned()))?;
        shared.gate.check_entry(Some(peer.ip()), claim.entry).map_err(forbidden)?;
        let (server, address) = (claim.entry.id.clone(), claim.entry.address);
        shared.events.emit(|| Event::ServerAsksToJoin { server: server.clone(), address, peer });
        let joined = self.members.join(claim.entry.clone(), claim.incarnation);
        let (number, standing) = joined.map_err(|why| failure_of(&why))?;
        let lease = Lease { members: Arc::clone(&self.members), number, server, standing };
        lease.standing.wait(FIRST_WORD).map_err(|why| {
            let id = lease.server.clone();
            failure_of(&NotAdded::NotBelieved { id, why })
        })?;
        self.members.stays(lease.number);
        Ok(lease)
    }

    /// Renews the lease, as long as the server says that it is there.
    fn hold(&self, visit: &Visit, mut connection: Connection, lease: Lease) {
        let end = self.renew(visit, &mut connection, &lease);
        let server = lease.server.clone();
        // Out of the pool first: whoever hears of it may rely on that.
        drop(lease);
        let (why, failure) = match end {
            End::Told(failure) => (failure.message.clone(), Some(failure)),
            End::Failed(error) => (error.to_string(), error.farewell()),
            End::Closed => ("it has closed the connection.".to_owned(), None),
            End::Silent => {
                let why = format!("it has said nothing for {} seconds.", LEASE.as_secs());
                let told = format!("The load balancer has not heard of this server for {} seconds.", LEASE.as_secs());
                (why, Some(Failure::definite(ErrorCode::Timeout, told).retry_after_ms(AGAIN_SOON_MS)))
            }
        };
        self.members.shared().events.emit(|| Event::LeaseEnded { server, why });
        if let Some(failure) = failure {
            connection.close_with(RequestId::NONE, &failure);
        }
    }

    fn renew(&self, visit: &Visit, connection: &mut Connection, lease: &Lease) -> End {
        let mut header = Vec::new();
        loop {
            let until = Some(Deadline::after(LEASE));
            let next = visit.wait_for_request(|| connection.next(&mut header, Phase::Idle, until, LEASE));
            let id = match next {
                _ if visit.draining() => {
                    let failure = Failure::definite(ErrorCode::Draining, "The load balancer is ending.");
                    return End::Told(failure.retry_after_ms(AGAIN_SOON_MS));
                }
                Ok(Some(prefix)) if prefix.kind == Kind::Lease && prefix.body_len == 0 => prefix.id,
                Ok(Some(Prefix { kind, .. })) => {
                    return End::Failed(WireError::Unexpected { peer: connection.peer(), kind });
                }
                Ok(None) => return End::Closed,
                Err(WireError::Timeout { phase: Phase::Idle, .. }) => return End::Silent,
                Err(error) => return End::Failed(error),
            };
            if !self.members.counts(lease.number) {
                let why = "This server was removed by hand, or has joined again on another connection.";
                return End::Told(Failure::definite(ErrorCode::Forbidden, why));
            }
            let renewed = Renewed { why: lease.standing.why_not() };
            if let Err(error) = connection.send_message(Kind::Renewed, id, &renewed) {
                return End::Failed(error);
            }
        }
    }

    fn tell_refused(&self, peer: SocketAddr, server: Option<String>, why: String) {
        self.members.shared().events.emit(|| Event::JoinRefused { peer, server, why });
    }
}

/// How a lease ended.
enum End {
    /// The server is told why.
    Told(Failure),
    /// The server closed the connection.
    Closed,
    /// It said nothing any more.
    Silent,
    /// The connection failed, or something else than a renewal came.
    Failed(WireError),
}

/// Somebody is sent away before it is known who it is.
fn away(code: ErrorCode, why: impl Into<String>) -> Turned {
    Turned::Away { id: RequestId::NONE, server: None, failure: Failure::definite(code, why) }
}

/// Whether who claims this has proved what must be proved here.
fn check_proof(token: Option<&Token>, claim: &Claim<'_>, proof: Option<&str>) -> Result<(), &'static str> {
    match (token, proof) {
        (Some(_), None) => {
            Err("This load balancer demands a proof. Start the server with its token: --token-file FILE")
        }
        (Some(token), proof) if !claim.is_from_server(token, proof) => {
            Err("The server's token is not the one of this load balancer.")
        }
        _ => Ok(()),
    }
}

/// The next word of a server that wants to join, which must be this one, and come soon.
fn hear<M: DeserializeOwned>(visit: &Visit, connection: &mut Connection, kind: Kind) -> Result<(Prefix, M), WireError> {
    let mut header = Vec::new();
    let first = Some(Deadline::after(HEADER_TIME));
    let next = visit.wait_for_request(|| connection.next(&mut header, Phase::Header, first, HEADER_TIME))?;
    let peer = connection.peer();
    let prefix = next.ok_or(WireError::Closed { peer, phase: Phase::Header })?;
    if prefix.kind != kind || prefix.body_len > 0 {
        return Err(WireError::Unexpected { peer, kind: prefix.kind });
    }
    Ok((prefix, from_header(peer, &prefix, &header)?))
}

/// What a server is told that cannot join, and whether asking again makes sense.
fn failure_of(why: &NotAdded) -> Failure {
    let failure = |code| Failure::definite(code, why.to_string());
    match why {
        NotAdded::NotAllowed(_) | NotAdded::Taken(_) => failure(ErrorCode::Forbidden),
        NotAdded::NotBelieved { .. } | NotAdded::Nobody { .. } => {
            failure(ErrorCode::Unavailable).retry_after_ms(AGAIN_MS)
        }
        NotAdded::Ending => failure(ErrorCode::Draining).retry_after_ms(AGAIN_SOON_MS),
    }
}
