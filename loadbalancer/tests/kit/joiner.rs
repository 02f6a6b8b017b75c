//! The registration port, as a server speaks to it that may say whatever a test wants.

use super::SOON;
use protocol::{
    deadline::{Deadline, Phase},
    frame::Kind,
    id::RequestId,
    join::{Challenge, Claim, JoinRequest, LEASE, Register, Registered, Renewed},
    limits::HEADER_TIME,
    message::Failure,
    registry::Entry,
    token::{Token, draw_nonce},
    wire::{Connection, from_header},
};
use serde::{Serialize, de::DeserializeOwned};
use std::net::SocketAddr;

/// What the load balancer says instead of yes; nothing, if it just hangs up.
pub type Refusal = Option<Failure>;

/// A connection to the registration port.
pub struct Joiner {
    connection: Connection,
    pub server_nonce: String,
}

impl Joiner {
    pub fn connect(address: SocketAddr) -> Self {
        let connection = Connection::connect(address, SOON).unwrap();
        Self { connection, server_nonce: draw_nonce().unwrap() }
    }

    /// The whole conversation, up to the lease. The load balancer's proof is checked, if there is a token.
    pub fn join(address: SocketAddr, entry: &Entry, incarnation: u64, token: Option<&Token>) -> Result<Self, Refusal> {
        let mut joiner = Self::connect(address);
        let challenge = joiner.challenge()?;
        let claim = joiner.claim(&challenge, entry, incarnation);
        let proof = token.map(|token| claim.prove_as_server(token));
        let registered = joiner.register(entry, incarnation, proof)?;
        let claim = joiner.claim(&challenge, entry, incarnation);
        let proof = token.map(|token| claim.prove_as_balancer(token));
        assert_eq!(registered, Registered { lease_ms: LEASE.as_millis() as u64, proof });
        Ok(joiner)
    }

    /// Asks to be let in.
    pub fn challenge(&mut self) -> Result<Challenge, Refusal> {
        let request = JoinRequest { nonce: self.server_nonce.clone() };
        self.say(Kind::Join, &request, Kind::Challenge)
    }

    /// What must be proved.
    pub fn claim<'a>(&'a self, challenge: &'a Challenge, entry: &'a Entry, incarnation: u64) -> Claim<'a> {
        Claim { server_nonce: &self.server_nonce, balancer_nonce: &challenge.nonce, entry, incarnation }
    }

    /// Says who it is, with this proof.
    pub fn register(&mut self, entry: &Entry, incarnation: u64, proof: Option<String>) -> Result<Registered, Refusal> {
        self.say(Kind::Register, &Register { entry: entry.clone(), incarnation, proof }, Kind::Registered)
    }

    /// Says that it is still there.
    pub fn beat(&mut self) -> Result<Renewed, Refusal> {
        self.say(Kind::Lease, &serde_json::json!({}), Kind::Renewed)
    }

    /// Says anything, and hears the answer.
    pub fn say<A: DeserializeOwned>(
        &mut self,
        kind: Kind,
        message: &impl Serialize,
        answer: Kind,
    ) -> Result<A, Refusal> {
        let _gone_already = self.connection.send_message(kind, RequestId::NONE, message);
        self.hear(answer)
    }

    /// The next thing that the load balancer says.
    pub fn hear<A: DeserializeOwned>(&mut self, answer: Kind) -> Result<A, Refusal> {
        let mut header = Vec::new();
        let soon = Some(Deadline::after(SOON));
        let next = self.connection.next(&mut header, Phase::Answer, soon, HEADER_TIME);
        let Ok(Some(prefix)) = next else {
            assert!(matches!(next, Ok(None)), "{next:?}");
            return Err(None);
        };
        let peer = self.connection.peer();
        if prefix.kind == Kind::Error {
            return Err(Some(from_header(peer, &prefix, &header).unwrap()));
        }
        assert_eq!(prefix.kind, answer, "{}", header.escape_ascii());
        Ok(from_header(peer, &prefix, &header).unwrap())
    }

    /// Says nothing any more, and waits for the end.
    pub fn last_word(&mut self) -> Refusal {
        self.hear::<Renewed>(Kind::Renewed).unwrap_err()
    }
}
